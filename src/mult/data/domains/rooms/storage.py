"""Tables, cabinets and shelves, and the books that stand in them."""

from dataclasses import dataclass, replace

import numpy as np

from mult.data.domains.rooms.decor import box_object, vase
from mult.data.domains.rooms.mesh import Pose, boxes, cylinder, lathe, legs
from mult.data.domains.rooms.scene import SceneBuilder
from mult.data.domains.rooms.styles import Range, Style
from mult.data.domains.rooms.textures import SPINES

SPINE_WIDTH = 0.05  # metres of texture that a book gets


@dataclass(frozen=True)
class Top:
    """A level surface of a piece of furniture that small things may stand on."""

    pose: Pose
    width: float
    depth: float
    height: float


def table(
    build: SceneBuilder,
    style: Style,
    pose: Pose,
    width: Range = (0.9, 1.9),
    depth: Range = (0.6, 1.0),
    height: Range = (0.7, 0.78),
) -> Top:
    """A round or rectangular table, its sizes drawn from the ranges."""
    rng = build.rng
    size = (rng.uniform(*width), rng.uniform(*depth), rng.uniform(*height))
    board = build.material(style.furniture, 0.8, rng.uniform(0, 0.25))
    stand = board if rng.random() < 0.6 else build.material(("metal", "plain"), 0.5, 0.2)
    if rng.random() < style.round_table:
        return _round_table(build, pose, size[1] * 0.62, size[2], board, stand)
    half_width, half_depth, top = size[0] / 2, size[1] / 2, size[2]
    thickness, leg, inset = rng.uniform(0.025, 0.06), rng.uniform(0.03, 0.07), rng.uniform(0, 0.08)
    instance = build.new_instance()
    plate = boxes([-half_width, -half_depth, top - thickness], [half_width, half_depth, top])
    build.add(plate, board, "table", instance, pose)
    inset += leg / 2
    feet = legs(half_width - inset, half_depth - inset, leg, 0, top - thickness)
    build.add(feet, stand, "table", instance, pose)
    return Top(pose, *size)


def _round_table(build: SceneBuilder, pose: Pose, radius: float, height: float, board: int, stand: int) -> Top:
    thickness = build.rng.uniform(0.025, 0.06)
    instance = build.new_instance()
    build.add(cylinder(radius, height - thickness, height, 36), board, "table", instance, pose)
    if build.rng.random() < 0.5:
        profile = [[0.25, 0], [0.25, 0.02], [0.05, 0.06], [0.04, height / 2], [0.06, height - thickness]]
        build.add(lathe(profile, 20), stand, "table", instance, pose)
    else:
        leg = cylinder(0.025, 0, height - thickness, 10)
        for angle in np.arange(4) * np.pi / 2 + 0.8:
            place = pose.at(0.65 * radius * np.cos(angle), 0.65 * radius * np.sin(angle))
            build.add(leg, stand, "table", instance, place)
    # The square in the disc, so that nothing that is put on the table hangs over its edge.
    return Top(pose, 1.4 * radius, 1.4 * radius, height)


def cabinet(
    build: SceneBuilder, style: Style, pose: Pose, tall: bool = False, width: Range = (0.6, 1.6), height: Range = ()
) -> Top:
    """A cupboard, wardrobe or chest of drawers with handles on its fronts."""
    rng = build.rng
    wide, deep = rng.uniform(*width), rng.uniform(0.35, 0.55)
    high = rng.uniform(*(height or ((1.6, 2.2) if tall else (0.5, 1.0))))
    instance = build.new_instance()
    body = build.material(style.furniture, 0.8, rng.uniform(0, 0.15))
    handle = build.material("metal", 0.2, 0.3)
    build.add(boxes([-wide / 2, -deep / 2, 0], [wide / 2, deep / 2 - 0.02, high]), body, "cabinet", instance, pose)
    columns = max(1, round(wide / 0.5))
    rows = max(1, round(high / rng.choice([0.25, 0.4, 0.8, 1.2])))
    column, row = (index.ravel() for index in np.meshgrid(np.arange(columns), np.arange(rows)))
    step = np.array([wide / columns, (high - 0.07) / rows])
    left, bottom = column * step[0] - wide / 2 + 0.008, 0.06 + row * step[1] + 0.008
    low = np.column_stack([left, np.full(len(left), deep / 2 - 0.02), bottom])
    front = np.array([step[0] - 0.016, 0.02, step[1] - 0.016])
    build.add(boxes(low, low + front, low[:, [0, 2]]), body, "cabinet", instance, pose)
    grip = low + front * [0.5, 1, 0.5] - [0.04, 0, 0.01]
    build.add(boxes(grip, grip + np.array([0.08, 0.02, 0.02])), handle, "cabinet", instance, pose)
    return Top(pose, wide, deep, high)


