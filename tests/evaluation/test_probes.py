"""Probes of models with large random weights, untrained: what each must change and what it must not."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mult.data.store import open_split
from mult.errors import UserError
from mult.evaluation.evaluator import evaluate, scorable, score_split
from mult.evaluation.probes import (
    UNPROBED,
    Probe,
    of_other_image,
    of_task,
    probe,
    probed_blocks,
    probes_of,
    probing,
    uniform,
)
from mult.models.attention import VARIANTS, masked_softmax
from mult.models.block import FORMS
from mult.models.constant import Constant
from mult.models.mult import MulT
from mult.models.windows import Windows
from mult.tasks import TASKS, outputs
from tests.conftest import CLASSES
from tests.models.test_mult import make

# Nine cells across the finest map: windows of four are padded and moved, so maps have masks.
SIZE, SHIFTED = 36, {"t2_shift": True, "skip": "concat"}
CONFIG = {"run": "tiny-s0", "model": "mult", "tasks": list(TASKS), "classes": CLASSES}


def spread(model: MulT) -> MulT:
    """With weights far from their small first values, so that maps have content."""
    draw = torch.Generator().manual_seed(1)
    for parameter in model.decoders.parameters():
        parameter.data += 0.2 * torch.randn(parameter.shape, generator=draw)
    return model.eval()


def model_of(attention: str, **options) -> MulT:
    return spread(make(attention=attention, size=SIZE, **(SHIFTED | options)))


def pictures(count: int = 3) -> torch.Tensor:
    return torch.rand(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(2))


@torch.no_grad()
def changed(model: MulT, what: Probe, images: torch.Tensor | None = None) -> set[str]:
    """Tasks of whose predictions ``what`` changes a bit."""
    images = pictures() if images is None else images
    before = model(images)
    with probing(model, what):
        during = model(images)
    after = model(images)
    assert all(torch.equal(before[t], after[t]) for t in before), "nothing stays of a probe"
    return {t for t in before if not torch.equal(before[t], during[t])}


def named(model: MulT) -> dict[str, Probe]:
    return {p.name: p for p in probes_of(model)}


windows = st.builds(
    Windows, st.integers(1, 7), st.integers(1, 7), st.integers(1, 4), st.integers(0, 2), st.booleans()
).filter(lambda w: w.shift < w.size and (not w.shift or min(w.height, w.width) > w.size))


@settings(deadline=None, max_examples=60)
@given(cut=windows, owners=st.integers(1, 3), images=st.integers(1, 3))
def test_uniform_is_even_over_what_the_mask_leaves(cut, owners, images):
    mask = cut.mask(torch.device("cpu"))
    (height, width), (rows, columns) = cut.padded, cut.shape
    each, tokens = height * width // (rows * columns), rows * columns
    scores = torch.randn(owners, images * each, 2, tokens, tokens)
    even = uniform(masked_softmax(scores, mask), mask, images)
    assert even.shape == scores.shape
    for window in range(images * each):
        for row in range(tokens):
            seen = torch.ones(tokens) if mask is None else (mask[window % each, row] == 0).float()
            expected = (seen / seen.sum()).expand(owners, 2, tokens)
            torch.testing.assert_close(even[:, window, :, row], expected)
            assert not even[:, window, :, row, seen == 0].any(), "what is masked gets nothing at all"


@pytest.mark.parametrize("owners", [1, 3])
def test_the_other_image_is_the_one_before(owners):
    attention = torch.rand(owners, 4 * 5, 2, 9, 9)
    moved = of_other_image(attention, None, 4)
    for image in range(4):
        before = (image - 1) % 4
        assert torch.equal(moved[:, 5 * image : 5 * image + 5], attention[:, 5 * before : 5 * before + 5])


def test_the_map_of_a_task_goes_to_all_and_one_map_stays():
    attention = torch.rand(3, 8, 2, 9, 9)
    assert all(torch.equal(m, attention[1]) for m in of_task(1, attention, None, 2))
    assert torch.equal(of_task(1, attention[:1], None, 2), attention[:1])


@pytest.mark.parametrize(
    ("attention", "maps"),
    [
        ("shared", {"uniform", "other image"}),
        ("reference", {"uniform", "other image"}),
        ("dea1", {"uniform", "other image"}),
        ("skip", {"uniform", "other image", *(f"map of {t}" for t in TASKS)}),
        ("mixture", {"uniform", "other image", *(f"map of {t}" for t in TASKS)}),
        ("bias_only", {"uniform"}),
        ("uniform", set()),
    ],
)
def test_only_what_applies_is_run(attention, maps):
    assert named(model_of(attention)).keys() == maps | {f"without {t}" for t in TASKS}


@pytest.mark.parametrize("attention", [*VARIANTS, *FORMS])
def test_probes_of_maps_reach_every_task(attention):
    model = model_of(attention)
    assert changed(model, UNPROBED) == set()
    for name, what in named(model).items():
        if name.startswith("map of "):
            # A mixture's map, even a task's own, is made from streams that the others' new maps have changed.
            own = set() if attention == "mixture" else {name.removeprefix("map of ")}
            assert changed(model, what) == TASKS.keys() - own, name
        elif not name.startswith("without "):
            assert changed(model, what) == TASKS.keys(), name


@pytest.mark.parametrize("attention", ["shared", "frozen", "reference", "joint"])
def test_one_map_for_all_is_any_task_s_map(attention):
    model = model_of(attention)
    for place in range(len(TASKS)):
        assert changed(model, Probe("map", lambda *args, place=place: of_task(place, *args))) == set()


OWN = ["self", "skip", "skip_lowrank", "shared", "shared_detached", "uniform", "bias_only", "frozen"]
LED = ["reference", "reference_skip", *FORMS]


@pytest.mark.parametrize(
    ("attention", "leads"),
    [*((a, set()) for a in OWN), *((a, {"depth"}) for a in LED), ("joint", set(TASKS)), ("mixture", set(TASKS))],
)
def test_taking_a_stream_away_reaches_those_whose_map_reads_it_and_no_bit_of_the_others(attention, leads):
    model = model_of(attention)
    for task in TASKS:
        reached = changed(model, named(model)[f"without {task}"])
        assert reached == (set(TASKS) if task in leads else {task}), task


@pytest.mark.parametrize("attention", ["shared", "self", "reference_skip"])
def test_under_uniform_every_model_is_the_uniform_one(attention):
    model, even = model_of(attention), model_of("uniform")
    even.load_state_dict(model.state_dict(), strict=False)
    with torch.no_grad(), probing(model, Probe("uniform", uniform)):
        probed, expected = model(pictures()), even(pictures())
    for task in TASKS:
        torch.testing.assert_close(probed[task], expected[task], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("attention", ["shared", "skip", "reference"])
def test_where_all_images_are_one_another_one_s_map_changes_nothing(attention):
    same = pictures(1).repeat(3, 1, 1, 1)
    model = model_of(attention)
    what = named(model)["other image"]
    assert changed(model, what) == TASKS.keys()
    with torch.no_grad(), probing(model, what):
        probed = model(same)
    for task, plain in model(same).items():
        torch.testing.assert_close(probed[task], plain)


def test_stages_whose_maps_are_the_tasks_own_are_probed_too():
    model = model_of("shared", shared_stages=[1, 3])
    assert "map of depth" in named(model)
    assert len(probed_blocks(model)) == 4
    assert len(probed_blocks(model_of("self"))) == 4
    assert len(probed_blocks(model_of("dea4"))) == 8


def test_an_error_leaves_the_model_as_it_was():
    model = model_of("shared")
    for what in probes_of(model):
        with pytest.raises(RuntimeError), probing(model, what):
            raise RuntimeError
    for block in probed_blocks(model):
        assert block.change_map is None
        assert not block._forward_pre_hooks


def small(attention: str, **options) -> MulT:
    """For the classes and the size of the fixture ``domain``."""
    model = make(attention=attention, skip="concat", **options)
    channels = outputs(TASKS, len(CLASSES))
    model.decoders.heads["semseg"] = torch.nn.Linear(model.decoders.heads["semseg"].in_features, channels["semseg"])
    return spread(model)


def test_what_a_domain_cannot_score_is_left_out(domain):
    split, config = open_split(domain, "test"), CONFIG | {"train_domain": domain.name}
    assert scorable(config, split) == list(TASKS)
    assert scorable({**config, "tasks": ["edges", "depth"]}, split) == ["edges", "depth"]
    arrays = {label: split.arrays[label] for label in ("rgb", "depth_zbuffer", "segment_semantic")}
    assert scorable(config, replace(split, arrays=arrays)) == ["semseg", "depth"]
    strange = replace(split, arrays=arrays, classes=("void", "wall", "flying saucer", "lightsaber"))
    assert scorable(config, strange) == ["depth"]
    scores = score_split(small("shared"), config, strange, 2, torch.device("cpu"))
    assert list(scores.figures) == list(scores.errors) == ["depth"]
    assert scores.confusion is None


def test_unprobed_scores_are_the_evaluation_s(domain):
    model, config = small("shared"), CONFIG | {"train_domain": domain.name}
    cpu, split = torch.device("cpu"), open_split(domain, "test")
    scores = evaluate(model, config, [domain.name], domain.parent, 2, cpu, {})[domain.name]
    found = probe(model, config, split, 2, cpu, 100)
    assert (found.n_images, found.data_digest) == (scores.n_images, scores.data_digest)
    rows = found.rows.set_index(["probe", "task"])
    for task, of in TASKS.items():
        row = rows.loc[("none", task)]
        assert (row["value"], row["metric"], row["domain"]) == (scores.figures[task][of.metric], of.metric, domain.name)
    assert set(rows.index.get_level_values(0)) == {"none", *named(model)}
    assert (rows.loc["none", "change"] == 0).all()
    assert rows.loc["none", "same"].all()
    assert rows.loc[("without depth", "normal"), "change"] == 0
    assert set(rows.index[rows["same"]].drop("none", level=0)) == {
        (f"without {task}", other) for task in TASKS for other in TASKS if other != task
    }
    value, base = (float(rows.loc[(name, "depth"), "value"]) for name in ("without depth", "none"))
    assert rows.loc[("without depth", "depth"), "change"] == pytest.approx(100 * (base - value) / base)
    assert value != base


@pytest.mark.parametrize(("batch", "images", "seen"), [(3, 100, 3), (1, 100, 4), (1, 3, 2), (2, 3, 2), (4, 4, 4)])
def test_no_image_is_alone_in_its_batch(domain, monkeypatch, batch, images, seen):
    sizes = []
    model = small("shared")
    model.register_forward_hook(lambda model, inputs, out: sizes.append(len(inputs[0])))
    found = probe(model, CONFIG, open_split(domain, "test"), batch, torch.device("cpu"), images)
    assert found.n_images == seen
    assert min(sizes) > 1


def test_what_cannot_be_probed_is_told_in_one_line(domain):
    split, cpu = open_split(domain, "test"), torch.device("cpu")
    with pytest.raises(UserError, match="tiny-s0: a constant has no attention maps") as error:
        probe(Constant(outputs(TASKS, len(CLASSES))), CONFIG | {"model": "constant"}, split, 2, cpu, 4)
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="the probes need two"):
        probe(small("shared"), CONFIG, split, 2, cpu, 1)


def test_a_model_of_one_task_has_no_other_s_map():
    model = make(["depth"], attention="skip")
    assert named(model).keys() == {"uniform", "other image", "without depth"}
