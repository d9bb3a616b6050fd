"""The boundary benchmark's F-measure for edge maps: odsF, oisF, precision and recall, in one pass.

A predicted boundary pixel is right if it can be paired with a true one within a tolerance, and no pixel may be in two
pairs. Precision is the share of predicted pixels in a pair, recall that of true ones, F their harmonic mean. The
prediction is soft, so all of that is taken at several thresholds: odsF is the F at the threshold that is best for the
whole split ("optimal dataset scale"), oisF that of each image's own best threshold ("optimal image scale"), both from
counts summed over images. Defined by Martin, Fowlkes and Malik (PAMI 2004) and, with those names, by Arbelaez et al.
(PAMI 2011); BSDS500's benchmark, Dollar's edge toolbox and SEISM compute it in MATLAB and C++.

What is the same here: the tolerance as a share of the image's diagonal, "at least the threshold" as the test of a
pixel, Guo and Hall's thinning, several annotators (recall sums over them, a predicted pixel is right if any of them
has it), the interpolation of odsF between thresholds (SEISM has none), oisF without it, and the average precision.

What differs:

- **Pairs.** The benchmark minimises the pairs' distances plus 100 tolerances for every pair that is given up. Here the
  number of pairs is the largest possible one. The benchmark's is never larger, and smaller by at most 1 %: a pair more
  saves 100 tolerances and n pairs cannot cost more than n tolerances. (Its outliers are joined by a sparse random
  graph, made to save time, which can lose further ones.) `correspond` solves the benchmark's problem itself; several
  annotators need that, because it decides which predicted pixels are in a pair.
- **Tolerance.** 0.0075 of the diagonal is 4.3 pixels in BSDS500's images and 0.7 in one of 64 x 64, where it would
  forgive nothing. `BoundaryScore` therefore has a least tolerance in pixels; with 0 it is the benchmark's.
- **Thinning.** See `thinning` in `image_counts`: the default is non-maximum suppression alone.
- **Ties and nothing.** Where no threshold gives an image an F above 0, its highest counts for oisF. The benchmark takes
  its lowest, which fills images without a true boundary with false pixels. Images in BSDS500 all have boundaries.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal, get_args

import cv2
import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from torch import Tensor

from mult.evaluation.metrics import Figures, Metric
from mult.tasks import TASKS

Thinning = Literal["nms", "morphological", "both", "none"]

BSDS_DISTANCE = 0.0075  # of the diagonal; PASCAL's too
NYUD_DISTANCE = 0.011
# Every neighbour of a pixel, the diagonal ones too: what is left of a boundary's place when it falls between pixels.
LEAST_DISTANCE_PIXELS = 1.5
# Of the 16-bit code: a straight step by a twentieth of the brightness range under edge_texture's own blur. Whole
# contours stand above it in rendered rooms and in Doom; from twice that on they fall to pieces.
TRUE_EDGE = 0.01
OUTLIER_TOLERANCES = 100.0  # what giving up a pair costs in the benchmark
STEPS_A_PIXEL = 2**20  # of distances in `correspond`
BETWEEN_THRESHOLDS = 100  # points, both ends included, at which the benchmark interpolates
SMALLEST = np.finfo(np.float64).eps
GATHERED_AT_ONCE = 1 << 21  # neighbours looked up in one step, which bounds the memory
FLAT = 1e-4  # relative difference below which two neighbours count as equally strong: above interpolation's rounding

# Columns of counts, in the order of the benchmark's files.
MATCHED_TRUE, TRUE, MATCHED_PREDICTED, PREDICTED = range(4)


def tolerance_pixels(shape: tuple[int, int], share: float = BSDS_DISTANCE, least: float = 0.0) -> float:
    """Largest distance in pixels within which two boundary pixels can be paired: a share of the diagonal of (H, W)."""
    return max(share * float(np.hypot(*shape)), least)


def nms(strength: np.ndarray, sigma: float = 1.0) -> np.ndarray:
    """Non-maximum suppression: a soft map (H, W) with 0 wherever a pixel is not on the crest of a ridge.

    A pixel stays if it is at least as strong as the map one pixel to the one side and stronger than one pixel to the
    other, across the ridge (bilinear between pixels); so a crest two pixels wide keeps one of them, and a constant map
    nothing. "Across" is the direction of strongest downward curvature of the map blurred by `sigma` pixels. The
    outermost pixels have no neighbours to be compared with and never stay. Slanted lines keep some corners of their
    staircase, which `thin` would remove. After Canny (1986) and the crest test of
    Dollar and Zitnick (ICCV 2013), whose toolbox blurs by about 2 pixels, forgives crests that are 1 % too low and
    fades the outermost 5 pixels.
    """
    strength = np.asarray(strength)
    values = strength.astype(np.float32)
    across_x, across_y = _across_ridges(cv2.GaussianBlur(values, (0, 0), sigma))
    y, x = np.indices(values.shape, np.float32)
    ahead = cv2.remap(values, x + across_x, y + across_y, cv2.INTER_LINEAR)
    behind = cv2.remap(values, x - across_x, y - across_y, cv2.INTER_LINEAR)
    margin = np.float32(FLAT) * np.abs(values)
    crest = (values - margin > ahead) & (values + margin >= behind)
    crest[[0, -1]] = crest[:, [0, -1]] = False
    return np.where(crest, strength, 0)


def _across_ridges(smooth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors (x, y) of the most negative second derivative."""
    xx, xy, yy = (cv2.Sobel(smooth, cv2.CV_32F, dx, 2 - dx) for dx in (2, 1, 0))
    # Half the angle of (xx - yy, 2 xy) is the Hessian's axis of largest eigenvalue; the other is a right angle away.
    angle = 0.5 * np.arctan2(2 * xy, xx - yy)
    return -np.sin(angle), np.cos(angle)


