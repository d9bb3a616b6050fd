"""Cameras, and where they stand in a room."""

from dataclasses import dataclass

import numpy as np

from mult.data.domains.rooms.layout import Room
from mult.data.domains.rooms.styles import CLASS_NUMBER
from mult.data.domains.rooms.tracer import Tracer

PREVIEW = 32  # pixels a side of the small views that candidates are judged by
TRIES = 24
STRUCTURE = [CLASS_NUMBER[name] for name in ("wall", "floor", "ceiling")]


@dataclass(frozen=True)
class Camera:
    """A pinhole camera with square pixels and its principal point in the middle; axes as OpenCV's."""

    origin: np.ndarray  # float32 (3,), in the world
    axes: np.ndarray  # float64 (3, 3), rows: the camera's right, down and forward in the world, orthonormal
    fov: float  # horizontal field of view in radians

    def rays(self, size: int, shift_x: np.ndarray | float = 0.0, shift_y: np.ndarray | float = 0.0) -> np.ndarray:
        """Directions (3, size * size), row by row, through pixel centres moved by a shift in pixels.

        Their component along the forward axis is 1, so that the distance along a ray is the z-depth.
        """
        y, x = np.divmod(np.arange(size * size), size)
        return self.rays_at(size, x + shift_x, y + shift_y)

    def rays_at(self, size: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Directions (3, n) through the points of the image (n,) that lie x, y pixels from the first pixel's centre."""
        per_pixel = 2 * np.tan(self.fov / 2) / size
        across, down = (x + 0.5 - size / 2) * per_pixel, (y + 0.5 - size / 2) * per_pixel
        right, below, forward = self.axes[:, :, None]
        return (right * across + below * down + forward).astype(np.float32)

    def pixel_angle(self, size: int) -> float:
        """Width of a pixel in the middle of the image, in metres at a distance of one metre."""
        return float(2 * np.tan(self.fov / 2) / size)


def look(origin: np.ndarray, yaw: float, pitch: float, roll: float, fov: float) -> Camera:
    """A camera at origin that looks along yaw (about z, from x) and pitch (above the horizon); all in radians."""
    forward = np.array([np.cos(pitch) * np.cos(yaw), np.cos(pitch) * np.sin(yaw), np.sin(pitch)])
    right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    down = np.cross(forward, right)
    cos, sin = np.cos(roll), np.sin(roll)
    axes = np.stack([cos * right + sin * down, cos * down - sin * right, forward])
    return Camera(np.asarray(origin, np.float32), axes, float(fov))


def find_view(tracer: Tracer, room: Room, rng: np.random.Generator) -> Camera:
    """A camera that sees something: the first good one of a bounded number of tries, or the best of them."""
    candidates = []
    for _ in range(TRIES):
        camera = _draw_camera(room, rng)
        score = _score(tracer, camera)
        if score >= 1:
            return camera
        candidates.append((score, camera))
    return max(candidates, key=lambda candidate: candidate[0])[1]


def _draw_camera(room: Room, rng: np.random.Generator) -> Camera:
    """A camera off the furniture that looks roughly towards the middle of the room."""
    shell, style = room.shell, room.style
    for _ in range(200):
        x, y = rng.uniform(0.35, shell.width - 0.35), rng.uniform(0.35, shell.depth - 0.35)
        if all(abs(x - a) > c / 2 + 0.15 or abs(y - b) > d / 2 + 0.15 for a, b, c, d in shell.footprints):
            break
    height = rng.uniform(*style.camera_height)
    target_x, target_y = rng.uniform(0.2, 0.8) * shell.width, rng.uniform(0.2, 0.8) * shell.depth
    yaw = np.arctan2(target_y - y, target_x - x) + rng.normal(0, 0.35)
    pitch, fov = np.radians(rng.uniform(*style.pitch)), np.radians(rng.uniform(*style.field_of_view))
    roll = np.radians(rng.normal(0, style.roll)) if style.roll else 0.0
    return look(np.array([x, y, height]), yaw, pitch, roll, fov)


def _score(tracer: Tracer, camera: Camera) -> float:
    """1 or more for a good view: not against a wall, at least four classes, and more than bare walls in sight."""
    hits = tracer.trace(camera.origin[:, None], camera.rays(PREVIEW))
    depth = np.where(hits.found, hits.distance, 20.0)
    classes = tracer.scene.classes[hits.triangle[hits.found]]
    counts = np.bincount(classes, minlength=len(CLASS_NUMBER))
    seen = int((counts >= 4).sum())
    furniture = 1 - counts[STRUCTURE].sum() / max(1, counts.sum())
    terms = [
        np.median(depth) / 1.0,
        0.12 / max(1e-3, (depth < 0.5).mean()),
        seen / 4,
        furniture / 0.12,
        hits.found.mean() / 0.6,
    ]
    return float(np.prod(np.minimum(terms, 1)))
