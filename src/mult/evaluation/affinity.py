"""Which task helps which: two-task models against one-task models of the same encoder, schedule, data and seed."""

import pandas as pd

from mult.evaluation.compare import main_figures, paired_gains
from mult.tasks import TASKS


def affinity_matrix(results: pd.DataFrame, domain: str) -> pd.DataFrame:
    """6 x 6 gains in percent over the single-task model: row = evaluated task, column = partner; NaN on the diagonal.

    Several seeds are averaged.
    """
    rows = main_figures(results, domain)
    matrix = pd.DataFrame(index=list(TASKS), columns=list(TASKS), dtype=float)
    for pair in rows.loc[rows["study"] == "pair", "tasks"].unique():
        first, second = pair.split("+")
        gains = paired_gains(rows, f"pair-{pair}", "single-{task}").groupby("short")["gain"].mean()
        matrix.loc[first, second], matrix.loc[second, first] = gains[first], gains[second]
    return matrix
