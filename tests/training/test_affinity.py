import copy

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from mult.baselines.cnn import CNN
from mult.data.batches import read
from mult.data.store import open_split
from mult.params import Loss
from mult.seeding import seed_of
from mult.tasks import TASKS, outputs
from mult.training.affinity import COLUMNS, Recorder
from mult.training.balancing import balancing
from mult.training.checkpoint import Checkpoints
from mult.training.losses import LOSSES
from mult.training.optimiser import shared_and_own
from mult.training.step import Step
from mult.training.trainer import train
from tests.models.test_mult import TINY, make
from tests.reference.affinity import affinities
from tests.training.helpers import Stop, StoppedAfter, assert_same
from tests.training.test_trainer import CPU, HARDWARE, SETTINGS, assert_equal, job

SEED = 4
WEIGHTS = dict(zip(TASKS, (0.5, 5.0, 2.8, 5.0, 15.0, 15.0), strict=True))
KINDS = {t: "cross_entropy" if t == "semseg" else "rotate" if t == "depth" else "l1" for t in TASKS}
LOSSES_OF = {t: Loss(loss=KINDS[t], weight=WEIGHTS[t]) for t in TASKS}


@pytest.fixture
def data(domain):
    return {split: open_split(domain, split) for split in ("train", "val")}


def step_of(model, part=0, recompute=False, **changes):
    hardware = HARDWARE.model_copy(update={"part": part, "recompute": recompute})
    settings = SETTINGS.model_copy(update=changes)
    return Step(model.train(), LOSSES_OF, settings, hardware, balancing("fixed", list(TASKS), 2, CPU))


def matrices(rows):
    """The records of one step, by measure."""
    table = pd.DataFrame(rows, columns=COLUMNS)
    wide = table.pivot(index=["measure", "on"], columns="with", values="value")
    return {measure: wide.loc[measure].loc[list(TASKS), list(TASKS)] for measure in ("cosine", "tag")}


def losses_on(batch, number):
    """Each task's weighted loss of a model on ``batch``, with the random numbers of step ``number``."""

    def losses(model):
        torch.manual_seed(seed_of(SEED, "step", number))
        predictions = model(batch.rgb)
        return {t: WEIGHTS[t] * LOSSES[KINDS[t]](predictions[t], batch.targets[t], batch.masks[t]) for t in TASKS}

    return losses


@pytest.mark.parametrize("number", [0, 3])
@pytest.mark.parametrize("clip_norm", [0.0, 0.1])
@pytest.mark.parametrize("attention", ["shared", "self", "skip_lowrank"])
def test_both_measures_are_those_of_copied_models(data, attention, clip_norm, number):
    model = make(attention=attention, skip="concat", drop_path=0.3, dropout=0.1).double()
    step = step_of(model, clip_norm=clip_norm, lr=3e-3)
    for done in range(number):
        step(read(data["train"], list(TASKS), range(done, done + 4)), done, SEED)
    batch = read(data["train"], list(TASKS), range(4))
    found = matrices(Recorder(step, 1)(batch, number, SEED))
    of = {id(p) for p in shared_and_own(model, list(TASKS))[0]}
    shared = [name for name, p in model.named_parameters() if id(p) in of]
    assert "encoder.body.patch_embed.proj.weight" in shared
    assert any("decoders" in name for name in shared) == (attention == "shared")
    cosines, tag = affinities(model, step.optimiser, shared, losses_on(batch, number), clip_norm)
    np.testing.assert_allclose(found["cosine"], cosines, atol=1e-6)
    np.testing.assert_allclose(found["tag"], tag, atol=1e-6)
    assert (np.diag(tag) > 0).all(), "a step for a task helps that task"
    assert np.abs(tag).min() > 1e-6, "or the comparison would say nothing"


@pytest.mark.parametrize("recompute", [False, True])
def test_in_parts_it_is_the_same(data, recompute):
    model = make(options=TINY | {"drop_path_rate": 0.0}).double()
    batch = read(data["train"], list(TASKS), range(4))
    whole = Recorder(step_of(model), 1)(batch, 0, SEED)
    parts = Recorder(step_of(copy.deepcopy(model), part=3, recompute=recompute), 1)(batch, 0, SEED)
    for one, other in zip(parts, whole, strict=True):
        assert one == pytest.approx(other, abs=1e-9)


