import pandas as pd
import pytest
import torch

from mult.data import batches as batches_module
from mult.data.store import open_split
from mult.errors import UserError
from mult.params import Loss, Training
from mult.tasks import TASKS
from mult.training import trainer
from mult.training.schedule import factor
from mult.training.trainer import train
from tests.models.test_mult import make

SETTINGS = Training(
    steps=6, batch_size=4, validate_every=2, lr=1e-3, weight_decay=0.01, betas=[0.9, 0.999], warmup_steps=2,
    schedule="cosine", clip_norm=1.0, flip=True, threads=1, device="cpu", precision="float32",
)  # fmt: skip
LOSSES = {
    t: Loss(loss="cross_entropy" if t == "semseg" else "rotate" if t == "depth" else "l1", weight=1.0) for t in TASKS
}


@pytest.fixture
def data(domain):
    return {split: open_split(domain, split) for split in ("train", "val")}


def losses_of(*tasks):
    return {t: LOSSES[t] for t in tasks}


def test_same_seed_same_weights_to_the_last_bit(data):
    models = [make(["depth", "normal"], drop_path=0.2) for _ in range(2)]
    histories = [train(m, data, losses_of("depth", "normal"), SETTINGS, seed=3) for m in models]
    times = "time/images_per_s"
    pd.testing.assert_frame_equal(*[pd.DataFrame(h.rows).drop(columns=times) for h in histories])
    for a, b in zip(*[m.state_dict().values() for m in models], strict=True):
        assert torch.equal(a, b)


def test_runs_of_a_seed_see_the_same_images_in_the_same_order(data, monkeypatch):
    seen = {}
    for tasks in (("depth",), ("depth", "normal"), tuple(TASKS)):
        batches = []

        def spy(split, names, indices, flips=None, batches=batches):
            batch = batches_module.read(split, names, indices, flips)
            if flips is not None:
                batches.append(batch.rgb)
            return batch

        monkeypatch.setattr(trainer, "read", spy)
        train(make(tasks), data, losses_of(*tasks), SETTINGS, seed=1)
        seen[tasks] = torch.stack(batches)
    one, two, six = seen.values()
    assert one.shape == (6, 4, 3, 32, 32)
    assert torch.equal(one, two)
    assert torch.equal(one, six)


@pytest.mark.slow
def test_six_tasks_are_learnt_on_a_few_images(data):
    settings = SETTINGS.model_copy(
        update={"steps": 200, "batch_size": 8, "validate_every": 100, "flip": False, "lr": 1e-3}
    )
    history = train(make(skip="concat"), {"train": data["train"], "val": data["train"]}, LOSSES, settings, seed=0)
    first, last = history.rows[0], history.rows[-1]
    start = trainer.validate(make(skip="concat"), data["train"], LOSSES, settings, trainer.RunningScore())
    for task in TASKS:
        assert last[f"val/{task}_loss"] < 0.25 * start[f"val/{task}_loss"], task
    assert last["val/loss"] < first["val/loss"]


def test_the_best_validation_decides_the_weights(data):
    settings = SETTINGS.model_copy(update={"lr": 30.0, "warmup_steps": 5, "clip_norm": 0.0, "schedule": "constant"})
    model = make(["edges"])
    history = train(model, data, losses_of("edges"), settings, seed=0)
    frame = pd.DataFrame(history.rows)
    assert history.best_step == frame.loc[frame["val/loss"].idxmin(), "step"] < settings.steps
    again = trainer.validate(model, data["val"], losses_of("edges"), settings, trainer.RunningScore())
    assert again["val/loss"] == pytest.approx(frame["val/loss"].min(), rel=1e-6)


def test_a_loss_that_is_not_finite_stops_the_run(data):
    model = make(["edges"])
    torch.nn.init.constant_(model.decoders.heads["edges"].bias, float("nan"))
    with pytest.raises(UserError, match=r"at step 0: the loss is nan; lower training\.lr"):
        train(model, data, losses_of("edges"), SETTINGS, seed=0)


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


def test_no_gpu_where_one_is_asked_for():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(UserError, match="no GPU"):
        trainer.device_of(SETTINGS.model_copy(update={"device": "cuda"}))
