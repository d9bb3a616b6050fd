import numpy as np
import pytest
import torch

from mult.data.batches import read
from mult.data.labels import decode_normal
from mult.data.store import open_split
from mult.evaluation.predictions import codes
from mult.tasks import TASKS, outputs


@pytest.mark.parametrize("task", [task for task in TASKS if task not in ("semseg", "normal")])
def test_a_label_that_is_predicted_exactly_has_its_own_codes(domain, task):
    split = open_split(domain, "test")
    batch = read(split, [task], range(len(split)))
    for image, (target, mask) in enumerate(zip(batch.targets[task], batch.masks[task], strict=True)):
        stored, known = split.arrays[TASKS[task].name][image], mask[0].numpy()
        made = codes(task, target)
        assert made.dtype == stored.dtype
        assert np.abs(made[known].astype(int) - stored[known]).max() <= 1


def test_void_is_never_predicted():
    scores = torch.full((outputs(["semseg"], 4)["semseg"], 2, 2), -1.0)
    scores[0], scores[3, 0, 0] = 9.0, 0.0
    assert codes("semseg", scores).tolist() == [[3, 1], [1, 1]]


def test_a_depth_is_never_predicted_as_unknown():
    made = codes("depth", torch.tensor([[[-5.0, 0.0, 1e6]]]))
    assert made.tolist() == [[1, 1, 65534]]


def test_a_normal_keeps_its_direction(domain):
    split = open_split(domain, "test")
    batch = read(split, ["normal"], range(len(split)))
    for image, (target, mask) in enumerate(zip(batch.targets["normal"], batch.masks["normal"], strict=True)):
        (made, _), (stored, _) = (decode_normal(of) for of in (codes("normal", target), split.arrays["normal"][image]))
        assert (made * stored).sum(-1)[mask[0].numpy()].min() > np.cos(np.deg2rad(1))


def test_a_normal_s_code_is_of_unit_length():
    made = codes("normal", torch.tensor([0.0, 0.0, -7.0]).view(3, 1, 1))
    assert made.tolist() == [[[128, 128, 0]]]
