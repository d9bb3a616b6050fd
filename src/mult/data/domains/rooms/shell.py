"""The shell of a room: floor, ceiling or gable, walls, pillars."""

from dataclasses import dataclass, field

import numpy as np

from mult.data.domains.rooms.mesh import Mesh, boxes, cylinder, quad, standing
from mult.data.domains.rooms.openings import FRAME, Opening, Wall, add_door, add_window, place_openings
from mult.data.domains.rooms.scene import SceneBuilder
from mult.data.domains.rooms.styles import Style
from mult.data.domains.rooms.textures import hsv

# Neighbouring pieces of wall overlap by this much (metres), so that no ray slips through between them.
OVERLAP = 0.002


@dataclass
class Shell:
    """The empty room and the floor that is taken: footprints are (x, y, width, depth) with x, y their middle."""

    width: float
    depth: float
    height: float  # of the walls
    ridge: float  # highest point of the ceiling
    walls: list[Wall]
    footprints: list[tuple[float, float, float, float]] = field(default_factory=list)

    def is_free(self, x: float, y: float, width: float, depth: float) -> bool:
        """Whether a footprint lies in the room and meets no other."""
        margin = 0.02
        inside_x = width / 2 + margin <= x <= self.width - width / 2 - margin
        inside_y = depth / 2 + margin <= y <= self.depth - depth / 2 - margin
        if not (inside_x and inside_y):
            return False
        return all(abs(x - a) > (width + c) / 2 or abs(y - b) > (depth + d) / 2 for a, b, c, d in self.footprints)


def build_shell(build: SceneBuilder, style: Style) -> Shell:
    """Adds floor, ceiling, walls, openings and pillars of a new room."""
    rng = build.rng
    width, depth = rng.uniform(*style.side, 2)
    height = rng.uniform(*style.height)
    gable = rng.random() < style.gable
    ridge = height + rng.uniform(0.4, 1.2) if gable else height
    gloss = 0.0 if rng.random() < 0.5 else rng.uniform(0.03, 0.18)
    floor = build.material(style.floor, rng.uniform(1, 2), gloss)
    build.add(quad([-0.01, -0.01, 0], [width + 0.02, 0, 0], [0, depth + 0.02, 0]), floor, "floor", build.new_instance())
    shell = Shell(width, depth, height, ridge, _make_walls(build, style, width, depth, height))
    _add_ceiling(build, shell)
    trim = build.material("paint", 0.6, 0.05, colour=hsv(rng.random(), rng.uniform(0, 0.1), rng.uniform(0.5, 0.95)))
    for wall, kinds in zip(shell.walls, _draw_openings(rng, shell), strict=True):
        _build_wall(build, style, wall, kinds, trim)
    if rng.random() < style.pillars:
        _add_pillars(build, shell)
    return shell


def _make_walls(build: SceneBuilder, style: Style, width: float, depth: float, height: float) -> list[Wall]:
    rng = build.rng
    materials = [build.material(style.wall, rng.uniform(1, 2))] * 4
    if rng.random() < 0.35:
        materials[rng.integers(4)] = build.material(style.wall, rng.uniform(1, 2))
    corners = [(0, 0), (width, 0), (width, depth), (0, depth)]
    lengths = [width, depth, width, depth]
    return [
        Wall(
            pose=standing(*corners[side], turn=side * np.pi / 2),
            length=lengths[side],
            height=height,
            material=materials[side],
            instance=build.new_instance(),
        )
        for side in range(4)
    ]


def _add_ceiling(build: SceneBuilder, shell: Shell) -> None:
    rng = build.rng
    if rng.random() < 0.8:
        colour = hsv(rng.random(), rng.uniform(0, 0.06), rng.uniform(0.75, 0.95))
        look = build.material("paint", 2.0, colour=colour)
    else:
        look = build.material(("planks", "tiles", "concrete"), 2.0)
    instance = build.new_instance()
    width, depth, height = shell.width, shell.depth, shell.height
    if shell.ridge == height:
        whole = quad([-0.01, -0.01, height], [width + 0.02, 0, 0], [0, depth + 0.02, 0])
        build.add(whole, look, "ceiling", instance)
        return
    rise = shell.ridge - height
    for eave, across in ((0.0, width / 2), (width, -width / 2)):
        slope = np.array([across, 0, rise]) * 1.005
        start = np.array([eave, -0.01, height]) - 0.005 * slope
        build.add(quad(start, slope, [0, depth + 0.02, 0]), look, "ceiling", instance)
    for wall in shell.walls[::2]:
        corners = np.array([[0, 0, height - OVERLAP], [width, 0, height - OVERLAP], [width / 2, 0, shell.ridge + 0.01]])
        gable = Mesh(corners.astype(np.float32), np.array([[0, 1, 2]]), corners[:, [0, 2]].astype(np.float32))
        build.add(gable, wall.material, "wall", wall.instance, wall.pose)


