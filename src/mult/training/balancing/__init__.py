"""How the tasks' gradients become one step: methods of multitask optimisation, each a word.

``needs`` says what a method decides from; T tasks, g_t the gradient of task t's loss over the shared parameters:

| needs       | methods                                                                                               |
|-------------|-------------------------------------------------------------------------------------------------------|
| "nothing"   | fixed, uncertainty, dwa, imtl_l, random                                                               |
| "losses"    | famo, geometric_mean, stch                                                                            |
| "gradients" | gradnorm, pcgrad, cagrad, mgda, upgrad, nash_mtl, imtl_g, aligned_mtl, graddrop, gradvac, fairgrad,   |
|             | dualproj                                                                                              |

**Scale.** One learning rate should serve all methods, so all are scaled like a sum, whatever their papers do. Where
the tasks give a method no reason to choose, it gives the plain sum: gradients that are orthogonal and of one length
are added up, each with weight one; equal losses, or none seen yet, give weights of one. (``random`` is so on average
only.) Where a paper has a mean or a convex combination, ours is T times as long, and its class says by how much more
it was rescaled. Multiplying all losses by one number multiplies every combined gradient by it.

**Tasks without labels.** A batch may hold no label of a task; its loss is then exactly zero and so is its gradient.
Such a task takes no part in the step: the others are balanced as if they were alone, and nothing is learnt about it.
(``random`` draws before it has seen a loss, so the others' weights then sum to less or more.)

Everything but the gradients themselves is computed in float64 on the CPU: a method's state is T numbers or T x T, and
the same losses give the same bits on any device.
"""

from collections.abc import Callable, Sequence

import torch

from mult.errors import UserError
from mult.training.balancing.contract import Balancing, Fixed
from mult.training.balancing.fair import FairGrad, NashMTL
from mult.training.balancing.gradients import MGDA, GradDrop, GradNorm
from mult.training.balancing.losses import DynamicWeightAverage, Uncertainty

__all__ = ["METHODS", "Balancing", "balancing"]

Maker = Callable[[Sequence[str], int, torch.device], Balancing]


def _from_torchjd(name: str) -> Maker:
    """TorchJD is optional and slow to import, so this waits until a method of it is asked for."""

    def make(tasks: Sequence[str], steps_a_pass: int, device: torch.device) -> Balancing:
        from mult.training.balancing import from_torchjd

        return getattr(from_torchjd, name)(tasks, steps_a_pass, device)

    return make


METHODS: dict[str, Maker] = {
    "fixed": Fixed,
    "uncertainty": Uncertainty,
    "dwa": DynamicWeightAverage,
    "gradnorm": GradNorm,
    "graddrop": GradDrop,
    "mgda": MGDA,
    "nash_mtl": NashMTL,
    "fairgrad": FairGrad,
} | {
    name: _from_torchjd(maker)
    for name, maker in {
        "imtl_l": "ImpartialLosses",
        "random": "RandomWeights",
        "famo": "FAMO",
        "geometric_mean": "GeometricMean",
        "stch": "SmoothTchebycheff",
        "pcgrad": "PCGrad",
        "cagrad": "CAGrad",
        "upgrad": "UPGrad",
        "imtl_g": "ImpartialGradients",
        "aligned_mtl": "AlignedMTL",
        "gradvac": "GradVac",
        "dualproj": "DualProjection",
    }.items()
}


def balancing(name: str, tasks: Sequence[str], steps_a_pass: int, device: torch.device | str) -> Balancing:
    """A method in its first state; with one task every method is ``fixed``.

    ``steps_a_pass``: steps of the optimiser in one pass over the training split, at least 1; ``device``: where
    ``weights`` are wanted.

    Raises:
        UserError: there is no such method, or it needs TorchJD and that is not installed.
    """
    if name not in METHODS:
        raise UserError(f"training.balancing: {name}: no such method; write one of {', '.join(METHODS)}")
    make = METHODS[name] if len(tasks) > 1 else Fixed
    try:
        return make(tasks, steps_a_pass, torch.device(device))
    except ImportError:
        message = f"training.balancing: {name} needs TorchJD; pip install -e '.[balancing]'"
        raise UserError(message) from None
