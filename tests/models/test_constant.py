from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mult.data.batches import read
from mult.data.encoding import NO_DEPTH
from mult.data.store import open_split
from mult.errors import UserError
from mult.evaluation.score import Score
from mult.models import constant
from mult.tasks import TASKS

REGRESSED = [task for task in TASKS if task != "semseg"]


@pytest.fixture(scope="module")
def split(domain):
    return open_split(domain, "train")


@pytest.fixture(scope="module")
def figures(split):
    """Each kind's scores on the images that it was fitted to."""
    batch = read(split, list(TASKS), range(len(split)))
    found = {}
    for kind in constant.KINDS:
        score = Score(list(TASKS), len(split.classes))
        score.update(constant.fit(kind, split, list(TASKS))(batch.rgb), batch)
        found[kind] = score.compute()
    return found


def errors(split, task, guess):
    """Mean absolute and mean squared error of (channels, 1 or H, 1 or W) over a task's valid pixels."""
    batch = read(split, [task], range(len(split)))
    error = (batch.targets[task] - guess)[batch.masks[task].expand_as(batch.targets[task])]
    return error.abs().mean(), error.square().mean()


@pytest.mark.parametrize("task", REGRESSED)
def test_no_other_constant_does_better_than_median_and_mean(split, task):
    median, mean = (constant.fit(kind, split, [task]).values[task] for kind in ("constant", "constant_mean"))
    for shift in (-0.02, 0.02):
        assert errors(split, task, median)[0] <= errors(split, task, median + shift)[0] + 1e-7
        assert errors(split, task, mean)[1] <= errors(split, task, mean + shift)[1] + 1e-7


@pytest.mark.parametrize("task", REGRESSED)
def test_a_value_a_place_does_better_than_one_for_all(split, task):
    places, one = (constant.fit(kind, split, [task]).values[task] for kind in ("constant_pixel", "constant"))
    size = split.arrays["rgb"].shape[1]
    assert places.shape == (len(one), size, size)
    assert errors(split, task, places)[0] < errors(split, task, one)[0]


@pytest.mark.parametrize("task", REGRESSED)
def test_medians_are_those_of_torch(split, task, monkeypatch):
    monkeypatch.setattr(constant, "CHUNK", 3)  # several looks at the data
    batch = read(split, [task], range(len(split)))
    labels = batch.targets[task].masked_fill(~batch.masks[task], torch.nan)
    one, places = (constant.fit(kind, split, [task]).values[task] for kind in ("constant", "constant_pixel"))
    assert torch.equal(one.flatten(), labels.movedim(1, -1).flatten(0, 2).nanmedian(0).values)
    wanted = labels.nanmedian(0).values
    assert torch.equal(places, torch.where(wanted.isnan(), one, wanted))


def test_medians_of_any_numbers(split, monkeypatch):
    """Of both signs, of all sizes, with equal ones, and of none at all."""
    generator = torch.Generator().manual_seed(0)
    for images in (1, 2, 7, 40):
        labels = torch.randn(images, 2, 3, 5, generator=generator) * 10.0 ** torch.randint(
            -30, 30, (images, 2, 3, 5), generator=generator
        )
        labels[torch.rand(labels.shape, generator=generator) < 0.3] = 0.0
        labels[torch.rand(labels.shape, generator=generator) < 0.1] *= -1.0  # -0 as well
        masks = torch.rand(images, 1, 3, 5, generator=generator) < 0.5
        masks[:, :, 0, 0] = False
        parts = zip(labels.split(3), masks.split(3), strict=True)
        batches = [SimpleNamespace(targets={"x": of}, masks={"x": mask}) for of, mask in parts]
        monkeypatch.setattr(constant, "_chunks", lambda split, task, batches=batches: batches)
        wanted = labels.masked_fill(~masks, torch.nan).nanmedian(0).values
        for of in (constant.EVERYWHERE, constant.A_PLACE):
            found = constant._medians(split, "x", of, lambda labels: labels)
            assert torch.equal(found.nan_to_num(7.0), wanted.nan_to_num(7.0))
            assert found[:, 0, 0].isnan().all()


@pytest.mark.parametrize("kind", constant.KINDS)
def test_a_task_without_a_label_is_refused(split, kind):
    nothing = np.full_like(split.arrays["depth_zbuffer"], NO_DEPTH)
    without = replace(split, arrays={**split.arrays, "depth_zbuffer": nothing})
    with pytest.raises(UserError, match="depth: no image of the training split has a label"):
        constant.fit(kind, without, ["depth"])


def test_classes_are_guessed_by_their_shares(split, figures):
    model = constant.fit("constant", split, ["semseg"])
    shares = model.values["semseg"].exp().flatten()
    labels = read(split, ["semseg"], range(len(split))).targets["semseg"]
    assert shares[1:].sum() == pytest.approx(1, abs=1e-4)
    assert int(shares[1:].argmax()) + 1 == labels[labels > 0].mode().values
    assert figures["constant_pixel"]["semseg_pixel_accuracy"] > figures["constant"]["semseg_pixel_accuracy"]


def test_a_larger_split_is_looked_at_in_parts(split, monkeypatch):
    monkeypatch.setattr(constant, "LARGEST", 4)
    seen = [len(batch) for batch in constant._chunks(split, "depth")]
    assert sum(seen) == 4 < len(split)


def test_an_image_of_another_size_gets_a_prediction_of_its_size(split):
    predictions = constant.fit("constant_pixel", split, list(TASKS))(torch.zeros(2, 3, 48, 64))
    assert {tuple(p.shape[2:]) for p in predictions.values()} == {(48, 64)}
