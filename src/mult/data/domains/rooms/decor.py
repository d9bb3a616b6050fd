"""Small things: vases, bottles, books, boxes, lamps, plants, screens and pictures."""

import numpy as np

from mult.data.domains.rooms.lights import SphereLight
from mult.data.domains.rooms.mesh import Mesh, Pose, boxes, cylinder, lathe, sheets
from mult.data.domains.rooms.scene import SceneBuilder
from mult.data.domains.rooms.styles import Range, Style
from mult.data.domains.rooms.textures import hsv


def vase(build: SceneBuilder, style: Style, pose: Pose, size: float = 1.0) -> None:
    """A vase of random outline, 12 to 40 cm high at size 1."""
    rng = build.rng
    look = build.material(("plain", "marble", "metal", "tiles"), 0.3, rng.uniform(0.05, 0.4))
    height = rng.uniform(0.12, 0.4) * size
    knots = np.abs(rng.normal(0.06, 0.025, 6)) * size + 0.015
    heights = np.linspace(0, height, 14)
    radii = np.interp(heights, np.linspace(0, height, 6), knots)
    profile = np.concatenate([[[0, 0]], np.column_stack([radii, heights])])
    build.add(lathe(profile, 20), look, "object", build.new_instance(), pose)


def bottle(build: SceneBuilder, style: Style, pose: Pose) -> None:
    """A glossy bottle."""
    radius, height = build.rng.uniform(0.03, 0.045), build.rng.uniform(0.2, 0.32)
    outline = [[0, 0], [1, 0], [1, 0.6], [0.8, 0.68], [0.35, 0.78], [0.35, 1], [0, 1]]
    mesh = lathe(np.array(outline) * [radius, height], 16)
    build.add(mesh, build.material("plain", 0.3, 0.4), "object", build.new_instance(), pose)


def book_stack(build: SceneBuilder, style: Style, pose: Pose) -> None:
    """One to five books that lie on each other."""
    rng = build.rng
    instance, height = build.new_instance(), 0.0
    for _ in range(rng.integers(1, 6)):
        half_width, half_depth, thick = rng.uniform(0.06, 0.11), rng.uniform(0.08, 0.14), rng.uniform(0.015, 0.05)
        book = boxes([-half_width, -half_depth, 0], [half_width, half_depth, thick])
        place = pose.at(0, 0, height, turn=rng.uniform(-0.4, 0.4))
        build.add(book, build.material("plain", 0.3, 0.05), "book", instance, place)
        height += thick


def box_object(build: SceneBuilder, style: Style, pose: Pose, clearance: float = 0.0) -> None:
    """A box up to 30 cm, or one that fits on a shelf with `clearance` metres to the next."""
    rng = build.rng
    sides = rng.uniform(0.06, 0.14 if clearance else 0.3, 3)
    if clearance:
        sides[2] = rng.uniform(0.3, 0.8) * clearance
    look = build.material(("plain", "fabric", "art", "wood", "metal"), 0.3, 0.05)
    low, high = [-sides[0] / 2, -sides[1] / 2, 0], [sides[0] / 2, sides[1] / 2, sides[2]]
    place = pose.at(0, 0, turn=rng.uniform(0, np.pi))
    build.add(boxes(low, high), look, "object", build.new_instance(), place)


def lamp(build: SceneBuilder, style: Style, pose: Pose, height: Range = (0.25, 0.5)) -> None:
    """A lamp with a foot and a shade; a lit one glows and lights the room."""
    rng = build.rng
    instance = build.new_instance()
    stem, radius, shade = rng.uniform(*height), rng.uniform(0.1, 0.2), rng.uniform(0.15, 0.28)
    foot = [[0, 0], [radius * 0.6, 0], [radius * 0.6, 0.015], [0.015, 0.03], [0.015, stem], [0, stem]]
    metal = build.material(("metal", "wood", "plain", "marble"), 0.3, 0.2)
    build.add(lathe(foot, 16), metal, "lamp", instance, pose)
    glow = rng.uniform(2, 6) if rng.random() < style.lamp_lit else 0.0
    colour = hsv(rng.uniform(0.08, 0.13), rng.uniform(0.05, 0.35), 0.95)
    cloth = build.material("plain", 0.3, emission=glow, colour=colour)
    bottom = stem - 0.02
    cone = lathe([[radius, bottom], [radius * rng.uniform(0.45, 1), bottom + shade]], 20)
    build.add(cone, cloth, "lamp", instance, pose)
    if glow:
        bulb = pose.point(0, 0, stem + shade / 2)
        intensity = (colour * (8 * glow * radius * radius)).astype(np.float32)
        build.lights.append(SphereLight(bulb, 0.8 * radius, intensity))


