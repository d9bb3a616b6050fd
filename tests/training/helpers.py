"""What several tests of trainings need."""

import torch

from mult.training.checkpoint import Checkpoints


class Stop(Exception):
    """In place of a kill."""


class StoppedAfter(Checkpoints):
    """A checkpoint after every step; that of step ``last`` is written and ends the training."""

    def __init__(self, folder, last: int):
        super().__init__(folder, 0.0)
        self.last = last

    def save(self, step, state):
        super().save(step, state)
        if step == self.last:
            raise Stop


def assert_same(a, b) -> None:
    """Equal to the bit, all the way down."""
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert a == b
