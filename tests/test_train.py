"""What a training reads and keeps."""

import shutil

import pytest

from mult import params, runs
from mult.errors import UserError
from mult.files import read_json
from mult.repro import choose_scale
from pipelines import train
from tests.conftest import ROOT, write_domain


def test_fewer_images_than_a_batch_are_one_line(tmp_path):
    """As a data set in place may have: how many it has is not known from params.yaml."""
    settings = params.load(ROOT / "params.yaml", "smoke")
    home = write_domain(tmp_path / "data", images=(3, 2, 2))
    with pytest.raises(UserError, match=r"data: 3 training images are fewer than training\.batch_size \(4\); write"):
        train.training_data(home, runs.resolve(settings, "single-depth-s0"), 4)
    assert len(train.training_data(home, runs.resolve(settings, "constant-mean-s0"), 4)["train"]) == 3


@pytest.mark.slow
def test_a_training_needs_no_test_images_and_keeps_the_best_on_val(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    for folder in ("pipelines", "src"):  # whose code is part of a checkpoint's name
        (tmp_path / folder).symlink_to(ROOT / folder)
    choose_scale("smoke")
    shutil.rmtree(write_domain(tmp_path / "data" / "rooms-home", images=(16, 4, 4)) / "test")
    train.main("single-depth-s0")
    history = (tmp_path / "runs/single-depth-s0/history.csv").read_text().splitlines()
    header = history[0].split(",")
    rows = [dict(zip(header, map(float, line.split(",")), strict=True)) for line in history[1:]]
    best = min(rows, key=lambda row: row["val/loss"])
    assert read_json(tmp_path / "runs/single-depth-s0/run.json")["best_step"] == best["step"]
