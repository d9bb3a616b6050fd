"""Which task helps which, measured in passing while all of them are trained together.

Two measures of every ordered pair of tasks, on a training batch in the state in which a step would find the model:

**cosine**, of the angle between the two tasks' gradients on the shared parameters (``shared_and_own`` says which these
are: the encoder and, of a variant with one attention map for all tasks, what makes that map);

**tag**, the lookahead affinity of Fifty et al. (NeurIPS 2021, "Efficiently identifying task groupings for multi-task
learning"): with L_j the weighted loss of task j and s the shared parameters,

    Z[i -> j] = 1 - L_j(s after a step on the gradient of L_i alone) / L_j(s)

above zero where a step for task i helps task j. All else stays: the batch, what dropout draws, the parameters that each
task has for itself.

The step is the one that AdamW makes at the current learning rate, less what has nothing to do with task i: with the
gradient of L_i itself where AdamW has its running mean, which remembers all tasks, and without the decay of weights. So
with g = c dL_i/ds and v the optimiser's second moments after t steps, which stay as they are,

    s - lr g / (sqrt(v') + eps),    v' = (b2 v + (1 - b2) g^2) / (1 - b2^(t + 1))

where c is the factor to which the clipping cuts the sum of all tasks' gradients down. Without it the steps are much too
long: v has only seen gradients that were clipped. Balancing takes no part: the weights are those of params.yaml.

A measurement takes T backward passes, which both measures are made from, and T forward passes besides: six times as
long as a step for six tasks on a CPU.
"""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from mult.data.batches import Batch
from mult.training.balancing.gradients import gramian
from mult.training.optimiser import shared_and_own
from mult.training.step import Predictions, Step, fewer

Row = dict[str, int | str | float]
COLUMNS = ("step", "measure", "on", "with", "value")  # of a record; on: the task that gains or loses, with: by which


class Recorder:
    """Measures the affinities of a training's tasks now and then, and changes nothing of it.

    The model is called with other tensors in place of its parameters and buffers, so these are never touched, nor are
    gradients, the optimiser's state and the state of the random numbers. A batch is computed in the parts that the
    steps have, or in smaller ones where a GPU's memory does not hold them. Several processes add up their gradients and
    their losses, so all of them find the same numbers. It is computed in the parameters' own precision, whatever that
    of the training: in bfloat16 most weights would not notice a step of the learning rate.
    """

    def __init__(self, step: Step, every: int):
        """``step``: what is trained; ``every``: steps from one record to the next, the first in the middle; 0: none."""
        self.step, self.every, self.part = step, every, 0

    def __call__(self, batch: Batch, number: int, seed: int) -> list[Row]:
        """Records before step ``number`` (from 0) on ``batch``, T x T of each measure; none at most steps.

        NaN where a task has no label in the batch.

        Raises:
            UserError: the memory does not hold it.
        """
        if not self.every or number % self.every != self.every // 2:
            return []
        while True:
            try:
                found = self._measured(batch, number, seed)
                break
            except torch.OutOfMemoryError:
                self.part = fewer(self.part or self.step.part, len(batch), self.step.world.size == 1)
        tasks = self.step.tasks
        return [
            dict(zip(COLUMNS, (number, measure, on, giving, value), strict=True))
            for measure, matrix in found.items()
            for on, row in zip(tasks, matrix.tolist(), strict=True)
            for giving, value in zip(tasks, row, strict=True)
        ]

    def _measured(self, batch: Batch, number: int, seed: int) -> dict[str, Tensor]:
        """Each measure (T, T), float64 on the CPU: rows are evaluated tasks, columns those that give."""
        step = self.step
        parts, counts = step.cut(batch, self.part or step.part)
        devices = [step.device] if step.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            step.draw(number, seed)
            weights = torch.ones_like(step.task_weights)
            before, gradients, own = step.by_task(parts, counts, weights, lambda part: self._outputs(part, {}))
            gradients *= _clipping([gradients.sum(0), *own], step.settings.clip_norm)
            after = []
            for gradient in gradients:
                step.draw(number, seed)
                after.append(self._losses(parts, counts, self._moved(gradient)))
        # The tasks' weights cancel out.
        tag = 1 - torch.stack(after, 1).double() / before.double()[:, None]
        products = gramian(gradients)
        lengths = products.diagonal().sqrt()
        return {"cosine": products / lengths.outer(lengths), "tag": tag.cpu()}

    def _outputs(self, part: Batch, tensors: Mapping[str, Tensor]) -> Sequence[Predictions]:
        """Predictions with ``tensors`` in place of the parameters of these names; batch norms count in copies."""
        model = self.step.alone
        copies = {name: buffer.clone() for name, buffer in model.named_buffers()}
        return functional_call(model, copies | dict(tensors), (part.rgb,))

    @torch.no_grad()
    def _losses(self, parts: Sequence[Batch], counts: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
        shares = [self.step.losses_of(self._outputs(part, tensors), part, counts) for part in parts]
        return self.step.world.add(torch.stack(shares).sum(0))

    @torch.no_grad()
    def _moved(self, gradient: Tensor) -> dict[str, Tensor]:
        """The shared parameters, by name in ``step.alone``, after the step on ``gradient`` (n,)."""
        names = {id(p): name for name, p in self.step.alone.named_parameters()}
        groups = {id(p): group for group in self.step.optimiser.param_groups for p in group["params"]}
        shared, _ = shared_and_own(self.step.model, self.step.tasks)
        moved = {}
        for parameter, part in zip(shared, gradient.split([p.numel() for p in shared]), strict=True):
            group, state = groups[id(parameter)], self.step.optimiser.state.get(parameter, {})
            g, (_, decay) = part.view_as(parameter), group["betas"]
            steps = torch.as_tensor(state.get("step", 0)).double()  # 1 - b2^t has few digits in float32
            second = decay * state.get("exp_avg_sq", 0) + (1 - decay) * g.square()
            second /= 1 - decay ** (steps + 1)
            moved[names[id(parameter)]] = parameter - group["lr"] * g / (second.sqrt() + group["eps"])
        return moved


def _clipping(gradients: Iterable[Tensor], clip_norm: float) -> Tensor | float:
    """What ``torch.nn.utils.clip_grad_norm_`` multiplies these gradients by; 1 where nothing is clipped."""
    if not clip_norm:
        return 1.0
    return (clip_norm / (nn.utils.get_total_norm(gradients) + 1e-6)).clamp(max=1)
