"""From a model's predictions to Taskonomy's codes at a photo's size."""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mult.evaluation.predictions import codes

STRIP = 1 << 16  # pixels that are enlarged at once: all classes' scores of a large photo would take gigabytes


def encode(task: str, prediction: Tensor, height: int, width: int) -> np.ndarray:
    """Codes (height, width[, 3]) of a prediction (C, h, w) in training units; see ``evaluation.predictions``.

    Predictions are resized bilinearly, a semseg's scores before the best class is chosen.
    """
    like = codes(task, prediction[:, :1, :1])
    made = np.empty((height, width, *like.shape[2:]), like.dtype)
    for rows, strip in _strips(prediction, height, width):
        made[rows] = codes(task, strip)
    return made


def _strips(values: Tensor, height: int, width: int) -> Iterator[tuple[slice, Tensor]]:
    """(C, h, w) resized to (C, height, width), antialiased where it shrinks: some rows and their values at a time."""
    values = F.interpolate(values[None], (values.shape[1], width), mode="bilinear", antialias=True)[0]
    identity = torch.eye(values.shape[1])[None, None]
    weights = F.interpolate(identity, (height, values.shape[1]), mode="bilinear", antialias=True)[0, 0]
    step = max(1, STRIP // width)
    for top in range(0, height, step):
        rows = slice(top, top + step)
        used = weights[rows].any(0).nonzero()[:, 0]
        near = slice(int(used[0]), int(used[-1]) + 1)
        yield rows, weights[rows, near] @ values[:, near]
