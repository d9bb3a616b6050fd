"""The figures of the tables and the trainings: reports/figures/<name>.svg and .png.

python -m pipelines figures
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from mult import params
from mult.evaluation.compare import without_seed
from mult.evaluation.results import load_results
from mult.outs import whole
from mult.reports import tables
from mult.reports.figures import DESCRIPTIONS
from mult.reports.figures.affinity import affinity
from mult.reports.figures.cost import cost
from mult.reports.figures.cross_domain import cross_domain
from mult.reports.figures.curves import curves
from mult.reports.figures.gains import gain_table, gains
from mult.reports.figures.output import footnote, write
from mult.reports.figures.sharing import sharing, sharing_tasks

RUNS = Path("runs")
QUESTION = "shared over skip"  # the paper's claim


OF_TABLES = ("cost",)  # figures that need what the stage `tables` writes; the others need its predecessors


def main() -> None:
    draw(*DESCRIPTIONS)


def draw(*names: str) -> None:
    """Draw some of them."""
    drawn = _of_tables()
    for name in names:
        write(drawn[name](), name)


@cache  # for a process that draws them one by one
def _of_tables() -> dict[str, Callable[[], Figure]]:
    settings = params.load()
    home, note = settings.scale.train_domain, footnote(settings, settings.scale.seeds.six)
    ablation, recorded = _table("ablation"), _table("affinity_cheap")
    results = load_results()
    gained = gain_table(results, home)
    questions = {of.name: of.asks for of in settings.comparisons}
    losses = {task: of.loss for task, of in settings.losses.items()}
    variant = next(
        (name for name, of in settings.variants.items() if of == settings.pair), next(iter(settings.variants))
    )
    return {
        "sharing": lambda: sharing(ablation, questions, home, note),
        "sharing_tasks": lambda: sharing_tasks(ablation, QUESTION, note),
        "gains": lambda: gains(gained, home, note),
        "affinity": lambda: affinity(_table("affinity"), recorded, variant, footnote(settings)),
        "cross_domain": lambda: cross_domain(_table("cross_domain"), home, note),
        "curves": lambda: curves(_histories(results), losses, note),
        "cost": lambda: cost(gained, _table("cost"), home, note),
    }


def _table(name: str) -> pd.DataFrame:
    return pd.read_csv(tables.FOLDER / f"{name}.csv")


def _histories(results: pd.DataFrame) -> pd.DataFrame:
    """What the six-task trainings wrote while they ran, with the columns variant and seed."""
    six = results[results["study"] == "six"].drop_duplicates("run")
    found = [
        pd.read_csv(whole(RUNS / run / "history.csv")).assign(variant=variant, seed=seed)
        for run, variant, seed in zip(six["run"], without_seed(six).str.removeprefix("mult-"), six["seed"], strict=True)
    ]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()
