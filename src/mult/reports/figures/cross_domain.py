"""What a model's skill loses where it has not been trained."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mult.evaluation.compare import gain
from mult.reports.figures.forest import bounds, effect, frame
from mult.reports.figures.style import GREY, SMALL, empty, looks, page, styled
from mult.reports.style import FIGURES
from mult.tasks import TASKS

MODELS = ("single", "self", "skip", "shared")


def change_table(cross_domain: pd.DataFrame, home: str) -> pd.DataFrame:
    """Change in percent of each model's main figure from ``home`` to each other domain, + is better there than at home.

    Columns: domain, task, model, gain. ``cross_domain`` is reports/tables/cross_domain.csv.
    """
    wide = cross_domain.set_index(["domain", "task"])
    models = [model for model in MODELS if model in wide]
    rows = [
        (domain, task, model, gain(wide.loc[(domain, task), model], wide.loc[(home, task), model], task))
        for domain, task in wide.index
        for model in models
        if domain != home and (home, task) in wide.index
    ]
    return pd.DataFrame(rows, columns=["domain", "task", "model", "gain"])


@styled
def cross_domain(table: pd.DataFrame, home: str, note: str) -> Figure:
    """Change of the main figure from the training domain to each other one, a panel a task.

    ``table`` is reports/tables/cross_domain.csv, ``home`` the training domain.
    """
    changes = change_table(table, home)
    domains, models = list(dict.fromkeys(changes["domain"])), looks(dict.fromkeys(changes["model"]))
    title = f"From {home} to other domains: change in %, + is better"
    reading = (
        f"{note}. Change of the main figure, each model against itself on the test split of {home}, where it was "
        "trained; means over seeds, zero-shot. An arrow: beyond the axis. Domains are not equally hard (other classes "
        "in mIoU, doom's own scale of depth, fewer edges): compare models with each other rather than domains."
    )
    figure = page(title, reading, 1.7 + 2 * (0.7 + 0.55 * max(len(domains), 3)))
    if changes.empty:
        return empty(figure, "There is one domain only at this scale.")
    grid = figure.subplots(2, 3, sharey=True).ravel()
    for axes, task in zip(grid, TASKS, strict=True):
        of_task = changes[changes["task"] == task]
        frame(axes, len(domains), bounds(of_task["gain"], of_task["gain"]))
        for line in np.arange(len(domains) - 1) + 0.5:
            axes.axhline(line, color=GREY, lw=0.3)
        axes.set_title(f"{task} ({FIGURES[task]})")
        axes.set_xlabel(f"change from {home}, %")
        axes.set_yticks(range(len(domains)), domains)
        for row in of_task.to_dict("records"):
            y = domains.index(row["domain"]) + 0.21 * (list(models).index(row["model"]) - (len(models) - 1) / 2)
            effect(axes, y, row | {"low": float("nan"), "high": float("nan")}, models[row["model"]])
    handles = [Line2D([], [], color=of.colour, marker=of.marker, ls="none", label=name) for name, of in models.items()]
    figure.legend(handles=handles, loc="outside upper right", ncols=len(handles), fontsize=SMALL)
    return figure
