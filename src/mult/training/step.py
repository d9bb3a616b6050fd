"""One step of the weights on one batch: losses, gradients, how they are balanced, the optimiser."""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import isfinite

import torch
from torch import Tensor, nn

from mult import params
from mult.data.batches import Batch
from mult.errors import UserError
from mult.seeding import seed_of, torch_seed
from mult.training.balancing import Balancing
from mult.training.distributed import World, apart, divide, join
from mult.training.losses import LOSSES
from mult.training.optimiser import optimiser_of, shared_and_own

Predictions = Mapping[str, Tensor]
CHECKED_EVERY = 20  # steps from one look at a loss on a GPU, which has to wait for it, to the next


class Outputs(nn.Module):
    """A model's predictions that are to be supervised; most have one set, some one more before it."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Predictions, ...]:
        return self.model.supervised(images) if hasattr(self.model, "supervised") else (self.model(images),)


class Step:
    """What a training does over and over; called with a batch it changes the model's weights.

    Attributes:
        part: images that are computed at once; halved when a GPU's memory does not hold them.
        labelled: (T,) 1 for each task that the last batch, over all processes, had a label of, 0 for the others.
    """

    def __init__(
        self,
        model: nn.Module,
        losses: Mapping[str, params.Loss],
        settings: params.Training,
        hardware: params.Hardware,
        balancing: Balancing,
        extra: nn.Module | None = None,
        world: World = World(),  # noqa: B008
    ):
        """``model`` is on its device; ``extra`` is a loss of (predictions, targets, masks) that is added.

        Raises:
            UserError: settings that do not go together.
        """
        _check(settings, hardware, balancing, extra, world)
        self.model, self.extra = model, extra
        self.settings, self.balancing, self.world = settings, balancing, world
        self.tasks, self.losses = list(losses), [LOSSES[of.loss] for of in losses.values()]
        self.device = next(model.parameters()).device
        self.task_weights = torch.tensor([of.weight for of in losses.values()], device=self.device)
        self.part = hardware.part
        if hardware.shard:
            divide(model)  # before the optimiser, which is to see the parts
        self.optimiser = optimiser_of(nn.ModuleList([model] if extra is None else [model, extra]), settings)
        self.alone = Outputs(model)
        self.joined = self.alone if hardware.shard else join(self.alone, world, self.device)
        self.outputs = torch.compile(self.joined) if hardware.compile else self.joined

    def __call__(self, batch: Batch, step: int, seed: int) -> Tensor:
        """Each task's loss (T,) on the whole batch, over all processes, before the step; not yet weighed.

        Raises:
            FloatingPointError: a loss or the model's gradient is not finite. On the CPU the weights are then as they
                were; on a GPU only every CHECKED_EVERY-th step is looked at.
        """
        looking = self._looks(step)
        while True:
            self.draw(step, seed)
            self.optimiser.zero_grad(set_to_none=True)
            try:
                losses = self._gradients(batch, step, seed)
                if looking:
                    check_finite(self.tasks, losses)
                norm = self._clip(looking)
                if looking and not torch.isfinite(norm):
                    raise FloatingPointError(f"the gradient's norm is {float(norm)}")
                break
            except torch.OutOfMemoryError:
                self._halve(len(batch))
        self.optimiser.step()  # not tried again: fewer images at once would leave it no more memory
        self.balancing.observe(losses * self.task_weights)
        return losses

    def _clip(self, looking: bool) -> Tensor:
        """Clip the model's gradient where the settings say so; its norm before that, which takes time to be had."""
        if self.settings.clip_norm:
            return nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip_norm)
        gradients = [of.grad for of in self.model.parameters() if of.grad is not None] if looking else []
        return nn.utils.get_total_norm(gradients)

    def _looks(self, step: int) -> bool:
        """Whether to wait for a step's figures to see that they are finite."""
        return self.device.type == "cpu" or step % CHECKED_EVERY == 0

    def draw(self, step: int, seed: int) -> None:
        """Seed what dropout draws in step ``step``."""
        # The encoder runs first, so every run of a seed drops the same of its branches.
        torch.manual_seed(seed_of(seed, "step", step, *([self.world.rank] if self.world.rank else [])))

    def mb_an_image(self) -> float | None:
        """Most memory so far, of all that was computed at once, for each image of it; None on the CPU."""
        if self.device.type == "cpu":
            return None
        images = self.part or self.settings.batch_size // self.world.size
        return torch.cuda.max_memory_allocated(self.device) / images / 2**20

    def cut(self, batch: Batch, size: int) -> tuple[list[Batch], Tensor]:
        """``batch`` in parts of ``size`` images (0: in one), and what the tasks' losses on it are divided by, (T,).

        Sets ``labelled`` as well.
        """
        masks = [batch.masks[task] for task in self.tasks]
        both = [
            torch.stack([loss.count(mask), mask.any().long()]) for loss, mask in zip(self.losses, masks, strict=True)
        ]
        counts, labelled = self.world.add(torch.stack(both, 1))
        self.labelled = (labelled > 0).float()
        size = size or len(batch)
        return [batch[start : start + size] for start in range(0, len(batch), size)], counts

    def by_task(
        self,
        parts: Sequence[Batch],
        counts: Tensor,
        weights: Tensor,
        outputs: Callable[[Batch], Sequence[Predictions]],
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Each task's loss and gradient on a batch that was ``cut``, of all processes; a backward pass a task and part.

        Args:
            weights: (T,) of the tasks in the parameters that each has for itself.
            outputs: what the model says of a part.

        Returns:
            Losses (T,), not yet weighed; gradients (T, n) of the weighed losses on the shared parameters, laid side by
            side; the gradient of each own parameter, by ``weights``.
        """
        shared, own = shared_and_own(self.model, self.tasks)
        sizes = [p.numel() for p in shared]
        matrix = shared[0].new_zeros(len(self.tasks), sum(sizes))
        rows = [[g.view_as(p) for g, p in zip(row.split(sizes), shared, strict=True)] for row in matrix]
        sums = [torch.zeros_like(p) for p in own]
        found = 0
        for part in parts:
            losses = self.losses_of(outputs(part), part, counts)
            found = found + losses.detach()
            for place, loss in enumerate(losses * self.task_weights):
                more = place + 1 < len(self.tasks)
                grads = torch.autograd.grad(loss, [*shared, *own], retain_graph=more, allow_unused=True)
                _accumulate(rows[place], grads[: len(shared)])
                _accumulate(sums, [g if g is None else weights[place] * g for g in grads[len(shared) :]])
        return self.world.add(found), self.world.add(matrix), [self.world.add(gradient) for gradient in sums]

    def losses_of(self, outputs: Sequence[Predictions], part: Batch, counts: Tensor) -> Tensor:
        """(T,) the part's share of each task's loss on the batch."""
        totals = [
            sum(loss.total(full(seen[task]), part.targets[task], part.masks[task]) for seen in outputs)
            for task, loss in zip(self.tasks, self.losses, strict=True)
        ]
        return torch.stack(totals) / counts.clamp(min=1)

    def _gradients(self, batch: Batch, step: int, seed: int) -> Tensor:
        parts, counts = self.cut(batch, self.part)
        if self.balancing.needs == "gradients":
            return self._task_by_task(parts, counts, (seed, "balancing", step))
        return self._all_at_once(parts, counts, (seed, "balancing", step))

    def _all_at_once(self, parts: Sequence[Batch], counts: Tensor, seed: tuple) -> Tensor:
        """One backward pass a part through the weighed sum of the losses."""
        losses, weights = 0, None
        if self.balancing.needs == "nothing":
            with torch_seed(*seed):
                weights = self.balancing.weights()
        for part in parts[:-1]:
            with apart(self.joined):
                losses = losses + self._backward(part, counts, weights)
        return self.world.add(losses + self._backward(parts[-1], counts, weights))

    def _backward(self, part: Batch, counts: Tensor, weights: Tensor | None) -> Tensor:
        outputs = self._outputs(self.outputs, part)
        losses = self.losses_of(outputs, part, counts)
        if weights is None:  # the part is then the whole batch
            weights = self.balancing.weights(self.world.add(losses.detach().clone()) * self.task_weights)
        total = (losses * (weights * self.task_weights)).sum()
        if self.extra is not None:
            total = total + self._extra(outputs, part)
        # Processes take the mean of their gradients; losses are of the whole batch, so the sum is meant.
        (total * self.world.size).backward()
        return losses.detach()

    def _task_by_task(self, parts: Sequence[Batch], counts: Tensor, seed: tuple) -> Tensor:
        """A backward pass a task and part; the shared weights' gradients are then combined.

        Not compiled: a compiled model has one backward pass, so each task's would go through every decoder.
        """
        outputs = partial(self._outputs, self.alone)
        found, matrix, sums = self.by_task(parts, counts, self.balancing.weights(), outputs)
        with torch_seed(*seed):
            combined = self.balancing.combine(matrix, found * self.task_weights)
        shared, own = shared_and_own(self.model, self.tasks)
        for parameter, gradient in zip(shared, combined.split([p.numel() for p in shared]), strict=True):
            _add_gradient(parameter, gradient.view_as(parameter))
        for parameter, gradient in zip(own, sums, strict=True):
            _add_gradient(parameter, gradient)
        return found

    def _outputs(self, model: nn.Module, part: Batch) -> tuple[Predictions, ...]:
        with autocast(self.device, self.settings):
            return model(part.rgb)

    def _extra(self, outputs: Sequence[Predictions], part: Batch) -> Tensor:
        """The extra loss, of each part by its own pixels."""
        share = len(part) / self.settings.batch_size
        return share * self.extra(outputs[-1], part.targets, part.masks)

    def _halve(self, images: int) -> None:
        """Compute fewer images at once from now on."""
        self.part = fewer(self.part, images, self.world.size == 1 and self.balancing.needs != "losses")
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)  # the most from now on is with fewer images


def _check(
    settings: params.Training, hardware: params.Hardware, balancing: Balancing, extra: nn.Module | None, world: World
) -> None:
    """Raises: UserError: settings that do not go together."""
    if balancing.needs == "losses" and hardware.part:
        raise UserError(
            f"hardware.part: balancing by {settings.balancing} needs the losses of the whole batch before any "
            "gradient; write part: 0, or another method"
        )
    if balancing.needs == "gradients" and hardware.shard:
        raise UserError(f"hardware.shard: balancing by {settings.balancing} needs whole gradients; write false")
    if extra is not None and (world.size > 1 or balancing.needs == "gradients"):
        raise UserError(
            "consistency: this extra loss goes with hardware.processes: 1 and a balancing by weights, such as fixed"
        )


def fewer(part: int, images: int, can: bool = True) -> int:
    """Half of the images at once that a GPU's memory did not hold; ``part`` of them were wanted, all ``images`` if 0.

    Raises:
        UserError: there is no half of one, or each process has to go on as the others do.
    """
    part = min(part or images, images)
    if not can or part == 1:
        raise UserError(
            f"hardware.part: {part} image(s) at once do not fit into the GPU's memory; write "
            f"{max(1, part // 2)} or less, recompute: true, or a smaller training.batch_size"
        )
    torch.cuda.empty_cache()
    print(f"{part} images at once do not fit into the GPU's memory; going on with {(part + 1) // 2}", file=sys.stderr)
    return (part + 1) // 2


def check_finite(tasks: Sequence[str], losses: Tensor) -> None:
    """Raises: FloatingPointError: one is not."""
    if not torch.isfinite(losses).all():
        wrong = [f"{task} is {loss}" for task, loss in zip(tasks, losses.tolist(), strict=True) if not isfinite(loss)]
        raise FloatingPointError(f"the loss of {', of '.join(wrong)}")


def autocast(device: torch.device, settings: params.Training) -> torch.autocast:
    """bfloat16 where the settings say so."""
    return torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bfloat16")


def full(prediction: Tensor) -> Tensor:
    """At least in single precision: what autocast leaves in half is too coarse for a loss."""
    return prediction.to(torch.promote_types(prediction.dtype, torch.float32))


def _accumulate(sums: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> None:
    for total, gradient in zip(sums, gradients, strict=True):
        if gradient is not None:
            total += gradient


def _add_gradient(parameter: nn.Parameter, gradient: Tensor) -> None:
    # In the parameter's own layout: a fused optimiser steps through both memories alike.
    laid_out = torch.empty_like(parameter).copy_(gradient)
    parameter.grad = laid_out if parameter.grad is None else parameter.grad + laid_out
