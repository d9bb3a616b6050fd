from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from mult.data.store import open_split
from mult.evaluation.gallery import Gallery, attention_of, choose
from mult.evaluation.predictions import predict
from mult.files import read_json
from mult.reports.panel import panel
from mult.reports.pictures import pictures
from mult.tasks import TASKS
from tests.conftest import CLASSES
from tests.models.test_mult import make


def errors_of(values: dict[str, list[float]]) -> pd.DataFrame:
    rows = [(task, image, f"room-{image // 2}", error) for task, of in values.items() for image, error in enumerate(of)]
    return pd.DataFrame(rows, columns=["task", "image", "group", "error"])


def test_the_best_the_middle_and_the_worst_are_among_the_chosen():
    errors = errors_of({"depth": [5.0, 1.0, 2.0, 3.0, 4.0, 9.0, 7.0], "edges": [0.5, 0.1, 0.2, 0.3, 0.4, 0.9, 0.7]})
    chosen = choose(errors, 3)
    assert [(s.image, s.role) for s in chosen] == [(1, "best"), (4, "median"), (5, "worst")]
    assert chosen[0].group == "room-0"
    assert chosen[0].error == pytest.approx((1 / 4.4286 + 0.1 / 0.44286) / 2, rel=1e-3)
    assert [s.image for s in choose(errors, 99)] == [1, 2, 3, 4, 0, 6, 5]


def test_an_image_without_a_label_is_judged_by_the_others_and_without_any_left_out():
    nan = float("nan")
    errors = errors_of({"depth": [nan, 2.0, 3.0, nan], "edges": [0.1, 0.2, 0.3, nan]})
    assert [s.image for s in choose(errors, 9)] == [0, 1, 2]
    assert [s.role for s in choose(errors_of({"depth": [1.0]}), 5)] == ["worst"], "one image is all there is"


@pytest.mark.parametrize("options", [{}, {"t2_shift": True}, {"window": 7}])
@pytest.mark.parametrize("attention", ["shared", "self"])
def test_cells_say_where_the_tokens_are(attention, options):
    model = make(attention=attention, skip="concat", **options).eval()
    maps = attention_of(model, torch.rand(1, 3, 64, 90))
    assert [(m.height, m.width) for m in maps] == [(2, 3), (4, 6), (8, 12), (16, 24)]
    for of in maps:
        assert of.owners == (["all"] if attention == "shared" else list(TASKS))
        seen = of.cells[of.cells >= 0]
        assert sorted(seen) == list(range(of.height * of.width)), "each cell once"
        np.testing.assert_allclose(of.weights.sum(-1), 1, rtol=1e-5)
        real = of.cells >= 0
        apart = real[:, :, None] & ~real[:, None, :]
        assert of.weights.max(2)[:, apart].max(initial=0) < 1e-6, "nothing attends to padding"


def test_recording_leaves_nothing_behind_and_sees_the_image():
    model = make(attention="shared", skip="none").eval()
    image = torch.rand(1, 3, 32, 32)
    before = model(image)
    first = attention_of(model, image)
    assert all(torch.equal(before[t], after) for t, after in model(image).items())
    assert all(stage.blocks[-1].change_map is None for stage in model.decoders.stages)
    other = attention_of(model, torch.rand(1, 3, 32, 32))
    assert not np.allclose(first[-1].weights, other[-1].weights, atol=1e-4)


@pytest.fixture
def gallery(domain):
    torch.manual_seed(0)
    split = open_split(domain, "test")
    errors = errors_of({task: [0.1, 0.3, 0.2, float("nan")] for task in TASKS})
    model = make(attention="shared", skip="concat")
    made = Gallery(split, choose(errors, 3), list(TASKS), CLASSES, torch.device("cpu"))
    made.add("shared", model, errors)
    made.add_attention("shared", model, 1)
    return made, model


def test_what_is_written_is_what_the_models_predict(gallery, tmp_path):
    made, model = gallery
    made.write(tmp_path, pictures(made))
    about, arrays = read_json(tmp_path / "gallery.json"), np.load(tmp_path / "pictures.npz")
    assert [s["image"] for s in about["samples"]] == [0, 2, 1]
    assert about["samples"][1]["errors"]["shared"]["depth"] == 0.2
    assert about["models"] == ["shared"]
    size = about["image_size"]
    assert {arrays[name].shape for name in arrays if not name.startswith("attention")} == {(3, size, size, 3)}
    assert np.array_equal(arrays["rgb"][1], made.split.arrays["rgb"][2])
    guess = predict(model.eval(), made.rgb[1:2])[0]
    assert np.array_equal(arrays["shared/normal"][1], guess["normal"])
    for of in about["attention"]:
        weights = (arrays[of["array"]] / 255.0) ** 2
        assert weights.shape[:3] == (len(of["owners"]), len(of["cells"]), of["heads"])
        assert np.abs(weights.sum(-1) - 1).max() < 0.05
    first = (tmp_path / "pictures.npz").read_bytes()
    made.write(tmp_path, pictures(made))
    assert (tmp_path / "pictures.npz").read_bytes() == first


def test_a_panel_has_two_rows_an_image(gallery):
    made, model = gallery
    config = {"tasks": list(TASKS), "classes": list(CLASSES)}
    picture = panel(model, config, made.split, torch.device("cpu"), images=2)
    assert picture.dtype == np.uint8
    assert picture.shape[0] > 4 * 128


def test_one_task_models_come_one_after_the_other_and_a_domain_may_lack_a_task(domain):
    split = open_split(domain, "test")
    bare = replace(split, arrays={k: v for k, v in split.arrays.items() if k not in ("segment_semantic", "mask_valid")})
    errors = errors_of({task: [0.1, 0.3, 0.2, 0.4] for task in TASKS if task != "semseg"})
    made = Gallery(bare, choose(errors, 2), list(TASKS), CLASSES, torch.device("cpu"))
    for task in TASKS:
        made.add("single", make([task]), errors[errors["task"] == task])
    assert made.errors["single"]["depth"] == [0.2, 0.4]
    assert made.errors["single"]["semseg"] == [None, None]
    drawn = pictures(made)
    assert set(np.unique(drawn["label/semseg"])) == {60}  # grey
    assert len(np.unique(drawn["label/depth"])) > 2
    assert drawn["single/semseg"].shape == drawn["label/semseg"].shape
