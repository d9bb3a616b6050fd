"""From a model's predictions to Taskonomy's codes at a photo's size."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mult.data import labels
from mult.data.encoding import DEPTH_UNITS, NO_DEPTH
from mult.tasks import MIN_DEPTH_M, TASKS

STRIP = 1 << 16  # pixels that are enlarged at once: all classes' scores of a large photo would take gigabytes


def encode(task: str, prediction: Tensor, height: int, width: int) -> np.ndarray:
    """Codes (height, width) of a prediction (C, h, w) in training units; normals and reshading (height, width, 3).

    Predictions are resized bilinearly, a semseg's scores before the best class is chosen. A pixel always has a value:
    depth is kept within what can be coded, 1/512 m to 127.99 m; void, class 0, is never chosen, since it is never
    trained.
    """
    encoder = _ENCODERS[task]
    like = encoder(prediction[:, :1, :1])
    codes = np.empty((height, width, *like.shape[2:]), like.dtype)
    for rows, strip in _strips(prediction, height, width):
        codes[rows] = encoder(strip)
    return codes


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


def _semseg(scores: Tensor) -> np.ndarray:
    return (scores[1:].max(0).indices + 1).numpy().astype(np.uint8)  # argmax() takes thrice as long


def _depth(prediction: Tensor) -> np.ndarray:
    metres = prediction[0].double() * TASKS["depth"].scale
    return labels.encode_depth(metres.clamp(MIN_DEPTH_M, (NO_DEPTH - 1) / DEPTH_UNITS).numpy())


def _normal(prediction: Tensor) -> np.ndarray:
    length = prediction.square().sum(0).sqrt().clamp(min=1e-12)  # F.normalize takes many times as long
    return labels.encode_normal((prediction / length).permute(1, 2, 0).numpy())


def _reshading(prediction: Tensor) -> np.ndarray:
    grey = labels.encode_unit(prediction[0].numpy() * TASKS["reshading"].scale, np.uint8)
    return grey[..., None].repeat(3, -1)


def _heat_map(task: str) -> Callable[[Tensor], np.ndarray]:
    return lambda prediction: labels.encode_unit(prediction[0].numpy() * TASKS[task].scale)


_ENCODERS: dict[str, Callable[[Tensor], np.ndarray]] = {
    "semseg": _semseg,
    "depth": _depth,
    "normal": _normal,
    "reshading": _reshading,
    "keypoints": _heat_map("keypoints"),
    "edges": _heat_map("edges"),
}
