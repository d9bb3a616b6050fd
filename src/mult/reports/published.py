"""Matrices from papers, read from reports/published.csv, in our short task names."""

from typing import Literal

import pandas as pd

from mult.reports import tables
from mult.tasks import TASKS

Setting = Literal["default", "large", "small_data"]

HALF = "half "  # how the names of half-size networks begin


def subset_losses(setting: Setting, split: Literal["validation", "test"]) -> tuple[pd.DataFrame, pd.Series]:
    """Task losses of Standley et al.'s (ICML 2020) networks for all subsets of five tasks, reshading not among them.

    Args:
        setting: by the name of their result files.
        split: they choose networks by validation losses and report test losses.

    Returns:
        (36, 5) losses, NaN where a network lacks the task: 31 subsets and five half-size networks of one task.
        (36,) costs: 1, and 0.5 for half-size networks.
    """
    cells = _standley(setting, f"{split} loss")
    table = cells.pivot(index="row", columns="column", values="value")
    table = table.loc[list(dict.fromkeys(cells["row"])), [task for task in TASKS if task in table]]
    table = table.rename_axis(index=None, columns=None)
    return table, pd.Series([0.5 if name.startswith(HALF) else 1.0 for name in table.index], table.index)


def totals(setting: Setting, choice: Literal["optimal", "higher order"]) -> pd.Series:
    """Total test loss that Standley et al. give for their choice at budgets 1, 1.5, …, 5."""
    cells = _standley(setting, "total test loss")
    cells = cells[cells["row"] == choice]
    budgets = cells["column"].str.removeprefix("budget ").astype(float)
    return pd.Series(cells["value"].to_numpy(), budgets.to_numpy())


def tag(metric: Literal["affinity", "gradient cosine"]) -> pd.DataFrame:
    """Fifty et al.'s (TAG, NeurIPS 2021) 6 x 6 matrix on Taskonomy, NaN for reshading.

    Args:
        metric: ``affinity``, where a row's task receives and a column's gives; or ``gradient cosine``, symmetric.
    """
    cells = tables.published("tag")
    matrix = cells[cells["metric"] == metric].pivot(index="row", columns="column", values="value")
    return matrix.reindex(index=list(TASKS), columns=list(TASKS)).rename_axis(index=None, columns=None)


def _standley(setting: Setting, metric: str) -> pd.DataFrame:
    rows = tables.published("grouping")
    return rows[(rows["metric"] == metric) & rows["source"].str.endswith(f"({setting} files)")]
