import numpy as np
import pytest
import torch

from mult.data.batches import Batch
from mult.evaluation.score import Score
from mult.tasks import TASKS, outputs
from mult.training.scores import Scores

CLASSES = 6


def batch(seed, empty=False):
    rng = torch.Generator().manual_seed(seed)
    shape = (3, 1, 8, 8)
    mask = (torch.rand(shape, generator=rng) < 0.7) & (not empty)
    targets, predictions = {}, {}
    for task, channels in outputs(list(TASKS), CLASSES).items():
        predictions[task] = torch.randn(3, channels, 8, 8, generator=rng)
        targets[task] = torch.randn(3, channels, 8, 8, generator=rng)
    targets["normal"] = torch.nn.functional.normalize(targets["normal"], dim=1)
    targets["depth"] = targets["depth"].abs()
    targets["semseg"] = torch.randint(0, CLASSES, (3, 8, 8), generator=rng) * mask[:, 0]
    masks = dict.fromkeys(TASKS, mask) | {"semseg": (targets["semseg"] != 0)[:, None]}
    return predictions, Batch(torch.zeros(3, 3, 8, 8), targets, masks)


def test_they_are_the_evaluation_s_main_figures():
    ours, theirs = Scores(list(TASKS), CLASSES, torch.device("cpu")), Score(list(TASKS), CLASSES)
    for seed in range(3):
        for score in (ours, theirs):
            score.update(*batch(seed))
    wanted = {f"{t}_{task.metric}" for t, task in TASKS.items()}
    expected = {name: value for name, value in theirs.compute().items() if name in wanted}
    assert ours.compute() == pytest.approx(expected, rel=1e-5)


def test_sums_of_processes_add_up():
    alone = Scores(list(TASKS), CLASSES, torch.device("cpu"))
    halves = [Scores(list(TASKS), CLASSES, torch.device("cpu")) for _ in range(2)]
    for seed in range(4):
        for score in (alone, halves[seed % 2]):
            score.update(*batch(seed))
    for task in TASKS:
        np.testing.assert_allclose(halves[0].sums[task] + halves[1].sums[task], alone.sums[task], rtol=1e-12)


def test_a_task_without_a_label_has_no_figure():
    scores = Scores(list(TASKS), CLASSES, torch.device("cpu"))
    scores.update(*batch(0, empty=True))
    assert scores.compute() == {}
