"""Methods that share a step's descent fairly among the tasks: the weights solve one small convex problem."""

from collections.abc import Callable

import torch
from torch import Tensor

from mult.training.balancing.gradients import FromGramian

# Added to the cosines' diagonal: without it weights would be infinite where gradients cancel.
RIDGE = 1e-6
STEPS = 100


class FairGrad(FromGramian):
    """Alpha-fair descent (Ban & Ji 2024, "Fair Resource Allocation in Multi-Task Learning"), alpha = 2 as in its runs.

    Weights w > 0 with g_t . d = w_t^(-1 / alpha), where d is the sum of w_t g_t. The shorter a gradient, the more it
    counts. Rescaled: in this the gradients are divided by the root of their mean squared length; the paper takes them
    as they are, and then d grows with less than their length.
    """

    ALPHA = 2.0

    def balance(self, products: Tensor, present: Tensor) -> Tensor:
        return fair_weights(products, self.ALPHA)


class NashMTL(FromGramian):
    """The Nash bargaining solution (Navon et al. 2022, "Multi-Task Learning as a Bargaining Game").

    Weights w > 0 with g_t . d = 1 / w_t, where d is the sum of w_t g_t: alpha-fairness at alpha = 1. A gradient counts
    by its direction only. Rescaled: |d|^2 is the sum of the |g_t|^2, while the paper's code cuts |d| to at most 1.

    Solved to the end in every step, so without a state. The paper approaches it by a few convex programs that begin at
    the last step's weights. So does TorchJD 0.18, mostly to the same direction, but with a length that varies between
    like steps, and now and then its solver gives up and tasks are left without weight.
    """

    def balance(self, products: Tensor, present: Tensor) -> Tensor:
        return fair_weights(products, 1.0)


def fair_weights(products: Tensor, alpha: float) -> Tensor:
    """The w > 0 that solve ``products @ w = w ** (-1 / alpha)``.

    ``products``: (P, P) inner products, positive on the diagonal; ``alpha``: at least 1. With u_t = |g_t| w_t this says
    that u is where a strictly convex function has its least value, in which gradients of any length are alike:

        u' C u / 2 - sum over t of c_t u_t^p / p,    p = 1 - 1 / alpha,    c_t = |g_t|^-p

    with C the cosines, and log u_t in place of u_t^p / p at alpha = 1. Found by Newton's method.
    """
    lengths = products.diagonal().sqrt()
    cosines = products / lengths.outer(lengths) + RIDGE * torch.eye(len(products), dtype=products.dtype)
    power = 1 - 1 / alpha
    pull = lengths**-power

    def value(u: Tensor) -> Tensor:
        utility = u.log() if power == 0 else u**power / power
        return u @ cosines @ u / 2 - pull @ utility

    # Right where all cosines are zero.
    u = pull ** (1 / (2 - power))
    for _ in range(STEPS):
        slope = cosines @ u - pull * u ** (power - 1)
        curvature = cosines + torch.diag((1 - power) * pull * u ** (power - 2))
        step = torch.linalg.solve(curvature, -slope)
        promised = -slope @ step
        size = pull @ u**power
        # Close by, a full step is right, and the fall is lost in the value's rounding.
        share = 1.0 if promised < 1e-6 * size else _share(value, u, step, promised)
        u = u + share * step
        if promised < 1e-14 * size:
            break
    return u / lengths


def _share(value: Callable[[Tensor], Tensor], u: Tensor, step: Tensor, promised: Tensor) -> float:
    """How much of a step to make: short of where a number would be zero, and so little that it pays."""
    share, now = min(1.0, 0.99 / max(float((-step / u).max()), 0.99)), value(u)
    while share > 1e-9 and value(u + share * step) > now - 0.1 * share * promised:
        share /= 2
    return share
