import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from mult.baselines.cnn import CNN
from mult.data import loader
from mult.data.batches import order_of_step, read
from mult.data.encoding import NO_DEPTH
from mult.data.store import open_split
from mult.errors import UserError
from mult.params import Augment, Hardware, Loss, Training
from mult.tasks import TASKS, outputs
from mult.training import trainer
from mult.training.checkpoint import Checkpoints
from mult.training.distributed import device_of
from mult.training.schedule import factor
from mult.training.step import Step
from mult.training.trainer import Job, train
from tests.models.test_mult import TINY, make

SETTINGS = Training(
    steps=6, batch_size=4, validate_every=2, best_by="loss", patience=0, lr=1e-3, weight_decay=0.01,
    betas=[0.9, 0.999], warmup_steps=2, schedule="cosine", clip_norm=1.0, ema=0.0, balancing="fixed",
    augment=Augment(flip=True, zoom=1.0, colour=0.0), precision="float32",
)  # fmt: skip
HARDWARE = Hardware(
    device="cpu", threads=1, processes=1, shard=False, part=0, recompute=False, compile=False, channels_last=False,
    workers=0, checkpoint_s=0.0,
)  # fmt: skip
LOSSES = {
    t: Loss(loss="cross_entropy" if t == "semseg" else "rotate" if t == "depth" else "l1", weight=1.0) for t in TASKS
}
CPU = torch.device("cpu")


@pytest.fixture
def data(domain):
    return {split: open_split(domain, split) for split in ("train", "val")}


def job(data, *tasks, seed=0, hardware=HARDWARE, affinity_every=0, **changes):
    losses = {t: LOSSES[t] for t in tasks or TASKS}
    settings = SETTINGS.model_copy(update=changes)
    return Job(data, losses, 18, settings, hardware, seed, affinity_every=affinity_every)


def exact(*tasks):
    """A model without random numbers, in double precision.

    In single precision Adam takes a whole step where a gradient is rounding error and should be zero.
    """
    return make(tasks or tuple(TASKS), options=TINY | {"drop_path_rate": 0.0}).double()


def rows(trained):
    return pd.DataFrame(trained.history.rows)


def assert_equal(one, other):
    """Two sets of weights, to the last bit."""
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def test_same_seed_same_weights_to_the_last_bit(data):
    found = [train(make(["depth", "normal"], drop_path=0.2), job(data, "depth", "normal", seed=3), CPU) for _ in "ab"]
    pd.testing.assert_frame_equal(*map(rows, found))
    assert_equal(*(of.weights for of in found))


def test_runs_of_a_seed_see_the_same_images_in_the_same_order(data, monkeypatch):
    seen = {}
    for tasks in (("depth",), ("depth", "normal"), tuple(TASKS)):
        pictures = []

        def spy(batch, *arguments, pictures=pictures):
            pictures.append(batch.rgb)
            return batch

        monkeypatch.setattr(loader, "augment", spy)
        train(make(tasks), job(data, *tasks, seed=1), CPU)
        seen[tasks] = torch.stack(pictures)
    one, two, six = seen.values()
    assert one.shape == (6, 4, 3, 32, 32)
    assert torch.equal(one, two)
    assert torch.equal(one, six)


@pytest.mark.slow
def test_six_tasks_are_learnt_on_a_few_images(data):
    data["val"] = data["train"]
    plain = Augment(flip=False, zoom=1.0, colour=0.0)
    work = job(data, steps=200, batch_size=8, validate_every=100, augment=plain)
    first, last = train(make(skip="concat"), work, CPU).history.rows
    start = trainer.validate(make(skip="concat"), work, CPU)
    for task in TASKS:
        assert last[f"val/{task}_loss"] < 0.25 * start[f"val/{task}_loss"], task
    assert last["val/loss"] < first["val/loss"]


def wild(data, **changes):
    """A training whose loss goes up and down."""
    return job(data, "edges", lr=30.0, warmup_steps=5, clip_norm=0.0, schedule="constant", **changes)


