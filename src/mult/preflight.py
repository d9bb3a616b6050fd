"""Whether what params.yaml asks for can be made at all: what the file alone does not tell.

``mult repro`` asks before its first stage, for otherwise a training would find out, hours of rendering later: that timm
has no such encoder or cannot make it so, that weights are of another one, that a batch norm is to see a single value,
that there is no GPU or no compiler. Models are made on PyTorch's meta device, where tensors have shapes and take no
memory. What was found well is noted in ``.mult`` and not looked at again.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path

from mult import runs, stage
from mult.errors import UserError, in_one_line
from mult.files import atomic, sha256
from mult.params import Params, RealDomain, Scale, load
from mult.process import LAUNCHER, STATE, die_with_parent
from mult.runs import Run

NOTE = STATE / "preflight"
CODE = ("models", "baselines", "training")  # which makes and tries the models
CLASSES = ("void", "other")  # how many there are is not known before the data are; a head of any number can be made
BYTES = 16  # a weight, its gradient and AdamW's two moments


def ready(settings: Params, environment: Mapping[str, str], stages: Collection[str], elsewhere: bool) -> None:
    """See that the folders that ``stages`` read are there and the scale's models can be made, in a process of its own.

    Args:
        environment: of that process.
        stages: those that are to be looked at, as dvc.yaml names them.
        elsewhere: trainings run on other machines, of which this one tells nothing.

    Raises:
        UserError: something cannot be had or made; names key and mend.
    """
    elsewhere = elsewhere or bool(environment.get(LAUNCHER))
    _folders(settings.scale, {stage.partition("@")[2] for stage in stages if stage.startswith("prepare@")})
    digest = _digest(settings, elsewhere)
    if NOTE.is_file() and NOTE.read_text(encoding="utf-8") == digest:
        return
    command = [sys.executable, "-m", "mult.preflight", *(["elsewhere"] if elsewhere else [])]
    dying = partial(die_with_parent, os.getpid())
    done = subprocess.run(command, env=dict(environment), stderr=subprocess.PIPE, text=True, preexec_fn=dying)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        ended = f"looking at what params.yaml asks for ended with code {done.returncode}: {done.stderr[-300:]}"
        raise UserError(said[-1].removeprefix("error: ") if said else " ".join(ended.split()))
    with atomic(NOTE, "w") as file:
        file.write(digest)


def check(settings: Params, elsewhere: bool = False) -> None:
    """Make and try a model of each kind that the chosen scale trains; ``elsewhere``: as in ``ready``.

    Raises:
        UserError: as ``ready``.
    """
    from mult.models.encoder import seeded_encoder
    from mult.training.balancing import balancing

    scale, trained = settings.scale, _trained(settings)
    device = None if elsewhere else _device(scale)
    loaded = set()
    for run in _kinds(trained, scale):
        key = _key(run)
        if run.encoder["pretrained"] and key not in loaded:  # for it is about the weights
            _made(run, partial(seeded_encoder, scale.image_size, run.encoder, run.seed))
            loaded.add(key)
        _made(run, partial(try_model, run, scale, device))
    for method in sorted({run.balancing for run in trained}):
        balancing(method, settings.tasks, 1, "cpu")


def _device(scale: Scale) -> str:
    """What trainings here compute on, where `compile` works if it is wanted."""
    import torch

    from mult.training.distributed import device_of

    hardware = scale.hardware
    device = device_of(hardware, hardware.processes - 1 if torch.cuda.is_available() else 0)
    if hardware.compile:
        try:
            torch.compile(lambda x: 2 * x + 1)(torch.ones(8, device=device))
        except Exception as error:  # of whatever is missing
            said = in_one_line(error)
            raise UserError(f"scale.hardware.compile: true: it does not work here; write false: {said}") from None
    return device.type


def try_model(run: Run, scale: Scale, device: str | None = None) -> None:
    """Make the model of ``run`` and show it as few images as it will ever be trained on at once, without values.

    Args:
        device: ``cpu`` where this machine's memory has to hold the weights.

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
        if device == "cpu" and need > there:
            raise UserError(
                f"{_key(run)}: {need / 2**30:.0f} GiB for the weights of {run.name} and their optimiser, but this "
                f"machine has {there / 2**30:.0f}; take a smaller one, or a smaller head_width"
            )
        Outputs(model)(torch.empty(smallest_batch(run, scale), 3, scale.image_size, scale.image_size))


