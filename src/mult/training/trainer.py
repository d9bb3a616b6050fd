"""The training loop."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from mult.data.batches import Batch, order_of_step, read
from mult.data.store import Split
from mult.errors import UserError
from mult.memory import keep_freed_memory
from mult.models.stacked import TaskNorm
from mult.params import Loss, Training
from mult.progress import Stopwatch, progress
from mult.seeding import seed_of
from mult.training.losses import LOSSES
from mult.training.schedule import factor

Metrics = dict[str, float]
# Scores predictions of the validation split: (batches of prediction and truth) -> figures by name.
Scorer = Callable[[], "RunningScore"]


class RunningScore:
    """What the loop asks of a scorer: see every batch, then give the figures."""

    def update(self, predictions: Mapping[str, Tensor], batch: Batch) -> None: ...

    def compute(self) -> Metrics:
        return {}


@dataclass
class History:
    """What a training leaves besides its weights: one row a validation."""

    rows: list[Metrics] = field(default_factory=list)
    best_step: int = 0
    seconds: float = 0.0


def device_of(settings: Training) -> torch.device:
    """The device that ``training.device`` means on this machine."""
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise UserError("training.device: cuda: no GPU is to be seen here; write auto or cpu")
    name = "cuda" if settings.device != "cpu" and torch.cuda.is_available() else "cpu"
    return torch.device(name)


def train(
    model: nn.Module,
    data: Mapping[str, Split],
    losses: Mapping[str, Loss],
    settings: Training,
    seed: int,
    log: Callable[[Metrics, int], None] = lambda metrics, step: None,
    scorer: Scorer = RunningScore,
    extra: nn.Module | None = None,
    label: str = "train",
) -> History:
    """Train ``model`` on ``data["train"]``; it ends with the weights that had the lowest loss on ``data["val"]``.

    ``losses`` names the tasks, with each one's loss and weight; ``log`` gets the figures of each validation and its
    step; ``scorer`` makes what computes further validation figures from predictions; ``extra`` is a loss of
    (predictions, targets, masks) that is added, with weights of its own to be trained. Two models trained with one
    seed see the same images in the same order, and their encoders the same random numbers.
    """
    torch.set_num_threads(settings.threads)
    keep_freed_memory()
    device = device_of(settings)
    model.to(device).train()
    optimiser = optimiser_of(nn.ModuleList([model] if extra is None else [model, extra.to(device)]), settings)
    history, clock, best, best_weights = History(), Stopwatch(), float("inf"), {}
    running: dict[str, Tensor] = {}

    for step in progress(range(settings.steps), label, total=settings.steps, unit="step"):
        for group in optimiser.param_groups:
            group["lr"] = settings.lr * factor(step, settings)
        indices, flips = order_of_step(len(data["train"]), settings.batch_size, step, seed, settings.flip)
        batch = read(data["train"], list(losses), indices, flips).to(device)

        # The encoder runs first, so every run of a seed drops the same of its branches.
        torch.manual_seed(seed_of(seed, "step", step))
        try:
            task_losses = update(model, optimiser, batch, losses, settings, extra)
        except FloatingPointError as error:
            raise UserError(f"{label}: at step {step}: {error}; lower training.lr") from None
        for task, value in task_losses.items():
            running[task] = running.get(task, 0) + value

        if (step + 1) % settings.validate_every == 0 or step + 1 == settings.steps:
            since = (step % settings.validate_every) + 1
            row = {f"train/{t}_loss": float(value) / since for t, value in running.items()}
            try:
                row |= validate(model, data["val"], losses, settings, scorer())
            except FloatingPointError as error:
                raise UserError(f"{label}: at step {step + 1}: {error}; lower training.lr") from None
            row["time/images_per_s"] = round((step + 1) * settings.batch_size / clock.seconds(), 2)
            running = {}
            if row["val/loss"] < best:
                best, history.best_step = row["val/loss"], step + 1
                best_weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
            history.rows.append({"step": step + 1} | row)
            log(row, step + 1)

    model.load_state_dict(best_weights)
    history.seconds = clock.seconds()
    return history


def optimiser_of(model: nn.Module, settings: Training) -> torch.optim.Optimizer:
    """AdamW with the settings' rates; see ``_groups`` for what does not decay."""
    return torch.optim.AdamW(_groups(model, settings.weight_decay), settings.lr, settings.betas, fused=True)


def update(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    batch: Batch,
    losses: Mapping[str, Loss],
    settings: Training,
    extra: nn.Module | None = None,
) -> dict[str, Tensor]:
    """One step of the weights on one batch; returns each task's loss, detached.

    Raises:
        FloatingPointError: the loss is not finite; the weights are as they were.
    """
    with _autocast(batch.rgb.device, settings):
        # A model may have more than its final predictions to be supervised.
        seen = model.supervised(batch.rgb) if hasattr(model, "supervised") else (model(batch.rgb),)
    task_losses = {task: sum(_loss(task, p, batch, losses) for p in seen) for task in losses}
    total = sum(losses[t].weight * value for t, value in task_losses.items())
    if extra is not None:
        total = total + extra(seen[-1], batch.targets, batch.masks)
    if not torch.isfinite(total):
        raise FloatingPointError(f"the loss is {total.item()}")
    optimiser.zero_grad(set_to_none=True)
    total.backward()
    if settings.clip_norm:
        nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
    optimiser.step()
    return {task: value.detach() for task, value in task_losses.items()}


@torch.no_grad()
def validate(
    model: nn.Module, split: Split, losses: Mapping[str, Loss], settings: Training, score: RunningScore
) -> Metrics:
    """Mean losses over a split, their weighted sum ``val/loss``, and what ``score`` adds; leaves ``model`` training."""
    device = next(model.parameters()).device
    sums = dict.fromkeys(losses, 0.0)
    model.eval()
    for start in range(0, len(split), settings.batch_size):
        indices = range(start, min(start + settings.batch_size, len(split)))
        batch = read(split, list(losses), indices).to(device)
        with _autocast(device, settings):
            predictions = model(batch.rgb)
        for task in losses:
            if not torch.isfinite(predictions[task]).all():
                raise FloatingPointError(f"the prediction of {task} has values that are not finite")
            sums[task] += float(_loss(task, predictions, batch, losses)) * len(indices) / len(split)
        score.update(predictions, batch)
    model.train()
    figures = {f"val/{task}_loss": value for task, value in sums.items()}
    figures |= {f"val/{name}": value for name, value in score.compute().items()}
    return figures | {"val/loss": sum(losses[t].weight * value for t, value in sums.items())}


def _loss(task: str, predictions: Mapping[str, Tensor], batch: Batch, losses: Mapping[str, Loss]) -> Tensor:
    return LOSSES[losses[task].loss](predictions[task].float(), batch.targets[task], batch.masks[task])


def _autocast(device: torch.device, settings: Training) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bfloat16")


def _groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """No decay on norms, biases and relative-position tables, as Swin is trained, nor on what mixes maps."""
    norms = {id(p) for module in model.modules() if isinstance(module, TaskNorm) for p in module.parameters()}
    decayed, plain = [], []
    for name, parameter in model.named_parameters():
        last = name.rpartition(".")[2]
        mixes = last == "mixture" or "stitches" in name.split(".")
        kept = parameter.ndim < 2 or id(parameter) in norms or last == "bias" or last.endswith("table") or mixes
        (plain if kept else decayed).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