def _draw_openings(rng: np.random.Generator, shell: Shell) -> list[list[str]]:
    """Kinds of openings in each wall, in random order: one door in all and up to three windows."""
    windows = rng.choice(4, p=[0.1, 0.4, 0.35, 0.15])
    sides = rng.integers(0, 4, windows).tolist()
    door = rng.integers(4)
    plan = []
    for side, wall in enumerate(shell.walls):
        count = sides.count(side)
        kinds = ["door"] * int(side == door) + ["window"] * (count if wall.length >= 4 else min(1, count))
        plan.append([kinds[k] for k in rng.permutation(len(kinds))])
    return plan


def _build_wall(build: SceneBuilder, style: Style, wall: Wall, kinds: list[str], trim: int) -> None:
    openings = place_openings(build.rng, wall, kinds)
    edge = -0.01
    for opening in openings:
        _wall_piece(build, wall, edge, opening.left, 0, wall.height)
        if opening.bottom > 0:
            _wall_piece(build, wall, opening.left, opening.right, 0, opening.bottom)
        _wall_piece(build, wall, opening.left, opening.right, opening.top, wall.height)
        edge = opening.right
        wall.taken.append((opening.left - 0.1, opening.right + 0.1, opening.kind))
        if opening.kind == "door":
            add_door(build, wall, opening, trim)
        else:
            add_window(build, style, wall, opening, trim)
    _wall_piece(build, wall, edge, wall.length + 0.01, 0, wall.height)
    _add_skirting(build, wall, [opening for opening in openings if opening.kind == "door"], trim)


def _wall_piece(build: SceneBuilder, wall: Wall, left: float, right: float, bottom: float, top: float) -> None:
    left, bottom = left - OVERLAP, bottom - OVERLAP
    width, height = right + OVERLAP - left, top + OVERLAP - bottom
    piece = quad([left, 0, bottom], [width, 0, 0], [0, 0, height], (left, bottom))
    build.add(piece, wall.material, "wall", wall.instance, wall.pose)


def _add_skirting(build: SceneBuilder, wall: Wall, doors: list[Opening], trim: int) -> None:
    starts = [0.0, *(door.right + FRAME for door in doors)]
    stops = [*(door.left - FRAME for door in doors), wall.length]
    low = np.array([[start, 0, 0] for start in starts])
    high = np.array([[stop, 0.015, 0.08] for stop in stops])
    build.add(boxes(low, high), trim, "wall", wall.instance, wall.pose)


def _add_pillars(build: SceneBuilder, shell: Shell) -> None:
    """One to three round pillars, or a piece of wall that parts the room."""
    rng = build.rng
    look = shell.walls[0].material
    if rng.random() < 0.5:
        width, y = rng.uniform(0.25, 0.5) * shell.width, rng.uniform(0.35, 0.65) * shell.depth
        left = 0.0 if rng.random() < 0.5 else shell.width - width
        piece = boxes([left, y - 0.06, 0], [left + width, y + 0.06, shell.ridge])
        build.add(piece, look, "wall", build.new_instance())
        shell.footprints.append((left + width / 2, y, width, 0.15))
        return
    for _ in range(rng.integers(1, 4)):
        x, y = rng.uniform(0.2, 0.8) * shell.width, rng.uniform(0.2, 0.8) * shell.depth
        radius = rng.uniform(0.12, 0.25)
        pillar = cylinder(radius, 0, shell.ridge, 32)
        build.add(pillar, look, "wall", build.new_instance(), standing(x, y))
        shell.footprints.append((x, y, 2 * radius, 2 * radius))
