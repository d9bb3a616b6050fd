"""From a picture of any size to the square one that a network sees: the middle square, resized."""

import cv2
import numpy as np

# Labels whose values may be mixed with their neighbours'; the others are picked, for between two classes, two surfaces
# or beside an unknown pixel there is nothing in the middle.
MIXED = frozenset({"rgb", "keypoints2d", "edge_texture"})


def square(values: np.ndarray, label: str, size: int) -> np.ndarray:
    """(H, W[, C]) of ``label`` to (size, size[, C]): its middle square, by areas where it shrinks."""
    height, width = values.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    middle = values[top : top + side, left : left + side]
    if side == size:
        return np.ascontiguousarray(middle)
    how = cv2.INTER_NEAREST_EXACT
    if label in MIXED:
        how = cv2.INTER_AREA if size < side else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(middle), (size, size), interpolation=how)


def square_fov(fov: np.ndarray | float, aspect: float) -> np.ndarray:
    """Horizontal field of view, radians, of the middle square of a picture with ``fov``; ``aspect``: height / width."""
    if aspect >= 1:  # as it is, to the last bit
        return np.asarray(fov)
    return np.asarray(2 * np.arctan(np.tan(np.asarray(fov) / 2) * aspect))
