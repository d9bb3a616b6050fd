"""Furniture to sit and lie on: chairs, sofas and beds."""

import numpy as np

from mult.data.domains.rooms.mesh import Pose, boxes, cylinder, legs, rounded_box, turned
from mult.data.domains.rooms.scene import SceneBuilder
from mult.data.domains.rooms.styles import Range, Style
from mult.data.domains.rooms.textures import hsv


def chair(build: SceneBuilder, style: Style, pose: Pose) -> None:
    """A four-legged chair or a swivel chair that faces +y."""
    rng = build.rng
    frame = build.material(style.furniture, 0.5, 0.1)
    cover = build.material(style.cloth, 0.4) if rng.random() < 0.6 else frame
    size = (*rng.uniform(0.4, 0.52, 2), rng.uniform(0.42, 0.48))
    back = size[2] + rng.uniform(0.35, 0.6)
    parts = _dining_chair if rng.random() < 0.65 else _swivel_chair
    parts(build, pose, size, back, frame, cover)


def _dining_chair(
    build: SceneBuilder, pose: Pose, size: tuple[float, float, float], back: float, frame: int, cover: int
) -> None:
    width, depth, seat = size
    instance = build.new_instance()
    leg = build.rng.uniform(0.025, 0.045)
    build.add(legs(width / 2 - leg, depth / 2 - leg, leg, 0, seat), frame, "chair", instance, pose)
    posts = np.array([-1, 1]) * (width / 2 - leg)
    low = np.column_stack([posts - leg / 2, np.full(2, -depth / 2 + leg / 2), np.full(2, seat)])
    build.add(boxes(low, low + np.array([leg, leg, back - seat])), frame, "chair", instance, pose)
    cushion = rounded_box([-width / 2, -depth / 2, seat - 0.04], [width / 2, depth / 2, seat + 0.03], 0.025, steps=2)
    build.add(cushion, cover, "chair", instance, pose)
    slats = int(build.rng.integers(1, 5))
    if slats == 1:
        rest = rounded_box([-width / 2, -depth / 2, seat + 0.08], [width / 2, -depth / 2 + 0.04, back], 0.02, steps=2)
        build.add(rest, cover, "chair", instance, pose)
        return
    heights = np.linspace(seat + 0.1, back - 0.05, slats)
    low = np.column_stack([np.full(slats, leg - width / 2), np.full(slats, leg - depth / 2 - 0.01), heights])
    build.add(boxes(low, low + np.array([width - 2 * leg, 0.02, 0.05])), frame, "chair", instance, pose)


def _swivel_chair(
    build: SceneBuilder, pose: Pose, size: tuple[float, float, float], back: float, frame: int, cover: int
) -> None:
    width, depth, seat = size
    instance = build.new_instance()
    build.add(cylinder(0.03, 0.08, seat, 12), frame, "chair", instance, pose)
    for spoke in range(5):
        foot = boxes([0, -0.02, 0.04], [0.28, 0.02, 0.08])
        build.add(foot, frame, "chair", instance, pose.at(0, 0, turn=spoke * 2 * np.pi / 5))
    cushion = rounded_box([-width / 2, -depth / 2, seat], [width / 2, depth / 2, seat + 0.09], 0.04)
    build.add(cushion, cover, "chair", instance, pose)
    low, high = [0.03 - width / 2, -depth / 2 - 0.02, seat + 0.15], [width / 2 - 0.03, 0.06 - depth / 2, back + 0.1]
    build.add(rounded_box(low, high, 0.035), cover, "chair", instance, pose)
    bar = boxes([-0.03, -depth / 2 - 0.04, seat - 0.05], [0.03, -depth / 2 - 0.01, seat + 0.3])
    build.add(bar, frame, "chair", instance, pose)


