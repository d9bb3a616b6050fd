"""Scoring a trained model on the test split of every domain."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mult.data.batches import read
from mult.data.classes import class_map
from mult.data.store import Split, open_split
from mult.evaluation.score import Score
from mult.evaluation.shifts import NONE, SHIFTS, place
from mult.progress import progress


@dataclass(frozen=True)
class DomainScores:
    """What one domain says of a model: figures a task, and each image's error (NaN: no valid pixel).

    ``groups`` names each image's room or map: images of one are not independent of each other.
    """

    n_images: int
    groups: tuple[str, ...]
    data_digest: str
    figures: dict[str, dict[str, float]]
    errors: dict[str, list[float]]


def evaluate(
    model: nn.Module,
    config: Mapping[str, Any],
    domains: list[str],
    data: Path,
    batch: int,
    device: torch.device,
    shifts: Mapping[str, float],
) -> dict[str, DomainScores]:
    """Scores of ``model`` (described by ``config``, its model.json) on the test split of each of ``domains``.

    The training domain is scored under each of ``shifts`` (strength by name) as well, as ``<domain>+<shift>``.
    """
    model.to(device).eval()
    places = [(domain, NONE) for domain in domains] + [(config["train_domain"], shift) for shift in shifts]
    return {
        place(domain, shift): _score(
            model, config, open_split(data / domain, "test"), batch, device, shift, shifts.get(shift, 0.0)
        )
        for domain, shift in places
    }


@torch.no_grad()
def _score(
    model: nn.Module,
    config: Mapping[str, Any],
    split: Split,
    batch_size: int,
    device: torch.device,
    shift: str,
    strength: float,
) -> DomainScores:
    tasks, classes = config["tasks"], config["classes"]
    score = Score(tasks, len(classes), class_map(split.classes, classes))
    for start in progress(
        range(0, len(split), batch_size), f"{config['run']} on {place(split.domain, shift)}", unit="batch"
    ):
        batch = read(split, tasks, range(start, min(start + batch_size, len(split))))
        if shift != NONE:
            batch = replace(batch, rgb=SHIFTS[shift](batch.rgb, strength))
        predictions = {t: p.float() for t, p in model(batch.rgb.to(device)).items()}
        score.update(predictions, batch)
    return DomainScores(
        n_images=len(split),
        groups=split.groups,
        data_digest=split.digest,
        figures={t: m.compute() for t, m in score.metrics.items()},
        errors={t: m.errors for t, m in score.metrics.items()},
    )
