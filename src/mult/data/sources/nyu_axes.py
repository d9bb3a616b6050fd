"""Which way a copy of NYUv2's normals points: Eigen and Fergus's axes, or others that agree better with the depth.

The normals that are handed on go back to Eigen and Fergus (ICCV 2015), whose pictures have x right, z forward and y up
in R, G and B. That is checked on real frames of AdaShare's copy, and MTAN's author says that his are made from them.
What the other copies hold is written nowhere. So it is measured: normals computed from the depth of a few frames tell.
"""

from collections.abc import Iterable
from itertools import permutations, product

import numpy as np

from mult.errors import UserError

# For x right, y down and z forward: the stored channel and its sign.
Axes = tuple[tuple[int, int], ...]
EIGEN: Axes = ((0, 1), (2, -1), (1, 1))
CLEARLY = 0.05  # by which a mean cosine must be above that of EIGEN's axes
LEAST = 0.6  # mean cosine; Kinect's noise and smoothed normals leave about 0.9 of 1 on real frames


def to_camera(stored: np.ndarray, axes: Axes) -> np.ndarray:
    """Stored normals (H, W, 3) with OpenCV's camera axes."""
    return np.stack([sign * stored[..., channel] for channel, sign in axes], -1)


def find_axes(pairs: Iterable[tuple[np.ndarray, np.ndarray]], where: str) -> Axes:
    """The axes of stored normals, from ``(stored, computed from depth)``, both (H, W, 3) and 0 where unknown.

    Raises:
        UserError: the two agree in no order and with no signs of the axes; names ``where``.
    """
    together, pixels = np.zeros((3, 3)), 0
    for stored, computed in pairs:
        both = (np.abs(stored).max(-1) > 0) & (np.abs(computed).max(-1) > 0)
        together += computed[both].astype(float).T @ stored[both]
        pixels += both.sum()
    if not pixels:
        return EIGEN  # nothing to tell from
    cosine = {
        tuple(zip(order, signs, strict=True)): sum(signs[i] * together[i, order[i]] for i in range(3)) / pixels
        for order in permutations(range(3))
        for signs in product((1, -1), repeat=3)
    }
    best = max(cosine, key=cosine.__getitem__)
    if cosine[best] < LEAST:
        raise UserError(
            f"{where}: the normals do not fit the depth, whatever their axes (mean cosine {cosine[best]:.2f}, below "
            f"{LEAST}); are both of the same frames? Fetch the copy again, or take its folder of normals away to have "
            "them computed"
        )
    return best if cosine[best] > cosine[EIGEN] + CLEARLY else EIGEN
