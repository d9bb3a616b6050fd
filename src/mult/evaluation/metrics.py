"""Metrics a task, over a whole split in one pass: ``update`` adds sums, ``compute`` makes the ratios.

Predictions and targets come in the units of training and are turned into physical ones here. Images without a valid
pixel count nowhere. A prediction that is not finite is an error, not a number.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mult.data.classes import VOID
from mult.tasks import MIN_DEPTH_M, TASKS

Figures = dict[str, float]
ANGLES_DEG = (11.25, 22.5, 30.0)
EXACT_PIXELS = 1 << 23  # up to which a median is of a list of them all
ANGLE_BIN_DEG = 0.01  # beyond, angles are counted in bins this wide, and the median's error is half a bin


class Metric:
    """One task's figures. ``errors`` holds one number an image, NaN where an image has no valid pixel."""

    def __init__(self):
        self.errors: list[float] = []

    def update(self, prediction: Tensor, target: Tensor, mask: Tensor) -> None:
        """Add a batch: (B, C, H, W) twice and (B, 1, H, W) bool."""
        if not torch.isfinite(prediction).all():
            raise FloatingPointError(f"{type(self).__name__}: the prediction has values that are not finite")
        self.add(prediction.detach().cpu().double(), target.cpu(), mask.cpu())

    def add(self, prediction: Tensor, target: Tensor, mask: Tensor) -> None:
        raise NotImplementedError

    def compute(self) -> Figures:
        """Figures by name; empty where nothing valid was seen."""
        raise NotImplementedError

    def _remember(self, error: Tensor, mask: Tensor) -> None:
        """Mean error a image, (B, 1, H, W) both."""
        count = mask.flatten(1).sum(1)
        mean = (error * mask).flatten(1).sum(1) / count
        self.errors += torch.where(count > 0, mean, torch.nan).tolist()


class Segmentation(Metric):
    """mIoU over the classes that occur in the labels, pixel accuracy, cross-entropy; errors are 1 - accuracy."""

    def __init__(self, classes: int, mapping: np.ndarray | None = None):
        """``mapping`` (256,) turns the labels' ids into those of the model (mult.data.classes.class_map)."""
        super().__init__()
        self.mapping = None if mapping is None else torch.from_numpy(mapping).long()
        self.confusion = torch.zeros(classes, classes, dtype=torch.long)
        self.cross_entropy = 0.0

    def add(self, prediction: Tensor, target: Tensor, mask: Tensor) -> None:
        if self.mapping is not None:
            target = self.mapping[target]
        mask = target != VOID
        guess = self._guess(prediction)
        pairs = target[mask] * len(self.confusion) + guess[mask]
        self.confusion += torch.bincount(pairs, minlength=self.confusion.numel()).view_as(self.confusion)
        self.cross_entropy += float(F.cross_entropy(prediction, target, ignore_index=VOID, reduction="sum"))
        self._remember((guess != target).double()[:, None], mask[:, None])

    @staticmethod
    def _guess(prediction: Tensor) -> Tensor:
        """The best class that is not void: void is never trained."""
        return prediction[:, 1:].argmax(1) + 1

    def compute(self) -> Figures:
        total = self.confusion.sum()
        if total == 0:
            return {}
        confusion = self.confusion.double()
        hits, labelled, guessed = confusion.diag(), confusion.sum(1), confusion.sum(0)
        present = labelled > 0
        iou = hits[present] / (labelled + guessed - hits)[present]
        return {
            "miou": float(iou.mean()),
            "pixel_accuracy": float(hits.sum() / total),
            "cross_entropy": self.cross_entropy / float(total),
        }


class Depth(Metric):
    """RMSE pooled over pixels and as a mean of images, L1, abs-rel, delta; and after scaling each image's median."""

    def __init__(self):
        super().__init__()
        self.sums = torch.zeros(9, dtype=torch.double)
        self.image_rmse: list[float] = []

    def add(self, prediction: Tensor, target: Tensor, mask: Tensor) -> None:
        scale = TASKS["depth"].scale
        guess, truth = prediction * scale, target.double() * scale
        mask = mask & (truth > 0)
        self._remember((guess - truth).abs(), mask)
        for g, t, m in zip(guess, truth, mask, strict=True):
            if m.any():
                self._add_image(g[m].clamp(min=MIN_DEPTH_M), t[m])

    def _add_image(self, guess: Tensor, truth: Tensor) -> None:
        error = guess - truth
        ratio = torch.maximum(guess / truth, truth / guess)
        aligned = guess * (truth.median() / guess.median())
        self.sums += torch.stack(
            [
                torch.tensor(float(len(truth)), dtype=torch.double),
                error.square().sum(),
                error.abs().sum(),
                (error.abs() / truth).sum(),
                *((ratio < 1.25**k).double().sum() for k in (1, 2, 3)),
                (aligned - truth).square().sum(),
                ((aligned - truth).abs() / truth).sum(),
            ]
        )
        self.image_rmse.append(float(error.square().mean().sqrt()))

    def compute(self) -> Figures:
        n, square, absolute, relative, d1, d2, d3, aligned_square, aligned_relative = self.sums.tolist()
        if n == 0:
            return {}
        return {
            "rmse": (square / n) ** 0.5,
            "rmse_image_mean": float(np.mean(self.image_rmse)),
            "l1": absolute / n,
            "abs_rel": relative / n,
            "delta1": d1 / n,
            "delta2": d2 / n,
            "delta3": d3 / n,
            "rmse_aligned": (aligned_square / n) ** 0.5,
            "abs_rel_aligned": aligned_relative / n,
        }


