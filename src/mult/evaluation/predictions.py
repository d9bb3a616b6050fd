"""Predictions as the labels are stored: Taskonomy's codes, which everything that draws or writes labels knows."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from mult.data import labels
from mult.tasks import MIN_DEPTH_M, TASKS

MAX_DEPTH_M = 127.9  # just below what stands for an unknown depth


def codes(task: str, prediction: Tensor) -> np.ndarray:
    """(C, H, W) in training units to what a label of ``task`` (its short name) is stored as, (H, W[, 3]).

    Class ids as uint8, of which void is never predicted; depth as uint16 in 1/512 m; normals and reshading as uint8;
    heat maps as uint16.
    """
    return _ENCODERS[task](prediction.detach().float().cpu().numpy() * TASKS[task].scale)


@torch.no_grad()
def predict(model: torch.nn.Module, rgb: Tensor) -> list[dict[str, np.ndarray]]:
    """``codes`` of every task for each of the images ``rgb``, (B, 3, H, W) in [0, 1]."""
    predictions: Mapping[str, Tensor] = model(rgb)
    return [{task: codes(task, of[image]) for task, of in predictions.items()} for image in range(len(rgb))]


def _unit(dtype: type) -> Callable[[np.ndarray], np.ndarray]:
    return lambda values: labels.encode_unit(values[0], dtype)


_ENCODERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "semseg": lambda values: (values[1:].argmax(0) + 1).astype(np.uint8),
    "depth": lambda values: labels.encode_depth(np.clip(values[0], MIN_DEPTH_M, MAX_DEPTH_M)),
    "normal": lambda values: labels.encode_normal(_unit_length(values.transpose(1, 2, 0))),
    "reshading": _unit(np.uint8),
    "keypoints": _unit(np.uint16),
    "edges": _unit(np.uint16),
}


def _unit_length(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
