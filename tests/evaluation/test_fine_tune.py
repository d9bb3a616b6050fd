import numpy as np
import pytest
import torch

from mult.data.batches import read
from mult.data.store import open_split
from mult.evaluation.fine_tune import few, fine_tune
from mult.params import load
from mult.training.losses import LOSSES
from tests.conftest import CLASSES, ROOT, write_domain
from tests.models.test_mult import make

CPU = torch.device("cpu")
HOME = ["void", "floor", "lamp", "wall", *(f"class {i}" for i in range(14))]  # 18, as the model has


@pytest.fixture(scope="module")
def away(tmp_path_factory):
    return open_split(write_domain(tmp_path_factory.mktemp("data") / "away", images=(12, 2, 2), seed=5), "train")


def test_few_images_are_spread_over_the_split_and_speak_of_the_model_s_classes(away):
    chosen = few(away, 4, HOME)
    assert len(chosen) == 4
    assert np.array_equal(chosen.arrays["depth_zbuffer"], away.arrays["depth_zbuffer"][[0, 4, 7, 11]])
    assert chosen.groups == tuple(away.groups[i] for i in (0, 4, 7, 11))
    old, new = away.arrays["segment_semantic"][[0, 4, 7, 11]], chosen.arrays["segment_semantic"]
    for index, name in enumerate(CLASSES):
        counterpart = HOME.index(name) if name in HOME else 0
        assert set(new[old == index].tolist()) <= {counterpart}
    assert len(few(away, 99, HOME)) == len(away)


def test_pictures_can_be_changed_and_labels_stay(away):
    dark = few(away, 3, HOME, lambda rgb: rgb / 2)
    plain = few(away, 3, HOME)
    assert np.abs(dark.arrays["rgb"] - plain.arrays["rgb"] / 2).max() <= 0.5
    assert np.array_equal(dark.arrays["normal"], plain.arrays["normal"])


@torch.no_grad()
def loss_on(model, images, task, loss):
    batch = read(images, [task], range(len(images)))
    return float(LOSSES[loss.loss].total(model.eval()(batch.rgb)[task], batch.targets[task], batch.masks[task]))


def test_tuning_learns_and_leaves_the_model_alone(away):
    settings = load(ROOT / "params.yaml", scale="smoke")
    tune = settings.scale.fine_tune.model_copy(update={"steps": 20, "lr": 2e-3})
    settings = settings.model_copy(update={"scale": settings.scale.model_copy(update={"fine_tune": tune})})
    model, images = make(), few(away, 8, HOME)
    config = {"run": "x", "tasks": ["depth", "edges", "semseg"], "classes": HOME, "seed": 0}
    before = {name: value.clone() for name, value in model.state_dict().items()}
    after, seconds = fine_tune(model, config, images, settings, CPU)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert seconds > 0
    assert not after.training
    for task in config["tasks"]:
        first, last = (loss_on(m, images, task, settings.losses[task]) for m in (model, after))
        assert last < 0.8 * first, task
    again, _ = fine_tune(model, config, images, settings, CPU)
    assert all(torch.equal(a, b) for a, b in zip(after.state_dict().values(), again.state_dict().values(), strict=True))
