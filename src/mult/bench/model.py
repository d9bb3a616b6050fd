"""`mult bench model`: what the variants cost in time and memory, against the plain loop over tasks, in one run."""

import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from mult.bench.report import write_bench
from mult.data.batches import Batch
from mult.errors import UserError
from mult.memory import peak_mb
from mult.models.cost import gmacs, parameters_m
from mult.models.mult import MulT
from mult.params import Params
from mult.progress import progress
from mult.tasks import outputs
from mult.training.balancing import balancing
from mult.training.distributed import device_of
from mult.training.step import Step, autocast
from mult.training.trainer import prepare

CLASSES = 17  # of the rooms, void included
PRODUCT = {"cpu": 1024, "cuda": 8192}  # side of the square matrices that say what this machine's products reach
FORMS = ("fast", "loop")
WARM = 4  # steps after which no more memory is taken from the system
ROOT = Path()  # the project's folder, where tests/reference is


def bench(
    settings: Params,
    variants: Sequence[str],
    rounds: int,
    batch: int | None = None,
    precision: str | None = None,
    compiled: bool = False,
) -> pd.DataFrame:
    """Time the six-task training step and inference of each variant, as built and as a plain loop over tasks.

    Models take turns for ``rounds`` rounds and their medians are kept, so a slow moment of the machine hits all alike;
    a large matrix product is timed in each round as well. Stochastic depth and dropout are off (the loop has none).
    ``batch`` and ``precision`` take the place of the scale's.

    Columns: variant, form (``fast`` or ``loop``), step_ms, images_per_s (training), infer_ms (an image), params_m,
    gmacs (an image, forward), of_peak (share of the rate of matrix products that the step's 3 x gmacs reach), gain %
    (over the loop), over_self % (gain over ``self``, same form), promised % (what the MACs promise), memory_mb.
    """
    if precision:
        training = settings.scale.training.model_copy(update={"precision": precision})
        settings = settings.model_copy(update={"scale": settings.scale.model_copy(update={"training": training})})
    scale = settings.scale
    device = device_of(scale.hardware)
    images = batch or scale.training.batch_size
    number = getattr(torch, scale.training.precision)
    cases = {(v, form): _Case(settings, v, form, images, device, compiled) for v in variants for form in FORMS}
    steps: dict = {case: [] for case in cases}
    looks: dict = {case: [] for case in cases}
    peaks = []
    for case in cases.values():  # first calls take memory from the system and, where asked, compile
        for _ in range(WARM):
            case.step(), case.look()
    for turn in progress(range(rounds), "bench model", unit="round"):
        names = list(cases)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:  # whoever is first has cold caches
            case = cases[name]
            case.look()
            looks[name].append(_timed(case.look, device))
            steps[name].append(_timed(case.step, device))
        peaks.append(_macs_per_second(device, number))
    peak = statistics.median(peaks)
    rows = []
    for (variant, form), case in cases.items():
        step = statistics.median(steps[variant, form])
        rows.append(
            {
                "variant": variant,
                "form": form,
                "step_ms": 1000 * step,
                "images_per_s": images / step,
                "infer_ms": 1000 * statistics.median(looks[variant, form]) / images,
                "params_m": case.params_m,
                "gmacs": case.gmacs,
                "of_peak": 3e9 * case.gmacs * images / step / peak,
                "memory_mb": _memory_mb(settings, variant, form, images, device),
            }
        )
    table = _compared(pd.DataFrame(rows))
    parts = [scale.name, batch and f"batch{batch}", precision, device.type != "cpu" and device.type]
    name = "-".join(["model", *filter(None, parts)])
    command = f"mult bench model --scale {scale.name} --variants {' '.join(variants)}"
    command += (
        f" --batch {batch}" * bool(batch) + f" --precision {precision}" * bool(precision) + " --compile" * compiled
    )
    write_bench(
        name,
        table,
        f"Six tasks, {scale.image_size} pixels, batches of {images}, {scale.training.precision}, one process of "
        f"{torch.get_num_threads()} thread(s); a product of two square matrices of side {PRODUCT[device.type]} "
        f"reaches {peak / 1e9:.0f} GMAC/s here.",
        command,
    )
    return table


