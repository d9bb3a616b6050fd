"""Whether what params.yaml asks for can be made at all: what the file alone does not tell.

``mult repro`` asks before its first stage, for otherwise a training would find out, hours of rendering later: that timm
has no such encoder or cannot make it so, that weights are of another one, that a batch norm is to see a single value.
Models are made on PyTorch's meta device, where tensors have shapes and take no memory. What was found well is noted in
``.mult`` and not looked at again.
"""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path

from mult import runs, stage
from mult.errors import UserError
from mult.files import atomic
from mult.params import Params, RealDomain, Scale, load
from mult.process import STATE
from mult.runs import Run

NOTE = STATE / "preflight"
CLASSES = ("void", "other")  # how many there are is not known before the data are; a head of any number can be made
BYTES = 16  # a weight, its gradient and AdamW's two moments


def ready(settings: Params, environment: Mapping[str, str]) -> None:
    """See that the chosen scale's folders are there and its models can be made, the latter in a process of its own.

    Raises:
        UserError: something cannot be had or made; names key and mend.
    """
    _folders(settings.scale)
    digest = _digest(settings)
    if NOTE.is_file() and NOTE.read_text(encoding="utf-8") == digest:
        return
    command = [sys.executable, "-m", "mult.preflight"]
    done = subprocess.run(command, env=dict(environment), stderr=subprocess.PIPE, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"mult.preflight ended with code {done.returncode}"]
        raise UserError(said[-1].removeprefix("error: "))
    with atomic(NOTE, "w") as file:
        file.write(digest)


def check(settings: Params) -> None:
    """Make and try a model of each kind that the chosen scale trains.

    Raises:
        UserError: as ``ready``.
    """
    from mult.models.encoder import seeded_encoder
    from mult.training.balancing import balancing

    scale, trained = settings.scale, _trained(settings)
    for run in _kinds(trained):
        section = scale.baselines.encoder if run.study == "baseline" else scale.encoder
        if section.pretrained:  # for it is about the weights
            _made(run, partial(seeded_encoder, scale.image_size, run.encoder, run.seed))
        _made(run, partial(try_model, run, scale))
    for method in sorted({run.balancing for run in trained}):
        balancing(method, settings.tasks, 1, "cpu")


def try_model(run: Run, scale: Scale) -> None:
    """Make the model of ``run`` and show it as few images as it will ever be trained on at once, without values.

    Raises:
        UserError: settings that do not go together, or weights that this machine cannot hold.
    """
    import psutil
    import torch

    from mult.models import registry
    from mult.training.step import Outputs

    config = {
        "model": run.model,
        "tasks": list(run.tasks),
        "classes": CLASSES,
        "image_size": scale.image_size,
        "encoder": run.encoder | {"pretrained": False},
        "decoder": run.decoder,
        "seed": run.seed,
    }
    with torch.device("meta"):
        model = registry.build(config).train()
        need, there = BYTES * sum(p.numel() for p in model.parameters()), psutil.virtual_memory().total
        if scale.hardware.device == "cpu" and need > there:
            raise UserError(
                f"run {run.name!r}: {need / 2**30:.0f} GiB for its weights and their optimiser, but this machine has "
                f"{there / 2**30:.0f}; take a smaller encoder or head_width"
            )
        Outputs(model)(torch.empty(smallest_batch(run, scale), 3, scale.image_size, scale.image_size))


def smallest_batch(run: Run, scale: Scale) -> int:
    """The least number of images that a training of ``run``, or the tuning of what it has trained, computes at once."""
    batch, part = scale.training.batch_size, scale.hardware.part
    sizes = [batch if run.consistency else batch // scale.hardware.processes]
    if run.model == "mult":
        sizes.append(min(batch, scale.fine_tune.images))  # which is done by one process
    return min(min(part, size % part or part, size) if part else size for size in sizes)


def _folders(scale: Scale) -> None:
    from mult.data.domains import EMBEDDED
    from mult.data.sources.packed import is_packed

    for name, domain in scale.domains.items():
        if not isinstance(domain, RealDomain):
            continue
        if not Path(domain.root).is_dir():
            raise UserError(f"domains.{name}.root: {domain.root}: no such folder; name the one that {name} is in")
        if name in EMBEDDED and not is_packed(Path(domain.root)):
            raise UserError(
                f"domains.{name}.root: {domain.root}: no packed copy; leave out `root` to have {name} rendered"
            )
    for key, encoder in (("encoder", scale.encoder), ("baselines.encoder", scale.baselines.encoder)):
        if isinstance(encoder.pretrained, str) and not Path(encoder.pretrained).is_file():
            raise UserError(f"{key}.pretrained: {encoder.pretrained}: no such file; name a .safetensors or .pth file")


def _trained(settings: Params) -> list[Run]:
    """Every run that is trained from first weights; all names are resolved."""
    names = [name for name in runs.names(settings) if not name.startswith("tuned-")]
    return [run for name in names if (run := runs.resolve(settings, name)).study != "constant"]


def _kinds(trained: list[Run]) -> Iterator[Run]:
    """Of each kind of model the run with the most tasks."""
    largest: dict[tuple, Run] = {}
    for run in sorted(trained, key=lambda run: len(run.tasks)):
        largest[run.model, run.decoder.get("base")] = run
    yield from largest.values()


def _made(run: Run, make: Callable[[], object]) -> None:
    try:
        make()
    except UserError:
        raise
    except Exception as error:  # timm's models raise nearly anything over options that do not fit
        key = "baselines.encoder" if run.study == "baseline" else "encoder"
        text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        name, options = run.encoder["name"], run.encoder["options"]
        raise UserError(f"scale.{key}: {name!r} with {options} cannot be trained in {run.name}: {text}") from None


def _digest(settings: Params) -> str:
    """Of all that decides what ``check`` finds."""
    used = settings.model_dump(mode="json", exclude={"scales", "comparisons", "gallery", "sheet", "served"})
    packages = [version(name) for name in ("torch", "timm")]
    weights = [encoder.pretrained for encoder in (settings.scale.encoder, settings.scale.baselines.encoder)]
    marks = [(of, Path(of).stat().st_mtime_ns) for of in weights if isinstance(of, str)]
    return hashlib.sha256(json.dumps([used, packages, marks], sort_keys=True).encode()).hexdigest()


if __name__ == "__main__":
    sys.exit(stage.exit_code(lambda: check(load())))
