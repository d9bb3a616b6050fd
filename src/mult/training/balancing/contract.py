"""What a balancing method is to the trainer, and the simplest ones."""

import copy
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

# Losses below this are those of a task without labels.
NO_LOSS = 1e-8


class Balancing:
    """Combines the gradients of T tasks; this class itself leaves them as they are.

    The trainer calls, in every step and with the losses of its whole batch, however that was split:

    - with ``needs`` "nothing": ``weights()`` once, before or after the losses are known, then backward through
      the sum of w_t L_t, part by part if it likes;
    - with "losses": ``weights(losses)`` once, then the same;
    - with "gradients": ``combine(gradients, losses)`` once, for the shared parameters, with each g_t summed over parts
      and averaged over processes; ``weights()`` are then those of the parameters that belong to one task;
    - after the optimiser's step, with any method: ``observe(losses)``.

    Losses are those that the weights multiply: with their fixed weights from params.yaml, not yet with these. A method
    that draws random numbers takes them from torch's global generator on the CPU, in ``weights`` or ``combine``; a
    trainer of several processes seeds that alike in all of them.
    """

    needs: Literal["nothing", "losses", "gradients"] = "nothing"

    def __init__(self, tasks: Sequence[str], steps_a_pass: int, device: torch.device):
        self.tasks, self.steps_a_pass, self.device = tuple(tasks), steps_a_pass, device

    def weights(self, losses: Tensor | None = None) -> Tensor:
        """(T,) weights of the tasks' gradients, float32 on the method's device, at least 0.

        ``losses``: (T,) detached, at least 0, on any device; unused unless ``needs`` is "losses".
        """
        return self._on_device(torch.ones(len(self.tasks)))

    def combine(self, gradients: Tensor, losses: Tensor) -> Tensor:
        """(T, n) gradients, a task a row, and (T,) losses to the (n,) gradient to step by, like ``gradients`` in kind.

        Takes little memory beside ``gradients`` and its result, which it does not share.

        Raises:
            FloatingPointError: a gradient is not finite; the method's state is as it was.
        """
        raise NotImplementedError(f"{type(self).__name__} works by weights")

    def observe(self, losses: Tensor) -> None:
        """Learn from a step that was made; ``losses`` as for ``weights``, before that step.

        Takes them to the CPU: a trainer that has them there already saves a GPU the wait.
        """

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that ``observe`` and ``combine`` have learnt: tensors on the CPU, numbers, lists, dicts.

        Complete after ``observe``: whoever loads it continues to the same bits.
        """
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from where ``state_dict`` was taken; of the same method and as many tasks."""

    def _on_device(self, weights: Tensor) -> Tensor:
        return weights.to(self.device, torch.float32, non_blocking=True)


class Fixed(Balancing):
    """Weights of one: the sum of the losses, with the weights that params.yaml gives them."""


class Learning(Balancing):
    """A method that learns a number a task, ``learnt`` (T,) float64, by an Adam of its own (Kingma & Ba 2015)."""

    def __init__(
        self,
        tasks: Sequence[str],
        steps_a_pass: int,
        device: torch.device,
        learnt: Tensor,
        lr: float,
        weight_decay: float = 0.0,
    ):
        """``learnt``: the numbers to begin with, changed in place; ``weight_decay``: added to their gradient."""
        super().__init__(tasks, steps_a_pass, device)
        self.learnt = learnt
        self.optimiser = torch.optim.Adam([learnt], lr, weight_decay=weight_decay)

    def state_dict(self) -> dict[str, Any]:
        return {"learnt": self.learnt.detach().clone(), "optimiser": copy.deepcopy(self.optimiser.state_dict())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.learnt.detach().copy_(state["learnt"])
        self.optimiser.load_state_dict(state["optimiser"])

    def _descend(self, gradient: Tensor) -> None:
        """``gradient``: (T,), of what is to fall."""
        self.learnt.grad = gradient
        self.optimiser.step()
        self.learnt.grad = None


def on_host(losses: Tensor) -> Tensor:
    """Losses (T,) from any device, to reckon with: detached, float64, on the CPU."""
    return losses.detach().to("cpu", torch.float64)
