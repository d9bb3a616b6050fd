"""First weights: from a stream of random numbers that each part of a model has to itself."""

from collections.abc import Callable
from typing import TypeVar

from torch import nn

from mult.seeding import torch_seed

Module = TypeVar("Module", bound=nn.Module)


def seeded(names: tuple, build: Callable[..., Module], *arguments: object) -> Module:
    """``build(*arguments)`` with first weights that depend on ``names`` alone: equal in every model with this part."""
    with torch_seed(*names):
        return build(*arguments)