def sofa(build: SceneBuilder, style: Style, pose: Pose, width: Range) -> None:
    """A sofa, or an armchair if it is narrow, with loose cushions; its width is drawn from a range."""
    rng = build.rng
    width = rng.uniform(*width)
    depth, seat, back = rng.uniform(0.8, 1.0), rng.uniform(0.4, 0.46), rng.uniform(0.7, 0.95)
    arm, roundness = rng.uniform(0.12, 0.24), rng.uniform(0.03, 0.09)
    instance = build.new_instance()
    cover = build.material(style.cloth, 0.6)
    base = rounded_box([-width / 2, -depth / 2, 0.1], [width / 2, depth / 2, seat - 0.12], 0.03)
    build.add(base, cover, "sofa", instance, pose)
    backrest = rounded_box([-width / 2, -depth / 2, 0.1], [width / 2, 0.25 - depth / 2, back], roundness)
    build.add(backrest, cover, "sofa", instance, pose)
    top = seat + rng.uniform(0.1, 0.22)
    for left in (-width / 2, width / 2 - arm):
        armrest = rounded_box([left, -depth / 2, 0.1], [left + arm, depth / 2, top], roundness)
        build.add(armrest, cover, "sofa", instance, pose)
    places = max(1, round((width - 2 * arm) / 0.65))
    step = (width - 2 * arm) / places
    for left in arm - width / 2 + step * np.arange(places) + 0.01:
        right = left + step - 0.02
        low, high = [left, 0.2 - depth / 2, seat - 0.14], [right, depth / 2 + 0.02, seat + 0.03]
        build.add(rounded_box(low, high, 0.05), cover, "sofa", instance, pose)
        low, high = [left, 0.18 - depth / 2, seat], [right, 0.38 - depth / 2, back - 0.03]
        build.add(rounded_box(low, high, 0.06), cover, "sofa", instance, pose)
    feet = legs(width / 2 - 0.08, depth / 2 - 0.08, 0.05, 0, 0.1)
    build.add(feet, build.material(("wood", "metal"), 0.4), "sofa", instance, pose)
    for _ in range(rng.integers(0, 4)):
        side = rng.uniform(arm + 0.2 - width / 2, width / 2 - arm - 0.2) if width > 1.2 else 0.0
        _loose_cushion(build, style, pose.at(side, 0.45 - depth / 2, seat + 0.2), instance)


def _loose_cushion(build: SceneBuilder, style: Style, pose: Pose, instance: int) -> None:
    lean = 0.5
    tilt = np.array([[1, 0, 0], [0, np.cos(lean), -np.sin(lean)], [0, np.sin(lean), np.cos(lean)]], np.float32)
    leaning = Pose(pose.rotation @ turned(build.rng.uniform(-0.3, 0.3)) @ tilt, pose.origin)
    cushion = rounded_box([-0.2, -0.06, -0.2], [0.2, 0.06, 0.2], 0.058)
    build.add(cushion, build.material(style.cloth, 0.35), "sofa", instance, leaning)


def bed(build: SceneBuilder, style: Style, pose: Pose) -> None:
    """A single or double bed with its head at the back."""
    rng = build.rng
    width, depth = float(rng.choice([0.9, 1.4, 1.6, 1.8])), 2.05
    frame_top = rng.uniform(0.22, 0.35)
    instance = build.new_instance()
    frame = build.material(style.furniture, 0.7, 0.1)
    cover = build.material(style.cloth, 0.8)
    linen = build.material("fabric", 0.6, colour=hsv(rng.random(), rng.uniform(0, 0.15), rng.uniform(0.7, 0.95)))
    half = width / 2
    build.add(boxes([-half, -depth / 2, 0.08], [half, depth / 2, frame_top]), frame, "bed", instance, pose)
    low, high = [0.02 - half, 0.03 - depth / 2, frame_top], [half - 0.02, depth / 2 - 0.02, frame_top + 0.2]
    build.add(rounded_box(low, high, 0.06), linen, "bed", instance, pose)
    fold = rng.uniform(0.55, 0.8) - depth / 2
    low, high = [-half - 0.02, fold, frame_top + 0.02], [half + 0.02, depth / 2 + 0.01, frame_top + 0.25]
    build.add(rounded_box(low, high, 0.06), cover, "bed", instance, pose)
    low, high = [-half - 0.03, -depth / 2 - 0.06, 0.05], [half + 0.03, 0.02 - depth / 2, rng.uniform(0.75, 1.25)]
    headboard = rounded_box(low, high, 0.03)
    build.add(headboard, frame if rng.random() < 0.6 else cover, "bed", instance, pose)
    pillows = 1 if width < 1.2 else 2
    for x in (np.arange(pillows) - (pillows - 1) / 2) * half:
        low, high = [x - 0.32, 0.08 - depth / 2, frame_top + 0.18], [x + 0.32, 0.48 - depth / 2, frame_top + 0.33]
        build.add(rounded_box(low, high, 0.07), linen, "bed", instance, pose)
    build.add(legs(half - 0.06, depth / 2 - 0.06, 0.06, 0, 0.1), frame, "bed", instance, pose)