def test_a_batch_that_does_not_fit_is_measured_in_parts_and_trained_whole(data, monkeypatch):
    model = make(options=TINY | {"drop_path_rate": 0.0}).double()
    batch = read(data["train"], list(TASKS), range(4))
    step = step_of(model)
    expected = Recorder(step, 1)(batch, 0, SEED)
    forward = model.forward

    def small_memory(images):
        if len(images) > 1:
            raise torch.OutOfMemoryError("no room")
        return forward(images)

    monkeypatch.setattr(model, "forward", small_memory)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    for one, other in zip(Recorder(step, 1)(batch, 0, SEED), expected, strict=True):
        assert one == pytest.approx(other, abs=1e-9)
    assert step.part == 0


def test_a_task_without_labels_has_no_affinity(data):
    step = step_of(make())
    batch = read(data["train"], list(TASKS), range(2))
    batch.masks["depth"].zero_()
    batch.masks["normal"].zero_()
    found = matrices(Recorder(step, 1)(batch, 0, SEED))
    rest = [t for t in TASKS if t not in ("depth", "normal")]
    assert found["cosine"].loc["normal"].isna().all()
    assert found["tag"].loc["normal"].isna().all()
    assert (found["tag"].loc[rest, "normal"] == 0).all(), "its step leads nowhere"
    assert found["tag"].loc[rest, rest].notna().all(axis=None)


def test_it_is_measured_in_full_precision(data):
    batch = read(data["train"], list(TASKS), range(4))
    full, half = (Recorder(step_of(make(), precision=p), 1)(batch, 0, SEED) for p in ("float32", "bfloat16"))
    assert half == full


def states(model, step):
    """All that a measurement could leave traces in."""
    return copy.deepcopy(
        {
            "weights": model.state_dict(),
            "gradients": {name: p.grad for name, p in model.named_parameters()},
            "wanted": [p.requires_grad for p in model.parameters()],
            "training": [module.training for module in model.modules()],
            "optimiser": step.optimiser.state_dict(),
            "random": torch.get_rng_state(),
        }
    )


def with_batch_norms():
    encoder = {"name": "test_resnet", "pretrained": False, "coordinates": True, "options": {}}
    return CNN(outputs(TASKS, 18), 32, encoder, {"width": 8, "dropout": 0.2}, 0)


@pytest.mark.parametrize("network", [make, with_batch_norms])
def test_nothing_is_changed_by_looking(data, network):
    model = network()
    step = step_of(model)
    batch = read(data["train"], list(TASKS), range(4))
    step(batch, 0, SEED)
    if network is with_batch_norms:
        next(m for m in model.modules() if isinstance(m, nn.BatchNorm2d)).eval()  # modes may differ
    before = states(model, step)
    assert len(Recorder(step, 1)(batch, 1, SEED)) == 2 * 36
    after = states(model, step)
    assert_same(before, after)


@pytest.mark.parametrize("network", [lambda: make(drop_path=0.2, dropout=0.2), with_batch_norms])
@pytest.mark.parametrize("method", ["fixed", "gradnorm"])
def test_a_recorded_training_ends_with_the_same_bits(data, network, method):
    plain = train(network(), job(data, balancing=method, ema=0.9), CPU)
    recorded = train(network(), job(data, balancing=method, ema=0.9, affinity_every=2), CPU)
    assert_equal(recorded.weights, plain.weights)
    assert recorded.history.rows == plain.history.rows
    assert plain.history.affinities == []
    assert [row["step"] for row in recorded.history.affinities[:: 2 * 36]] == [1, 3, 5]


@pytest.mark.parametrize(("every", "steps"), [(0, []), (1, [0, 1, 2, 3, 4, 5]), (4, [2]), (3, [1, 4]), (30, [])])
def test_records_are_in_the_middle_of_every_so_many_steps(data, every, steps):
    trained = train(make(["depth", "edges"]), job(data, "depth", "edges", affinity_every=every), CPU)
    assert [row["step"] for row in trained.history.affinities[:: 2 * 4]] == steps


def test_a_resumed_training_has_the_same_records(data, tmp_path):
    def training(**options):
        work = job(data, "depth", "edges", affinity_every=2)
        return train(make(["depth", "edges"], dropout=0.2), work, CPU, **options)

    expected = training()
    with pytest.raises(Stop):
        training(checkpoints=StoppedAfter(tmp_path / "kept", 4))
    kept = Checkpoints(tmp_path / "kept", 0.0).newest()["state"]
    assert len(kept["history"]["affinities"]) == 2 * 8
    resumed = training(start=kept)
    assert resumed.history.affinities == expected.history.affinities
    assert_equal(resumed.weights, expected.weights)
