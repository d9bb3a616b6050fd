"""Where a shared attention map looks, beside two tasks' own maps."""

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, NullLocator

from mult.reports.figures.gallery import Gallery, StageMaps, stage_maps
from mult.reports.figures.mosaic import Mosaic, mosaic, pixel_axes
from mult.reports.figures.style import GREY, SMALL, WIDTH, empty, page, styled

# Of the queries, as shares of the height and of the width: the same in every picture, so not chosen by what is seen.
POINTS = ((0.3, 0.3), (0.55, 0.5), (0.8, 0.7))
MAPS = (("shared", "all"), ("skip", "depth"), ("skip", "edges"))  # variant and owner of the rows
_MARGIN, _GAP, _HEAD, _FOOT = 0.95, 0.14, 0.45, 1.2  # inches
_COLOURS = "PuOr_r"
_LEAST = 1.25  # of the colour scale, as a factor: below it differences are rounding


@styled
def attention(gallery: Gallery, note: str) -> Figure:
    """For three queries of one image, how its window's tokens weigh, over what they would if all weighed the same.

    A block a query, its rows ``MAPS``, its columns the decoder's stages, coarse to fine; means over the heads.
    """
    about = gallery.about
    title = f"{about['domain']}: where attention looks, from three places of the {about['split']} split's median image"
    reading = (
        f"{note}. Weight of each token of the query's window (thin line), mean over the heads, over what it would be "
        "if all tokens weighed the same; below each picture the least and the greatest. shared: one map for all tasks; "
        "skip: each task has its own. Thick box: the query. The places are the same in every domain."
    )
    rows = _rows(gallery)
    if not rows:
        return empty(page(title, reading, 3.0), "The gallery has no attention maps.")
    sample = about["attention"][0]["sample"]
    picture = gallery.pictures["rgb"][sample]
    ratios = [[[_ratio(of, owner, point) for of in stages.values()] for _, owner, stages in rows] for point in POINTS]
    norm = _norm(ratios)
    width = (WIDTH - _MARGIN - 0.08 - _GAP * (len(POINTS) - 1)) / len(POINTS)
    grids = [_block(picture, of_point, norm) for of_point in ratios]
    tall, wide = grids[0].picture.shape[:2]
    figure = page(title, reading, _HEAD + width * tall / wide + _FOOT, layout=None)
    stages = rows[0][2]
    for place, (point, grid, of_point) in enumerate(zip(POINTS, grids, ratios, strict=True)):
        axes = pixel_axes(figure, _MARGIN + place * (width + _GAP), _HEAD, width, grid.picture)
        grid.draw(axes)
        _head(axes, grid, place, stages)
        _mark(axes, grid, point, of_point)
        _numbers(axes, grid, of_point)
        if place == 0:
            _names(axes, grid, [(variant, owner) for variant, owner, _ in rows])
    _bar(figure, norm)
    return figure


def _rows(gallery: Gallery) -> list[tuple[str, str, dict[int, StageMaps]]]:
    """Variant, owner and maps a row, as far as the gallery has them."""
    found = [(variant, owner, stage_maps(gallery, variant)) for variant, owner in MAPS]
    return [row for row in found if row[2] and all(row[1] in of.owners for of in row[2].values())]


def _token(point: tuple[float, float], shape: tuple[int, int]) -> tuple[int, int]:
    return int(point[0] * shape[0]), int(point[1] * shape[1])


def _ratio(maps: StageMaps, owner: str, point: tuple[float, float]) -> np.ndarray:
    return maps.ratio(owner, *_token(point, maps.shape))


def _norm(ratios: list) -> LogNorm:
    """A scale around 1 that holds all ratios but zeros."""
    values = np.concatenate([of.ravel() for point in ratios for row in point for of in row])
    values = values[values > 0]
    reach = min(max(_LEAST, values.max(initial=1), 1 / values.min(initial=1)), 8.0)
    return LogNorm(1 / reach, reach, clip=True)


def _block(picture: np.ndarray, ratios: list[list[np.ndarray]], norm: LogNorm) -> Mosaic:
    stages = len(ratios[0])
    first = [picture, *[None] * (stages - 1)]
    return mosaic([first, *([overlay(picture, ratio, norm) for ratio in row] for row in ratios)], head=0.25)