def thin(binary: np.ndarray) -> np.ndarray:
    """Bool maps (H, W) or (N, H, W) thinned to lines one pixel wide.

    Guo and Hall's parallel thinning (1989, as in Lam, Lee and Suen 1992), repeated until nothing changes: MATLAB's
    bwmorph(map, 'thin', inf), which the benchmark uses, and scikit-image's `thin`.
    """
    binary = np.asarray(binary, bool)
    maps = binary.reshape(-1, *binary.shape[-2:])
    return np.array([_thin_map(one.astype(np.uint8)) for one in maps], bool).reshape(binary.shape)


def _thin_map(binary: np.ndarray) -> np.ndarray:
    changed = True
    while changed:
        changed = False
        for removable in _REMOVABLE:
            code = cv2.filter2D(binary, -1, _NEIGHBOUR_BITS, borderType=cv2.BORDER_CONSTANT)
            removed = cv2.bitwise_and(cv2.LUT(code, removable), binary)
            if cv2.countNonZero(removed):
                binary ^= removed
                changed = True
    return binary


# Bit k is the neighbour k steps of 45 degrees from the east, counter-clockwise.
_NEIGHBOUR_BITS = np.array([[8, 4, 2], [16, 0, 1], [32, 64, 128]], np.float32)


def _removable() -> tuple[np.ndarray, np.ndarray]:
    """For each code of eight neighbours, uint8 (256,): whether the two half-steps of a thinning remove the pixel."""
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1 > 0
    east, north_east, north, _, west, south_west, south, south_east = bits.T
    north_west = bits[:, 3]
    sides, corners, next_sides = bits[:, 0::2], bits[:, 1::2], np.roll(bits[:, 0::2], -1, axis=1)
    one_run = (~sides & (corners | next_sides)).sum(1) == 1
    pairs = np.minimum((sides | corners).sum(1), (corners | next_sides).sum(1))
    inner = one_run & (pairs >= 2) & (pairs <= 3)
    first = inner & ~((north_east | north | ~south_east) & east)
    second = inner & ~((south_west | south | ~north_west) & west)
    return first.astype(np.uint8), second.astype(np.uint8)