class _Case:
    """One model in one form, with a batch of noise."""

    def __init__(
        self, settings: Params, variant: str, form: str, images: int, device: torch.device, compiled: bool = False
    ):
        self.model = _model(settings, variant, form)
        prepare(self.model, settings.scale.hardware, device)
        self.params_m = parameters_m(self.model)
        self.gmacs = gmacs(_model(settings, variant, "fast"), settings.scale.image_size)
        self.settings = settings.scale.training
        self.batch = _noise(settings, images).to(device)
        hardware = settings.scale.hardware.model_copy(update={"compile": compiled and form == "fast", "part": 0})
        fixed = balancing("fixed", settings.tasks, 1, device)
        self.one_step = Step(self.model, settings.losses, self.settings, hardware, fixed)

    def step(self) -> None:
        self.model.train()
        self.one_step(self.batch, 0, 0)

    @torch.no_grad()
    def look(self) -> None:
        self.model.eval()
        with autocast(self.batch.rgb.device, self.settings):
            self.one_step.outputs(self.batch.rgb)


def _model(settings: Params, variant: str, form: str) -> MulT:
    scale = settings.scale
    still = {"attention": variant, "reference": "normal", "drop_path": 0.0, "dropout": 0.0}
    encoder = scale.encoder.model_dump() | {"pretrained": False}
    encoder["options"] = encoder["options"] | {"drop_path_rate": 0.0}
    channels = outputs(settings.tasks, CLASSES)
    model = MulT(channels, scale.image_size, encoder, scale.decoder.model_dump() | still, 0)
    if form == "loop":
        model.decoders = _reference()(model.decoders)
    return model


def _reference() -> Callable[[nn.Module], nn.Module]:
    sys.path.insert(0, str(ROOT.absolute()))
    try:
        from tests.reference.decoder import LoopDecoders
    except ImportError:
        raise UserError("mult bench model: run it in the project's folder; the loop is in tests/reference") from None
    finally:
        del sys.path[0]
    return LoopDecoders


def _noise(settings: Params, images: int) -> Batch:
    size, draw = settings.scale.image_size, torch.Generator().manual_seed(0)
    targets = {
        task: torch.randint(1, CLASSES, (images, size, size), generator=draw)
        if task == "semseg"
        else torch.rand(images, channels, size, size, generator=draw)
        for task, channels in outputs(settings.tasks, CLASSES).items()
    }
    masks = {task: torch.ones(images, 1, size, size, dtype=torch.bool) for task in targets}
    return Batch(torch.rand(images, 3, size, size, generator=draw), targets, masks)


def _timed(call: Callable[[], None], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def _macs_per_second(device: torch.device, number: torch.dtype) -> float:
    side = PRODUCT[device.type]
    a, b = (torch.randn(side, side, device=device, dtype=number) for _ in range(2))
    a @ b
    times = 10
    return times * side**3 / _timed(lambda: [a @ b for _ in range(times)], device)


def _memory_mb(settings: Params, variant: str, form: str, images: int, device: torch.device) -> float:
    """Most memory that two training steps take beyond the libraries' own."""
    if device.type == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        case = _Case(settings, variant, form, images, device)
        case.step(), case.step()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    context = multiprocessing.get_context("spawn")  # a process of its own: its peak is the model's
    with context.Pool(1) as pool:
        return pool.apply(_memory_of_child, (settings, variant, form, images, ROOT.absolute()))


def _memory_of_child(settings: Params, variant: str, form: str, images: int, root: Path) -> float:
    global ROOT
    ROOT = root
    _model(settings, "uniform", "fast")  # what the first model loads is no memory of this one
    before = peak_mb()
    case = _Case(settings, variant, form, images, torch.device("cpu"))
    case.step(), case.step()
    return peak_mb() - before


def _compared(table: pd.DataFrame) -> pd.DataFrame:
    """Add the gains: over the loop, and over ``self`` in the same form beside what the MACs promise."""
    key = table.set_index(["variant", "form"])
    step, macs = key["step_ms"], key["gmacs"]
    names = list(zip(table["variant"], table["form"], strict=True))
    table["gain %"] = [100 * (step[v, "loop"] / step[v, form] - 1) for v, form in names]
    if "self" in set(table["variant"]):
        table["over_self %"] = [100 * (step["self", form] / step[v, form] - 1) for v, form in names]
        table["promised %"] = [100 * (macs["self", form] / macs[v, form] - 1) for v, form in names]
    return table
