"""Labels and predictions of a few images, one above the other: what MLflow shows of a scoring."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from mult.data.batches import read
from mult.data.classes import class_map
from mult.data.store import Split
from mult.evaluation.predictions import predict
from mult.reports.sheet import GAP, PAPER, draw, draw_label, framed, text


def panel(
    model: torch.nn.Module, config: Mapping[str, Any], split: Split, device: torch.device, images: int = 4
) -> np.ndarray:
    """uint8 (H, W, 3): for each of ``images`` spread over the split a row of its labels and one of the predictions.

    ``config``: the model's model.json.
    """
    tasks, mapping = config["tasks"], class_map(split.classes, config["classes"])
    chosen = np.unique(np.linspace(0, len(split) - 1, min(images, len(split))).round().astype(int))
    guesses = predict(model, read(split, [], chosen).rgb.to(device))
    rows = [
        row for image, guess in zip(chosen, guesses, strict=True) for row in _rows(split, int(image), guess, mapping)
    ]
    width = rows[0].shape[1]
    title = f"{split.domain}, {split.split}: labels, below them predictions"
    return np.vstack([text(title, width), text(["input", *tasks], width, (width - 2 * GAP) / (1 + len(tasks))), *rows])


def _rows(split: Split, image: int, guess: Mapping[str, np.ndarray], mapping: np.ndarray) -> list[np.ndarray]:
    labels = [draw_label(split, image, column, mapping) for column in ("rgb", *guess)]
    guesses = [draw(task, codes, np.ones(codes.shape[:2], bool)) for task, codes in guess.items()]
    return [framed(labels), framed([np.full_like(labels[0], PAPER), *guesses])]
