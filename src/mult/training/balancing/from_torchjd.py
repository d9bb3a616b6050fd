"""Methods that TorchJD computes (torchjd.org): what goes in, and how what comes out is scaled.

Its weightings get T x T inner products in place of gradients, its scalarizers T losses whose weights are the slopes
of the scalar. Constants are the papers' for dense tasks where they name some.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchjd import aggregation, scalarization
from torchjd.linalg import QuadprogProjector

from mult.training.balancing.contract import NO_LOSS, Balancing, Learning, on_host
from mult.training.balancing.gradients import FromGramian
from mult.training.balancing.losses import LOG_SCALE_LR

# Added to a matrix of cosines before a solver that needs it definite.
RIDGE = 1e-8


def slopes(scalarizer: nn.Module, losses: Tensor) -> Tensor:
    """The derivatives (T,) of a scalarizer by the losses (T,)."""
    with torch.enable_grad():
        losses = losses.detach().requires_grad_()
        return torch.autograd.grad(scalarizer(losses), losses)[0]


class RandomWeights(Balancing):
    """Random loss weighting (Lin et al. 2022, "Reasonable Effectiveness of Random Weighting").

    In each step T times the softmax of T normal draws. Rescaled: the paper's weights sum to one.
    """

    def weights(self, losses: Tensor | None = None) -> Tensor:
        count = len(self.tasks)
        return self._on_device(count * slopes(scalarization.Random(), torch.ones(count, dtype=torch.float64)))


class ImpartialLosses(Learning):
    """IMTL-L (Liu et al. 2021, "Towards Impartial Multi-task Learning"): what falls is the sum of exp(s_t) L_t - s_t.

    The weight exp(s_t) starts at 1 and tends to 1 / L_t; ``uncertainty`` is the same but for a factor of 1/2 there.
    """

    def __init__(self, tasks: Sequence[str], steps_a_pass: int, device: torch.device):
        self.scalarizer = scalarization.IMTLL(len(tasks)).double()
        (scales,) = self.scalarizer.parameters()
        super().__init__(tasks, steps_a_pass, device, scales, LOG_SCALE_LR)

    def weights(self, losses: Tensor | None = None) -> Tensor:
        return self._on_device(slopes(self.scalarizer, torch.ones(len(self.tasks), dtype=torch.float64)))

    def observe(self, losses: Tensor) -> None:
        losses = on_host(losses)
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(self.scalarizer(losses), self.learnt)
        self._descend(slope.where(losses > NO_LOSS, 0))


class FAMO(Learning):
    """Fast adaptive multitask optimisation (Liu et al. 2023, "FAMO"): all losses are to fall by the same share.

    With z the softmax of a learnt number a task, w_t is proportional to z_t / L_t; the z of tasks whose log loss fell
    faster than others' shrinks. Rescaled: the weights sum to T, the paper's to one.

    Differs from the paper, which measures the fall by computing the step's batch once more after the step: here it is
    from one batch to the next. That costs nothing, and is right on average and, because consecutive falls add up to
    the whole fall, over time; but the chance of the draw is far larger than one step's fall, so Adam, which divides by
    the usual size of what it gets, moves z more slowly than in the paper.
    """

    needs = "losses"
    LR, WEIGHT_DECAY = 0.025, 1e-3

    def __init__(self, tasks: Sequence[str], steps_a_pass: int, device: torch.device):
        self.scalarizer = scalarization.FAMO(len(tasks)).double()
        (logits,) = self.scalarizer.parameters()
        super().__init__(tasks, steps_a_pass, device, logits, self.LR, self.WEIGHT_DECAY)
        self.last = torch.zeros(len(tasks), dtype=torch.float64)  # zero until the task has had labels

    def weights(self, losses: Tensor | None = None) -> Tensor:
        losses = on_host(losses)
        present = losses > NO_LOSS
        if not present.any():
            return super().weights()
        # A weight falls with the loss, so an infinite loss has none; a loss of zero would have all of it.
        return self._on_device(present.sum() * slopes(self.scalarizer, losses.where(present, torch.inf)))

    def observe(self, losses: Tensor) -> None:
        losses = on_host(losses)
        present = losses > NO_LOSS
        both = present & (self.last > NO_LOSS)
        if both.any():
            share = torch.softmax(self.learnt.detach()[both], 0)
            fall = torch.log(self.last[both]) - torch.log(losses[both])
            slope = torch.zeros_like(losses)
            slope[both] = share * (fall - share @ fall)
            self._descend(slope)
        self.last = losses.where(present, self.last)

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"last": self.last.clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.last = state["last"].clone()


class GeometricMean(Balancing):
    """The geometric mean of the losses (Chennupati et al. 2019, "MultiNet++"), T times: w_t is that mean over L_t.

    The weights sum to T where the losses are equal and to more elsewhere.
    """

    needs = "losses"

    def weights(self, losses: Tensor | None = None) -> Tensor:
        losses = on_host(losses)
        present = losses > NO_LOSS
        weights = torch.ones_like(losses)
        if present.any():
            weights[present] = present.sum() * slopes(scalarization.GeometricMean(), losses[present])
        return self._on_device(weights)


class SmoothTchebycheff(Balancing):
    """The smoothed largest loss (Lin et al. 2024, "Smooth Tchebycheff Scalarization"): w is T softmax(L / 0.5).

    With equal preferences, zero as the ideal loss and the paper's mu = 0.5 / T. Rescaled: the paper's weights sum to
    1 / T. It compares losses as they are, so the fixed weights should bring them to one scale.
    """

    needs = "losses"
    TEMPERATURE = 0.5

    def weights(self, losses: Tensor | None = None) -> Tensor:
        losses = on_host(losses)
        present = losses > NO_LOSS
        weights = torch.ones_like(losses)
        if count := int(present.sum()):
            scalarizer = scalarization.STCH(self.TEMPERATURE / count)
            weights[present] = count**2 * slopes(scalarizer, losses[present])
        return self._on_device(weights)


class PCGrad(FromGramian):
    """Projecting conflicting gradients (Yu et al. 2020, "Gradient Surgery for Multi-Task Learning").

    From each gradient, what opposes another is taken away, the others in random order; then they are added up.
    """

    def balance(self, products: Tensor, present: Tensor) -> Tensor:
        return aggregation.PCGradWeighting()(products)


class GradVac(FromGramian):
    """Gradient vaccine (Wang et al. 2021): as ``pcgrad``, but for a cosine below its running mean, not below 0.

    A gradient is then turned towards the other until their cosine is that mean. Where that is close to 1, a
    turn may take a long stretch of the other gradient.
    """

    BETA = 0.01  # the running mean's share of a new cosine

    def __init__(self, tasks: Sequence[str], steps_a_pass: int, device: torch.device):
        super().__init__(tasks, steps_a_pass, device)
        self.cosines = torch.zeros(len(tasks), len(tasks), dtype=torch.float64)

    def balance(self, products: Tensor, present: Tensor) -> Tensor:
        weighting = aggregation.GradVacWeighting(self.BETA)
        # It has no public way to set its running means; the test of resuming would see this break.
        weighting._phi_t = self.cosines[present][:, present]
        weighting._state_key = (len(products), products.dtype)
        weights = weighting(products)
        self.cosines[present.outer(present)] = weighting._phi_t.flatten()
        return weights

    def state_dict(self) -> dict[str, Any]:
        return {"cosines": self.cosines.clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.cosines = state["cosines"].clone()


class CAGrad(FromGramian):
    """Conflict-averse gradient descent (Liu et al. 2021): the best for the worst task, near the mean gradient g.

    Of all d with |d - g| at most 0.4 |g|, the one whose least inner product with a task's gradient is largest. Rescaled
    by T / 1.4: orthogonal gradients of one length give 1.4 g. (The authors' code has T / 1.16.)
    """

    RADIUS = 0.4

    def balance(self, products: Tensor, present: Tensor) -> Tensor:
        weights = aggregation.CAGradWeighting(c=self.RADIUS)(products)
        return len(products) / (1 + self.RADIUS) * weights


class ImpartialGradients(FromGramian):
    """IMTL-G (Liu et al. 2021, "Towards Impartial Multi-task Learning"): equal projections on the tasks' directions.

    Rescaled: the weights sum to T, the paper's to one. Some may be negative, and with three tasks or more that oppose
    each other the step may be far longer than the gradients: clip it.
    """

    def balance(self, products: Tensor, present: Tensor) -> Tensor:
        # In float32: what is lost of its spectrum lies within the rounding of the gradients.
        return len(products) * aggregation.IMTLGWeighting()(products.float()).double()


class AlignedMTL(FromGramian):
    """Aligned-MTL (Senushkin et al. 2023): the sum after all singular values are set to the least of them.

    Singular values that lie within the rounding of float32 do not count. With gradients almost alike the least one, and
    so the step, is short.
    """

    def balance(self, products: Tensor, present: Tensor) -> Tensor:
        products = products.float()
        return aggregation.AlignedMTLWeighting(torch.ones(len(products)))(products).double()


class _DualCone(FromGramian):
    """Projects onto the directions that oppose no task's gradient.

    That set depends on the gradients' directions only, so the solver gets cosines and weights of unit vectors.
    """

    weighting: type

    def balance(self, products: Tensor, present: Tensor) -> Tensor:
        lengths = products.diagonal().sqrt()
        projector = QuadprogProjector(norm_eps=0.0, reg_eps=RIDGE)
        return self.weighting(lengths, projector)(products / lengths.outer(lengths)) / lengths


class UPGrad(_DualCone):
    """Unconflicting projection (Quinton & Rey 2024, "Jacobian Descent for Multi-Objective Optimization").

    Each gradient is projected, then they are added up. Rescaled: the paper has their mean.
    """

    weighting = aggregation.UPGradWeighting


class DualProjection(_DualCone):
    """Their sum, projected (Lopez-Paz & Ranzato 2017, "Gradient Episodic Memory"). Rescaled: TorchJD has their mean."""

    weighting = aggregation.DualProjWeighting
