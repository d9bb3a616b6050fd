"""The figures of several tasks at once."""

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from mult.data.batches import Batch
from mult.evaluation.boundary import BoundaryScore
from mult.evaluation.metrics import Depth, Figures, Map, Metric, Normals, Segmentation


class Edges(Map):
    """The figures of a map, and those of the boundary benchmark; ``errors`` are the map's."""

    def __init__(self):
        super().__init__()
        self.boundary = BoundaryScore()

    def add(self, prediction: Tensor, target: Tensor, mask: Tensor) -> None:
        super().add(prediction, target, mask)
        self.boundary.add(prediction, target, mask)

    def compute(self) -> Figures:
        boundary = self.boundary.compute()
        boundary.pop("ods_threshold", None)  # where F is best: no figure of merit
        return super().compute() | boundary


class Score:
    """The figures of several tasks, named ``<task>_<figure>``."""

    def __init__(self, tasks: Sequence[str], classes: int, mapping: np.ndarray | None = None):
        """``classes`` and ``mapping``: see ``Segmentation``."""
        self.metrics: dict[str, Metric] = {t: _make(t, classes, mapping) for t in tasks}

    def update(self, predictions: Mapping[str, Tensor], batch: Batch) -> None:
        """Add a batch's predictions in training units."""
        for task, metric in self.metrics.items():
            metric.update(predictions[task], batch.targets[task], batch.masks[task])

    def compute(self) -> Figures:
        """Every figure."""
        return {
            f"{task}_{name}": value for task, metric in self.metrics.items() for name, value in metric.compute().items()
        }


def _make(task: str, classes: int, mapping: np.ndarray | None) -> Metric:
    if task == "semseg":
        return Segmentation(classes, mapping)
    return {"depth": Depth, "normal": Normals, "edges": Edges}.get(task, Map)()
