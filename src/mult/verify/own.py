"""Files whose digests the project keeps itself, so that they can be trusted without DVC."""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mult.data.store import INDEX_KIND, read_index
from mult.errors import UserError
from mult.files import intact, read_json, sha256
from mult.verify.fault import Fault, removing


def faults_of_a_domain(folder: Path, stage: str | None) -> Iterator[Fault]:
    """Compare the arrays of a prepared domain, or the tables of an index, with what index.json says of them.

    Args:
        stage: that wrote the folder, if dvc.lock has it.
    """
    mend = _made_anew(folder, stage)
    try:
        files = _files(folder, read_index(folder))
    except (UserError, OSError, KeyError, TypeError, AttributeError):
        yield Fault(folder / "index.json", "missing, or not a whole index", mend)
        return
    for path, (digest, size) in files.items():
        if not _whole(path, digest, size):
            yield Fault(path, "missing, truncated or altered: its digest is not the index's", mend)


def faults_of_a_model(path: Path, stages: Mapping[Path, str]) -> Iterator[Fault]:
    """Compare the weights beside ``path``, a model.json, with the digest in it; ``stages`` by what they wrote."""
    weights = path.with_name("model.safetensors")
    try:
        wanted = read_json(path).get("weights_sha256")
    except (OSError, ValueError, AttributeError):
        yield Fault(path, "not a whole model.json", _made_anew(path, stages.get(path)))
        return
    if wanted and weights.is_file() and not _whole(weights, wanted, weights.stat().st_size):
        yield Fault(weights, "altered: its digest is not model.json's", _made_anew(weights, stages.get(weights)))


def faults_of_a_checkpoint(path: Path) -> Iterator[Fault]:
    """Compare the checkpoint beside ``path``, its digest, with it.

    One without a digest was being written when a kill came; trainings pass over it.
    """
    state = path.with_suffix(".pt")
    try:
        whole = read_json(path)["sha256"] == sha256(state)
    except FileNotFoundError:  # a newer one has just taken its place
        return
    except (OSError, ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        said = "altered: its digest is not the one written with it, so the training goes on from an older one"
        yield Fault(state, said, removing(state, path))


def _whole(path: Path, digest: str, size: int) -> bool:
    try:
        return intact(path, digest, size, anew=True)
    except OSError:  # the disk does not give it
        return False


def _files(folder: Path, index: Mapping[str, Any]) -> dict[Path, tuple[str, int]]:
    """Digest and size of each file that an index lists."""
    if index.get("kind") == INDEX_KIND:
        listed = {folder / name: facts for name, facts in index["tables"].items()}
    else:
        listed = {
            folder / split / f"{label}.npy": facts
            for split, of in index["splits"].items()
            for label, facts in of["files"].items()
        }
    return {path: (facts["sha256"], facts["bytes"]) for path, facts in listed.items()}


def _made_anew(path: Path, stage: str | None) -> str:
    """How to make again what DVC finds no fault with: it was damaged before DVC saw it, or dvc.lock is."""
    if stage is None:
        return f"{removing(path)} && mult repro"
    return f"dvc repro --force --single-item {shlex.quote(stage)}"
