"""Looking up results, and changes with the paper's sign: + is better."""

import pandas as pd

from mult.evaluation.shifts import place
from mult.tasks import TASKS


def main_figures(results: pd.DataFrame, domain: str | None = None) -> pd.DataFrame:
    """The rows of each task's main metric, with the task's short name in column ``short``.

    A shifted domain is one of its own, called as in the scores: ``rooms-home+blur``.
    """
    short = {task.name: key for key, task in TASKS.items()}
    domains = [place(*of) for of in zip(results["domain"], results["shift"], strict=True)]
    rows = results.assign(short=results["task"].map(short), domain=domains)
    rows = rows[rows["metric"] == rows["short"].map(lambda t: TASKS[t].metric)]
    return rows if domain is None else rows[rows["domain"] == domain]


def without_seed(results: pd.DataFrame) -> pd.Series:
    """The runs' names less their seeds, e.g. ``mult-shared``."""
    return results["run"].str.replace(r"-s\d+$", "", regex=True)


def gain(value: float, base: float, task: str) -> float:
    """Percent by which ``value`` is better than ``base``, for the main metric of ``task`` (its short name).

    NaN where ``base`` is 0, as the mIoU of a model that has learnt nothing may be.
    """
    if base == 0:
        return float("nan")
    better = value - base if TASKS[task].higher_is_better else base - value
    return 100 * better / abs(base)


def paired_gains(rows: pd.DataFrame, run: str, base: str) -> pd.DataFrame:
    """Gain of each run over the base run of the same seed, domain and task.

    Args:
        rows: of ``main_figures``.
        run: pattern of the run's name less its seed, e.g. ``mult-shared``.
        base: the same for what it is compared with; ``{task}`` stands for the evaluated task's short name.

    Returns:
        Columns short, domain, seed, value, base, gain (percent). Seeds that the base lacks use the mean of its seeds.
    """
    stems = without_seed(rows)
    of = rows.loc[stems == run, ["short", "domain", "seed", "value"]]
    wanted = {task: base.format(task=task) for task in TASKS}
    bases = rows[stems == rows["short"].map(wanted)]
    same = bases.groupby(["short", "domain", "seed"])["value"].mean()
    every = bases.groupby(["short", "domain"])["value"].mean()
    out = []
    for short, domain, seed, value in of.itertuples(index=False):
        if (short, domain) in every.index:
            key = (short, domain, seed)
            over = float(same[key] if key in same.index else every[short, domain])
            out.append((short, domain, seed, value, over, gain(value, over, short)))
    return pd.DataFrame(out, columns=["short", "domain", "seed", "value", "base", "gain"])
