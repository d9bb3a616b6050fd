"""Learning rate over the steps of a training."""

import math

from mult.params import Training

# Of PyTorch's OneCycleLR: where the rate starts, as a share of the full one, and where it ends, as a share of that.
FIRST, LAST = 1 / 25, 1e-4


def factor(step: int, settings: Training) -> float:
    """Share of the full learning rate at ``step`` (from 0): the warm-up, then the schedule.

    The warm-up is linear from zero; that of one_cycle (Smith and Topin 2018, without its change of momentum) is half a
    cosine from a 25th, and it goes on to a ten-thousandth of that.
    """
    warm, last = settings.warmup_steps, settings.steps - 1
    if settings.schedule == "one_cycle":
        if step < warm:
            return _between(FIRST, 1.0, step / warm)
        return _between(1.0, FIRST * LAST, (step - warm) / max(1, last - warm))
    if step < warm:
        return (step + 1) / warm
    rest = (step - warm) / max(1, settings.steps - warm)
    return {"constant": 1.0, "cosine": 0.5 * (1 + math.cos(math.pi * rest)), "poly": 1 - rest}[settings.schedule]


def _between(first: float, last: float, place: float) -> float:
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * place))
