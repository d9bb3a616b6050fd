"""Affinities of tasks the long way: a copy of the model for each task, and PyTorch's own AdamW on its gradients."""

import copy
from collections.abc import Callable, Collection, Mapping

import numpy as np
import torch
from torch import Tensor, nn

Losses = Callable[[nn.Module], Mapping[str, Tensor]]


def affinities(
    model: nn.Module, optimiser: torch.optim.AdamW, shared: Collection[str], losses: Losses, clip_norm: float
) -> tuple[np.ndarray, np.ndarray]:
    """Cosines between the tasks' gradients, and 1 - loss after / loss before: (T, T), a column a task that gives.

    ``shared``: names of the parameters that are meant; ``losses``: each task's weighted loss of a model, which draws
    the same random numbers whenever it is called.
    """
    before = {task: loss.item() for task, loss in losses(copy.deepcopy(model)).items()}
    gradients = {task: _gradients(model, losses, [task]) for task in before}
    every = _gradients(model, losses, list(before))
    cut = min(1.0, clip_norm / (sum(float((g**2).sum()) for g in every.values()) ** 0.5 + 1e-6)) if clip_norm else 1.0
    cosines, tag = np.zeros((2, len(before), len(before)))
    for i, giving in enumerate(before):
        after = losses(_stepped(model, optimiser, {name: cut * gradients[giving][name] for name in shared}))
        for j, on in enumerate(before):
            a, b = (torch.cat([gradients[task][name].flatten() for name in shared]) for task in (giving, on))
            cosines[j, i] = a @ b / (a.norm() * b.norm())
            tag[j, i] = 1 - after[on].item() / before[on]
    return cosines, tag


def _gradients(model: nn.Module, losses: Losses, tasks: Collection[str]) -> dict[str, Tensor]:
    """Of the sum of some tasks' losses, by name; zeros where there is none."""
    model = copy.deepcopy(model)
    found = losses(model)
    sum(found[task] for task in tasks).backward()
    return {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in model.named_parameters()}


def _stepped(model: nn.Module, optimiser: torch.optim.AdamW, gradients: Mapping[str, Tensor]) -> nn.Module:
    """A copy of ``model`` after a step of its optimiser's like that has no running mean of gradients and no decay."""
    after = copy.deepcopy(model)
    names = {id(p): name for name, p in model.named_parameters()}
    (decay,) = {group["betas"][1] for group in optimiser.param_groups}
    (lr,) = {group["lr"] for group in optimiser.param_groups}
    parameters = dict(after.named_parameters())
    plain = torch.optim.AdamW([parameters[name] for name in gradients], lr, (0.0, decay), weight_decay=0.0)
    for parameter, state in optimiser.state.items():
        if (name := names[id(parameter)]) in gradients:
            plain.state[parameters[name]] = copy.deepcopy(state)
    for name, gradient in gradients.items():
        parameters[name].grad = gradient
    plain.step()
    return after
