"""The training loop."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mult import params
from mult.data.loader import TrainingBatches, batches_in_order
from mult.data.store import Split
from mult.errors import Paused, UserError
from mult.memory import keep_freed_memory
from mult.models.recompute import recompute
from mult.params import Hardware, Training
from mult.process import STATE, time_is_up
from mult.progress import Stopwatch, progress
from mult.tasks import TASKS
from mult.training.affinity import Recorder
from mult.training.balancing import balancing
from mult.training.checkpoint import Checkpoints
from mult.training.distributed import World
from mult.training.losses import LOSSES
from mult.training.schedule import factor
from mult.training.scores import Scores
from mult.training.state import History, Metrics, State
from mult.training.step import CHECKED_EVERY, Step, autocast, full
from mult.training.stopped import keep_batch

AGREED_EVERY = 10  # steps


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        data: splits ``train`` and ``val``; without ``val`` the last weights are kept.
        losses: the tasks, with each one's loss and weight.
        classes: of semseg, void included.
        seed: two trainings of one seed see the same images in the same order, and their encoders the same random
            numbers.
        label: its name in messages.
        extra: a loss of (predictions, targets, masks) that is added, with weights of its own to be trained.
        affinity_every: steps from one record of the tasks' affinities to the next; 0: none.
    """

    data: Mapping[str, Split]
    losses: Mapping[str, params.Loss]
    classes: int
    settings: Training
    hardware: Hardware
    seed: int
    label: str = "train"
    extra: nn.Module | None = None
    affinity_every: int = 0


@dataclass(frozen=True)
class Trained:
    """The best weights by name, whole, and how they came to be."""

    weights: dict[str, Tensor]
    history: History


def train(
    model: nn.Module,
    job: Job,
    device: torch.device,
    world: World = World(),  # noqa: B008
    log: Callable[[Metrics, int], None] = lambda metrics, step: None,
    checkpoints: Checkpoints | None = None,
    start: Mapping[str, Any] | None = None,
    note: Mapping[str, Any] | None = None,
) -> Trained:
    """Train ``model`` and give the weights that were the best on the validation split, if there is one.

    ``log`` gets the figures of each validation and its step; ``checkpoints`` are written with ``note`` in them, and
    ``start`` is the state that one of them held. With several processes each of them calls this.

    Raises:
        UserError: settings that do not go together; a loss that is not finite, whose batch is kept.
        Paused: time is up (``MULT_UNTIL``) and a checkpoint has been written.
    """
    settings, hardware, tasks = job.settings, job.hardware, list(job.losses)
    prepare(model, hardware, device)
    extra = None if job.extra is None else job.extra.to(device)
    method = balancing(settings.balancing, tasks, len(job.data["train"]) // settings.batch_size, device)
    step = Step(model, job.losses, settings, hardware, method, extra, world)
    recorder = Recorder(step, job.affinity_every)
    state = State(model, step.optimiser, method, settings.ema, len(tasks), extra)
    if start is not None:
        state.load_state_dict(start)
        for row in state.history.rows:
            log({name: value for name, value in row.items() if name != "step"}, int(row["step"]))
        print(f"{job.label}: going on after step {state.step} of {settings.steps}", file=sys.stderr)
    batches = TrainingBatches(
        job.data["train"], tasks, settings, job.seed, device, state.step, hardware.workers, world.rank, world.size
    )
    every, clock, before = settings.validation_interval(batches.images), Stopwatch(), state.history.seconds
    shown = progress(batches, job.label, settings.steps, "step", state.step) if world.first else batches

    for number, batch in shown:
        for group in step.optimiser.param_groups:
            group["lr"] = settings.lr * factor(number, settings)
        try:
            state.history.affinities += recorder(batch, number, job.seed)
            losses = step(batch, number, job.seed)
            state.running += torch.stack([losses, step.labelled])
            state.moved()
            last = state.step == settings.steps
            validating = last or state.step % every == 0
            saving = checkpoints is not None and not last and _is_due(checkpoints, state.step, world)
            if validating or saving:
                state.check(tasks)
            if validating:
                world.share(state.shown.buffers())  # batch norms have seen each process's own images
                row = _means(state, tasks)
                if "val" in job.data:
                    row |= validate(state.shown, job, device, world, step.part)
                state.history.seconds = before + clock.seconds()
                state.judge(world.agree(figure(row, settings.best_by) if "val" in job.data else -state.step))
                state.history.rows.append({"step": state.step} | row)
                log(row | _machine(state, settings, step, batches.waited / clock.seconds()), state.step)
        except FloatingPointError as error:
            kept = keep_batch(batch, batches.indices(number), job.label, number, world.rank)
            when = f"at step {number}{'' if device.type == 'cpu' else f' or in the {CHECKED_EVERY - 1} before it'}"
            raise UserError(
                f"{job.label}: {when}: {error}; lower training.lr, or look at the batch, which is in {kept}"
            ) from None
        if settings.patience and state.misses >= settings.patience:
            break
        if saving:
            state.history.seconds = before + clock.seconds()
            kept = state.state_dict()
            if world.first:
                checkpoints.save(state.step, {"state": kept, **(note or {})})
            if world.agree(time_is_up()):
                raise Paused(f"{job.label}: paused after step {state.step} of {settings.steps}")

    state.history.seconds = before + clock.seconds()
    return Trained(state.best_weights, state.history)


def _is_due(checkpoints: Checkpoints, step: int, world: World) -> bool:
    """Whether to write a checkpoint now; several processes have to agree, which takes time, so they do now and then."""
    if world.size > 1 and step % AGREED_EVERY:
        return False
    return bool(world.agree(checkpoints.due() or time_is_up()))


def prepare(model: nn.Module, hardware: Hardware, device: torch.device) -> None:
    """Put ``model`` where and how it is to be trained."""
    torch.set_num_threads(hardware.threads)
    keep_freed_memory()
    model.to(device).train()
    if hardware.channels_last:
        model.to(memory_format=torch.channels_last)
    if hardware.recompute:
        recompute(model)
    if hardware.compile:  # kept, so that the next run of the same shapes need not compile
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str((STATE / "compiled").absolute()))


