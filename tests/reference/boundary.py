"""Slow, obvious boundary matching and F-measures, written out from the definitions."""

from itertools import pairwise

import numpy as np
from scipy.optimize import linear_sum_assignment


def distances(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """From every predicted (rows) to every true pixel (columns), in pixels."""
    p, t = np.argwhere(predicted), np.argwhere(true)
    return np.linalg.norm(p[:, None] - t[None], axis=-1)


def largest_matching(predicted: np.ndarray, true: np.ndarray, tolerance: float) -> int:
    """Most pairs within the tolerance, none sharing a pixel: one augmenting path after the other."""
    near = distances(predicted, true) <= tolerance
    owner = {}

    def augment(pixel: int, seen: set) -> bool:
        for t in np.flatnonzero(near[pixel]):
            if t not in seen:
                seen.add(t)
                if t not in owner or augment(owner[t], seen):
                    owner[t] = pixel
                    return True
        return False

    return sum(augment(pixel, set()) for pixel in range(len(near)))


def exhaustive_matching(near: np.ndarray) -> int:
    """Most pairs by trying every choice, for a few rows of a bool matrix."""
    if len(near) == 0:
        return 0
    best = exhaustive_matching(near[1:])
    for t in np.flatnonzero(near[0]):
        rest = near[1:].copy()
        rest[:, t] = False
        best = max(best, 1 + exhaustive_matching(rest))
    return best


def cheapest_assignment(predicted: np.ndarray, true: np.ndarray, tolerance: float) -> tuple[int, float]:
    """Number of pairs and cost in the benchmark's assignment problem with all its outlier nodes.

    On each side stand the pixels and an outlier for each pixel of the other side; every edge to an outlier costs 100
    tolerances, one between two pixels their distance.
    """
    far = distances(predicted, true)
    outlier = 100 * max(tolerance, 1)
    rows, columns = far.shape
    cost = np.full((rows + columns, rows + columns), float(outlier))
    cost[:rows, :columns] = np.where(far <= tolerance, far, 1e9)
    chosen = linear_sum_assignment(cost)
    pairs = int(((chosen[0] < rows) & (chosen[1] < columns)).sum())
    return pairs, float(cost[chosen].sum())


def f_measure(matched_true: int, true: int, matched_predicted: int, predicted: int) -> tuple[float, float, float]:
    """F, precision and recall; a share of nothing is 0."""
    precision = matched_predicted / predicted if predicted else 0.0
    recall = matched_true / true if true else 0.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0, precision, recall


def scores(maps: list[list[np.ndarray]], truths: list[np.ndarray], tolerance: float) -> dict[str, float]:
    """odsF, between thresholds too, and oisF of thin bool maps, maps[image][threshold], and one truth an image."""
    counts = [
        [(n := largest_matching(p, true, tolerance), true.sum(), n, p.sum()) for p in image]
        for image, true in zip(maps, truths, strict=True)
    ]
    pooled = [f_measure(*np.sum(column, axis=0)) for column in zip(*counts, strict=True)]
    ods = max(f for f, _, _ in pooled)
    for (_, p0, r0), (_, p1, r1) in pairwise(pooled):
        for share in np.linspace(0, 1, 100):
            p, r = p0 + share * (p1 - p0), r0 + share * (r1 - r0)
            ods = max(ods, 2 * p * r / (p + r) if p + r else 0)
    best = []
    for image in counts:
        fs = [f_measure(*c)[0] for c in image]
        best.append(image[fs.index(max(fs)) if max(fs) else -1])
    return {"ods_f": ods, "ois_f": f_measure(*np.sum(best, axis=0))[0]}
