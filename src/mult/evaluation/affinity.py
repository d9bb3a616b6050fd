"""Which task helps which: measured by two-task models, and by what six-task trainings record in passing.

Every matrix here has a row for each evaluated task (``on``) and a column for each task that is trained with it
(``with``). Two-task models are compared with one-task models of the same encoder, schedule, data and seed; for what
a training records see mult.training.affinity.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, permutations
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import stdtrit
from scipy.stats import rankdata

from mult.errors import UserError
from mult.evaluation.compare import main_figures, paired_gains
from mult.outs import whole
from mult.tasks import TASKS

FEWEST = 3  # cells without which there is no rank correlation to speak of


@dataclass(frozen=True)
class Agreement:
    """How alike two matrices order their cells.

    Attributes:
        rho: Spearman's rank correlation over the cells off the diagonal that both know; NaN for fewer than three.
        p: of it under permutations of the tasks, two-sided.
        cells: how many that are.
        permutations: how many there were.
    """

    rho: float
    p: float
    cells: int
    permutations: int


def measured(results: pd.DataFrame, domain: str) -> pd.DataFrame:
    """Gain in percent of each two-task run over the one-task run, for each of its tasks: columns on, with, seed, value.

    + is better. A seed that the one-task models lack is compared with the mean of theirs, so that these seeds' gains
    are not independent of one another.
    """
    rows = main_figures(results, domain)
    found = []
    for pair in rows.loc[rows["study"] == "pair", "tasks"].unique():
        tasks = pair.split("+")
        gains = paired_gains(rows, f"pair-{pair}", "single-{task}")
        partner = gains["short"].map({tasks[0]: tasks[1], tasks[1]: tasks[0]})
        found.append(
            pd.DataFrame({"on": gains["short"], "with": partner, "seed": gains["seed"], "value": gains["gain"]})
        )
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=["on", "with", "seed", "value"])


def recorded(runs: Mapping[int, str], measure: str, folder: Path = Path("runs")) -> pd.DataFrame:
    """What six-task trainings recorded of one measure, means over their steps: columns on, with, seed, value.

    ``runs``: names of runs of one variant, by seed; ``measure``: ``cosine`` or ``tag``. Records without a value, of
    batches in which a task had no label, do not count.

    Raises:
        UserError: a run's file is missing, or was altered.
    """
    found = []
    for seed, run in runs.items():
        path = folder / run / "affinity.csv"
        if not path.is_file():
            raise UserError(f"{path} is missing; `make repro` trains every run")
        rows = pd.read_csv(whole(path))
        means = rows[rows["measure"] == measure].groupby(["on", "with"], as_index=False, sort=False)["value"].mean()
        found.append(means.assign(seed=seed))
    return pd.concat(found, ignore_index=True)[["on", "with", "seed", "value"]]


def over_seeds(values: pd.DataFrame) -> pd.DataFrame:
    """Columns on, with, value (the mean over seeds), half (of its 95 % t interval; NaN for one seed), seeds."""
    table = values.groupby(["on", "with"], as_index=False, sort=False)["value"].agg(["mean", "std", "count"])
    freedom = (table["count"] - 1).where(table["count"] > 1)
    half = stdtrit(freedom, 0.975) * table["std"] / np.sqrt(table["count"])
    return table[["on", "with"]].assign(value=table["mean"], half=half, seeds=table["count"])


def matrix(table: pd.DataFrame, column: str = "value") -> pd.DataFrame:
    """A column of ``over_seeds`` as 6 x 6; NaN where there is no such cell."""
    return table.pivot(index="on", columns="with", values=column).reindex(index=list(TASKS), columns=list(TASKS))


def affinity_matrix(results: pd.DataFrame, domain: str) -> pd.DataFrame:
    """6 x 6 gains in percent over the single-task model: row = evaluated task, column = partner; NaN on the diagonal.

    Several seeds are averaged.
    """
    return matrix(over_seeds(measured(results, domain))).astype(float)


def both_ways(gains: pd.DataFrame) -> pd.Series:
    """The mean of a pair's two gains, by its name, the greatest first; of a 6 x 6 matrix."""
    tasks = list(gains.index)
    means = {f"{a}+{b}": (gains.loc[a, b] + gains.loc[b, a]) / 2 for a, b in combinations(tasks, 2)}
    return pd.Series(means).sort_values(ascending=False, kind="stable")


def given_and_received(gains: pd.DataFrame) -> pd.DataFrame:
    """For each task the mean gain of the others with it, and its own with the others: columns task, gives, receives."""
    others = off_diagonal(gains)
    means = {"gives": others.mean(axis="index"), "receives": others.mean(axis="columns")}
    return pd.DataFrame(means).rename_axis("task").reset_index()


def off_diagonal(gains: pd.DataFrame) -> pd.DataFrame:
    """Without a task's affinity to itself."""
    return gains.mask(np.eye(len(gains), dtype=bool))


def agreement(one: pd.DataFrame, other: pd.DataFrame) -> Agreement:
    """Spearman's rank correlation between two 6 x 6 matrices, and whether another naming of the tasks does as well.

    Cells of one row or column belong together (a hard task is helped by all others alike), so they are no
    independent observations, and the usual p value would be far too small. Mantel (Cancer Research 1967) renames the
    tasks of one matrix in all ways, rows and columns together, and asks how many of these correlate as strongly as
    the true naming, which is one of them. With six tasks p is at least 1/720, with five 1/120.

    Only tasks of which both know a cell are renamed. Namings that leave fewer than three known cells, or equal ones
    only, are left out.
    """
    a, b = (off_diagonal(of).to_numpy(float) for of in (one, other))
    known = ~np.isnan(a + b)
    cells = int(known.sum())
    if cells < FEWEST:
        return Agreement(float("nan"), float("nan"), cells, 0)
    tasks = np.flatnonzero(known.any(0) | known.any(1))
    orders = np.array(list(permutations(tasks)))  # the first is the true naming
    renamed = a[orders[:, :, None], orders[:, None, :]].reshape(len(orders), -1)
    rhos = _spearman(renamed, b[np.ix_(tasks, tasks)].reshape(1, -1))
    if np.isnan(rhos[0]):
        return Agreement(float("nan"), float("nan"), cells, 0)
    found = np.abs(rhos[~np.isnan(rhos)])
    # The true naming must count, whatever the rounding.
    return Agreement(float(rhos[0]), float(np.mean(found >= found[0] * (1 - 1e-9))), cells, len(found))


def agreements(ours: Mapping[str, pd.DataFrame], others: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """``agreement`` of each of our matrices with each other one: columns matrix, with, cells, rho, p, permutations."""
    rows = []
    for name, one in ours.items():
        for label, other in others.items():
            if one is not other:
                of = agreement(one, other)
                rows.append((name, label, of.cells, of.rho, of.p, of.permutations))
    return pd.DataFrame(rows, columns=["matrix", "with", "cells", "rho", "p", "permutations"])


def _spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(P, n) and (1, n) to (P,), each row over the entries that are numbers in both; see ``agreement`` for NaN."""
    known = ~np.isnan(a + b)
    ranks = (rankdata(np.where(known, of, np.nan), axis=1, nan_policy="omit") for of in (a, b))
    a, b = (of - (np.nansum(of, 1) / known.sum(1).clip(min=1))[:, None] for of in ranks)
    with np.errstate(invalid="ignore"):
        rhos = np.nansum(a * b, 1) / np.sqrt(np.nansum(a**2, 1) * np.nansum(b**2, 1))
    return np.where(known.sum(1) < FEWEST, np.nan, rhos)
