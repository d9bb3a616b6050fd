"""All that changes while a model is trained: what a checkpoint must hold, and nothing else."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint import state_dict as whole
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mult.training.affinity import Row
from mult.training.balancing import Balancing
from mult.training.step import check_finite

Metrics = dict[str, float]
WHOLE = whole.StateDictOptions(full_state_dict=True, cpu_offload=True)


@dataclass
class History:
    """What a training leaves besides its weights: one row a validation, and the tasks' affinities where recorded."""

    rows: list[Metrics] = field(default_factory=list)
    affinities: list[Row] = field(default_factory=list)
    best_step: int = 0
    seconds: float = 0.0


class State:
    """A model in training.

    Attributes:
        step: how many steps have been done.
        running: (2, T) sums of each task's loss since the last validation, and of the steps that had labels of it.
        best: the best figure so far, smaller is better; its weights are ``best_weights``.
        misses: validations since then.
    """

    def __init__(
        self,
        model: nn.Module,
        optimiser: torch.optim.Optimizer,
        balancing: Balancing,
        ema: float,
        tasks: int,
        extra: nn.Module | None = None,
    ):
        """``ema``: decay of averaged weights, a step; 0 for none."""
        self.model, self.optimiser, self.balancing = model, optimiser, balancing
        self.trained = nn.ModuleList([model] if extra is None else [model, extra])
        self.averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(ema), use_buffers=True) if ema else None
        self.history = History()
        self.step, self.misses, self.best = 0, 0, math.inf
        self.best_weights: dict[str, Tensor] = {}
        self.running = torch.zeros(2, tasks, device=next(model.parameters()).device)

    @property
    def shown(self) -> nn.Module:
        """The model that is validated and kept: the averaged one where there is one."""
        return self.model if self.averaged is None else self.averaged.module

    def moved(self) -> None:
        """The optimiser has done a step."""
        self.step += 1
        if self.averaged is not None:
            self.averaged.update_parameters(self.model)

    def check(self, tasks: Sequence[str]) -> None:
        """Raises: FloatingPointError: a loss since the last validation, a weight or an average is not finite."""
        check_finite(tasks, self.running[0])
        named = self.trained.state_dict() | ({} if self.averaged is None else self.averaged.state_dict())
        values = {name: of.to_local() if _divided(of) else of for name, of in named.items() if of.is_floating_point()}
        fine = torch.stack([torch.isfinite(of).all() for of in values.values()]).tolist()
        if wrong := [name for name, good in zip(values, fine, strict=True) if not good]:
            raise FloatingPointError(f"{len(wrong)} of {len(fine)} weights are not finite, such as {wrong[0]}")

    def judge(self, figure: float) -> None:
        """Keep the weights if ``figure`` is the lowest so far."""
        if figure < self.best:
            self.best, self.misses, self.history.best_step = figure, 0, self.step
            self.best_weights = {k: v.detach().clone() for k, v in self.weights(self.shown).items()}
        else:
            self.misses += 1

    def _lay_out(self) -> None:
        """Give the optimiser's moments their parameters' layouts, which a fused step takes for granted."""
        for parameter, moments in self.optimiser.state.items():
            for name in ("exp_avg", "exp_avg_sq"):
                if not _divided(parameter):
                    moments[name] = torch.empty_like(parameter).copy_(moments[name])

    @staticmethod
    def weights(model: nn.Module) -> dict[str, Tensor]:
        """Whole weights by name, also of a model that is divided over processes (then all of them must call this)."""
        divided = any(_divided(p) for p in model.parameters())
        return whole.get_model_state_dict(model, options=WHOLE) if divided else model.state_dict()

    def state_dict(self) -> dict[str, Any]:
        """Plain containers and tensors; with several processes all of them must call this."""
        trained, optimiser = whole.get_state_dict(self.trained, self.optimiser, options=WHOLE)
        return {
            "trained": trained,
            "optimiser": optimiser,
            "averaged": self.averaged and self.averaged.state_dict(),
            "balancing": self.balancing.state_dict(),
            "running": self.running.cpu(),
            "step": self.step,
            "misses": self.misses,
            "best": self.best,
            "best_weights": self.best_weights,
            "history": vars(self.history),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` gave, with any number of processes."""
        whole.set_state_dict(
            self.trained,
            self.optimiser,
            model_state_dict=state["trained"],
            optim_state_dict=state["optimiser"],
            options=whole.StateDictOptions(full_state_dict=True, strict=False),  # some parameters never had a gradient
        )
        self._lay_out()
        if self.averaged is not None:
            self.averaged.load_state_dict(state["averaged"])
        self.balancing.load_state_dict(state["balancing"])
        self.running.copy_(state["running"])
        self.step, self.misses, self.best = state["step"], state["misses"], state["best"]
        self.best_weights, self.history = state["best_weights"], History(**state["history"])


def _divided(parameter: nn.Parameter) -> bool:
    return isinstance(parameter, torch.distributed.tensor.DTensor)