def test_the_best_validation_decides_the_weights(data):
    model, work = make(["edges"]), wild(data)
    trained = train(model, work, CPU)
    frame = rows(trained)
    assert trained.history.best_step == frame.loc[frame["val/loss"].idxmin(), "step"] < SETTINGS.steps
    model.load_state_dict(trained.weights)
    assert trainer.validate(model, work, CPU)["val/loss"] == pytest.approx(frame["val/loss"].min(), rel=1e-6)


def test_without_a_validation_split_the_last_weights_are_kept(data):
    model = make(["edges"])
    trained = train(model, wild({"train": data["train"]}), CPU)
    assert trained.history.best_step == SETTINGS.steps
    assert not any(name.startswith("val/") for row in trained.history.rows for name in row)
    assert_equal(trained.weights, model.state_dict())


def test_a_named_figure_decides_where_it_is_asked_for(data):
    trained = train(make(["edges", "depth"]), job(data, "edges", "depth", lr=0.1, best_by="depth_rmse"), CPU)
    frame = rows(trained)
    assert trained.history.best_step == frame.loc[frame["val/depth_rmse"].idxmin(), "step"]
    assert trainer.figure({"val/semseg_miou": 0.4, "val/loss": 1.0}, "semseg_miou") == -0.4
    assert trainer.figure({"val/loss": 1.0}, "semseg_miou") == 1.0


def test_it_stops_early_when_nothing_gets_better(data):
    frame = rows(train(make(["edges"]), wild(data, steps=40, validate_every=1, patience=3), CPU))
    best = frame["val/loss"].idxmin()
    assert len(frame) == best + 1 + 3 < 40


def test_validation_by_passes(data):
    frame = rows(train(make(["edges"]), job(data, "edges", steps=9, validate_every="2 epochs"), CPU))
    assert list(frame["step"]) == [4, 8, 9]  # eight images, four a step


def test_averaged_weights_are_validated_and_kept(data):
    def at(decay):
        return train(make(["edges"]), job(data, "edges", ema=decay, validate_every=6, lr=1e-2), CPU).weights

    plain, averaged, still = at(0.0), at(0.5), at(0.999)
    name = "decoders.heads.edges.weight"
    start = make(["edges"]).state_dict()[name]
    moves = [(weights[name] - start).norm() for weights in (plain, averaged, still)]
    assert moves[0] > moves[1] > moves[2] > 0


