"""Which trained networks to run within a budget: group selection for multitask learning.

Standley et al. (Which Tasks Should Be Learned Together in Multi-task Learning?, ICML 2020) train networks for many
subsets of the tasks and ask which of them to run when inference may cost so much: each task is read from the best
chosen network that has it, and the sum of the tasks' losses is to be the least. A chosen network may have learnt tasks
that are read from another one. Their costs are in units of one network's inference: 1, or 0.5 for one of half the size.

A table of losses has a row for each trained network and a column for each task. Less is better, any sign will do, NaN
says that the network lacks the task. The plain sum is theirs; where one task's loss is much greater than another's
(depth against edges, there), ``subsets.relative_to_single`` brings them to one scale first.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mult.errors import UserError

Array = NDArray[np.float64]

SLACK = 1e-9  # relative: costs such as 0.1 do not add up exactly


@dataclass(frozen=True)
class Selection:
    """Networks to run, and what comes of it.

    Attributes:
        networks: their names, in the table's order; each serves a task.
        serves: for each task the network that it is read from.
        losses: for each task the loss of that network.
        total: sum of the losses.
        cost: sum of the networks' costs.
    """

    networks: tuple[str, ...]
    serves: dict[str, str]
    losses: dict[str, float]
    total: float
    cost: float

    def on(self, table: pd.DataFrame) -> "Selection":
        """The same networks with the losses of another table: chosen on validation data, reported on test data."""
        losses = {task: float(table.loc[network, task]) for task, network in self.serves.items()}
        return replace(self, losses=losses, total=math.fsum(losses.values()))

    def split(self, table: pd.DataFrame) -> str:
        """The choice in words, such as ``depth+normal (for depth); normal``, said where not all its tasks are read."""
        parts = []
        for network in self.networks:
            tasks = list(table.columns[table.loc[network].notna()])
            served = [task for task in tasks if self.serves[task] == network]
            spare = [task for task in tasks if task not in served]
            few, word = (spare, "not for") if len(spare) < len(served) else (served, "for")
            parts.append(f"{network} ({word} {', '.join(few)})" if spare else network)
        return "; ".join(parts)


def select(table: pd.DataFrame, costs: Mapping[str, float] | pd.Series | None, budget: float) -> Selection:
    """The networks within a budget from which the tasks' losses add up to the least: exact, by branch and bound.

    Of choices with equal losses it is the cheapest, then that of the fewest networks, then the first when networks are
    put in order, cheap ones first and otherwise as they stand in the table. That order also says which of the chosen
    networks serves a task in which they are equal.

    With a network for every subset seven tasks take under a second, eight up to half a minute; many ties take longer.

    Args:
        table: (networks, tasks) losses, NaN where a network lacks a task.
        costs: of each network, above 0; None: 1 each.
        budget: upper limit of the sum of the chosen networks' costs.

    Raises:
        UserError: a bad table, cost or budget, or a budget within which no choice has every task.
    """
    losses, prices = _checked(table, costs)
    if not budget > 0:
        raise UserError(f"budget: {budget:g} is not above 0")
    order = np.lexsort((np.arange(len(prices)), prices))
    search = _Search(losses[order], prices[order], budget * (1 + SLACK))
    if search.best is None:
        raise UserError(
            f"budget {budget:g}: no choice of networks within it has all of {', '.join(table)}; "
            "raise it or add networks of more tasks"
        )
    chosen = order[list(search.best.chosen)]
    serves = chosen[losses[chosen].argmin(0)]
    return Selection(
        networks=tuple(table.index[sorted(chosen)]),
        serves={task: table.index[i] for task, i in zip(table, serves, strict=True)},
        losses={task: float(table[task].iloc[i]) for task, i in zip(table, serves, strict=True)},
        total=search.best.total,
        cost=search.best.cost,
    )


def frontier(
    table: pd.DataFrame, costs: Mapping[str, float] | pd.Series | None, budgets: Sequence[float]
) -> dict[float, Selection]:
    """``select`` at each budget; budgets within which no choice has every task are left out."""
    least = select(table * 0, costs, math.inf).cost
    return {budget: select(table, costs, budget) for budget in budgets if budget * (1 + SLACK) >= least}


def _checked(table: pd.DataFrame, costs: Mapping[str, float] | pd.Series | None) -> tuple[Array, Array]:
    """Losses, infinite where a network lacks a task, and costs."""
    if table.empty:
        raise UserError("table of losses: it needs a row for each network and a column for each task")
    for kind, names in (("network", table.index), ("task", table.columns)):
        if names.has_duplicates:
            raise UserError(f"table of losses: {kind} {names[names.duplicated()][0]!r} is there twice")
    losses = table.to_numpy(float)
    if np.isinf(losses).any():
        raise UserError("table of losses: a loss is infinite; leave out what a network lacks")
    if (empty := np.isnan(losses).all(1)).any():
        raise UserError(f"table of losses: {table.index[empty][0]} has no task")
    if (lost := np.isnan(losses).all(0)).any():
        raise UserError(f"table of losses: no network has {table.columns[lost][0]}")
    if costs is None:
        return np.where(np.isnan(losses), np.inf, losses), np.ones(len(table))
    prices = pd.Series(costs, dtype=float).reindex(table.index)
    if (wrong := ~(prices > 0) | np.isinf(prices)).any():
        name = table.index[wrong][0]
        raise UserError(f"cost of {name}: {prices[name]:g} is not a number above 0")
    return np.where(np.isnan(losses), np.inf, losses), prices.to_numpy()


@dataclass(frozen=True, order=True)
class _Choice:
    """Ordered as choices are preferred."""

    total: float
    cost: float
    size: int
    chosen: tuple[int, ...]


class _Search:
    """Branch and bound over which network serves which task.

    A node takes one task more and tries the networks that may serve it, the best first. Below the one that does, those
    better in this task are ruled out, so that no set of networks comes up twice. The bound gives every task that is
    left its best network which still fits; where but one more network fits at all, each is tried in one go.

    Args:
        losses: (networks, tasks), infinite where a network lacks a task; rows in the order that decides ties.
        prices: (networks,) costs, not falling.
        budget: what they may add up to.
    """

    def __init__(self, losses: Array, prices: Array, budget: float):
        # A network that is nowhere better than one before it is in no best choice.
        kept = [i for i in range(len(losses)) if not (losses[:i] <= losses[i]).all(1).any()]
        # Of equally good ones those of many tasks first: that soon finds a cheap choice, which bounds the others.
        self.place = np.array(sorted(kept, key=lambda i: (prices[i], np.isinf(losses[i]).sum(), i)))
        self.losses, self.prices, self.budget = losses[self.place], prices[self.place], budget
        self.rank = self.losses.argsort(0, kind="stable").argsort(0)
        self.rounding = 1e-12 * np.abs(losses[np.isfinite(losses)]).max() * losses.shape[1]
        self.best: _Choice | None = None
        self._descend(list(range(losses.shape[1])), [], [], np.ones(len(kept), bool))

    def _descend(self, tasks: list[int], chosen: list[int], served: list[float], allowed: NDArray[np.bool_]) -> None:
        """Serve ``tasks``; ``served`` are the losses of the others, and ``chosen`` is among ``allowed``."""
        cost = math.fsum(self.prices[chosen])
        if not tasks:
            places = tuple(sorted(self.place[chosen].tolist()))
            choice = _Choice(math.fsum(served), cost, len(chosen), places)
            self.best = choice if self.best is None else min(self.best, choice)
            return
        usable = allowed & (self.prices <= self.budget - cost)
        usable[chosen] = True
        losses = np.where(usable[:, None], self.losses[:, tasks], np.inf)
        # fsum rounds once, so a bound that is made of lesser terms is never greater than the sum it bounds.
        bound = math.fsum([*served, *losses.min(0)])
        if bound == math.inf or (self.best and (bound, cost) > (self.best.total, self.best.cost)):
            return
        if self.best and self._with_one_more(losses, usable, chosen, cost) + math.fsum(served) > self.best.total:
            return
        # The task that loses most by its second-best network splits the possibilities best.
        least = np.sort(losses, 0)[:2]
        task = int((least[-1] - least[0]).argmax())
        others = tasks[:task] + tasks[task + 1 :]
        for i in np.argsort(self.rank[:, tasks[task]]):
            loss = float(losses[i, task])
            if loss == math.inf:
                continue
            fits = allowed & (self.rank[:, tasks[task]] >= self.rank[i, tasks[task]])
            if i in chosen:
                self._descend(others, chosen, [*served, loss], fits)
                return
            self._descend(others, [*chosen, int(i)], [*served, loss], fits)

    def _with_one_more(self, losses: Array, usable: NDArray[np.bool_], chosen: list[int], cost: float) -> float:
        """A bound of the loss of the tasks that are left, where no two more networks fit; else minus infinity."""
        new = usable.copy()
        new[chosen] = False
        if not new.any() or 2 * self.prices[new].min() <= self.budget - cost:
            return -math.inf
        so_far = losses[chosen].min(0, initial=math.inf)
        return min(so_far.sum(), np.minimum(losses[new], so_far).sum(1).min()) - self.rounding
