"""Variant against variant: how their paired runs differ, and how sure one can be of it.

The statistics (mult.evaluation.stats) are of each test image's error, averaged over the images of one room or map,
which are not independent of each other. Errors are 1 minus the pixel accuracy, the absolute error of depth in metres,
the angle between normals, and the absolute errors of the maps; the main figures of results.csv are shown beside them.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from mult.evaluation import stats
from mult.evaluation.compare import main_figures, paired_gains, without_seed
from mult.outs import whole
from mult.params import Comparison
from mult.tasks import TASKS

ALL = "all tasks"
LEVEL = 0.95


class Errors:
    """Rooms' mean errors of runs, from each one's errors.csv."""

    def __init__(self, folder: Path | str = "runs"):
        self.folder = Path(folder)

    def places(self, run: str) -> list[str]:
        """The domains, shifted ones included, that a run was scored on, in order."""
        return list(dict.fromkeys(place for place, _ in self._means(run)))

    def tasks(self, run: str, place: str) -> list[str]:
        """The tasks that ``place`` has a valid pixel of."""
        means = self._means(run)
        return [task for task in TASKS if (place, task) in means and not np.isnan(means[place, task]).all()]

    def of(self, runs: Sequence[str], place: str, task: str) -> np.ndarray:
        """(runs, rooms) mean errors, rooms in sorted order; NaN for a room without a valid pixel."""
        return np.stack([self._means(run)[place, task] for run in runs])

    def all_tasks(self, runs: Sequence[str], place: str, units: dict[str, float]) -> np.ndarray:
        """(runs, rooms) means over the tasks of errors in ``units``."""
        return np.mean([self.of(runs, place, task) / unit for task, unit in units.items()], axis=0)

    @cache  # noqa: B019 - as long as the object, which lives for one table
    def _means(self, run: str) -> dict[tuple[str, str], np.ndarray]:
        """Of each (domain, task) the rooms' means, rooms in sorted order."""
        errors = pd.read_csv(whole(self.folder / run / "errors.csv"), dtype={"group": str})
        means = errors.groupby(["domain", "task", "group"], sort=False)["error"].mean()
        parts = means.groupby(level=["domain", "task"], sort=False)
        return {key: of.droplevel(["domain", "task"]).sort_index().to_numpy() for key, of in parts}


def compare(errors: Errors, results: pd.DataFrame, variant: str, base: str, seeds: Iterable[int]) -> pd.DataFrame:
    """One row a domain and task, and one a domain for all tasks together; + is better for ``variant``.

    Columns: domain, task, gain, low, high (percent of the base's error, 95 % interval over new seeds and new rooms),
    low_bootstrap, high_bootstrap (the usual hierarchical bootstrap's, too short with few seeds), p (of
    ``stats.crossed_test``), p_seeds (permutation of seeds on these rooms), p_rooms (permutation of rooms with these
    models), detectable (percent: the least effect that these seeds and rooms would find with 80 % power at p = 0.05),
    figure_gain, figure_least, figure_greatest (percent, of the main figure: mean and range of the seeds), seeds, rooms.
    For all tasks, errors are taken in units of the base's mean error in each, so that tasks count the same; all tasks
    are those that the domain has.
    """
    of, over = ([f"mult-{name}-s{seed}" for seed in seeds] for name in (variant, base))
    figures = paired_gains(main_figures(results), f"mult-{variant}", f"mult-{base}")
    rows = []
    for place in errors.places(over[0]):
        tasks = errors.tasks(over[0], place)
        units = {task: float(np.nanmean(errors.of(over, place, task))) for task in tasks}
        pairs = {ALL: tuple(errors.all_tasks(runs, place, units) for runs in (of, over))}
        pairs |= {task: tuple(errors.of(runs, place, task) for runs in (of, over)) for task in tasks}
        here = figures[figures["domain"] == place]
        for task, (a, b) in pairs.items():
            gains = here.groupby("seed")["gain"].mean() if task == ALL else here.loc[here["short"] == task, "gain"]
            rows.append({"domain": place, "task": task} | _row(a, b) | _range(gains))
    return pd.DataFrame(rows)


def _row(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    found, bootstrap = stats.interval(a, b, LEVEL), stats.bootstrap_interval(a, b, LEVEL)
    low, high = (100 * bound / np.nanmean(b) for bound in bootstrap)
    return {
        "gain": found.percent,
        "low": found.percent_low,
        "high": found.percent_high,
        "low_bootstrap": low,
        "high_bootstrap": high,
        "p": stats.crossed_test(a, b),
        "p_seeds": stats.permutation_test(a, b),
        "p_rooms": stats.image_test(a, b),
        "detectable": stats.smallest_detectable(a, b).percent,
        "seeds": found.seeds,
        "rooms": found.images,
    }


def _range(gains: pd.Series) -> dict[str, float]:
    return {"figure_gain": gains.mean(), "figure_least": gains.min(), "figure_greatest": gains.max()}


def ablation(
    errors: Errors, results: pd.DataFrame, comparisons: Sequence[Comparison], seeds: Sequence[int], home: str
) -> pd.DataFrame:
    """Every comparison's rows, with Holm's adjustment (``p_holm``) and what may be said (``verdict``).

    What is adjusted together: the comparisons' rows for all tasks on ``home``, the questions of the study; and of each
    comparison its rows for all tasks elsewhere, and its rows for single tasks.
    """
    tables = [compare(errors, results, of.variant, of.base, seeds).assign(comparison=of.name) for of in comparisons]
    table = pd.concat(tables, ignore_index=True)
    question = (table["task"] == ALL) & (table["domain"] == home)
    families = np.where(question, "questions", table["comparison"] + (table["task"] == ALL).astype(str))
    table["p_holm"] = table.groupby(families)["p"].transform(lambda p: stats.holm(p.to_numpy()))
    table["verdict"] = [_verdict(row) for row in table.itertuples()]
    first = ["comparison", "domain", "task", "gain", "low", "high", "p", "p_holm", "verdict", "detectable"]
    return table[[*first, *(c for c in table if c not in first)]]


def _verdict(row) -> str:
    percent = (row.gain, row.low, row.high)
    return stats.verdict(stats.Interval(*percent, *percent, LEVEL, row.seeds, row.rooms), row.p_holm)


def noise(results: pd.DataFrame, stem: str, home: str) -> pd.Series:
    """Standard deviation of a model's main figures between seeds, a task, in % of their mean; NaN for one seed."""
    rows = main_figures(results, home)
    figures = rows[without_seed(rows) == stem].groupby("short")["value"]
    return (100 * figures.std() / figures.mean()).reindex(list(TASKS))


def greatest_difference(results: pd.DataFrame, run: str, other: str) -> tuple[float, int]:
    """Between two runs' figures, all of them, and how many there are."""
    key = ["domain", "shift", "task", "metric"]
    a, b = (results[results["run"] == name].set_index(key)["value"] for name in (run, other))
    return float((a - b).abs().max()), len(a)