class Median:
    """The median of numbers in [0, ``top``] in bounded memory: exact up to ``EXACT_PIXELS``, then to half a bin."""

    def __init__(self, top: float, width: float):
        self.width = width
        self.kept: list[Tensor] = []
        self.histogram = torch.zeros(round(top / width) + 1, dtype=torch.long)

    def add(self, values: Tensor) -> None:
        """Add (N,) double."""
        self.kept.append(values)
        if self.histogram.any() or sum(map(len, self.kept)) > EXACT_PIXELS:
            bins = (torch.cat(self.kept) / self.width).long()
            self.histogram += torch.bincount(bins, minlength=len(self.histogram))
            self.kept = []

    def compute(self) -> float:
        """The mean of the two in the middle, where their number is even."""
        if self.kept:
            return float(np.median(torch.cat(self.kept).numpy()))
        middle = int(torch.searchsorted(self.histogram.cumsum(0), int(self.histogram.sum() / 2), right=True))
        return (middle + 0.5) * self.width


class Normals(Metric):
    """Angle between prediction and label: mean, median, share below 11.25, 22.5 and 30 degrees; and L1."""

    def __init__(self):
        super().__init__()
        self.angles = Median(180, ANGLE_BIN_DEG)
        self.angle_sum = self.l1_sum = self.count = 0.0
        self.below = torch.zeros(len(ANGLES_DEG), dtype=torch.double)

    def add(self, prediction: Tensor, target: Tensor, mask: Tensor) -> None:
        guess, truth = F.normalize(prediction, dim=1), F.normalize(target.double(), dim=1)
        # atan2 of sine and cosine: the arc cosine loses all precision at small angles.
        sine = torch.linalg.cross(guess, truth, dim=1).square().sum(1, keepdim=True).sqrt()  # norm() is far slower
        angle = torch.rad2deg(torch.atan2(sine, (guess * truth).sum(1, keepdim=True)))
        self._remember(angle, mask)
        valid = angle[mask]
        self.count += len(valid)
        self.angle_sum += float(valid.sum())
        self.l1_sum += float(((prediction - truth).abs().mean(1, keepdim=True) * mask).sum())
        self.below += torch.stack([(valid < limit).double().sum() for limit in ANGLES_DEG])
        self.angles.add(valid)

    def compute(self) -> Figures:
        if self.count == 0:
            return {}
        shares = dict(zip((f"within_{a:g}" for a in ANGLES_DEG), (self.below / self.count).tolist(), strict=True))
        return {
            "mean_deg": self.angle_sum / self.count,
            "median_deg": self.angles.compute(),
            **{name.replace(".", "_"): share for name, share in shares.items()},
            "l1": self.l1_sum / self.count,
        }


class Map(Metric):
    """A one-channel map (reshading, keypoints, edges): L1 and the correlation with the label over all pixels."""

    def __init__(self):
        super().__init__()
        self.sums = torch.zeros(7, dtype=torch.double)

    def add(self, prediction: Tensor, target: Tensor, mask: Tensor) -> None:
        truth = target.double()
        self._remember((prediction - truth).abs(), mask)
        p, t = prediction[mask], truth[mask]
        n = torch.tensor(float(len(p)), dtype=torch.double)
        self.sums += torch.stack(
            [n, (p - t).abs().sum(), p.sum(), t.sum(), p.square().sum(), t.square().sum(), (p * t).sum()]
        )

    def compute(self) -> Figures:
        n, absolute, p, t, pp, tt, pt = self.sums.tolist()
        if n == 0:
            return {}
        spread = max(pp - p * p / n, 0) ** 0.5 * max(tt - t * t / n, 0) ** 0.5
        # A constant prediction has no correlation; 0 says that it tells nothing about the label.
        return {"l1": absolute / n, "correlation": (pt - p * t / n) / spread if spread > 1e-9 * n else 0.0}
