"""Scoring a trained model on the test split of every domain."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from mult.data.batches import tasks_of
from mult.data.classes import class_map, comparable
from mult.data.loader import batches_in_order
from mult.data.store import Split, open_split
from mult.errors import UserError
from mult.evaluation.score import Score
from mult.evaluation.shifts import NONE, SHIFTS, place
from mult.files import atomic, write_json
from mult.progress import progress
from mult.tasks import TASKS

Predict = Callable[[Tensor], Mapping[str, Tensor]]  # (B, 3, H, W) in [0, 1] to a prediction a task, in training units


@dataclass(frozen=True)
class DomainScores:
    """What one domain says of a model: figures a task that it has, and each image's error (NaN: no valid pixel).

    ``groups`` names each image's room or map: images of one are not independent of each other. ``confusion`` counts
    pixels, a row a true class and a column a predicted one, of the training domain's classes; None without semseg.
    """

    n_images: int
    groups: tuple[str, ...]
    data_digest: str
    figures: dict[str, dict[str, float]]
    errors: dict[str, list[float]]
    confusion: Tensor | None = None


def evaluate(
    model: nn.Module,
    config: Mapping[str, Any],
    domains: list[str],
    data: Path,
    batch: int,
    device: torch.device,
    shifts: Mapping[str, float],
    workers: int = 0,
) -> dict[str, DomainScores]:
    """Scores of ``model`` (described by ``config``, its model.json) on the test split of each of ``domains``.

    The training domain is scored under each of ``shifts`` (strength by name) as well, as ``<domain>+<shift>``. Domains
    without labels for any of the model's tasks are left out. ``workers``: processes that read images ahead.
    """
    model.to(device).eval()
    places = [(domain, NONE) for domain in domains] + [(config["train_domain"], shift) for shift in shifts]
    scores = {}
    for domain, shift in places:
        split = open_split(data / domain, "test")
        if scorable(config, split):
            strength = shifts.get(shift, 0.0)
            scores[place(domain, shift)] = score_split(
                model, config, split, batch, device, shift, strength, workers=workers
            )
    return scores


def scorable(config: Mapping[str, Any], split: Split) -> list[str]:
    """The tasks of a model, described by its model.json, that ``split`` can score.

    Semantic classes need a choice: a domain that has a single one of the training domain's in common says nothing.
    """
    known = tasks_of(split)
    if not comparable(split.classes, config["classes"]):
        known = [task for task in known if task != "semseg"]
    return [task for task in config["tasks"] if task in known]


@torch.no_grad()
def score_split(
    predict: Predict,
    config: Mapping[str, Any],
    split: Split,
    batch_size: int,
    device: torch.device,
    shift: str = NONE,
    strength: float = 0.0,
    images: int | None = None,
    workers: int = 0,
) -> DomainScores:
    """Scores of what ``predict`` makes of ``split``, or of its first ``images``, under ``shift``.

    Raises:
        UserError: no image has a valid pixel of any task; said by a model of all tasks, for one may well be lacking.
    """
    images = len(split) if images is None else images
    tasks, classes = scorable(config, split), config["classes"]
    score = Score(tasks, len(classes), class_map(split.classes, classes))
    batches = batches_in_order(split, tasks, batch_size, torch.device("cpu"), workers, images=images)
    shown = f"{config['run']} on {place(split.domain, shift)}"
    for batch in progress(batches, shown, total=-(-images // batch_size), unit="batch"):
        if shift != NONE:
            batch = replace(batch, rgb=SHIFTS[shift](batch.rgb, strength))
        predictions = {t: p.float() for t, p in predict(batch.rgb.to(device)).items()}
        score.update(predictions, batch)
    every = scorable({**config, "tasks": list(TASKS)}, split)
    if every and set(tasks) == set(every) and not any(of.compute() for of in score.metrics.values()):
        raise UserError(
            f"{split.domain}: no label of its {images} test images can be scored; `mult data check` looks at them all, "
            f".mult/damaged/{split.domain}.csv names files that could not be read"
        )
    return DomainScores(
        n_images=images,
        groups=split.groups[:images],
        data_digest=split.digest,
        figures={t: m.compute() for t, m in score.metrics.items()},
        errors={t: m.errors for t, m in score.metrics.items()},
        confusion=score.metrics["semseg"].confusion if "semseg" in score.metrics else None,
    )


def figures(scores: Mapping[str, DomainScores]) -> dict[str, float]:
    """All figures by the names that they have in MLflow: ``<domain>/<task>_<figure>``."""
    return {
        f"{place.replace('+', '-')}/{task}_{name}": value  # MLflow allows no plus sign
        for place, of in scores.items()
        for task, values in of.figures.items()
        for name, value in values.items()
    }


def write_scores(folder: Path, scores: Mapping[str, DomainScores]) -> None:
    """Write ``scores.json`` (every figure) and ``errors.csv`` (each image's error, with its room) into ``folder``."""
    shown = {name: {"n_images": of.n_images, "data_digest": of.data_digest} | of.figures for name, of in scores.items()}
    write_json(folder / "scores.json", shown)
    rows = [
        (name, task, image, of.groups[image], error)
        for name, of in scores.items()
        for task, errors in of.errors.items()
        for image, error in enumerate(errors)
    ]
    with atomic(folder / "errors.csv", "w") as file:
        columns = ["domain", "task", "image", "group", "error"]
        pd.DataFrame(rows, columns=columns).to_csv(file, index=False, float_format="%.6g")


def write_confusion(folder: Path, confusion: Tensor, classes: Sequence[str]) -> None:
    """Write ``confusion.csv``: which percent of each true class's pixels is predicted as what; classes seen alone."""
    counts = confusion.numpy()
    rows = [
        (classes[true], classes[guess], 100 * counts[true, guess] / counts[true].sum())
        for true in range(len(classes))
        for guess in range(len(classes))
        if counts[true].any() and (counts[:, guess].any() or counts[guess].any())
    ]
    with atomic(folder / "confusion.csv", "w") as file:
        pd.DataFrame(rows, columns=["actual", "predicted", "percent"]).to_csv(file, index=False, float_format="%.4g")