_REMOVABLE = _removable()


def matches(predicted: np.ndarray, true: np.ndarray, tolerance: float) -> int:
    """Largest number of pairs of a predicted and a true pixel, none in two pairs, at most `tolerance` pixels apart.

    Both maps are bool (H, W). Exact, and the same if they change places.
    """
    if np.count_nonzero(predicted) > np.count_nonzero(true):  # the fewer pixels look for partners, the faster
        predicted, true = true, predicted
    return int(_matches_at_levels(predicted.astype(np.intp), 1, true, tolerance)[0])


def _matches_at_levels(level: np.ndarray, levels: int, true: np.ndarray, tolerance: float) -> np.ndarray:
    """Entry k (levels,): `matches` of the pixels with a level above k.

    A pixel that could not be added to a largest matching cannot be later either, so one growing matching serves all
    levels: the strongest pixels first, each tried once.
    """
    position = np.flatnonzero(level)
    position = position[np.argsort(-level.ravel()[position], kind="stable")]
    ends = np.searchsorted(-level.ravel()[position], -np.arange(levels))
    candidates = _candidates(position, true, tolerance)
    matching = _Matching(candidates, int(np.count_nonzero(true)))
    sizes, done = np.zeros(levels, np.int64), 0
    for k in reversed(range(levels)):
        matching.add(range(done, ends[k]))
        done = ends[k]
        sizes[k] = matching.size
    return sizes


def _candidates(position: np.ndarray, true: np.ndarray, tolerance: float) -> list[list[int]]:
    """For each pixel (an index into the raveled map) the true pixels, numbered row by row, nearest first."""
    candidates: list[list[int]] = []
    for found, reachable in _reach(position, true, tolerance):
        ends = np.cumsum(np.count_nonzero(reachable, axis=1)).tolist()
        flat = found[reachable].tolist()
        candidates += [flat[start:end] for start, end in pairwise([0, *ends])]
    return candidates


