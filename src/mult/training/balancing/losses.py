"""Weights that are learnt from the course of the losses."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mult.training.balancing.contract import NO_LOSS, Balancing, Learning, on_host

# Of what is learnt on a logarithmic scale. Ours: the papers step it with the network's optimiser, at its rate.
LOG_SCALE_LR = 0.01


class Uncertainty(Learning):
    """Weights from learnt noise (Kendall, Gal & Cipolla 2018, "Multi-Task Learning Using Uncertainty to Weigh Losses").

    What falls, with s_t = log sigma_t^2 a number a task that starts at 0, is

        sum over t of exp(-s_t) L_t + s_t / 2

    which is the paper's term for classification, L / sigma^2 + log sigma, here for every task. Its term for regression
    under Gaussian noise halves L besides: that is for squared errors, while the regression losses here are absolute
    ones. The weight exp(-s_t) starts at 1 and tends to 1 / (2 L_t).
    """

    def __init__(self, tasks: Sequence[str], steps_a_pass: int, device: torch.device):
        start = torch.zeros(len(tasks), dtype=torch.float64)
        super().__init__(tasks, steps_a_pass, device, start, LOG_SCALE_LR)

    def weights(self, losses: Tensor | None = None) -> Tensor:
        return self._on_device(torch.exp(-self.learnt))

    def observe(self, losses: Tensor) -> None:
        losses = on_host(losses)
        slope = 0.5 - torch.exp(-self.learnt) * losses
        self._descend(slope.where(losses > NO_LOSS, 0))


class DynamicWeightAverage(Balancing):
    """Weights from how fast each loss falls (Liu et al. 2019, "End-to-End Multi-Task Learning with Attention").

    With r_t the ratio of a task's mean losses in the last two finished passes, the later by the earlier, the weights
    are T softmax(r / 2). They are ones in the first two passes. A mean is over the steps in which the task had labels;
    a task that had none in one of the passes has r_t = 1.
    """

    TEMPERATURE = 2.0

    def __init__(self, tasks: Sequence[str], steps_a_pass: int, device: torch.device):
        super().__init__(tasks, steps_a_pass, device)
        self.steps = 0
        self.sums = torch.zeros(2, len(tasks), dtype=torch.float64)  # of this pass: losses, steps with labels
        self.means: list[Tensor] = []  # of the last passes, two at most

    def weights(self, losses: Tensor | None = None) -> Tensor:
        if len(self.means) < 2:
            return super().weights()
        earlier, later = self.means
        ratio = torch.where((earlier > 0) & (later > 0), later / earlier.clamp(min=NO_LOSS), 1)
        return self._on_device(len(self.tasks) * torch.softmax(ratio / self.TEMPERATURE, 0))

    def observe(self, losses: Tensor) -> None:
        losses = on_host(losses)
        seen = losses > NO_LOSS
        self.sums += torch.stack([losses.where(seen, 0), seen.double()])
        self.steps += 1
        if self.steps == self.steps_a_pass:
            total, count = self.sums
            self.means = [*self.means, total / count.clamp(min=1)][-2:]
            self.steps, self.sums = 0, torch.zeros_like(self.sums)

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "sums": self.sums.clone(), "means": list(self.means)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps, self.sums, self.means = state["steps"], state["sums"].clone(), list(state["means"])