@torch.no_grad()
def validate(
    model: nn.Module,
    job: Job,
    device: torch.device,
    world: World = World(),  # noqa: B008
    part: int = 0,
) -> Metrics:
    """Each task's loss and main figure over the validation split, and ``val/loss``; leaves ``model`` training.

    ``part``: images at once, where a whole batch of the training is too many for the memory.

    A task without a label in the split is left out, of the sum as well.

    Raises:
        FloatingPointError: a prediction is not finite.
        UserError: the split has no label of any task.
    """
    tasks, sums = list(job.losses), torch.zeros(3, len(job.losses), dtype=torch.double, device=device)
    scores = Scores(tasks, job.classes, device)
    # The parts of a divided model work together on every batch, so each process has to see them all.
    among = World() if job.hardware.shard else world
    size = max(1, job.settings.batch_size // world.size)
    size = min(size, part or size)
    model.eval()
    for batch in batches_in_order(job.data["val"], tasks, size, device, 0, among.rank, among.size):
        with autocast(device, job.settings):
            predictions = {task: full(of) for task, of in model(batch.rgb).items()}
        for place, task in enumerate(tasks):
            if not torch.isfinite(predictions[task]).all():
                raise FloatingPointError(f"the prediction of {task} has values that are not finite")
            loss, target, mask = LOSSES[job.losses[task].loss], batch.targets[task], batch.masks[task]
            sums[0, place] += loss.total(predictions[task], target, mask)
            sums[1, place] += loss.count(mask)
            sums[2, place] += mask.any()
        scores.update(predictions, batch)
    model.train()
    for of in (sums, *scores.sums.values()):
        among.add(of)
    totals, counts, labelled = sums.tolist()
    of_tasks = zip(tasks, totals, counts, labelled, strict=True)
    means = {task: total / count for task, total, count, there in of_tasks if there}
    if not means:
        raise UserError(f"{job.label}: the val split has no label of {', '.join(tasks)} to choose weights by")
    figures = {f"val/{task}_loss": value for task, value in means.items()}
    figures |= {f"val/{name}": value for name, value in scores.compute().items()}
    return figures | {"val/loss": sum(job.losses[t].weight * value for t, value in means.items())}


def figure(row: Metrics, name: str) -> float:
    """The validation figure ``name``, smaller is better; the loss for a run that lacks the task of that name."""
    if f"val/{name}" not in row:
        return row["val/loss"]
    higher = any(name == f"{t}_{task.metric}" and task.higher_is_better for t, task in TASKS.items())
    return -row[f"val/{name}"] if higher else row[f"val/{name}"]


def _means(state: State, tasks: list[str]) -> Metrics:
    """Each task's loss over the steps with labels of it since the last validation; a task without any is left out."""
    totals, steps = state.running
    of_tasks = zip(tasks, (totals / steps).tolist(), steps.tolist(), strict=True)
    state.running.zero_()
    return {f"train/{task}_loss": value for task, value, there in of_tasks if there}


def _machine(state: State, settings: Training, step: Step, waiting: float) -> Metrics:
    """What the training makes of its machine: for MLflow, not for the history, which is the same every time."""
    rate = state.step * settings.batch_size / max(state.history.seconds, 1e-9)
    figures = {"machine/images_per_s": rate, "machine/waiting_percent": 100 * waiting}
    if (peak := step.mb_an_image()) is not None:
        figures["machine/mb_an_image"] = peak
    return figures
