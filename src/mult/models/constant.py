"""The best guesses without looking, which predict the same for every image, fitted to the training split.

L1 on sparse heat maps has a strong trivial optimum, so every table shows what the best of these three reaches:

- ``constant``: the median of the training labels, one value a channel: least L1 of all constants;
- ``constant_mean``: their mean: least RMSE;
- ``constant_pixel``: the median at each place in the image, for ceilings are above and floors below.

For semseg they are the shares of the classes, over all pixels or at each place.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mult.data.batches import Batch, read
from mult.data.store import Split
from mult.errors import UserError
from mult.progress import progress
from mult.tasks import outputs

KINDS = ("constant", "constant_mean", "constant_pixel")
CHUNK = 16  # images decoded at a time
LARGEST = 4096  # images of a larger split that are looked at, evenly spaced
# Bits of a value that are counted at a time, and the type of the counts: of a place there are no more than LARGEST.
EVERYWHERE, A_PLACE = (16, torch.int64), (8, torch.int32)


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
    """The predictor of a kind, over every valid pixel of the split's images, or of ``LARGEST`` of them.

    Raises:
        UserError: they have no label of a task.
    """
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
    if not counts.any():
        raise _nothing(task)
    everywhere = counts.sum((1, 2), keepdim=True)
    everywhere /= everywhere.sum()
    # One image's worth of the shares everywhere, so that a class never seen at a place is not impossible there.
    return (counts + everywhere if kind == "constant_pixel" else everywhere).clamp(min=1e-6).log()


def _middles(kind: str, split: Split, task: str, channels: int) -> Tensor:
    """(channels, size, size) medians or means."""
    if kind == "constant_mean":
        total, count = torch.zeros(channels, dtype=torch.double), 0
        for batch in _chunks(split, task):
            pixels = batch.targets[task].movedim(1, -1)[batch.masks[task][:, 0]]
            total, count = total + pixels.sum(0, dtype=torch.double), count + len(pixels)
        if not count:
            raise _nothing(task)
        return (total / count).float()[:, None, None]
    median = _medians(split, task, EVERYWHERE, _flat)
    if median.isnan().any():
        raise _nothing(task)
    if kind == "constant":
        return median
    places = _medians(split, task, A_PLACE, lambda labels: labels)
    return torch.where(places.isnan(), median, places)


def _nothing(task: str) -> UserError:
    return UserError(f"{task}: no image of the training split has a label of it; choose another train_domain")


def _flat(labels: Tensor) -> Tensor:
    """(B, channels, H, W) to (B * H * W, channels, 1, 1)."""
    return labels.movedim(1, -1).reshape(-1, labels.shape[1], 1, 1)


def _medians(split: Split, task: str, of: tuple[int, torch.dtype], shape: Callable[[Tensor], Tensor]) -> Tensor:
    """The lower median over the first axis of what ``shape`` makes of all labels, NaN where there is none.

    Digit by digit, of so many bits, from counts of the values that have the digits found so far: exact in 32 / bits
    looks at the data, in memory that the size of a picture decides and not their number.
    """
    digit, dtype = of
    number = prefix = rank = torch.zeros((), dtype=torch.long)
    for shift in range(32 - digit, -1, -digit):
        counts: Tensor | None = None
        for batch in _chunks(split, task):
            order = _order(shape(batch.targets[task]))
            counted = shape(batch.masks[task].expand_as(batch.targets[task])) & (order >> (shift + digit) == prefix)
            if counts is None:
                counts = torch.zeros(1 << digit, *order.shape[1:], dtype=dtype)
            counts.scatter_add_(0, order >> shift & ((1 << digit) - 1), counted.to(dtype))
        below = counts.cumsum_(0)
        if shift == 32 - digit:
            number = below[-1].long()
            rank = (number - 1) // 2
        found = (below <= rank).sum(0).clamp(max=(1 << digit) - 1)
        rank = rank - below.gather(0, (found - 1).clamp(min=0)[None])[0] * (found > 0)
        prefix = (prefix << digit) + found
    return torch.where(number > 0, _value(prefix), torch.nan)


def _order(values: Tensor) -> Tensor:
    """Numbers of 32 bits, from 0, that are in order as ``values`` are."""
    bits = (values.float() + 0.0).view(torch.int32)  # of -0 and 0 one
    return (bits ^ (bits >> 31 & 0x7FFFFFFF)).long() + (1 << 31)


def _value(order: Tensor) -> Tensor:
    """The value that ``_order`` has numbered."""
    bits = (order - (1 << 31)).int()
    return (bits ^ (bits >> 31 & 0x7FFFFFFF)).view(torch.float32)
