"""What quality costs."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mult.reports.figures.forest import bounds
from mult.reports.figures.gains import OVERALL
from mult.reports.figures.labels import name_points
from mult.reports.figures.output import settle
from mult.reports.figures.style import GREY, empty, looks, page, signed, styled

ONES = "six single"
_SUM = "single, six of them"  # that row's name in cost.csv
_AXES = {"gmacs": "multiply-accumulates an image, 10⁹", "params_m": "parameters, 10⁶"}


def quality_and_cost(gained: pd.DataFrame, costs: pd.DataFrame) -> pd.DataFrame:
    """Columns model, delta_m, gmacs, params_m: six one-task networks together, at 0, and every six-task model."""
    quality = gained[gained["task"] == OVERALL].set_index("model")["gain"]
    of = costs.set_index(costs["model"].str.removesuffix("-six"))
    rows = [(ONES, 0.0, *of.loc[_SUM, list(_AXES)])] if _SUM in of.index else []
    rows += [(name, quality[name], *of.loc[name, list(_AXES)]) for name in quality.index if name in of.index]
    return pd.DataFrame(rows, columns=["model", OVERALL, *_AXES]).dropna(ignore_index=True)


@styled
def cost(gained: pd.DataFrame, costs: pd.DataFrame, domain: str, note: str) -> Figure:
    """delta_m against operations and against parameters, one named point a model.

    Args:
        gained: of ``gain_table``, on the test split of ``domain``.
        costs: reports/tables/cost.csv.
        domain: the training domain.
        note: scale of the runs.
    """
    table = quality_and_cost(gained, costs)
    title = "Quality and cost: mean gain over one-task models (delta_m) against what a model costs"
    reading = (
        f"{note}. Test split of {domain}; + is better. {ONES}: six one-task networks, their costs added. Means over "
        "seeds; their intervals are in the figure of gains. An arrow: beyond the axis."
    )
    figure = page(title, reading, 5.4)
    if table.empty:
        return empty(figure, "No model of six tasks has both a score and a cost.")
    grid = figure.subplots(1, 2, sharey=True)
    ends = bounds(table[OVERALL], table[OVERALL])
    table["height"] = table[OVERALL].clip(*ends)
    room = 0.05 * (ends[1] - ends[0])  # for names beside points at the edge
    grid[0].set(ylim=(ends[0] - room, ends[1] + room), ylabel="delta_m, %")
    for axes, (column, words) in zip(grid, _AXES.items(), strict=True):
        _points(axes, table, column)
        axes.set_xlabel(words)
    settle(figure)
    for axes, column in zip(grid, _AXES, strict=True):
        _names(axes, table, column)
    return figure


def _points(axes: Axes, table: pd.DataFrame, column: str) -> None:
    axes.axhline(0, color=GREY, lw=0.8, zorder=1)
    of_model = looks(table["model"].replace(ONES, "single"))
    for row, look in zip(table.to_dict("records"), of_model.values(), strict=True):
        beyond = "v" if row[OVERALL] < row["height"] else "^" if row[OVERALL] > row["height"] else None
        # Hollow, for some lie over each other.
        kind = {"marker": beyond, "mfc": look.colour} if beyond else {"marker": look.marker, "mfc": "none"}
        axes.plot(row[column], row["height"], mec=look.colour, mew=1.3, ms=6, label=row["model"], zorder=3, **kind)
    axes.set_xlim(0, 1.25 * table[column].max())


def _names(axes: Axes, table: pd.DataFrame, column: str) -> None:
    """The models' names, with their delta_m where the axis does not show it."""
    beyond = table[OVERALL] != table["height"]
    words = table["model"].where(~beyond, table["model"] + " " + table[OVERALL].map(signed) + " %")
    points = dict(zip(words, zip(table[column], table["height"], strict=True), strict=True))
    name_points(axes, points)
