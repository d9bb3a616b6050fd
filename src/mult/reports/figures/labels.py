"""Names beside points, none over another as far as there is room."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation

from mult.reports.figures.style import GREY, SMALL

_RADII = np.arange(8, 200, 8)  # points from a point to its name
_SLANTS = np.deg2rad([0, 15, -15, 30, -30, 45, -45, 60, -60, 75, -75])
_ANGLES = np.concatenate([np.stack([_SLANTS, np.pi - _SLANTS], -1).ravel(), [np.pi / 2, -np.pi / 2]])
_MARK, _AIR = 5.0, 1.5  # half the size of a mark, and half of the least distance between two names, in points
_SAMPLES = np.linspace(0, 1, 30)[:, None]  # of a line from a point to its name


def name_points(axes: Axes, points: Mapping[str, tuple[float, float]]) -> list[Annotation]:
    """Write each point's name where it is near and in the way of the fewest other names, points and lines.

    The layout of the figure must be final.
    """
    room = _Room(axes, list(points.values()))
    names = []
    for name, at in sorted(points.items(), key=lambda item: (-item[1][1], item[0])):
        text = axes.annotate(
            name, at, (0, 0), textcoords="offset points", fontsize=SMALL, va="center",
            bbox={"fc": "white", "ec": "none", "pad": 0.5},
            arrowprops={"arrowstyle": "-", "color": GREY, "lw": 0.5, "shrinkA": 0, "shrinkB": 4},
        )  # fmt: skip
        x, y = room.take(at, np.array(text.get_window_extent(axes.figure.canvas.get_renderer()).size))
        text.set_position((x, y))
        text.set_ha({0.0: "left", 0.5: "center", 1.0: "right"}[_share_left(x)])
        names.append(text)
    return names


class _Room:
    """What is taken of some axes, in points from the figure's lower left corner; boxes are (left, low, right, high)."""

    def __init__(self, axes: Axes, points: list[tuple[float, float]]):
        self.axes, self.unit = axes, axes.figure.dpi / 72
        self.inside = axes.bbox.extents / self.unit
        places = np.array([self._place(at) for at in points])
        self.marks = np.hstack([places - _MARK, places + _MARK])
        self.names, self.lines = np.empty((0, 4)), np.empty((0, 2))

    def take(self, at: tuple[float, float], pixels: np.ndarray) -> tuple[float, float]:
        """Offset in points at which a text of ``pixels`` is least in the way; from now on that place is taken."""
        start, size = self._place(at), pixels / self.unit
        around = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], -1)
        offsets = (_RADII[:, None, None] * around).reshape(-1, 2)
        left = np.array([_share_left(x) for x in offsets[:, 0]])
        corner = start + offsets - size * np.stack([left, np.full_like(left, 0.5)], -1)
        boxes = np.hstack([corner - _AIR, corner + size + _AIR])
        lines = start + _SAMPLES * offsets[:, None]
        best = int(np.argmin(self._harm(start, boxes, lines) + np.linalg.norm(offsets, axis=-1) / 60))
        self.names = np.vstack([self.names, boxes[best]])
        self.lines = np.vstack([self.lines, lines[best]])
        return tuple(offsets[best])

    def _harm(self, start: np.ndarray, boxes: np.ndarray, lines: np.ndarray) -> np.ndarray:
        """How much each of C places, boxes (C, 4) with lines (C, samples, 2), is in the way."""
        outside = (boxes[:, :2] < self.inside[:2]).any(-1) | (boxes[:, 2:] > self.inside[2:]).any(-1)
        taken = np.vstack([self.marks, self.names])
        apart = (boxes[:, None, :2] > taken[:, 2:]) | (boxes[:, None, 2:] < taken[:, :2])
        covered = (~apart.any(-1)).sum(-1)
        crossed = _within(lines, self.names).any(1).sum(-1) + _within(self.lines, boxes).any(0)
        others = self.marks[~_within(start, self.marks)]
        return 100 * (outside + covered) + 10 * crossed + 0.3 * _within(lines, others).any(1).sum(-1)

    def _place(self, at: tuple[float, float]) -> np.ndarray:
        return self.axes.transData.transform(at) / self.unit


def _within(at: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(..., 2) and (B, 4) to (..., B) bool."""
    return ((at[..., None, :] >= boxes[:, :2]) & (at[..., None, :] <= boxes[:, 2:])).all(-1)


def _share_left(x: float) -> float:
    """Which share of a name stands to the left of its place, so that it points away from its point."""
    return 0.0 if x > 1 else 1.0 if x < -1 else 0.5
