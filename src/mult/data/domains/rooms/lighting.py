"""What lights a room: lamps under the ceiling, sky and sun through the windows."""

from dataclasses import replace

import numpy as np

from mult.data.domains.rooms.library import VARIANTS
from mult.data.domains.rooms.lights import RectangleLight, Sky, Sun
from mult.data.domains.rooms.mesh import cylinder, lathe, quad, standing
from mult.data.domains.rooms.scene import SceneBuilder
from mult.data.domains.rooms.shell import Shell
from mult.data.domains.rooms.styles import Style

DOWN = np.array([0, 0, -1], np.float32)


def add_lighting(build: SceneBuilder, style: Style, shell: Shell) -> None:
    """Adds ceiling lamps, sky and sun; at least one source always works."""
    rng = build.rng
    day = rng.random() < 0.8
    lit_already = bool(build.lights) or (day and bool(build.windows))
    _add_ceiling_lamps(build, style, shell, needed=not lit_already)
    _add_sky(build, day)
    if build.windows and day and rng.random() < style.sunshine:
        _add_sun(build)


def _lamp_colour(warmth: float) -> np.ndarray:
    if warmth > 0:
        return np.array([1, 1 - 0.35 * warmth, 1 - 0.8 * warmth], np.float32)
    return np.array([1 + 0.5 * warmth, 1 + 0.15 * warmth, 1], np.float32)


def _add_ceiling_lamps(build: SceneBuilder, style: Style, shell: Shell, needed: bool) -> None:
    rng = build.rng
    colour = _lamp_colour(rng.uniform(*style.warmth))
    count = int(rng.choice([1, 1, 2, 4]))
    radiance = rng.uniform(6, 16) / count * max(1.0, shell.width * shell.depth / 25)
    for number in range(count):
        x = shell.width * (0.5 if count == 1 else 0.3 + 0.4 * (number % 2))
        y = shell.depth * (0.5 if count < 3 else 0.3 + 0.4 * (number // 2))
        lit = rng.random() < 0.85 or (needed and number == 0)
        slope = 1 - abs(2 * x / shell.width - 1)
        cord = (shell.ridge - shell.height) * slope
        _add_ceiling_lamp(build, (x, y, shell.height), cord, colour, radiance if lit else 0.0)


def _add_ceiling_lamp(
    build: SceneBuilder, place: tuple[float, float, float], cord: float, colour: np.ndarray, radiance: float
) -> None:
    """A lamp at a place, on a cord of that length where the ceiling is higher."""
    rng = build.rng
    x, y, ceiling = place
    side = rng.uniform(0.25, 0.6)
    look = build.material("plain", 1.0, emission=radiance, colour=colour)
    if rng.random() < 0.5:
        fitting = quad([-side / 2, -side / 2, -0.03], [side, 0, 0], [0, side, 0])
    else:
        fitting = lathe([[0, -0.12], [side * 0.3, -0.1], [side * 0.4, -0.02], [side * 0.4, 0]], 24)
    instance, pose = build.new_instance(), standing(x, y, ceiling)
    build.add(fitting, look, "lamp", instance, pose)
    if cord > 0:
        build.add(cylinder(0.015, -0.03, cord, 8), build.material("plain", 1.0), "lamp", instance, pose)
    if radiance:
        corner = np.array([x - side / 2, y - side / 2, ceiling - 0.14], np.float32)
        edges = np.float32(side) * np.eye(3, dtype=np.float32)
        build.lights.append(RectangleLight(corner, edges[0], edges[1], DOWN, np.float32(radiance) * colour))


def _add_sky(build: SceneBuilder, day: bool) -> None:
    """Windows shine as bright as the sky; at night they hardly do."""
    rng = build.rng
    radiance = rng.uniform(2, 7) if day else 0.03
    tint = np.array([0.8, 0.92, 1.1] if rng.random() < 0.6 else [1, 1, 1], np.float32)
    colour = np.float32(radiance) * tint
    texture = build.library.texture("landscape", int(rng.integers(VARIANTS["landscape"])))
    build.sky = Sky(texture, np.float32(1.2) * colour)
    build.windows = [replace(window, colour=np.float32(0.9) * colour) for window in build.windows]
    build.lights.extend(build.windows)


def _add_sun(build: SceneBuilder) -> None:
    """The sun shines in through one of the windows, 20 to 57 degrees high."""
    rng = build.rng
    inward = build.windows[rng.integers(len(build.windows))].normal
    height = rng.uniform(0.35, 1.0)
    azimuth = np.arctan2(-inward[1], -inward[0]) + rng.uniform(-0.9, 0.9)
    across = np.cos(height)
    direction = np.array([across * np.cos(azimuth), across * np.sin(azimuth), np.sin(height)], np.float32)
    strength = np.float32(rng.uniform(8, 25))
    build.sun = Sun(direction, strength * np.array([1, 0.92, 0.8], np.float32))