def plant(build: SceneBuilder, style: Style, pose: Pose, size: float = 1.0) -> None:
    """A pot with leaves that grow from its middle or along a stem."""
    rng = build.rng
    instance = build.new_instance()
    radius, pot = rng.uniform(0.1, 0.2) * size, rng.uniform(0.15, 0.4) * size
    outline = np.array([[0, 0], [0.75, 0], [1, 1], [0.9, 1], [0.85, 0.85], [0, 0.85]])
    clay = build.material(("plain", "concrete", "tiles", "wood"), 0.3, 0.05)
    build.add(lathe(outline * [radius, pot], 20), clay, "plant", instance, pose)
    reach = rng.uniform(0.3, 0.9) * size
    stem = reach * 0.8 if rng.random() < 0.5 else 0.0
    if stem:
        trunk = cylinder(0.012, pot * 0.8, pot + stem * 0.9, 8)
        build.add(trunk, build.material("wood", 0.3), "plant", instance, pose)
    green = build.material("leaf", 0.3, 0.1)
    leaves = _leaves(rng, int(rng.integers(12, 40)), reach, stem)
    build.add(leaves, green, "plant", instance, pose.at(0, 0, pot * 0.85))


def _leaves(rng: np.random.Generator, count: int, reach: float, stem: float) -> Mesh:
    """Leaves that start at heights up to `stem` above the origin and bend down under their weight."""
    along = np.linspace(0, 1, 6)
    length = (reach * rng.uniform(0.5, 1, count))[:, None]
    rise = rng.uniform(0.2, 1.4, count)[:, None]
    sag = rng.uniform(0.2, 1.2, count)[:, None] * np.cos(rise) / 2
    outward = length * along * np.cos(rise)
    up = length * (along * np.sin(rise) - sag * along**2) + rng.uniform(0, stem, count)[:, None]
    half_width = length * rng.uniform(0.1, 0.3, count)[:, None] * np.sin(np.pi * (0.95 * along + 0.03))
    turn = rng.uniform(0, 2 * np.pi, count)[:, None]
    edges = []
    for side in (-half_width, half_width):
        x = outward * np.cos(turn) - side * np.sin(turn)
        y = outward * np.sin(turn) + side * np.cos(turn)
        edges.append(np.stack([x, y, up], axis=-1))
    uv = np.stack(np.broadcast_arrays([[0.0], [0.3]], 0.3 * along), axis=-1)
    return sheets(np.stack(edges, axis=1), uv)


def _panel(low: tuple[float, float, float], size: Range) -> Mesh:
    """A flat picture, upright, that shows the whole of a texture of scale 1 once."""
    x, y, z = low
    width, height = size
    corners = np.array([[[x, y, z + height], [x + width, y, z + height]], [[x, y, z], [x + width, y, z]]])
    uv = np.array([[[0, 0], [1, 0]], [[0, 1], [1, 1]]], np.float32)
    return sheets(corners[None], uv)


def television(build: SceneBuilder, style: Style, pose: Pose, bottom: float) -> None:
    """A screen whose lower edge is `bottom` metres above the floor, on half of the time."""
    rng = build.rng
    width = rng.uniform(0.7, 1.4)
    height = 0.57 * width
    instance = build.new_instance()
    case = build.material("plain", 0.3, 0.1, colour=hsv(0.6, 0.1, rng.uniform(0.15, 0.25)))
    build.add(boxes([-width / 2, -0.02, bottom], [width / 2, 0.02, bottom + height]), case, "tv", instance, pose)
    if rng.random() < 0.5:
        screen = build.material(("art", "landscape"), 1.0, 0.25, emission=0.7)
    else:
        screen = build.material("plain", 1.0, 0.35, colour=hsv(0.6, 0.1, 0.15))
    size = (width - 0.04, height - 0.04)
    mesh = _panel((0.02 - width / 2, 0.022, bottom + 0.02), size)
    build.add(mesh, screen, "tv", instance, pose)
    build.add(boxes([-0.1, -0.06, bottom - 0.1], [0.1, 0.01, bottom + 0.02]), case, "tv", instance, pose)


def picture(build: SceneBuilder, style: Style, pose: Pose, bottom: float) -> float:
    """A framed picture flat on the wall at y = 0; returns its width."""
    rng = build.rng
    width, height, rim = rng.uniform(0.3, 1.1), rng.uniform(0.3, 0.9), rng.uniform(0.015, 0.06)
    instance = build.new_instance()
    frame = build.material(("wood", "plain", "metal"), 0.4, 0.1)
    build.add(boxes([-width / 2, 0, bottom], [width / 2, 0.03, bottom + height]), frame, "picture", instance, pose)
    canvas = build.material("art", 1.0, 0.05)
    size = (width - 2 * rim, height - 2 * rim)
    mesh = _panel((rim - width / 2, 0.032, bottom + rim), size)
    build.add(mesh, canvas, "picture", instance, pose)
    return width