def _reach(position: np.ndarray, true: np.ndarray, tolerance: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield, for part after part of the pixels, (n, offsets) numbers of true pixels and where there is one."""
    offsets, _ = _disc(tolerance)
    margin = int(tolerance)
    height, width = true.shape
    number = np.full((height + 2 * margin, width + 2 * margin), -1, np.int32)
    number[margin : margin + height, margin : margin + width][true] = np.arange(np.count_nonzero(true))
    row, column = np.divmod(position, width)
    centre = (row + margin) * number.shape[1] + column + margin
    shift = offsets @ (number.shape[1], 1)
    part = max(1, GATHERED_AT_ONCE // len(shift))
    for start in range(0, len(centre), part):
        found = number.ravel()[centre[start : start + part, None] + shift]
        yield found, found >= 0


def _disc(tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Offsets (n, 2) of the pixels within the tolerance, nearest first, and their distances (n,)."""
    steps = np.arange(-int(tolerance), int(tolerance) + 1)
    offsets = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
    square = (offsets**2).sum(1)
    order = np.argsort(square, kind="stable")
    order = order[square[order] <= tolerance**2]
    return offsets[order], np.sqrt(square[order])


class _Matching:
    """A largest matching that grows: pixels are added, and each is matched if the earlier ones can all stay matched.

    Augmenting paths, shortest first (Berge 1957). scipy.sparse.csgraph finds the same number, but starts afresh at
    every threshold and takes much longer for large images. Meant for thin maps: where half of all pixels of a large
    image are true, searches grow long.
    """

    def __init__(self, candidates: list[list[int]], true: int):
        """``candidates``: for each predicted pixel the true pixels that it can be paired with, of ``true`` ones."""
        self.candidates = candidates
        self.owner = [-1] * true
        self.partner = [-1] * len(candidates)
        self.exhausted = bytearray(true)
        self.size = 0

    def add(self, pixels: range) -> None:
        """Let these predicted pixels take part."""
        # Those that find a free partner at once go first: few searches are left, and those are short.
        left = [pixel for pixel in pixels if not self._take_free(pixel)]
        for pixel in left:
            self._search(pixel)

    def _take_free(self, pixel: int) -> bool:
        for true in self.candidates[pixel]:
            if self.owner[true] < 0:
                self._pair(pixel, true)
                self.size += 1
                return True
        return False

    def _search(self, start: int) -> None:
        reached_from: dict[int, int] = {}
        queue = [start]
        for pixel in queue:
            for true in self.candidates[pixel]:
                if true in reached_from or self.exhausted[true]:
                    continue
                reached_from[true] = pixel
                if self.owner[true] < 0:
                    self._flip(true, reached_from)
                    return
                queue.append(self.owner[true])
        # Nothing free can be reached from here, now or ever after: no later search needs to come this way.
        for true in reached_from:
            self.exhausted[true] = 1

    def _flip(self, true: int, reached_from: dict[int, int]) -> None:
        self.size += 1
        while true >= 0:
            pixel = reached_from[true]
            given_up = self.partner[pixel]
            self._pair(pixel, true)
            true = given_up

    def _pair(self, pixel: int, true: int) -> None:
        self.owner[true] = pixel
        self.partner[pixel] = true


def correspond(predicted: np.ndarray, true: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """The benchmark's own assignment: the predicted and the true pixels that are in a pair, bool (H, W) each.

    Both maps are bool (H, W); `tolerance` is in pixels. It has the least sum of the pairs' distances and of 100
    tolerances for each pair given up, as "correspondPixels" of BSDS500's benchmark, but with all outlier nodes instead
    of a random few, so that it is exact. Slower than `matches`.
    """
    position, numbers = np.flatnonzero(predicted), np.flatnonzero(true)
    rows, columns, costs = _possible_pairs(position, true, tolerance)
    in_pair = np.zeros(predicted.size, bool), np.zeros(true.size, bool)
    if len(rows):
        # Pixels without any candidate would only enlarge the problem.
        near_predicted, rows = np.unique(rows, return_inverse=True)
        near_true, columns = np.unique(columns, return_inverse=True)
        outlier = OUTLIER_TOLERANCES * max(tolerance, 1.0)
        chosen = _cheapest_pairs(rows, columns, costs, (len(near_predicted), len(near_true)), outlier)
        in_pair[0][position[near_predicted[rows[chosen]]]] = True
        in_pair[1][numbers[near_true[columns[chosen]]]] = True
    return in_pair[0].reshape(predicted.shape), in_pair[1].reshape(true.shape)


def _possible_pairs(position: np.ndarray, true: np.ndarray, tolerance: float) -> tuple[np.ndarray, ...]:
    """All pairs within the tolerance: index of the predicted pixel, number of the true one, distance."""
    _, distance = _disc(tolerance)
    parts, start = [], 0
    for found, reachable in _reach(position, true, tolerance):
        rows, offsets = np.nonzero(reachable)
        parts.append((rows + start, found[reachable], distance[offsets]))
        start += len(found)
    empty = np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0)
    return tuple(np.concatenate(values) for values in zip(empty, *parts, strict=True))


def _cheapest_pairs(
    rows: np.ndarray, columns: np.ndarray, costs: np.ndarray, shape: tuple[int, int], outlier: float
) -> np.ndarray:
    """Indices of the pairs in the cheapest assignment, where each pair left out costs `outlier` more.

    Every pixel gets an outlier of its own. Two outliers can be paired at no cost where their pixels can, so an
    assignment of the pixels always extends to all nodes, with half an outlier's cost for each pixel that is left.
    """
    predicted, true = shape
    every_predicted, every_true = np.arange(predicted), np.arange(true)
    first = np.concatenate([rows, every_predicted, predicted + every_true, predicted + columns])
    second = np.concatenate([columns, true + every_predicted, every_true, true + rows])
    half = np.full(predicted + true, outlier / 2)
    # Whole numbers, whose sums are exact: with others SciPy looks forever on some machines, where two sums that
    # ought to be equal are not. It takes a weight of 0 for no edge, and 1 more everywhere changes nothing.
    weights = 1 + np.rint(STEPS_A_PIXEL * np.concatenate([costs, half, np.zeros(len(rows))]))
    size = predicted + true
    graph = csr_array((weights, (first, second)), shape=(size, size))
    _, partner = min_weight_full_bipartite_matching(graph)
    return np.flatnonzero(partner[rows] == columns)


def image_counts(
    strength: np.ndarray,
    truths: Sequence[np.ndarray],
    thresholds: Sequence[float],
    tolerance: float,
    thinning: Thinning = "nms",
    mask: np.ndarray | None = None,
) -> np.ndarray:
    """One image's pixels at each threshold, int64 (T, 4): true in a pair, true, predicted in a pair, predicted.

    Args:
        strength: soft boundary map (H, W), finite.
        truths: bool maps (H, W), one an annotator, used as they are.
        thresholds: (T,) ascending and above 0, in the map's unit; a pixel is predicted if it is at least as strong.
        tolerance: in pixels (`tolerance_pixels`).
        thinning: how the prediction is made thin. "morphological" thins each thresholded map: BSDS500's benchmark.
            "both" suppresses non-maxima of the soft map before that: how edge detectors since Dollar and Zitnick are
            measured on it. "nms" only suppresses: SEISM's way, and by far the fastest, because the pixels at one
            threshold are then among those at every lower one. "none" takes the map as it is.
        mask: bool (H, W); pixels outside it count neither as predicted nor as true.
    """
    mask = np.ones(strength.shape, bool) if mask is None else mask
    truths = [np.asarray(true, bool) & mask for true in truths]
    counts = np.zeros((len(thresholds), 4), np.int64)
    counts[:, TRUE] = sum(int(np.count_nonzero(true)) for true in truths)
    level = _levels(np.where(mask, strength, 0), thresholds, thinning)
    if thinning in ("morphological", "both"):
        predicted = thin(level > np.arange(len(thresholds))[:, None, None]) & mask
    elif len(truths) == 1:
        counts[:, PREDICTED] = _above(level * mask, len(thresholds))
        pairs = _matches_at_levels(level * mask, len(thresholds), truths[0], tolerance)
        counts[:, MATCHED_TRUE] = counts[:, MATCHED_PREDICTED] = pairs
        return counts
    else:
        predicted = (level > np.arange(len(thresholds))[:, None, None]) & mask
    counts[:, PREDICTED] = np.count_nonzero(predicted, axis=(1, 2))
    for row, boundary in zip(counts, predicted, strict=True):
        row[[MATCHED_TRUE, MATCHED_PREDICTED]] = _pairs_with_any(boundary, truths, tolerance)
    return counts


def _levels(strength: np.ndarray, thresholds: Sequence[float], thinning: Thinning) -> np.ndarray:
    """For each pixel, how many thresholds it reaches."""
    if thinning in ("nms", "both"):
        strength = nms(strength)
    return np.searchsorted(np.asarray(thresholds, np.float64), strength, side="right")


def _above(level: np.ndarray, levels: int) -> np.ndarray:
    """Entry k (levels,): how many pixels have a level above k."""
    return np.bincount(level.ravel(), minlength=levels + 1)[::-1].cumsum()[-2::-1]


def _pairs_with_any(predicted: np.ndarray, truths: Sequence[np.ndarray], tolerance: float) -> tuple[int, int]:
    """True pixels in a pair, summed over annotators, and predicted pixels in a pair with any of them."""
    if len(truths) == 1:
        pairs = matches(predicted, truths[0], tolerance)
        return pairs, pairs
    recalled, right = 0, np.zeros(predicted.shape, bool)
    for true in truths:
        in_pair, found = correspond(predicted, true, tolerance)
        recalled += int(np.count_nonzero(found))
        right |= in_pair
    return recalled, int(np.count_nonzero(right))


def precision_recall(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall (...) of counts (..., 4); 0 where nothing is predicted or nothing true."""
    predicted, true = np.maximum(counts[..., PREDICTED], 1), np.maximum(counts[..., TRUE], 1)
    return counts[..., MATCHED_PREDICTED] / predicted, counts[..., MATCHED_TRUE] / true


def f_measure(precision: np.ndarray, recall: np.ndarray) -> np.ndarray:
    """Harmonic mean; 0 where both are 0."""
    return 2 * precision * recall / np.maximum(precision + recall, SMALLEST)


def best_between(precision: np.ndarray, recall: np.ndarray, thresholds: np.ndarray) -> tuple[float, ...]:
    """Largest F, with its precision, recall and threshold, on the straight lines between neighbouring thresholds (T,).

    The benchmark's points: 100 on each line.
    """
    share = np.linspace(0, 1, BETWEEN_THRESHOLDS)
    curves = np.stack([precision, recall, thresholds])
    lines = curves[:, :-1, None] + share * np.diff(curves)[..., None] if len(thresholds) > 1 else curves
    points = lines.reshape(3, -1)
    f = f_measure(points[0], points[1])
    best = int(f.argmax())
    return float(f[best]), *points[:, best].tolist()


def average_precision(precision: np.ndarray, recall: np.ndarray) -> float:
    """The benchmark's: a hundredth of the summed precisions at recall 0, 0.01 … 1, interpolated, 0 out of reach.

    Recalls below that of the highest threshold are out of reach too: the thresholds should go on until nothing is left.
    """
    recall, first = np.unique(recall, return_index=True)
    if len(recall) < 2:
        return 0.0
    return float(np.interp(np.linspace(0, 1, 101), recall, precision[first], left=0, right=0).sum() / 100)


class BoundaryScore(Metric):
    """odsF, oisF and what belongs to them, over a whole split; memory does not grow but by one error an image.

    Predictions and soft labels come in training units (share of the 16-bit code, divided by ``Task.scale``). ``errors``
    holds 1 minus F at each image's best threshold, NaN where an image has no true pixel.
    """

    def __init__(
        self,
        thresholds: int | Sequence[float] = 16,
        truth_threshold: float | None = TRUE_EDGE / TASKS["edges"].scale,
        max_distance: float = BSDS_DISTANCE,
        least_distance: float = LEAST_DISTANCE_PIXELS,
        thinning: Thinning = "nms",
    ):
        """Settings.

        Args:
            thresholds: those of the prediction, or how many. Then, with soft labels, they lie in equal ratios from an
                eighth to four times of ``truth_threshold``, more of them below it because a model trained by L1 draws
                weaker edges than the label has, and it is always one of them, so that a perfect prediction has an F
                of 1. With annotations they lie at 1/(n+1) … n/(n+1), as in the benchmark.
            truth_threshold: strength in training units from which a crest of the soft label is a true boundary; the
                label is made thin in the same way as the prediction. An absolute one, because it means the same edge
                in every domain and split, where a quantile would give every image set its share of boundaries. None:
                the targets are annotations, above 0 where there is a boundary, one channel an annotator, used as they
                are; a channel without any counts for nothing.
            max_distance: tolerance as a share of the diagonal; 0.0075 for BSDS and PASCAL, 0.011 for NYUD.
            least_distance: least tolerance in pixels; 0 is the benchmark's, and forgives nothing below 95 pixels.
            thinning: see `image_counts`.

        Raises:
            ValueError: thresholds that are empty or not above 0, a negative distance, or another thinning.
        """
        super().__init__()
        self.thresholds = _grid(thresholds, truth_threshold)
        if min(max_distance, least_distance) < 0:
            raise ValueError(f"distances are {max_distance} and {least_distance}, but they cannot be below 0")
        if thinning not in get_args(Thinning):
            raise ValueError(f"thinning is {thinning!r}, but it must be one of {', '.join(get_args(Thinning))}")
        self.truth_threshold = truth_threshold
        self.max_distance, self.least_distance, self.thinning = max_distance, least_distance, thinning
        self.counts = np.zeros((len(self.thresholds), 4), np.int64)
        self.best_counts = np.zeros(4, np.int64)
        self.valid = False

    def add(self, prediction: Tensor, target: Tensor, mask: Tensor) -> None:
        """(B, 1, H, W), (B, 1 or annotators, H, W) and (B, 1, H, W) bool."""
        for guess, truth, valid in zip(prediction[:, 0].numpy(), target.numpy(), mask[:, 0].numpy(), strict=True):
            if valid.any():
                self.add_image(guess, self._boundaries(truth, valid), valid)
            else:
                self.errors.append(float("nan"))

    def _boundaries(self, label: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
        if self.truth_threshold is None:
            return list(label > 0)
        boundary = _levels(np.where(mask, label[0].astype(np.float64), 0), [self.truth_threshold], self.thinning) > 0
        return [thin(boundary) if self.thinning in ("morphological", "both") else boundary]

    def add_image(self, strength: np.ndarray, truths: Sequence[np.ndarray], mask: np.ndarray | None = None) -> None:
        """Add a prediction (H, W), as many annotations (H, W) as there are for that image, and a bool mask (H, W)."""
        if not np.isfinite(strength).all():
            raise FloatingPointError("BoundaryScore: the prediction has values that are not finite")
        tolerance = tolerance_pixels(strength.shape, self.max_distance, self.least_distance)
        counts = image_counts(strength, truths, self.thresholds, tolerance, self.thinning, mask)
        f = f_measure(*precision_recall(counts))
        best = int(f.argmax()) if f.any() else -1
        self.valid = True
        self.counts += counts
        self.best_counts += counts[best]
        self.errors.append(1 - float(f[best]) if counts[0, TRUE] else float("nan"))

    def compute(self) -> Figures:
        """ods_f, ods_precision, ods_recall, ods_threshold (training units), ois_f and ap; empty without a valid pixel.

        All but the threshold are in [0, 1]; 0 where nothing is true.
        """
        if not self.valid:
            return {}
        precision, recall = precision_recall(self.counts)
        f, ods_precision, ods_recall, threshold = best_between(precision, recall, self.thresholds)
        return {
            "ods_f": f,
            "ods_precision": ods_precision,
            "ods_recall": ods_recall,
            "ods_threshold": threshold,
            "ois_f": float(f_measure(*precision_recall(self.best_counts))),
            "ap": average_precision(precision, recall),
        }


def _grid(thresholds: int | Sequence[float], truth_threshold: float | None) -> np.ndarray:
    """Ascending thresholds (T,) of the prediction."""
    if not isinstance(thresholds, int):
        values = np.asarray(thresholds, np.float64)
    elif truth_threshold is None:
        values = np.arange(1, thresholds + 1) / (thresholds + 1)
    else:
        values = truth_threshold * 2 ** np.linspace(-3, 2, thresholds)
    if not len(values) or not (values > 0).all() or not (truth_threshold is None or truth_threshold > 0):
        raise ValueError(f"thresholds {thresholds} and {truth_threshold}, but there must be some, all above 0")
    if truth_threshold is not None:
        values = np.append(values[~np.isclose(values, truth_threshold, rtol=1e-9, atol=0)], truth_threshold)
    return np.unique(values)