def test_a_loss_that_is_not_finite_stops_the_run_and_leaves_its_batch(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = make(["depth", "edges"])
    torch.nn.init.constant_(model.decoders.heads["edges"].bias, float("nan"))
    said = r"train: at step 0: the loss of edges is nan; lower training\.lr, or look at the batch, which is in (.*)$"
    with pytest.raises(UserError, match=said) as stopped:
        train(model, job(data, "depth", "edges"), CPU)
    kept = load_file(re.search(said, str(stopped.value))[1])
    images = order_of_step(len(data["train"]), 4, 0, 0)
    assert kept["images"].tolist() == images.tolist()
    stored = read(data["train"], ["depth", "edges"], images)
    assert kept["target/edges"].shape == stored.targets["edges"].shape
    assert kept["mask/depth"].sum() == stored.masks["depth"].sum()
    torch.testing.assert_close(kept["rgb"].sum((1, 2, 3)), stored.rgb.sum((1, 2, 3)))  # perhaps mirrored


def spoil(monkeypatch, at):
    """Make one gradient of step ``at`` no number, though the losses are."""
    original = Step._gradients

    def gradients(self, batch, step, seed):
        losses = original(self, batch, step, seed)
        if step == at:
            next(self.model.parameters()).grad[0] = float("nan")
        return losses

    monkeypatch.setattr(Step, "_gradients", gradients)


def test_a_gradient_that_is_not_finite_stops_the_run(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spoil(monkeypatch, at=2)
    model = make(["depth"])
    with pytest.raises(UserError, match=r"at step 2: the gradient's norm is nan; .* which is in \S+-step2"):
        train(model, job(data, "depth"), CPU)
    assert all(torch.isfinite(of).all() for of in model.state_dict().values())


@pytest.mark.parametrize("splits", [("train", "val"), ("train",)])
@pytest.mark.parametrize("clip_norm", [0.0, 1.0])
def test_weights_that_are_not_finite_are_neither_kept_nor_gone_on_from(data, tmp_path, monkeypatch, splits, clip_norm):
    """As on a GPU, where only some steps are looked at; in the last step there is none after it to tell."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Step, "_looks", lambda self, step: False)
    few = {split: data[split] for split in splits}
    wanted = job(few, "depth", steps=6, validate_every=6, clip_norm=clip_norm)
    for at, checkpoints in ((5, None), (2, Checkpoints(tmp_path / "kept", 0.0))):
        with monkeypatch.context() as patched:
            spoil(patched, at)
            with pytest.raises(UserError, match=f"at step {at}: .* of .* weights are not finite"):
                train(make(["depth"]), wanted, CPU, checkpoints=checkpoints)
    state = checkpoints.newest()["state"]
    assert state["step"] == 2
    assert all(torch.isfinite(of).all() for of in state["trained"].values())


def without_labels(split, task, images):
    """``split``, with no label of ``task`` on ``images`` of it."""
    kind = {"depth": "depth_zbuffer", "edges": "edge_texture"}[task]
    arrays = dict(split.arrays)
    arrays[kind] = np.array(arrays[kind])
    arrays[kind][images] = NO_DEPTH
    return replace(split, arrays=arrays)


def test_a_task_without_a_label_has_no_loss(data):
    """Not one of 0, in the split and in the steps."""
    val = without_labels(data["val"], "depth", slice(None))
    found = rows(train(make(["depth", "edges"]), job({**data, "val": val}, "depth", "edges"), CPU))
    assert "val/depth_loss" not in found
    assert (found["val/loss"] == found["val/edges_loss"] * LOSSES["edges"].weight).all()
    with pytest.raises(UserError, match="the val split has no label of depth"):
        train(make(["depth"]), job({**data, "val": val}, "depth"), CPU)
    data = {"train": without_labels(data["train"], "depth", order_of_step(len(data["train"]), 4, 1, 0))}
    each, both = (
        rows(train(make(["depth"]), job(data, "depth", steps=2, validate_every=every, warmup_steps=0), CPU))
        for every in (1, 2)
    )
    assert each["train/depth_loss"].isna().tolist() == [False, True]
    assert both["train/depth_loss"].tolist() == [each["train/depth_loss"][0]]


@pytest.mark.parametrize("balancing", ["fixed", "gradnorm"])
@pytest.mark.parametrize("part", [1, 3])
def test_a_batch_in_parts_gives_the_weights_of_the_whole(data, part, balancing):
    settings = {"steps": 3, "validate_every": 3, "balancing": balancing}
    whole = train(exact(), job(data, **settings), CPU).weights
    hardware = HARDWARE.model_copy(update={"part": part})
    parts = train(exact(), job(data, hardware=hardware, **settings), CPU).weights
    for name in whole:
        torch.testing.assert_close(parts[name], whole[name], atol=1e-9, rtol=1e-6, msg=name)


def test_a_batch_that_does_not_fit_is_computed_in_parts(data, monkeypatch, capsys):
    model = exact("edges")
    forward = model.forward

    def small_memory(images):
        if len(images) > 1 and model.training:
            raise torch.OutOfMemoryError("no room")
        return forward(images)

    expected = train(exact("edges"), job(data, "edges"), CPU).weights
    monkeypatch.setattr(model, "forward", small_memory)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    found = train(model, job(data, "edges"), CPU).weights
    assert "going on with 1" in capsys.readouterr().err
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], atol=1e-9, rtol=1e-6)


def test_no_room_for_the_optimiser_is_told_and_not_tried_again(data, monkeypatch):
    """AdamW makes its state piece by piece; one that lacks some of it cannot be stepped with."""
    tries = []

    def full(like, **_):
        tries.append(like)
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(torch, "zeros_like", full)
    with pytest.raises(torch.OutOfMemoryError):
        train(exact("edges"), job(data, "edges"), CPU)
    assert len(tries) == 1


def test_activations_computed_again_change_no_bit(data):
    hardware = HARDWARE.model_copy(update={"recompute": True})
    found = [
        train(make(["depth", "edges"], drop_path=0.3), job(data, "depth", "edges", hardware=h), CPU).weights
        for h in (HARDWARE, hardware)
    ]
    assert_equal(*found)


@pytest.mark.parametrize("balancing", ["fixed", "gradnorm"])
def test_the_layout_of_convolutions_changes_no_weight(data, balancing):
    encoder = {"name": "test_resnet", "pretrained": False, "coordinates": True, "options": {}}

    def trained(channels_last):
        model = CNN(outputs(["depth", "edges"], 4), 32, encoder, {"width": 8, "dropout": 0.0}, 0).double()
        hardware = HARDWARE.model_copy(update={"channels_last": channels_last})
        return train(model, job(data, "depth", "edges", hardware=hardware, balancing=balancing), CPU).weights

    plain, last = trained(False), trained(True)
    for name in plain:
        torch.testing.assert_close(last[name], plain[name], atol=1e-9, rtol=1e-6, msg=name)


def test_workers_read_the_same_batches(data):
    hardware = HARDWARE.model_copy(update={"workers": 2})
    assert_equal(*(train(make(["edges"]), job(data, "edges", hardware=h), CPU).weights for h in (HARDWARE, hardware)))


@pytest.mark.slow
def test_compiled_it_trains_alike(data, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    settings = {"steps": 2, "validate_every": 2}
    hardware = HARDWARE.model_copy(update={"compile": True})
    plain, compiled = (
        train(exact("depth"), job(data, "depth", hardware=h, **settings), CPU).weights for h in (HARDWARE, hardware)
    )
    for name in plain:
        torch.testing.assert_close(compiled[name], plain[name], atol=1e-6, rtol=1e-5, msg=name)


@pytest.mark.parametrize(
    ("changes", "hardware", "words"),
    [
        ({"balancing": "famo"}, {"part": 2}, r"hardware\.part: balancing by famo needs"),
        ({"balancing": "pcgrad"}, {"shard": True}, r"hardware\.shard: balancing by pcgrad needs"),
    ],
)
def test_settings_that_do_not_go_together(data, changes, hardware, words):
    work = job(data, "edges", "depth", hardware=HARDWARE.model_copy(update=hardware), **changes)
    with pytest.raises(UserError, match=words):
        train(make(["edges", "depth"]), work, CPU)


def test_schedules():
    def at(name):
        settings = SETTINGS.model_copy(update={"steps": 12, "warmup_steps": 2, "schedule": name})
        return [factor(step, settings) for step in range(12)]

    for name in ("constant", "cosine", "poly"):
        assert at(name)[:3] == [0.5, 1.0, 1.0]
    assert at("constant")[-1] == 1
    assert at("cosine")[7] == pytest.approx(0.5)
    assert at("poly")[7] == pytest.approx(0.5)
    assert 0 < at("cosine")[-1] < at("poly")[-1] == pytest.approx(0.1)


def test_one_cycle_is_pytorch_s():
    steps, warm = 20, 6
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 1.0, total_steps=steps, pct_start=(warm + 1) / steps, cycle_momentum=False
    )
    expected = []
    for _ in range(steps):
        expected.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    settings = SETTINGS.model_copy(update={"steps": steps, "warmup_steps": warm, "schedule": "one_cycle"})
    assert [factor(step, settings) for step in range(steps)] == pytest.approx(expected)


def test_no_gpu_where_one_is_asked_for():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(UserError, match="no GPU"):
        device_of(HARDWARE.model_copy(update={"device": "cuda"}))


def test_in_half_precision_with_every_augmentation(data):
    every = Augment(flip=True, zoom=1.5, colour=0.2)
    trained = train(make(), job(data, precision="bfloat16", augment=every, validate_every=3), CPU)
    assert len(trained.history.rows) == 2
    assert {tensor.dtype for tensor in trained.weights.values() if tensor.is_floating_point()} == {torch.float32}
    full = train(make(), job(data, augment=every, validate_every=3), CPU)
    for half, single in zip(trained.history.rows, full.history.rows, strict=True):
        assert half["val/loss"] == pytest.approx(single["val/loss"], rel=0.05)