def shelf(build: SceneBuilder, style: Style, pose: Pose) -> None:
    """Open shelves with rows of books, vases and boxes."""
    rng = build.rng
    width, depth, height = rng.uniform(0.6, 1.4), rng.uniform(0.25, 0.38), rng.uniform(1.0, 2.2)
    board = 0.025
    instance = build.new_instance()
    body = build.material(style.furniture, 0.8, 0.05)
    levels = np.linspace(0.05, height - board, rng.integers(3, 6))
    low = [[-width / 2, -depth / 2, 0], [width / 2 - board, -depth / 2, 0]]
    high = [[board - width / 2, depth / 2, height], [width / 2, depth / 2, height]]
    if rng.random() < 0.7:
        low.append([board - width / 2, -depth / 2, 0.01])
        high.append([width / 2 - board, 0.01 - depth / 2, height - 0.01])
    for level in levels:
        low.append([board - width / 2, 0.01 - depth / 2, level])
        high.append([width / 2 - board, depth / 2 - 0.002, level + board])
    build.add(boxes(low, high), body, "cabinet", instance, pose)
    gap = levels[1] - levels[0] - board
    for level in levels[:-1]:
        _fill_level(build, style, pose.at(0, 0, level + board), (width, depth, gap))


def _fill_level(build: SceneBuilder, style: Style, pose: Pose, size: tuple[float, float, float]) -> None:
    rng = build.rng
    width, depth, gap = size
    x = 0.05 - width / 2
    while x < width / 2 - 0.1:
        chance = rng.random()
        if chance < 0.55:
            length = min(rng.uniform(0.1, 0.5), width / 2 - 0.05 - x)
            _row_of_books(build, pose.at(x, 0), length, depth, gap)
            x += length + 0.03
        elif chance < 0.8:
            place = pose.at(x + 0.08, 0)
            if rng.random() < 0.5:
                vase(build, style, place, min(0.8, gap / 0.45))
            else:
                box_object(build, style, place, gap)
            x += 0.2
        else:
            x += rng.uniform(0.1, 0.3)


def _row_of_books(build: SceneBuilder, pose: Pose, length: float, depth: float, gap: float) -> None:
    """Books side by side over `length` metres from the pose; each shows one spine of the texture."""
    rng = build.rng
    edges = np.cumsum(np.concatenate([[0], rng.uniform(0.015, 0.045, int(length / 0.015) + 1)]))
    edges = np.minimum(edges[: np.searchsorted(edges, length) + 1], length)
    count = len(edges) - 1
    low = np.column_stack([edges[:-1], np.full(count, 0.03 - depth / 2), np.zeros(count)])
    high = np.column_stack([edges[1:], depth / 2 - rng.uniform(0.02, 0.08, count), gap * rng.uniform(0.55, 0.9, count)])
    mesh = boxes(low, high)
    # A book's corners stay within the spine that it got, so that all its sides have one colour.
    uv = np.minimum(mesh.uv, [np.inf, 0.9 * SPINE_WIDTH])
    uv[:, 1] += (np.repeat(rng.integers(0, SPINES, count), len(uv) // count) + 0.05) * SPINE_WIDTH
    look = build.material("books", SPINES * SPINE_WIDTH, 0.03)
    build.add(replace(mesh, uv=uv.astype(np.float32)), look, "book", build.new_instance(), pose)
