"""Effects with their intervals, one a row; what lies far off the others is marked at the edge, with its number."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from mult.reports.figures.style import BAND, GREY, SMALL, Look, signed

FAR = 4.0  # times the median reach of the rows: what reaches farther does not decide the axis


def bounds(low: ArrayLike, high: ArrayLike) -> tuple[float, float]:
    """Ends of an axis that shows 0 and most rows' intervals; NaN are ignored.

    A row that reaches from 0 farther than ``FAR`` times the median row is left out, so that it does not squeeze the
    others into a line. Without any number the axis is from -1 to 1.
    """
    low, high = (np.asarray(of, float).ravel() for of in (low, high))
    known = ~np.isnan(low + high)
    low, high = low[known], high[known]
    reach = np.maximum(abs(low), abs(high))
    kept = reach <= max(FAR * np.median(reach), 1e-3) if len(reach) else reach > 0
    left, right = min(0.0, *low[kept], 0.0), max(0.0, *high[kept], 0.0)
    pad = 0.08 * (right - left) or 1.0
    return left - pad, right + pad


def effect(axes: Axes, y: float, row: Mapping[str, float], look: Look, size: float = 5.0, hollow: bool = False) -> None:
    """Draw ``row``'s gain with its interval from low to high (NaN: none) at height ``y``, within the axis's ends.

    Where the interval goes on beyond an end there is an arrow; a gain beyond it is an arrow with its number.
    """
    gain, low, high = (float(row[name]) for name in ("gain", "low", "high"))
    left, right = axes.get_xlim()
    if np.isnan(gain):
        axes.text(0, y, "–", ha="center", va="center", color=GREY)
        return
    if low < right and high > left:
        axes.plot([max(low, left), min(high, right)], [y, y], color=look.colour, lw=1.4, solid_capstyle="butt")
    for beyond, end, marker in ((min(gain, low) < left, left, "<"), (max(gain, high) > right, right, ">")):
        if beyond:
            axes.plot(end, y, marker, color=look.colour, ms=size, clip_on=False, mew=0)
    if left <= gain <= right:
        face = "white" if hollow else look.colour
        axes.plot(gain, y, look.marker, mfc=face, mec=look.colour, ms=size, mew=1.2, label="gain", zorder=3)
    else:
        at, side = (left, "left") if gain < left else (right, "right")
        nudge = 6 if gain < left else -6
        axes.annotate(
            signed(gain), (at, y), (nudge, 0), textcoords="offset points", ha=side, va="center", fontsize=SMALL,
            color=look.colour, bbox={"fc": "white", "ec": "none", "pad": 0.6},
        )  # fmt: skip


def band(axes: Axes, y: float, half: float, height: float = 0.84) -> None:
    """A grey band of ``half`` to both sides of 0 at height ``y``: the least effect that would have been found."""
    if half == half:
        left, right = axes.get_xlim()
        ends = max(-half, left), min(half, right)
        axes.barh(y, ends[1] - ends[0], height, ends[0], color=BAND, zorder=0, label="detectable")


def frame(axes: Axes, rows: int, ends: tuple[float, float]) -> None:
    """Axes for ``rows`` rows, the first on top, with a line at 0."""
    axes.set_xlim(ends)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.axvline(0, color=GREY, lw=0.8, zorder=1)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=5)
