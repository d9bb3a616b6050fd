"""First weights: from a stream of random numbers that each part of a model has to itself."""

from collections.abc import Callable
from typing import TypeVar

from torch import nn

from mult.seeding import torch_seed

Module = TypeVar("Module", bound=nn.Module)


def seeded(names: tuple, build: Callable[..., Module], *arguments: object) -> Module:
    """``build(*arguments)`` with first weights that depend on ``names`` alone: equal in every model with this part."""
    with torch_seed(*names):
        return build(*arguments).apply(_as_swin)


def _as_swin(module: nn.Module) -> None:
    """Truncated normal of deviation 0.02 for projections, zero biases, as Swin has them."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
