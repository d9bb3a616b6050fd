"""A short training on a few images of another domain, and what it gains there."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mult.data.classes import class_map
from mult.data.store import Split
from mult.evaluation.evaluator import scorable
from mult.params import Params
from mult.training.trainer import Job, train


def few(split: Split, images: int, classes: list[str], picture: Callable[[Tensor], Tensor] | None = None) -> Split:
    """``images`` of ``split``, evenly spaced, in memory: their classes in terms of ``classes``.

    ``picture`` changes the rgb pictures, (B, 3, H, W) in [0, 1].
    """
    chosen = np.linspace(0, len(split) - 1, min(images, len(split))).round().astype(int)
    arrays = {label: np.asarray(array[chosen]) for label, array in split.arrays.items()}
    if "segment_semantic" in arrays:
        arrays["segment_semantic"] = class_map(split.classes, classes)[arrays["segment_semantic"]]
    if picture is not None:
        rgb = picture(torch.from_numpy(arrays["rgb"]).movedim(-1, 1) / 255)
        arrays["rgb"] = (rgb.movedim(1, -1) * 255).round().to(torch.uint8).numpy()
    groups = tuple(split.groups[i] for i in chosen)
    return replace(split, classes=tuple(classes), groups=groups, fov=split.fov[chosen], arrays=arrays)


def fine_tune(
    model: nn.Module, config: Mapping[str, Any], images: Split, settings: Params, device: torch.device
) -> tuple[nn.Module, float]:
    """A copy of ``model`` (its model.json is ``config``), trained on ``images``, and the seconds that this took.

    For those of its tasks that the images can score. As it was trained, but for the steps and learning rate of the
    scale's ``fine_tune``, no warm-up and fixed loss weights; the last weights are taken, for there is nothing to choose
    by.
    """
    scale = settings.scale
    training = scale.training.model_copy(
        update={
            "steps": scale.fine_tune.steps,
            "lr": scale.fine_tune.lr,
            "batch_size": min(scale.training.batch_size, len(images)),
            "validate_every": scale.fine_tune.steps,
            "warmup_steps": 0,
            "patience": 0,
            "ema": 0.0,
            "balancing": "fixed",
        }
    )
    job = Job(
        data={"train": images},
        losses={task: settings.losses[task] for task in scorable(config, images)},
        classes=len(config["classes"]),
        settings=training,
        hardware=scale.hardware.model_copy(update={"processes": 1, "shard": False}),
        seed=config["seed"],
        label=f"{config['run']} on {images.domain}",
    )
    tuned = deepcopy(model)
    trained = train(tuned, job, device)
    tuned.load_state_dict(trained.weights)
    return tuned.eval(), trained.history.seconds
