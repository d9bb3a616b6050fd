"""How the trainings of six tasks went."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from mult.reports.figures.style import empty, looks, page, styled
from mult.tasks import TASKS


@styled
def curves(histories: pd.DataFrame, losses: Mapping[str, str], note: str) -> Figure:
    """Validation losses by step, a panel a task, a line a variant: mean over seeds, their range shaded.

    Args:
        histories: the runs' history.csv one below the other, with the columns variant and seed.
        losses: name of each task's loss.
        note: scale of the runs.
    """
    reading = f"{note}. Losses without their weights; lines: means over seeds; shaded: from the least to the greatest."
    figure = page("Validation losses of the six-task variants", reading, 6.4)
    if histories.empty:
        return empty(figure, "No training of six tasks has been found.")
    variants = looks(histories["variant"])
    grid = figure.subplots(2, 3, sharex=True).ravel()
    for axes, task in zip(grid, TASKS, strict=True):
        column = f"val/{task}_loss"
        histories = histories if column in histories else histories.assign(**{column: float("nan")})
        for place, (variant, look) in enumerate(variants.items()):
            of_variant = histories[histories["variant"] == variant].dropna(subset=column)
            steps = of_variant.groupby("step")[column].agg(["mean", "min", "max"])
            axes.fill_between(steps.index, steps["min"], steps["max"], color=look.colour, alpha=0.1, lw=0)
            axes.plot(
                steps.index, steps["mean"], color=look.colour, marker=look.marker, ms=4, lw=1.2, label=variant,
                zorder=4 if variant == "shared" else 3 - 0.05 * place,
            )  # fmt: skip
        axes.set_title(task)
        axes.set_ylabel(f"{losses[task].replace('_', '-').replace('l1', 'L1')} loss")
        axes.set_xlabel("step")
        axes.tick_params(axis="x", labelbottom=True)
        axes.set_xlim(left=0)
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside upper right", ncols=4)
    return figure