def smallest_batch(run: Run, scale: Scale) -> int:
    """The least number of images that a training of ``run``, or the tuning of what it has trained, computes at once."""
    batch, part = scale.training.batch_size, scale.hardware.part
    sizes = [batch if run.consistency else batch // scale.hardware.processes]
    if run.model == "mult":  # which is done by one process
        others = [of.train for name, of in scale.domains.items() if name != scale.train_domain and of.train]
        sizes.append(min(batch, scale.fine_tune.images, *others))
    return min(min(part, size % part or part, size) if part else size for size in sizes)


def _folders(scale: Scale, prepared: Collection[str]) -> None:
    """Look for the roots of the domains that are to be ``prepared``, and for files of weights."""
    from mult.data.domains import EMBEDDED
    from mult.data.sources.packed import is_packed

    for name, domain in scale.domains.items():
        if not isinstance(domain, RealDomain) or name not in prepared:
            continue
        key = f"scale.domains.{name}.root: {domain.root}"
        if not Path(domain.root).is_dir():
            raise UserError(f"{key}: no such folder; name the one that {name} is in")
        if name in EMBEDDED and not is_packed(Path(domain.root)):
            raise UserError(f"{key}: no packed copy; leave out `root` to have {name} rendered")
    for key, encoder in (("encoder", scale.encoder), ("baselines.encoder", scale.baselines.encoder)):
        if isinstance(encoder.pretrained, str) and not Path(encoder.pretrained).is_file():
            raise UserError(
                f"scale.{key}.pretrained: {encoder.pretrained}: no such file; name a .safetensors or .pth file"
            )


def _trained(settings: Params) -> list[Run]:
    """Every run that is trained from first weights; all names are resolved."""
    names = [name for name in runs.names(settings) if not name.startswith("tuned-")]
    return [run for name in names if (run := runs.resolve(settings, name)).study != "constant"]


def _kinds(trained: list[Run], scale: Scale) -> Iterator[Run]:
    """Of each kind of model, and number of images at once, the run with the most tasks."""
    largest: dict[tuple, Run] = {}
    for run in sorted(trained, key=lambda run: len(run.tasks)):
        largest[run.model, run.decoder.get("base"), smallest_batch(run, scale)] = run
    yield from largest.values()


def _key(run: Run) -> str:
    """What in params.yaml its encoder is made from."""
    return "scale.baselines.encoder" if run.study == "baseline" else "scale.encoder"


def _made(run: Run, make: Callable[[], object]) -> None:
    try:
        make()
    except UserError as error:  # the models know of one encoder
        raise UserError(re.sub(r"^encoder", _key(run), str(error))) from None
    except Exception as error:  # timm's models raise nearly anything over options that do not fit
        name, options, said = run.encoder["name"], run.encoder["options"], in_one_line(error)
        raise UserError(f"{_key(run)}: {name!r} with {options} cannot be trained in {run.name}: {said}") from None


def _digest(settings: Params, elsewhere: bool) -> str:
    """Of all that decides what ``check`` finds."""
    used = settings.model_dump(mode="json", exclude={"scales", "comparisons", "gallery", "sheet", "served"})
    packages = [version(name) for name in ("torch", "timm")]
    code = [sha256(path) for folder in CODE for path in sorted((Path(__file__).parent / folder).rglob("*.py"))]
    marks = []
    for encoder in (settings.scale.encoder, settings.scale.baselines.encoder):
        if isinstance(encoder.pretrained, str):
            of = Path(encoder.pretrained).stat()
            marks.append([of.st_size, of.st_ino, of.st_mtime_ns, of.st_ctime_ns])
    return hashlib.sha256(json.dumps([used, packages, code, marks, elsewhere], sort_keys=True).encode()).hexdigest()


if __name__ == "__main__":
    sys.exit(stage.exit_code(lambda: check(load(), "elsewhere" in sys.argv)))
