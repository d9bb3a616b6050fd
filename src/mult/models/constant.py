"""The best guesses without looking, which predict the same for every image, fitted to the training split.

L1 on sparse heat maps has a strong trivial optimum, so every table shows what the best of these three reaches:

- ``constant``: the median of the training labels, one value a channel: least L1 of all constants;
- ``constant_mean``: their mean: least RMSE;
- ``constant_pixel``: the median at each place in the image, for ceilings are above and floors below.

For semseg they are the shares of the classes, over all pixels or at each place.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mult.data.batches import Batch, read
from mult.data.store import Split
from mult.progress import progress
from mult.tasks import outputs

KINDS = ("constant", "constant_mean", "constant_pixel")
CHUNK = 64  # images decoded at a time
LARGEST = 4096  # images of a larger split that are looked at, evenly spaced: all their labels are held in memory


class Constant(nn.Module):
    """Values (channels, size, size) a task; ``size`` is 1 where one value holds for the whole image."""

    def __init__(self, channels: Mapping[str, int], size: int = 1):
        super().__init__()
        self.values = nn.ParameterDict(
            {t: nn.Parameter(torch.zeros(n, size, size), requires_grad=False) for t, n in channels.items()}
        )

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) to (B, channels, H, W) a task, the same for every image."""
        return {task: self._spread(value, images) for task, value in self.values.items()}

    @staticmethod
    def _spread(value: Tensor, images: Tensor) -> Tensor:
        size = images.shape[-2:]
        if value.shape[1] > 1 and value.shape[1:] != size:
            value = F.interpolate(value[None], size, mode="bilinear")[0]
        return value.expand(len(images), -1, *size)


def build(kind: str, channels: Mapping[str, int], image_size: int) -> Constant:
    """An unfitted predictor of a kind, one of ``KINDS``."""
    return Constant(channels, image_size if kind == "constant_pixel" else 1)


def fit(kind: str, split: Split, tasks: list[str]) -> Constant:
    """The predictor of a kind, over every valid pixel of the split's images, or of ``LARGEST`` of them."""
    model = build(kind, outputs(tasks, len(split.classes)), split.arrays["rgb"].shape[1])
    for task in tasks:
        of = _shares if task == "semseg" else _middles
        model.values[task].data = of(kind, split, task, len(model.values[task]))
    return model


def _chunks(split: Split, task: str) -> Iterator[Batch]:
    images = np.linspace(0, len(split) - 1, min(len(split), LARGEST)).round().astype(int)
    for start in progress(range(0, len(images), CHUNK), f"constant {task}", unit="batch"):
        yield read(split, [task], images[start : start + CHUNK])


def _shares(kind: str, split: Split, task: str, classes: int) -> Tensor:
    """(classes, size, size) logarithms of shares, void excepted."""
    counts = sum(F.one_hot(b.targets[task], classes).sum(0) for b in _chunks(split, task)).movedim(-1, 0).float()
    counts[0] = 0
    everywhere = counts.sum((1, 2), keepdim=True)
    everywhere /= everywhere.sum()
    # One image's worth of the shares everywhere, so that a class never seen at a place is not impossible there.
    return (counts + everywhere if kind == "constant_pixel" else everywhere).clamp(min=1e-6).log()


def _middles(kind: str, split: Split, task: str, channels: int) -> Tensor:
    """(channels, size, size) medians or means."""
    batches = list(_chunks(split, task))
    valid = [b.targets[task].movedim(1, -1)[b.masks[task][:, 0]] for b in batches]
    if kind == "constant_mean":
        total = sum(pixels.sum(0, dtype=torch.double) for pixels in valid)
        return (total / sum(map(len, valid))).float()[:, None, None]
    median = torch.cat(valid).median(0).values[:, None, None]
    if kind == "constant":
        return median
    labels = torch.cat([b.targets[task].masked_fill(~b.masks[task], torch.nan) for b in batches])
    places = labels.nanmedian(0).values
    return torch.where(places.isnan(), median, places)
