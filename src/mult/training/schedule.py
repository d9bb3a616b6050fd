"""Learning rate over the steps of a training."""

import math

from mult.params import Training


def factor(step: int, settings: Training) -> float:
    """Share of the full learning rate at ``step`` (from 0): linear warm-up, then the schedule down to zero."""
    if step < settings.warmup_steps:
        return (step + 1) / settings.warmup_steps
    rest = (step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps)
    return {"constant": 1.0, "cosine": 0.5 * (1 + math.cos(math.pi * rest)), "poly": 1 - rest}[settings.schedule]
