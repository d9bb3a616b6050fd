"""Group selection by trying every set of networks; a row of losses is infinite where the network lacks the task."""

import math
from collections.abc import Sequence
from itertools import combinations


def choose(
    losses: Sequence[Sequence[float]], costs: Sequence[float], budgets: Sequence[float]
) -> dict[float, tuple[float, float, tuple[int, ...]]]:
    """Total loss, cost and networks of the best choice at each budget; none where no choice has every task.

    More networks than tasks only cost more: one of them serves no task.
    """
    order = sorted(range(len(losses)), key=lambda i: (costs[i], i))
    found = {}
    for size in range(1, len(losses[0]) + 1):
        for places in combinations(range(len(order)), size):
            networks = [order[place] for place in places]
            total = math.fsum(min(column) for column in zip(*(losses[i] for i in networks), strict=True))
            cost = math.fsum(costs[i] for i in networks)
            choice = (total, cost, size, places)
            for budget in budgets:
                if total < math.inf and cost <= budget * (1 + 1e-9) and (budget not in found or choice < found[budget]):
                    found[budget] = choice
    return {b: (total, cost, tuple(sorted(order[i] for i in places))) for b, (total, cost, _, places) in found.items()}
