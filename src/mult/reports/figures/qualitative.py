"""Predictions beside labels, for the best, a middling and the worst of a domain's test images."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from mult.reports.figures.gallery import Gallery
from mult.reports.figures.mosaic import Mosaic, mosaic, pixel_axes
from mult.reports.figures.style import GREY, SMALL, WIDTH, empty, page, styled
from mult.reports.sheet import DEPTH_RANGE, semantic_colours
from mult.reports.style import ERRORS

ROLES = ("best", "median", "worst")
_MARGIN, _GAP, _HEAD, _FOOT = 0.95, 0.14, 0.45, 1.2  # inches


@styled
def qualitative(gallery: Gallery, note: str) -> Figure:
    """A block each for the best, the median and the worst sample: a row a task, the label and a column a model.

    The image stands above its block, each model's error below its prediction, the least of a row in bold.
    """
    about = gallery.about
    ranked = "shared" if "shared" in about["models"] else about["models"][-1]
    blocks = {role: at for role in ROLES if (at := gallery.role(role)) is not None}
    title = f"{about['domain']}: predictions for the best, the median and the worst image of the {about['split']} split"
    reading = (
        f"{note}. Samples by the error of {ranked}, mean over the tasks in units of the split's mean. Below each "
        "prediction its error, in bold the least of the row: share of wrong pixels, metres, degrees, L1. Depth: light "
        f"is near ({DEPTH_RANGE[0]:g} m), dark is far ({DEPTH_RANGE[1]:g} m). Grey: unknown."
    )
    if not blocks:
        return empty(page(title, reading, 3.0), "The gallery has no sample.")
    width = (WIDTH - _MARGIN - 0.08 - _GAP * (len(ROLES) - 1)) / len(ROLES)
    grids = {role: _block(gallery, at) for role, at in blocks.items()}
    rows, columns = next(iter(grids.values())).picture.shape[:2]
    figure = page(title, reading, _HEAD + width * rows / columns + _FOOT, layout=None)
    for place, (role, grid) in enumerate(grids.items()):
        axes = pixel_axes(figure, _MARGIN + place * (width + _GAP), _HEAD, width, grid.picture)
        grid.draw(axes)
        _head(axes, grid, role, about["samples"][blocks[role]])
        _columns(axes, grid, ["label", *about["models"]])
        _errors(axes, grid, gallery, blocks[role])
        if place == 0:
            _rows(axes, grid, about["tasks"])
    _legend(figure, gallery, list(blocks.values()))
    return figure


def _block(gallery: Gallery, at: int) -> Mosaic:
    """The image in the first line, then a line a task: label and predictions."""
    sources = ["label", *gallery.about["models"]]
    first = [gallery.pictures["rgb"][at], *[None] * (len(sources) - 1)]
    lines = [[gallery.pictures[f"{of}/{task}"][at] for of in sources] for task in gallery.about["tasks"]]
    return mosaic([first, *lines], head=0.12)


def _head(axes: Axes, grid: Mosaic, role: str, sample: dict) -> None:
    x, y = grid.corner(0, 1)
    axes.text(x + grid.gap, y, role, va="top", fontsize=11, fontweight="bold")
    error = "–" if sample["error"] is None else f"{sample['error']:.2f}"
    words = f"image {sample['image']}, group {sample['group']}\nerror {error} of the average"
    axes.text(x + grid.gap, y + 0.38 * grid.size, words, va="top", fontsize=SMALL, color=GREY, linespacing=1.3)


def _columns(axes: Axes, grid: Mosaic, names: list[str]) -> None:
    for column, name in enumerate(names):
        x, y = grid.corner(1, column)
        at = (x + grid.size / 2, y - 0.06 * grid.size)
        axes.text(*at, name, ha="center", va="bottom", fontsize=SMALL, fontweight="bold")


def _rows(axes: Axes, grid: Mosaic, tasks: list[str]) -> None:
    for row, task in enumerate(tasks, start=1):
        x, y = grid.corner(row, 0)
        at = {"x": x - 0.12 * grid.size, "ha": "right"}
        axes.text(y=y + 0.46 * grid.size, s=task, va="bottom", fontweight="bold", **at)
        axes.text(y=y + 0.54 * grid.size, s=ERRORS[task], va="top", fontsize=SMALL, color=GREY, **at)


def _errors(axes: Axes, grid: Mosaic, gallery: Gallery, at: int) -> None:
    errors = gallery.about["samples"][at]["errors"]
    for row, task in enumerate(gallery.about["tasks"], start=1):
        of_task = {model: errors[model][task] for model in gallery.about["models"]}
        known = [error for error in of_task.values() if error is not None]
        for column, error in enumerate(of_task.values(), start=1):
            weight = "bold" if error is not None and error == min(known) else "normal"
            grid.write(axes, row, column, number(error), fontsize=SMALL - 0.5, fontweight=weight)


def number(error: float | None) -> str:
    """Three significant digits; a dash where there is no number."""
    if error is None:
        return "–"
    return f"{error:.1f}" if error >= 10 else f"{error:.2f}" if error >= 0.1 else f"{error:.3f}"


def _legend(figure: Figure, gallery: Gallery, samples: list[int]) -> None:
    """The classes that are to be seen."""
    names = gallery.about["classes"]
    colours = semantic_colours(256)[: len(names)]
    if not len(names):
        return
    sources = [f"{of}/semseg" for of in ("label", *gallery.about["models"])]
    drawn = np.concatenate([gallery.pictures[of][samples].reshape(-1, 3) for of in sources])
    seen = {tuple(colour) for colour in np.unique(drawn, axis=0)}
    patches = [Patch(color=c / 255, label=n) for n, c in zip(names, colours, strict=True) if tuple(c) in seen]
    at = (0.01, (_FOOT - 0.62) / figure.get_figheight())
    figure.legend(
        handles=patches, loc="lower left", bbox_to_anchor=at, borderaxespad=0, borderpad=0, ncols=10,
        handlelength=1.0, columnspacing=1.2,
    )  # fmt: skip
