"""Methods that see every task's gradient: what they share, and those that need no library."""

from collections.abc import Sequence
from typing import Any

import torch
from scipy.optimize import nnls
from torch import Tensor

from mult.training.balancing.contract import NO_LOSS, Balancing, Learning, on_host

# Columns of the gradients that are held in float64, or in several copies, at a time.
COLUMNS = 2**18
# A gradient shorter than another by this factor, squared, is lost in the rounding of their sum.
NEGLIGIBLE = 1e-16


class FromGramian(Balancing):
    """A method whose weights follow from the T x T inner products of the gradients.

    These are summed in float64, so that no float32 gradient is too long or too short for them.
    """

    needs = "gradients"

    def combine(self, gradients: Tensor, losses: Tensor) -> Tensor:
        products = gramian(gradients)
        squares = products.diagonal()
        if not squares.isfinite().all():
            raise FloatingPointError("the gradient of a task is not finite")
        weights = torch.ones_like(squares)
        present = squares > NEGLIGIBLE * squares.max()
        if present.sum() > 1:
            chosen = products[present][:, present] / squares[present].mean()
            weights[present] = self.balance(chosen, present)
        return weights.to(gradients) @ gradients

    def balance(self, products: Tensor, present: Tensor) -> Tensor:
        """Weights (P,) of the P tasks that have a gradient, P at least 2; ones where ``products`` is the unit matrix.

        ``products``: (P, P), the gradients' inner products, divided by their mean squared length; ``present``: (T,)
        bool, which tasks they are of. Both float64 on the CPU.
        """
        raise NotImplementedError


def gramian(rows: Tensor) -> Tensor:
    """Inner products of (T, n) rows with one another: (T, T), float64 on the CPU, symmetric to the bit."""
    products = torch.zeros(len(rows), len(rows), dtype=torch.float64, device=rows.device)
    for part in rows.split(COLUMNS, dim=1):
        part = part.double()
        products += part @ part.T
    products = products.cpu()
    return (products + products.T) / 2


class MGDA(FromGramian):
    """The shortest convex combination (Désidéri 2012; for multitask learning Sener & Koltun 2018), T times.

    Of the gradients as they are, so the shortest count most. It opposes none of them, and vanishes where some convex
    combination does. Exact, by an active set; Sener & Koltun approach it by Frank-Wolfe.
    """

    def balance(self, products: Tensor, present: Tensor) -> Tensor:
        values, vectors = torch.linalg.eigh(products)
        # Columns with these inner products. Over w >= 0, |columns w|^2 + (sum of w - 1)^2 is least at a multiple of the
        # shortest convex combination: of weights a that sum to 1 the best multiple leaves q / (1 + q) with
        # q = |columns a|^2.
        columns = (vectors * values.clamp(min=0).sqrt()).T
        system = torch.cat([columns, torch.ones(1, len(products), dtype=products.dtype)])
        target = torch.zeros(len(system), dtype=products.dtype)
        target[-1] = 1
        weights = torch.from_numpy(nnls(system.numpy(), target.numpy())[0])
        return len(products) * weights / weights.sum()


class GradNorm(Learning):
    """Weights that make gradients of one length, longer where a task lags (Chen et al. 2018, "GradNorm").

    With G_t = w_t |g_t|, and r_t a task's loss relative to its first one, divided by the mean of that over the tasks,
    the weights w descend

        sum over t of | G_t - mean(G) r_t^1.5 |

    in which the second term is held constant; then they are scaled to sum to T. ``weights`` returns them too: the
    parameters that belong to one task are trained with the same w_t.

    Differs from the paper: lengths are over all shared parameters in place of the last shared layer; a weight is kept
    from falling below ``LEAST`` before the scaling, for a negative one would climb the loss; the rate is ours.
    """

    needs = "gradients"
    ALPHA, LR, LEAST = 1.5, 0.025, 0.01

    def __init__(self, tasks: Sequence[str], steps_a_pass: int, device: torch.device):
        start = torch.ones(len(tasks), dtype=torch.float64)
        super().__init__(tasks, steps_a_pass, device, start, self.LR)
        self.first = torch.zeros(len(tasks), dtype=torch.float64)  # zero until the task has had labels
        self.lengths: Tensor | None = None

    def weights(self, losses: Tensor | None = None) -> Tensor:
        return self._on_device(self.learnt)

    def combine(self, gradients: Tensor, losses: Tensor) -> Tensor:
        lengths = gramian(gradients).diagonal().sqrt()
        if not lengths.isfinite().all():
            raise FloatingPointError("the gradient of a task is not finite")
        self.lengths = lengths
        return self.learnt.to(gradients) @ gradients

    def observe(self, losses: Tensor) -> None:
        losses, lengths = on_host(losses), self.lengths
        if lengths is None:
            return
        self.lengths = None
        present = (losses > NO_LOSS) & (lengths > 0)
        if not present.any():
            return
        self.first = torch.where((self.first == 0) & present, losses, self.first)
        progress = losses[present] / self.first[present]
        weighted = self.learnt[present] * lengths[present]
        target = weighted.mean() * (progress / progress.mean()) ** self.ALPHA
        slope = torch.zeros_like(self.learnt)
        slope[present] = lengths[present] * torch.sign(weighted - target)
        self._descend(slope)
        self.learnt.clamp_(min=self.LEAST)
        self.learnt *= len(self.tasks) / self.learnt.sum()

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"first": self.first.clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.first = state["first"].clone()


class GradDrop(Balancing):
    """Gradient sign dropout (Chen et al. 2020, "Just Pick a Sign"), applied to the shared parameters' gradients.

    In each coordinate one sign is drawn, positive with probability (1 + sum of g_t / sum of |g_t|) / 2, and the g_t of
    that sign are added up. No gradient leaks past the draw. The paper drops gradients of the shared activations,
    for each of a batch's samples; drops over parameters are the usual form.
    """

    needs = "gradients"

    def combine(self, gradients: Tensor, losses: Tensor) -> Tensor:
        # One number from the CPU's generator seeds a generator beside the gradients, which may be on a GPU.
        generator = torch.Generator(gradients.device).manual_seed(int(torch.randint(2**62, ())))
        combined = torch.empty_like(gradients[0])
        finite = torch.ones((), dtype=torch.bool, device=gradients.device)
        for part, out in zip(gradients.split(COLUMNS, dim=1), combined.split(COLUMNS), strict=True):
            up, down = part.clamp(min=0).sum(0), part.clamp(max=0).sum(0)
            both = up - down
            finite &= both.isfinite().all()
            drawn = torch.rand(up.shape, generator=generator, device=up.device, dtype=up.dtype)
            # up / both is the chance of the positive sign; multiplied out, it has no 0 / 0.
            out.copy_(torch.where(drawn * both < up, up, down))
        if not finite:
            raise FloatingPointError("the gradient of a task is not finite")
        return combined
