"""Layers that every task has of its own, kept and computed together: tensors carry the tasks in their first axis.

One product over a batch of T matrices takes the place of T small ones. Task ``t`` of a layer is ``weight[t]``; its
first values depend on its own name alone, so a task starts alike in models of one task and of six.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mult.seeding import torch_seed

STD = 0.02  # of the truncated normal that Swin's projections and bias tables start from


class TaskNorm(nn.Module):
    """A LayerNorm of each task: (T, n, C) to the same; (1, n, C), where all tasks' tokens are one, to (T, n, C)."""

    def __init__(self, tasks: Sequence[str], width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(len(tasks), width))
        self.bias = nn.Parameter(torch.zeros(len(tasks), width))

    def forward(self, x: Tensor) -> Tensor:
        return self.finish(F.layer_norm(x, x.shape[-1:]))

    def finish(self, normalised: Tensor) -> Tensor:
        """Scale and move what is normalised already."""
        return torch.addcmul(self.bias[:, None], normalised, self.weight[:, None])


class TaskLinear(nn.Module):
    """A linear map of each task: (T, n, in), or (1, n, in) for an input that all have in common, to (T, n, out).

    With ``width_common`` the input of every task is joined by the same further channels, (n, width_common), which come
    last in the weight; they are not copied for the tasks.
    """

    def __init__(
        self, tasks: Sequence[str], width: int, width_out: int, seed: tuple, bias: bool = True, width_common: int = 0
    ):
        super().__init__()
        self.width = width
        self.weight = nn.Parameter(torch.empty(len(tasks), width_out, width + width_common))
        self.bias = nn.Parameter(torch.zeros(len(tasks), width_out)) if bias else None
        for place, task in enumerate(tasks):
            with torch_seed(*seed, task):
                nn.init.trunc_normal_(self.weight.data[place], std=STD)

    def forward(self, x: Tensor, common: Tensor | None = None, norm: TaskNorm | None = None) -> Tensor:
        """With ``norm``, ``x`` is normalised but not yet scaled and moved as that norm does."""
        if common is None:
            return _product(x, self.weight, self.bias, norm)
        added = torch.matmul(common, self.weight[:, :, self.width :].mT)
        if self.bias is not None:
            added = added + self.bias[:, None]
        return _product(x, self.weight[:, :, : self.width], added, norm)


def together(x: Tensor, layers: Sequence[TaskLinear], norm: TaskNorm | None) -> tuple[Tensor, ...]:
    """What each of ``layers``, all with a bias, makes of the same (T, n, in); in one product where that is cheaper."""
    widths = [layer.weight.shape[1] for layer in layers]
    if x.shape[1] < sum(widths):  # putting the weights side by side costs more than it spares
        x = x if norm is None else norm.finish(x)
        return tuple(layer(x) for layer in layers)
    weight, bias = torch.cat([layer.weight for layer in layers], 1), torch.cat([layer.bias for layer in layers], 1)
    return _product(x, weight, bias, norm).split(widths, -1)


def _product(x: Tensor, weight: Tensor, added: Tensor | None, norm: TaskNorm | None) -> Tensor:
    """x W^T + added: (T or 1, n, in), (T, out, in) and (T, out) or (T, n, out) to (T, n, out); see ``TaskLinear``."""
    if norm is not None and x.shape[1] < weight.shape[1]:
        x, norm = norm.finish(x), None
    added = added[:, None] if added is not None and added.ndim == 2 else added
    if norm is not None:  # fewer weights than tokens: scaling and moving those spares two passes over these
        moved = torch.bmm(weight, norm.bias[..., None]).mT
        added = moved if added is None else added + moved
        weight = weight * norm.weight[:, None]
    x = x.expand(len(weight), -1, -1)
    device = x.device.type
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        number = torch.get_autocast_dtype(device)
        x, weight, added = x.to(number), weight.to(number), added if added is None else added.to(number)
    return _Product.apply(x, weight, added)


class _Product(torch.autograd.Function):
    """(T, n, in) with (T, out, in) transposed, plus (T, 1 or n, out).

    PyTorch's own derivative gives the weights' gradient transposed and then copies it into their layout, which for
    wide layers takes longer than computing it.
    """

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, added: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.added = None if added is None else added.shape
        return torch.bmm(x, weight.mT) if added is None else torch.baddbmm(added, x, weight.mT)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x = torch.bmm(gradient, weight) if ctx.needs_input_grad[0] else None
        of_weight = torch.bmm(gradient.mT, x) if ctx.needs_input_grad[1] else None
        of_added = gradient.sum_to_size(ctx.added) if ctx.needs_input_grad[2] else None
        return of_x, of_weight, of_added


class TaskMlp(nn.Module):
    """Norm and two-layer perceptron of a transformer block, of each task: (T, n, C) to the same."""

    def __init__(self, tasks: Sequence[str], width: int, ratio: float, seed: tuple):
        super().__init__()
        hidden = round(width * ratio)
        self.norm = TaskNorm(tasks, width)
        self.fc1 = TaskLinear(tasks, width, hidden, (*seed, "fc1"))
        self.fc2 = TaskLinear(tasks, hidden, width, (*seed, "fc2"))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(F.layer_norm(x, x.shape[-1:]), norm=self.norm)))
