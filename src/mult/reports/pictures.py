"""The pictures of a gallery, drawn as contact sheets are."""

import numpy as np

from mult.data.classes import class_map
from mult.evaluation.gallery import Gallery
from mult.reports.sheet import draw, draw_label


def pictures(gallery: Gallery) -> dict[str, np.ndarray]:
    """``rgb``, ``label/<task>`` and ``<model>/<task>``, each uint8 (n, H, W, 3)."""
    split, images = gallery.split, [sample.image for sample in gallery.samples]
    classes = class_map(split.classes, gallery.classes)  # the models' colours; what has no counterpart is grey
    drawn = {"rgb": np.stack([draw_label(split, image, "rgb") for image in images])}
    for task in gallery.tasks:
        drawn[f"label/{task}"] = np.stack([draw_label(split, image, task, classes) for image in images])
    for name, by_task in gallery.codes.items():
        for task, codes in by_task.items():
            drawn[f"{name}/{task}"] = np.stack([draw(task, of, np.ones(of.shape[:2], bool)) for of in codes])
    return drawn
