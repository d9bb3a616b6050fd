"""With and without shared attention: the figures that answer the question of the study."""

import textwrap
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from mult.evaluation.ablation import ALL
from mult.reports.figures.forest import band, bounds, effect, frame
from mult.reports.figures.style import (
    BAND,
    BETTER,
    GREY,
    INK,
    SMALL,
    WORSE,
    Look,
    empty,
    interval,
    page,
    styled,
)

_LOOKS = {"better": Look(BETTER, "^"), "worse": Look(WORSE, "v")}
_SILENT = Look(INK, "o")  # no evidence
_READING = (
    "Gain: fall of the error in percent of the second variant's; all tasks: each counts the same. Line: 95 % interval "
    "over new seeds and new rooms; an arrow: beyond the axis. Grey: the least effect that so many seeds and rooms "
    "would have found in four of five studies. No evidence is not evidence of no effect."
)
_ROW, _HEAD, _FOOT = 0.53, 0.85, 0.95  # inches
_MAIN, _NUMBERS, _AWAY, _ANSWER = 0.25, 0.475, 0.605, 0.855  # where columns begin, in shares of the width


@styled
def sharing(ablation: pd.DataFrame, questions: Mapping[str, str], home: str, note: str) -> Figure:
    """Each comparison's gain over all tasks: on ``home``, small on the other domains, and the answer in words.

    Args:
        ablation: reports/tables/ablation.csv.
        questions: what a comparison (``shared over skip``) asks.
        home: the training domain, to which numbers and answers belong.
        note: scale of the runs.
    """
    rows = ablation[ablation["task"] == ALL]
    names = list(dict.fromkeys(rows["comparison"]))
    title = "Does shared attention help? Six-task variants compared, all tasks together, + is better for the first"
    reading = f"{note}. {_READING} p is adjusted for all rows (Holm); p, detectable effect and answer: on {home}."
    figure = page(title, reading, _HEAD + _FOOT + _ROW * max(len(names), 3), layout=None)
    if not names:
        return empty(figure, "No variants are compared at this scale.")
    here = rows[rows["domain"] == home].set_index("comparison").reindex(names)
    main = _column(figure, _MAIN, _NUMBERS - _MAIN - 0.01)
    _draw(main, here, f"{home} (training domain)")
    main.set_xlabel("gain, %")
    _questions(main, names, questions)
    _words(_column(figure, _NUMBERS, 0.1), here, _measured)
    _away(figure, rows[rows["domain"] != home], names)
    _words(_column(figure, _ANSWER, 0.1), here, _answered)
    return figure


