"""Lamps, windows and the sun, as light sources that shading points can sample."""

from dataclasses import dataclass

import numpy as np

# Nearer than this (squared metres) a source counts as this far, which keeps spots beside lamps within bounds.
NEAREST_SQUARED = np.float32(0.02)


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Inner products (n,) of vectors that stand components first, (3, n) or (3, 1)."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@dataclass(frozen=True)
class RectangleLight:
    """A parallelogram that shines to the side of its normal: a ceiling lamp, or the sky through a window."""

    corner: np.ndarray  # float32 (3,)
    edge_u: np.ndarray  # float32 (3,)
    edge_v: np.ndarray  # float32 (3,)
    normal: np.ndarray  # float32 (3,), unit length
    colour: np.ndarray  # float32 (3,), radiance

    def sample(self, points: np.ndarray, jitter: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Unit directions (3, n), distances (n,) and factors (n,) to points on the light, jitter (2, n) in 0..1.

        Irradiance at a point = colour * factor * cosine at the point, where the factor is area * cosine / distance**2.
        """
        target = self.corner[:, None] + self.edge_u[:, None] * jitter[0] + self.edge_v[:, None] * jitter[1]
        direction, distance = _towards(points, target)
        area = np.linalg.norm(np.cross(self.edge_u, self.edge_v)).astype(np.float32)
        cosine = np.maximum(-dot(self.normal, direction), 0)
        return direction, distance, area * cosine / np.maximum(distance * distance, NEAREST_SQUARED)


@dataclass(frozen=True)
class SphereLight:
    """A glowing ball: the bulb and the shade of a lamp."""

    centre: np.ndarray  # float32 (3,)
    radius: float
    colour: np.ndarray  # float32 (3,), radiant intensity

    def sample(self, points: np.ndarray, jitter: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As RectangleLight.sample; the factor is 1 / distance**2."""
        height = 2 * jitter[0] - 1
        angle = np.float32(2 * np.pi) * jitter[1]
        across = np.sqrt(1 - height * height)
        ball = np.stack([across * np.cos(angle), across * np.sin(angle), height])
        direction, distance = _towards(points, self.centre[:, None] + np.float32(self.radius) * ball)
        return direction, distance, 1 / np.maximum(distance * distance, NEAREST_SQUARED)


Light = RectangleLight | SphereLight


def _towards(points: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    offset = target - points
    distance = np.sqrt(dot(offset, offset)) + np.float32(1e-6)
    return offset / distance, distance


@dataclass(frozen=True)
class Sun:
    """Parallel light that reaches the room through its windows only."""

    direction: np.ndarray  # float32 (3,), unit length, towards the sun
    colour: np.ndarray  # float32 (3,), irradiance of a surface that faces it

    def may_reach(self, points: np.ndarray, windows: list[RectangleLight]) -> np.ndarray:
        """Whether the line from each point (3, n) to the sun passes through a window's rectangle: bool (n,)."""
        reached = np.zeros(points.shape[1], bool)
        for window in windows:
            approach = float(window.normal @ self.direction)
            if approach > -1e-3:
                continue
            offset = window.corner[:, None] - points
            distance = dot(window.normal, offset) / np.float32(approach)
            hit = self.direction[:, None] * distance - offset
            u = dot(window.edge_u, hit) / dot(window.edge_u, window.edge_u)
            v = dot(window.edge_v, hit) / dot(window.edge_v, window.edge_v)
            # A small margin, since the rectangle stands a little outside of the wall's plane.
            reached |= (distance > 0) & (np.abs(u - 0.5) < 0.55) & (np.abs(v - 0.5) < 0.55)
        return reached


@dataclass(frozen=True)
class Sky:
    """What is seen through the windows: a landscape of the texture library around the room."""

    texture: int
    colour: np.ndarray  # float32 (3,), radiance of a white texel
