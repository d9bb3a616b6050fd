"""Predictions as the labels are stored: Taskonomy's codes, which everything that draws or writes labels knows."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from mult.data import labels
from mult.data.encoding import DEPTH_UNITS, NO_DEPTH
from mult.tasks import MIN_DEPTH_M, TASKS


def codes(task: str, prediction: Tensor) -> np.ndarray:
    """(C, H, W) in training units to what a label of ``task`` (its short name) is stored as, (H, W), normals (H, W, 3).

    A pixel always has a value: class ids as uint8, of which void is never chosen, since it is never trained; depth as
    uint16, kept within what can be coded, 1/512 m to 127.99 m; normals, of unit length, and reshading as uint8; heat
    maps as uint16.
    """
    return _ENCODERS[task](prediction.detach().float().cpu())


@torch.no_grad()
def predict(model: nn.Module, rgb: Tensor) -> list[dict[str, np.ndarray]]:
    """``codes`` of every task for each of the images ``rgb``, (B, 3, H, W) in [0, 1]."""
    predictions = model(rgb)
    return [{task: codes(task, of[image]) for task, of in predictions.items()} for image in range(len(rgb))]


def _semseg(scores: Tensor) -> np.ndarray:
    return (scores[1:].max(0).indices + 1).numpy().astype(np.uint8)  # argmax() takes thrice as long


def _depth(prediction: Tensor) -> np.ndarray:
    metres = prediction[0].double() * TASKS["depth"].scale
    return labels.encode_depth(metres.clamp(MIN_DEPTH_M, (NO_DEPTH - 1) / DEPTH_UNITS).numpy())


def _normal(prediction: Tensor) -> np.ndarray:
    length = prediction.square().sum(0).sqrt().clamp(min=1e-12)  # F.normalize takes many times as long
    return labels.encode_normal((prediction / length).permute(1, 2, 0).numpy())


def _unit(task: str, dtype: type) -> Callable[[Tensor], np.ndarray]:
    return lambda prediction: labels.encode_unit(prediction[0].numpy() * TASKS[task].scale, dtype)


_ENCODERS: dict[str, Callable[[Tensor], np.ndarray]] = {
    "semseg": _semseg,
    "depth": _depth,
    "normal": _normal,
    "reshading": _unit("reshading", np.uint8),
    "keypoints": _unit("keypoints", np.uint16),
    "edges": _unit("edges", np.uint16),
}
