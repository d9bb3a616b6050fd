"""The optimiser, and which parameters are treated how."""

from collections.abc import Collection, Iterator

import torch
from torch import nn

from mult.models.attention import RelativeBias
from mult.models.stacked import TaskLinear, TaskNorm
from mult.params import Training


def optimiser_of(model: nn.Module, settings: Training) -> torch.optim.Optimizer:
    """AdamW with the settings' rates; see ``_groups`` for what does not decay."""
    return torch.optim.AdamW(_groups(model, settings.weight_decay), settings.lr, tuple(settings.betas), fused=True)


def _groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """No decay on norms, biases and relative-position tables, as Swin is trained, nor on what mixes maps."""
    norms = {id(p) for module in model.modules() if isinstance(module, TaskNorm) for p in module.parameters()}
    decayed, plain = [], []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        last = name.rpartition(".")[2]
        mixes = last == "mixture" or "stitches" in name.split(".")
        kept = parameter.ndim < 2 or id(parameter) in norms or last == "bias" or last.endswith("table") or mixes
        (plain if kept else decayed).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]


def shared_and_own(model: nn.Module, tasks: Collection[str]) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Trained parameters that several tasks' losses pull at, and those that each task has for itself.

    A task's own: layers with the task's name in their path, and those that hold one slice a task in their first axis.
    """
    own = {id(p) for name, p in model.named_parameters() if set(name.split(".")) & set(tasks)}
    own |= {id(p) for p in _stacked(model, len(tasks))}
    trained = [p for p in model.parameters() if p.requires_grad]
    return [p for p in trained if id(p) not in own], [p for p in trained if id(p) in own]


def _stacked(model: nn.Module, tasks: int) -> Iterator[nn.Parameter]:
    for module in model.modules():
        if isinstance(module, TaskLinear | TaskNorm | RelativeBias):
            yield from (p for p in module.parameters(recurse=False) if len(p) == tasks)
