"""Filters over the light of a picture that keep to surfaces: noise is averaged along a surface, never across edges."""

from dataclasses import dataclass

import cv2
import numpy as np

from mult.data.domains.rooms.lights import dot


@dataclass(frozen=True)
class Guide:
    """The surface behind each pixel, by which the filters tell where to stop."""

    position: np.ndarray  # float32 (3, h, w)
    normal: np.ndarray  # float32 (3, h, w)
    reach: np.ndarray  # float32 (h, w), distance from a pixel's plane (metres) at which a neighbour counts a quarter


def _power_32(cosine: np.ndarray) -> np.ndarray:
    power = np.maximum(cosine, 0)
    for _ in range(5):
        power = power * power
    return power


def _likeness(guide: Guide, here: tuple, there: tuple) -> np.ndarray:
    """How much two shifted views of a picture show the same surface, 0..1."""
    normal = guide.normal[:, *here]
    off_plane = dot(guide.position[:, *there] - guide.position[:, *here], normal) / guide.reach[here]
    return _power_32(dot(normal, guide.normal[:, *there])) / (1 + off_plane * off_plane) ** 2


def _windows(shift: int, length: int) -> tuple[slice, slice]:
    """Slices of the pixels that have a neighbour `shift` away, and of those neighbours."""
    start, stop = max(0, -shift), min(length, length - shift)
    return slice(start, stop), slice(start + shift, stop + shift)


def smooth(values: np.ndarray, guide: Guide, steps: tuple[int, ...]) -> np.ndarray:
    """Averages values (c, h, w) along surfaces by 3 x 3 kernels, the taps of each `steps` pixels apart.

    The edge-avoiding a-trous wavelet filter of Dammertz et al. (High Performance Graphics 2010), with distance from
    the pixel's plane and the angle between normals as stopping functions.
    """
    _, height, width = values.shape
    for step in steps:
        total, weights = values.copy(), np.ones((height, width), np.float32)
        for dy in (-step, 0, step):
            for dx in (-step, 0, step):
                if (dx == 0 and dy == 0) or step >= min(height, width):
                    continue
                (rows, rows_there), (columns, columns_there) = _windows(dy, height), _windows(dx, width)
                here, there = (rows, columns), (rows_there, columns_there)
                weight = _likeness(guide, here, there) * np.float32(0.5 if dx == 0 or dy == 0 else 0.25)
                total[:, *here] += weight * values[:, *there]
                weights[here] += weight
        values = total / weights
    return values


def without_specks(values: np.ndarray) -> np.ndarray:
    """Values (c, h, w) cut off at the largest of their eight neighbours: single bright pixels vanish."""
    ring = np.ones((3, 3), np.uint8)
    ring[1, 1] = 0
    around = cv2.dilate(np.ascontiguousarray(values.transpose(1, 2, 0)), ring)
    return np.minimum(values, around.transpose(2, 0, 1))


def gather(
    values: np.ndarray, guide: Guide, pixels: np.ndarray, position: np.ndarray, normal: np.ndarray
) -> np.ndarray:
    """Values (c, h, w) at further points (3, n), each taken from the 3 x 3 pixels around its own that match it best.

    pixels: int (n,), the flat number of the pixel that holds each point. Returns (c, n).
    """
    channels, height, width = values.shape
    table = np.concatenate([values, guide.position, guide.normal]).reshape(channels + 6, -1)
    row, column = np.divmod(pixels, width)
    reach = guide.reach.ravel().take(pixels)
    total, weights = np.zeros((channels, len(pixels)), np.float32), np.float32(0)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            there = np.clip(row + dy, 0, height - 1) * width + np.clip(column + dx, 0, width - 1)
            near = table.take(there, axis=1)
            off_plane = dot(near[channels : channels + 3] - position, normal) / reach
            match = _power_32(dot(near[channels + 3 :], normal)) / (1 + off_plane * off_plane) ** 2
            # The small constant serves points of things so thin that no pixel's centre met them.
            weight = match + np.float32(1e-4)
            total += weight * near[:channels]
            weights = weights + weight
    return total / weights
