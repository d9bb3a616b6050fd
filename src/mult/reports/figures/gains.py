"""Six-task models against one-task models."""

import pandas as pd
from matplotlib.figure import Figure

from mult.evaluation.compare import main_figures, paired_gains
from mult.evaluation.studies import half_width, six_models
from mult.reports.figures.forest import bounds, effect, frame
from mult.reports.figures.style import GREY, SMALL, empty, interval, looks, page, styled
from mult.reports.style import FIGURES
from mult.tasks import TASKS

OVERALL = "delta_m"


def gain_table(results: pd.DataFrame, domain: str) -> pd.DataFrame:
    """Gain in percent of each six-task model over the one-task models of the same seed, + is better.

    Columns: model, task (``delta_m``: the mean over the tasks), gain (mean of the seeds), low, high (95 % t interval
    over seeds; NaN for one seed), seeds.
    """
    rows = main_figures(results, domain)
    table = []
    for model, stem in six_models(results).items():
        gains = paired_gains(rows, stem, "single-{task}").dropna(subset="gain")
        by_task = {task: gains.loc[gains["short"] == task, "gain"] for task in TASKS}
        for task, values in (by_task | {OVERALL: gains.groupby("seed")["gain"].mean()}).items():
            mean, half = values.mean(), half_width(values)
            table.append((model, task, mean, mean - half, mean + half, len(values)))
    return pd.DataFrame(table, columns=["model", "task", "gain", "low", "high", "seeds"])


@styled
def gains(table: pd.DataFrame, domain: str, note: str) -> Figure:
    """Every six-task model's gain over one-task models, a panel a task and one for their mean; of ``gain_table``."""
    models = looks(table["model"])
    title = f"Six tasks in one model against six one-task models, test split of {domain}: gain in %, + is better"
    reading = (
        f"{note}. Gain in each task's main figure over the one-task model of the same seed; mean over seeds with its "
        "95 % t interval over seeds (no line: one seed; an arrow: beyond the axis)."
    )
    figure = page(title, reading, 1.5 + 2 * (0.6 + 0.2 * max(len(models), 5)))
    if table.empty:
        return empty(figure, "No six-task model has been scored.")
    grid = figure.subplots(2, 4, sharey=True).ravel()
    ends = bounds(table["low"].fillna(table["gain"]), table["high"].fillna(table["gain"]))
    for axes, task in zip(grid, [OVERALL, *TASKS], strict=False):
        frame(axes, len(models), ends)
        unit = f" ({FIGURES[task]})" if task in FIGURES else ": mean of the tasks"
        axes.set_title(f"{task}{unit}")
        axes.set_xlabel("gain, %")
        for y, row in enumerate(table[table["task"] == task].to_dict("records")):
            effect(axes, y, row, models[row["model"]])
        axes.set_yticks(range(len(models)), models)
    _numbers(grid[-1], table[table["task"] == OVERALL])
    return figure


def _numbers(axes, table: pd.DataFrame) -> None:
    axes.axis("off")
    axes.set_title(f"{OVERALL} in numbers, %")
    for y, row in enumerate(table.to_dict("records")):
        axes.text(0.05, y, interval(row["gain"], row["low"], row["high"]), va="center", fontsize=SMALL, color=GREY)
