"""The pictures of a gallery, drawn as contact sheets are."""

import numpy as np

from mult.data.classes import class_map
from mult.evaluation.gallery import Gallery
from mult.reports.sheet import draw
from mult.tasks import TASKS


def pictures(gallery: Gallery) -> dict[str, np.ndarray]:
    """``rgb``, ``label/<task>`` and ``<model>/<task>``, each uint8 (n, H, W, 3)."""
    arrays, images = gallery.split.arrays, [sample.image for sample in gallery.samples]
    valid = [arrays["mask_valid"][image] > 0 for image in images]
    drawn = {"rgb": np.stack([arrays["rgb"][image] for image in images])}
    for task in gallery.tasks:
        labels = [np.asarray(arrays[TASKS[task].name][image]) for image in images]
        if task == "semseg":  # in the colours of the models' classes; what has no counterpart there is grey
            labels = [class_map(gallery.split.classes, gallery.classes)[of] for of in labels]
        drawn[f"label/{task}"] = np.stack([draw(task, of, known) for of, known in zip(labels, valid, strict=True)])
    for name, by_task in gallery.codes.items():
        for task, codes in by_task.items():
            drawn[f"{name}/{task}"] = np.stack([draw(task, of, np.ones(of.shape[:2], bool)) for of in codes])
    return drawn