@styled
def sharing_tasks(ablation: pd.DataFrame, comparison: str, note: str) -> Figure:
    """One comparison task by task, a panel a domain, with every number; ``ablation`` is reports/tables/ablation.csv."""
    rows = ablation[ablation["comparison"] == comparison]
    title = f"{comparison[0].upper()}{comparison[1:]}, task by task: gain in %, + is better for the first"
    figure = page(title, f"{note}. {_READING}", 6.4)
    if rows.empty:
        return empty(figure, f"{comparison}: not compared at this scale.")
    domains = list(dict.fromkeys(rows["domain"]))
    grid = figure.subplots(-(-(len(domains) + 1) // 3), 3, squeeze=False).ravel()
    ends = _symmetric(rows)
    for axes, domain in zip(grid, domains, strict=False):
        table = rows[rows["domain"] == domain].set_index("task")
        _draw(axes, table, domain, ends, size=4.5)
        axes.set_yticks(range(len(table)), table.index)
        axes.set_xlabel("gain, %")
        for y, row in enumerate(table.to_dict("records")):
            words = interval(row["gain"], row["low"], row["high"])
            axes.text(1.05, y, words, transform=axes.get_yaxis_transform(), va="center", fontsize=SMALL)
    for axes in grid[len(domains) :]:
        axes.axis("off")
    grid[len(domains)].legend(handles=_key(), loc="center left")
    return figure


def _column(figure: Figure, left: float, width: float) -> Axes:
    """Axes over the height of the rows; ``left`` and ``width`` are shares of the figure's width."""
    height = figure.get_figheight()
    return figure.add_axes((left, _FOOT / height, width, 1 - (_HEAD + _FOOT) / height))


def _draw(
    axes: Axes, table: pd.DataFrame, title: str, ends: tuple[float, float] | None = None, size: float = 6.0
) -> None:
    frame(axes, len(table), ends or _symmetric(table))
    axes.set_title(title, fontsize=SMALL + 0.5)
    axes.set_yticks([])
    for y, row in enumerate(table.to_dict("records")):
        band(axes, y, row["detectable"])
        look = _LOOKS.get(row["verdict"], _SILENT)
        effect(axes, y, row, look, size, hollow=look is _SILENT)


def _symmetric(table: pd.DataFrame) -> tuple[float, float]:
    left, right = bounds(table["low"].fillna(table["gain"]), table["high"].fillna(table["gain"]))
    return -max(-left, right), max(-left, right)


def _questions(axes: Axes, names: list[str], questions: Mapping[str, str]) -> None:
    for y, name in enumerate(names):
        at = {"transform": axes.get_yaxis_transform(), "ha": "right", "fontsize": SMALL}
        asked = textwrap.fill(f"{questions[name]}?", 40) if name in questions else ""
        axes.text(-0.03, y - 0.06, textwrap.fill(name, 30), va="bottom", fontweight="bold", linespacing=1.1, **at)
        axes.text(-0.03, y + 0.02, asked, va="top", color=GREY, linespacing=0.95, **at)


def _away(figure: Figure, rows: pd.DataFrame, names: list[str]) -> None:
    """Small panels, one a domain, on one axis."""
    domains = list(dict.fromkeys(rows["domain"]))
    ends = _symmetric(rows)
    for place, domain in enumerate(domains):
        table = rows[rows["domain"] == domain].set_index("comparison").reindex(names)
        width = (_ANSWER - _AWAY - 0.01) / len(domains)
        axes = _column(figure, _AWAY + place * width, width - 0.006)
        _draw(axes, table, domain.replace("-", "-\n").replace("+", "\n+"), ends, size=3.6)
        ticks = _two_ticks(ends[1])
        axes.set_xticks(ticks, [f"{tick:g}".replace("-", "−") for tick in ticks], fontsize=SMALL - 1)


def _two_ticks(end: float) -> list[float]:
    """A round number and its negative, well within an axis from ``-end`` to ``end``: there is no room for more."""
    power = 10 ** np.floor(np.log10(0.75 * end))
    tick = max(step * power for step in (1, 2, 3, 4, 5, 6, 8) if step * power <= 0.75 * end)
    return [-tick, tick]


def _words(axes: Axes, table: pd.DataFrame, say: Callable[[Mapping], tuple[str, str, dict]]) -> None:
    """Two lines a row: what ``say`` makes of it, with the first one's colour and weight."""
    axes.axis("off")
    axes.set_ylim(len(table) - 0.5, -0.5)
    for y, row in enumerate(table.to_dict("records")):
        first, second, kind = say(row)
        axes.text(0, y - 0.06, first, va="bottom", fontsize=SMALL, **kind)
        axes.text(0, y + 0.02, second, va="top", fontsize=SMALL, color=GREY)


def _measured(row: Mapping) -> tuple[str, str, dict]:
    p = row["p_holm"]
    words = "p –" if p != p else "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
    return interval(row["gain"], row["low"], row["high"]), words, {}


def _answered(row: Mapping) -> tuple[str, str, dict]:
    known = row["detectable"] == row["detectable"]
    least = f"detectable: {row['detectable']:.1f} %" if known else "nothing is detectable"
    answer = row["verdict"] if row["gain"] == row["gain"] else "no number"
    return answer, least, {"color": _LOOKS.get(row["verdict"], _SILENT).colour, "fontweight": "bold"}


def _key() -> list[Line2D | Patch]:
    marks = {f"{of} (adjusted p at most 0.05)": look for of, look in _LOOKS.items()} | {"no evidence": _SILENT}
    lines = [
        Line2D([], [], color=of.colour, marker=of.marker, mfc="white" if of is _SILENT else of.colour, label=name)
        for name, of in marks.items()
    ]
    return [*lines, Patch(color=BAND, label="detectable effect")]
