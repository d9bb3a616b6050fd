"""Which task helps which: by two-task models, and by what six-task trainings record."""

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm, to_rgb
from matplotlib.figure import Figure

from mult.evaluation.affinity import matrix, off_diagonal
from mult.reports.figures.style import BAND, GREY, SIGNED, SMALL, page, signed, styled
from mult.tasks import TASKS


@styled
def affinity(gains: pd.DataFrame, recorded: pd.DataFrame, variant: str, note: str) -> Figure:
    """Two 6 x 6 heat maps, row = evaluated task, column = the task trained with it.

    Args:
        gains: reports/tables/affinity.csv.
        recorded: reports/tables/affinity_cheap.csv, which says how far its cells and those of ``gains`` are certain.
        variant: whose recorded affinities are shown.
        note: scale of the runs.
    """
    pairs = gains.set_index("on").rename(columns=lambda name: name.removeprefix("with ").removesuffix(" %"))
    of_pairs = recorded[recorded["measure"] == "gain"]
    tag = recorded[(recorded["measure"] == "tag") & (recorded["variant"] == variant)]
    reading = (
        f"{note}. Row: the task that is evaluated; column: the task that is trained with it. Left: gain over the "
        f"one-task model in the main figure; {_certainty(of_pairs)}. Right: by how much a step for the column's task "
        f"lowers the row's loss (TAG, Fifty et al. 2021), in % of that loss, mean over the records of trainings of "
        f"{variant}; {_certainty(tag)}. Colours by the cells off the diagonal."
    )
    figure = page("Which task helps which? + (blue) is help, − (red) is harm", reading, 5.25)
    left, right = figure.subplots(1, 2)
    _heat_map(left, pairs.reindex(index=list(TASKS), columns=list(TASKS)), 1, "Two-task models: gain, %")
    _heat_map(right, 100 * matrix(tag).astype(float), 2, "Recorded while six tasks are trained: affinity, %")
    left.set_ylabel("evaluated task")
    return figure


def _certainty(cells: pd.DataFrame) -> str:
    """How many of the cells off the diagonal can be told from 0, as far as the seeds allow to say."""
    cells = cells[(cells["on"] != cells["with"]) & cells["value"].notna()]
    if cells.empty:
        return "no number at this scale"
    seeds = int(cells["seeds"].max())
    if cells["half"].isna().all():
        return "one seed, so what another would change is not known"
    clear = int((cells["value"].abs() > cells["half"]).sum())
    return f"the 95 % interval over {seeds} seeds leaves out 0 in {clear} of {len(cells)} cells"


def _heat_map(axes: Axes, cells: pd.DataFrame, digits: int, title: str) -> None:
    norm, colours = CenteredNorm(0, _reach(cells)), colormaps[SIGNED]
    shown = off_diagonal(cells).to_numpy(float)
    picture = axes.imshow(np.ma.masked_invalid(shown), cmap=colours, norm=norm)
    axes.set_facecolor(BAND)
    for (row, column), value in np.ndenumerate(cells.to_numpy(float)):
        face = BAND if np.isnan(shown[row, column]) else colours(norm(value))
        colour = GREY if row == column else ink(face)
        axes.text(column, row, signed(value, digits), ha="center", va="center", color=colour)
    names = [range(len(cells)), list(cells)]
    axes.set_xticks(*names, rotation=30, ha="right", rotation_mode="anchor")
    axes.set_yticks(*names)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("trained with")
    axes.set_title(title)
    bar = axes.figure.colorbar(picture, ax=axes, shrink=0.8, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=SMALL)


def _reach(cells: pd.DataFrame) -> float:
    """The greatest size off the diagonal."""
    reach = off_diagonal(cells).abs().max(axis=None)
    return float(reach) if reach > 0 else 1.0


def ink(face) -> str:
    """Black or white, whichever has the greater contrast to the colour ``face`` (WCAG 2.1); at least 4.5 to 1."""
    channels = np.array(to_rgb(face))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    return "black" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "white"
