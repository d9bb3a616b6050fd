"""The six tasks in one table: a new task is one row.

``scale`` turns a label into the unit in which it is trained (target = label / scale), chosen so that targets of all
tasks are of order one. Taskonomy's own ranges for the two heat maps are used: [0, 0.005] of the 16-bit code for
keypoints2d and [0, 0.08] for edge_texture (StanfordVL/taskonomy).
"""

from dataclasses import dataclass

MIN_DEPTH_M = 1e-3  # a predicted depth below it counts as that much: ratios of depths need positive ones


@dataclass(frozen=True)
class Task:
    """One dense prediction task.

    Attributes:
        name: Taskonomy's name, also the label's folder on disk.
        short: the name in params.yaml, in run names and in MLflow.
        channels: outputs of the head; None stands for the number of classes of the training domain.
        scale: unit of the target, in the label's physical unit (metres for depth, 1 for normals and reshading, the
            share of the 16-bit code's range for the heat maps).
        metric: the figure of the main tables (see mult.evaluation.metrics).
        higher_is_better: the sense of that figure.

    How a task is drawn and labelled stands in mult.reports.style: changing that must not retrain anything.
    """

    name: str
    short: str
    channels: int | None
    scale: float
    metric: str
    higher_is_better: bool


TASKS: dict[str, Task] = {
    task.short: task
    for task in (
        Task("segment_semantic", "semseg", None, 1.0, "miou", True),
        Task("depth_zbuffer", "depth", 1, 4.0, "rmse", False),
        Task("normal", "normal", 3, 1.0, "mean_deg", False),
        Task("reshading", "reshading", 1, 1.0, "l1", False),
        Task("keypoints2d", "keypoints", 1, 0.005, "l1", False),
        Task("edge_texture", "edges", 1, 0.08, "l1", False),
    )
}


def outputs(tasks: list[str], classes: int) -> dict[str, int]:
    """Output channels a task; ``classes`` counts the training domain's classes, void included."""
    return {t: TASKS[t].channels or classes for t in tasks}