def overlay(picture: np.ndarray, ratio: np.ndarray, norm: LogNorm) -> np.ndarray:
    """uint8 (H, W, 3): the picture in grey, coloured by ``ratio`` where that is known and faded elsewhere."""
    rows, columns = (np.arange(n) * of // n for n, of in zip(picture.shape, ratio.shape, strict=False))
    large = ratio[np.ix_(rows, columns)]
    grey = picture.astype(float).mean(-1, keepdims=True)
    grey = (grey - grey.min()) / max(np.ptp(grey), 1.0)  # Doom is dark
    colour = colormaps[_COLOURS](norm(np.nan_to_num(large, nan=1.0)))[..., :3]
    mixed = np.where(np.isnan(large)[..., None], 0.82 + 0.18 * grey, (0.65 + 0.35 * grey) * colour)
    return np.rint(255 * mixed).astype(np.uint8)


def _head(axes: Axes, grid: Mosaic, place: int, stages: dict[int, StageMaps]) -> None:
    x, y = grid.corner(0, 1)
    axes.text(x + grid.gap, y, f"query {place + 1}", va="top", fontsize=11, fontweight="bold")
    words = f"{100 * POINTS[place][0]:.0f} % down, {100 * POINTS[place][1]:.0f} % across"
    axes.text(x + grid.gap, y + 0.38 * grid.size, words, va="top", fontsize=SMALL, color=GREY)
    for column, (stage, maps) in enumerate(stages.items()):
        x, y = grid.corner(1, column)
        words = f"stage {stage}\n{maps.shape[0]}×{maps.shape[1]}"
        axes.text(x + grid.size / 2, y - 0.06 * grid.size, words, ha="center", va="bottom", fontsize=SMALL)


def _mark(axes: Axes, grid: Mosaic, point: tuple[float, float], ratios: list[list[np.ndarray]]) -> None:
    """A box around the query, on the image as large as on the finest map; on the maps a line around its window."""
    finest = ratios[0][-1].shape
    _box(axes, grid, (0, 0), finest, _token(point, finest), (1, 1), "query")
    for row, line in enumerate(ratios, start=1):
        for column, ratio in enumerate(line):
            seen = np.argwhere(~np.isnan(ratio))
            size = seen.max(0) - seen.min(0) + 1
            _box(axes, grid, (row, column), ratio.shape, seen.min(0), size, "window")
            _box(axes, grid, (row, column), ratio.shape, _token(point, ratio.shape), (1, 1), "query")


def _box(axes: Axes, grid: Mosaic, cell, shape, first, size, kind: str) -> None:
    """Around ``size`` (rows, columns) tokens from the ``first`` of a map of ``shape`` that is drawn in ``cell``."""
    x, y = grid.corner(*cell)
    tall, wide = grid.size / shape[0], grid.size / shape[1]
    corner = (x + first[1] * wide - 0.5, y + first[0] * tall - 0.5)
    for colour, line in {"query": (("white", 2.4), ("black", 1.2)), "window": (("black", 0.5),)}[kind]:
        axes.add_patch(Rectangle(corner, size[1] * wide, size[0] * tall, fill=False, ec=colour, lw=line, label=kind))


def _numbers(axes: Axes, grid: Mosaic, ratios: list[list[np.ndarray]]) -> None:
    for row, line in enumerate(ratios, start=1):
        for column, ratio in enumerate(line):
            words = f"{np.nanmin(ratio):.2f}–{np.nanmax(ratio):.2f}"
            grid.write(axes, row, column, words, fontsize=SMALL - 0.5)


def _names(axes: Axes, grid: Mosaic, names: list[tuple[str, str]]) -> None:
    for row, (variant, owner) in enumerate(names, start=1):
        x, y = grid.corner(row, 0)
        at = {"x": x - 0.12 * grid.size, "ha": "right"}
        axes.text(y=y + 0.46 * grid.size, s=variant, va="bottom", fontweight="bold", **at)
        words = "all tasks" if owner == "all" else f"map of {owner}"
        axes.text(y=y + 0.54 * grid.size, s=words, va="top", fontsize=SMALL, color=GREY, **at)


def _bar(figure: Figure, norm: LogNorm) -> None:
    height = figure.get_figheight()
    axes = figure.add_axes((0.3, (_FOOT - 0.28) / height, 0.4, 0.11 / height))
    bar = figure.colorbar(ScalarMappable(norm, _COLOURS), cax=axes, orientation="horizontal", extend="both")
    steps = (1, 2, 4, 8) if norm.vmax > 2 else (1, 1.1, 1.2, 1.5, 2)
    bar.set_ticks([of for step in steps for of in {step, 1 / step} if step <= norm.vmax])
    bar.ax.xaxis.set_minor_locator(NullLocator())
    bar.ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2g}"))
    bar.outline.set_visible(False)
    bar.set_label("weight, in units of an equal weight", fontsize=SMALL)
