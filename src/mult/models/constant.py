"""The best guess without looking: what predicts the same everywhere, fitted to the training split.

L1 on sparse heat maps has a strong trivial optimum, so every table shows this row.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from mult.data.batches import Batch, read
from mult.data.store import Split
from mult.progress import progress

CHUNK = 64  # images decoded at a time


class Constant(nn.Module):
    """One value a channel: the median of the training labels; for semseg the share of each class."""

    def __init__(self, channels: Mapping[str, int]):
        super().__init__()
        self.values = nn.ParameterDict({t: nn.Parameter(torch.zeros(n), False) for t, n in channels.items()})

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) to (B, channels, H, W) a task, the same for every image."""
        batch, _, height, width = images.shape
        return {t: v.view(1, -1, 1, 1).expand(batch, -1, height, width) for t, v in self.values.items()}


def fit(split: Split, channels: Mapping[str, int]) -> Constant:
    """The constant predictor of a training split; medians are over every valid pixel."""
    model = Constant(channels)
    for task in channels:
        model.values[task].data = _shares(split, channels[task]) if task == "semseg" else _medians(split, task)
    return model


def _chunks(split: Split, task: str) -> Iterator[Batch]:
    for start in progress(range(0, len(split), CHUNK), f"constant {task}", unit="batch"):
        yield read(split, [task], range(start, min(start + CHUNK, len(split))))


def _shares(split: Split, classes: int) -> Tensor:
    counts = sum(torch.bincount(b.targets["semseg"].flatten(), minlength=classes) for b in _chunks(split, "semseg"))
    counts[0] = 0
    return (counts / counts.sum()).clamp(min=1e-6).log()


def _medians(split: Split, task: str) -> Tensor:
    pixels = [b.targets[task].movedim(1, -1)[b.masks[task][:, 0]] for b in _chunks(split, task)]
    return torch.cat(pixels).median(0).values
