"""Doors and windows: where they are in a wall, and what they are made of."""

from dataclasses import dataclass, field

import numpy as np

from mult.data.domains.rooms.lights import RectangleLight
from mult.data.domains.rooms.mesh import Pose, boxes, sheets
from mult.data.domains.rooms.scene import SceneBuilder
from mult.data.domains.rooms.styles import Style

FRAME = 0.06  # width of window and door frames, metres


@dataclass(frozen=True)
class Opening:
    """A hole in a wall: from `left` to `right` along it and from `bottom` to `top`."""

    kind: str  # door or window
    left: float
    right: float
    bottom: float
    top: float


@dataclass
class Wall:
    """A wall seen from inside; its pose's x runs along it and y into the room.

    `taken` holds (start, stop, kind) of what is in the wall or stands before it; kinds are door, window and thing.
    """

    pose: Pose
    length: float
    height: float
    material: int
    instance: int
    taken: list[tuple[float, float, str]] = field(default_factory=list)

    def is_free(self, left: float, right: float, kinds: tuple[str, ...] = ("door", "window", "thing")) -> bool:
        """Whether nothing of these kinds is between two places along the wall."""
        return all(right < start or left > stop or kind not in kinds for start, stop, kind in self.taken)


def place_openings(rng: np.random.Generator, wall: Wall, kinds: list[str]) -> list[Opening]:
    """Openings side by side, each within its equal share of the wall; what finds no room is left out."""
    shares = np.linspace(0, wall.length, len(kinds) + 1)
    openings = []
    for kind, start, stop in zip(kinds, shares[:-1], shares[1:], strict=True):
        if stop - start < 1.3:
            continue
        if kind == "door":
            width = min(rng.uniform(0.8, 0.95), stop - start - 0.35)
            left = rng.uniform(start + 0.12, stop - width - 0.12)
            bottom, top = 0.0, min(rng.uniform(2.0, 2.15), wall.height - 0.2)
        else:
            width = min(rng.uniform(0.7, 2.2), stop - start - 0.5)
            left = rng.uniform(start + 0.22, stop - width - 0.22)
            bottom = rng.uniform(0.75, 1.1) if rng.random() < 0.8 else 0.1
            top = min(wall.height - 0.15, bottom + rng.uniform(1.0, 1.6))
        openings.append(Opening(kind, left, left + width, bottom, top))
    return openings


def _add_frame(build: SceneBuilder, wall: Wall, opening: Opening, trim: int, instance: int) -> None:
    """Frames stand before the wall and reach through it, so that they close the cut edges of the wall."""
    left, right, bottom, top = opening.left, opening.right, opening.bottom, opening.top
    low_edge = bottom - FRAME if bottom > 0 else 0.0
    low = [[left - FRAME, -0.1, low_edge], [right - 0.02, -0.1, low_edge], [left - FRAME, -0.1, top - 0.02]]
    high = [[left + 0.02, 0.02, top + FRAME], [right + FRAME, 0.02, top + FRAME], [right + FRAME, 0.021, top + FRAME]]
    if opening.kind == "window":
        low.append([left - FRAME, -0.1, bottom - FRAME])
        high.append([right + FRAME, 0.06, bottom + 0.01])
    build.add(boxes(low, high), trim, opening.kind, instance, wall.pose)


def add_door(build: SceneBuilder, wall: Wall, opening: Opening, trim: int) -> None:
    """A closed door with its frame."""
    rng = build.rng
    instance = build.new_instance()
    leaf = build.material(("wood", "paint", "planks", "plain"), 1.0, 0.08)
    handle = build.material("metal", 0.2, 0.4)
    left, right, top = opening.left, opening.right, opening.top
    # The leaf is larger than its hole, or light would leak in around it and depth would show slits.
    build.add(boxes([left - 0.05, -0.06, -0.02], [right + 0.05, -0.02, top + 0.05]), leaf, "door", instance, wall.pose)
    if rng.random() < 0.6:
        width = right - left
        low = [[left + 0.14 * width, -0.021, share * top] for share in (0.08, 0.55)]
        high = [[right - 0.14 * width, -0.005, share * top] for share in (0.45, 0.93)]
        build.add(boxes(low, high), leaf, "door", instance, wall.pose)
    build.add(boxes([right - 0.15, -0.021, 1.0], [right - 0.05, 0.05, 1.03]), handle, "door", instance, wall.pose)
    _add_frame(build, wall, opening, trim, instance)


def add_window(build: SceneBuilder, style: Style, wall: Wall, opening: Opening, trim: int) -> None:
    """A window with its frame, bars and perhaps curtains; its pane is a hole that becomes a light."""
    rng = build.rng
    instance = build.new_instance()
    left, right, bottom, top = opening.left, opening.right, opening.bottom, opening.top
    _add_frame(build, wall, opening, trim, instance)
    bars = int(rng.integers(0, 3))
    if bars:
        middles = left + (right - left) * np.arange(1, bars + 1) / (bars + 1)
        low = np.column_stack([middles - 0.02, np.full(bars, -0.08), np.full(bars, bottom)])
        build.add(boxes(low, low + np.array([0.04, 0.04, top - bottom])), trim, "window", instance, wall.pose)
    rotation = wall.pose.rotation
    pane = RectangleLight(
        corner=wall.pose.point(left, -0.03, bottom),
        edge_u=rotation[:, 0] * np.float32(right - left),
        edge_v=rotation[:, 2] * np.float32(top - bottom),
        normal=rotation[:, 1],
        colour=np.zeros(3, np.float32),  # the sky is drawn later, by lighting.add_lighting
    )
    build.windows.append(pane)
    if rng.random() < 0.45:
        _add_curtains(build, style, wall, opening, instance)


def _add_curtains(build: SceneBuilder, style: Style, wall: Wall, opening: Opening, instance: int) -> None:
    rng = build.rng
    cloth = build.material(style.cloth, 0.6)
    top = min(wall.height - 0.02, opening.top + 0.2)
    bottom = 0.05 if rng.random() < 0.5 else opening.bottom - 0.15
    for side in (-1, 1):
        across = np.linspace(0, rng.uniform(0.25, 0.5), 32)
        folds = 0.1 + 0.03 * np.sin(across * rng.uniform(40, 70) + rng.uniform(0, 6))
        x = opening.left - 0.2 + across if side < 0 else opening.right + 0.2 - across
        edges = [np.stack(np.broadcast_arrays(x, folds, height), axis=-1) for height in (bottom, top)]
        uv = [np.stack(np.broadcast_arrays(across, height), axis=-1) for height in (0.0, top - bottom)]
        curtain = sheets(np.stack(edges)[None], np.stack(uv), smooth=True)
        build.add(curtain, cloth, "window", instance, wall.pose)
