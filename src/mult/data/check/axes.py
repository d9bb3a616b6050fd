"""Whether a map of normals and a map of depth are of one surface, and whether the normals' axes are OpenCV's."""

from dataclasses import dataclass
from itertools import permutations, product

import numpy as np

from mult.data import labels
from mult.data.encoding import NO_DEPTH

ACROSS = 128  # pixels across the picture that are looked at, about: enough for a median
AGREED = 0.8  # median cosine of normals and depth below which they are not of one surface
CLEARLY = 0.1  # by which the median cosine must rise for other axes to be the right ones
FEWEST = 50  # pixels with both a depth and a normal, without which nothing is said
Reading = tuple[tuple[int, ...], tuple[int, ...]]
# Stored channel i holds sign[i] times true axis order[i]; the first is as it should be.
READINGS: list[Reading] = [(order, sign) for order in permutations(range(3)) for sign in product((1, -1), repeat=3)]


@dataclass(frozen=True)
class Agreement:
    """Median cosines between stored normals and the normals of the depth.

    Attributes:
        stored: with the axes as they are stored.
        best: with the axes that fit best.
        axes: what the stored channels then are, such as "(x, z, -y)".
    """

    stored: float
    best: float
    axes: str

    @property
    def swapped(self) -> bool:
        """Whether other axes than those of the encoding fit, and clearly better."""
        return self.best >= AGREED and self.best > self.stored + CLEARLY


def agreement(normal: np.ndarray, depth: np.ndarray, fov: float) -> Agreement | None:
    """Compare codes of normals (H, W, 3) and of depth (H, W); ``fov`` horizontal, in radians. None: too few pixels."""
    step = max(1, depth.shape[1] // ACROSS)
    middle = slice(step // 2, None, step)
    depth, normal = depth[middle, middle], normal[middle, middle]
    stored, known = labels.decode_normal(normal)
    expected = labels.normal_from_depth(labels.decode_depth(depth)[0], fov)
    known &= (depth != NO_DEPTH) & (np.abs(expected).max(-1) > 0)
    if known.sum() < FEWEST:
        return None
    products = stored[known][:, :, None] * expected[known][:, None, :]  # pixels, stored channel, true axis
    as_stored = float(np.median(_cosines(products, READINGS[0])))
    if as_stored > 1 - CLEARLY:  # no cosine is above 1
        return Agreement(as_stored, as_stored, _name(READINGS[0]))
    # By the mean: where most pixels are of one wall, the few others tell an axis from its opposite.
    best = max(READINGS, key=lambda reading: _cosines(products, reading).mean())
    return Agreement(as_stored, float(np.median(_cosines(products, best))), _name(best))


def _cosines(products: np.ndarray, reading: Reading) -> np.ndarray:
    order, sign = reading
    return products[:, range(3), order] @ np.array(sign, np.float32)


def _name(reading: Reading) -> str:
    order, sign = reading
    return "(" + ", ".join(("-" if s < 0 else "") + "xyz"[axis] for axis, s in zip(order, sign, strict=True)) + ")"
