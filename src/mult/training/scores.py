"""Each task's main figure on the validation split, as sums that add up over batches and over processes.

mult.evaluation has every figure of a finished model; here are the four that a training is watched and chosen by, on the
model's own device. A test holds the two equal.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mult.data.batches import Batch
from mult.data.classes import VOID
from mult.tasks import MIN_DEPTH_M, TASKS


class Scores:
    """mIoU for semseg, RMSE in metres for depth, the mean angle in degrees for normals, L1 for the maps."""

    def __init__(self, tasks: Sequence[str], classes: int, device: torch.device):
        """``classes``: of the training domain, void included."""
        numbers = {task: classes**2 if task == "semseg" else 2 for task in tasks}
        self.sums = {t: torch.zeros(n, dtype=torch.double, device=device) for t, n in numbers.items()}

    def update(self, predictions: Mapping[str, Tensor], batch: Batch) -> None:
        """Add a batch's predictions, in training units."""
        for task, sums in self.sums.items():
            of = _confusions if task == "semseg" else _errors
            sums += of(task, predictions[task], batch.targets[task], batch.masks[task], sums)

    def compute(self) -> dict[str, float]:
        """``<task>_<figure>``; a task without a valid pixel is left out."""
        figures = {task: _figure(task, sums.cpu()) for task, sums in self.sums.items()}
        return {f"{t}_{TASKS[t].metric}": value for t, value in figures.items() if value is not None}


def _confusions(task: str, prediction: Tensor, target: Tensor, mask: Tensor, sums: Tensor) -> Tensor:
    """How often each class was taken for each; the best class that is not void, which is never trained."""
    classes = round(len(sums) ** 0.5)
    guess = prediction[:, 1:].argmax(1) + 1
    # Weights in place of a selection by the mask, whose size a GPU would have to report first.
    return torch.bincount((target * classes + guess).flatten(), (target != VOID).flatten().double(), len(sums))


def _errors(task: str, prediction: Tensor, target: Tensor, mask: Tensor, sums: Tensor) -> Tensor:
    """The error's sum and the pixels that it is over."""
    if task == "depth":
        scale = TASKS["depth"].scale
        error = ((prediction * scale).clamp(min=MIN_DEPTH_M) - target * scale).square()
        mask = mask & (target > 0)
    elif task == "normal":
        guess, target = F.normalize(prediction, dim=1), target.to(prediction.dtype)
        sine = torch.linalg.cross(guess, target, dim=1).square().sum(1, keepdim=True).sqrt()
        error = torch.rad2deg(torch.atan2(sine, (guess * target).sum(1, keepdim=True)))
    else:
        error = (prediction - target).abs()
    return torch.stack([(error * mask).sum(dtype=torch.double), mask.sum(dtype=torch.double)])


def _figure(task: str, sums: Tensor) -> float | None:
    if task != "semseg":
        total, pixels = sums.tolist()
        if not pixels:
            return None
        return (total / pixels) ** 0.5 if task == "depth" else total / pixels
    confusion = sums.view(round(len(sums) ** 0.5), -1)
    hits, labelled, guessed = confusion.diag(), confusion.sum(1), confusion.sum(0)
    present = labelled > 0
    if not present.any():
        return None
    return float((hits[present] / (labelled + guessed - hits)[present]).mean())
