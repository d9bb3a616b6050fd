"""A machine that runs short: one line that says so, nothing half-written, and the same work goes on."""

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np
import psutil
import pytest
import torch

from mult import tracking
from mult.data import lazy
from mult.data.batches import tasks_of
from mult.data.index import build
from mult.data.loader import batches_in_order
from mult.data.sources import open_source
from mult.data.store import open_split
from mult.evaluation.evaluator import DomainScores, score_split, write_scores
from mult.files import sha256
from mult.models import registry
from mult.stage import exit_code
from mult.tracking import sync
from mult.training.checkpoint import Checkpoints
from mult.training.trainer import train
from tests.data.sources.miniature import write_taskonomy
from tests.models.test_mult import make
from tests.training.test_trainer import assert_equal, job

CPU = torch.device("cpu")


@contextmanager
def full_disk(room: int = 0) -> Iterator[None]:
    """The kernel refuses to write files beyond ``room`` bytes, with the error that it has for a quota."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def line_of(work, capsys) -> str:
    """The only line that ``work`` says, which is not a defect."""
    capsys.readouterr()
    assert exit_code(work) == 1
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ") or "Traceback" in line]
    assert len(said) == 1, said
    return said[0]


def test_a_full_disk_stops_a_training_which_goes_on_with_the_same_bits(domain, tmp_path, capsys):
    class FullAtLast(Checkpoints):
        def save(self, step, state):
            with full_disk(10_000 if step == 4 else resource.RLIM_INFINITY):
                super().save(step, state)

    data = {split: open_split(domain, split) for split in ("train", "val")}

    def training(**options):
        return train(make(["depth"], drop_path=0.2), job(data, "depth"), CPU, **options)

    expected, checkpoints = training(), FullAtLast(tmp_path / "kept", 0.0)
    line = line_of(lambda: training(checkpoints=checkpoints), capsys)
    assert "File too large; make room there: what was finished is kept" in line
    assert sorted(path.name for path in checkpoints.folder.glob("*step-*.pt*")) == [
        "step-00000002.pt",
        "step-00000003.pt",
    ]
    newest = checkpoints.newest()["state"]
    assert newest["step"] == 3
    assert_equal(training(start=newest).weights, expected.weights)


def raising(error):
    def work():
        raise error

    return work


def test_a_full_gpu_and_a_full_shared_memory_are_one_line(capsys):
    """Wherever in a stage it happens; a training's step halves its batch first."""
    full = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
    assert "out of the GPU's memory; lower score_batch or hardware.part" in line_of(raising(full), capsys)
    shared = RuntimeError("unable to write to file </torch_1_2_3>: No space left on device (28)")
    assert "No space left on device (28); make room there, or" in line_of(raising(shared), capsys)


def test_a_model_whose_predictions_are_no_numbers_is_one_line(domain, capsys):
    model = make(["depth"])
    torch.nn.init.constant_(model.decoders.heads["depth"].bias, float("nan"))
    config = {"run": "a", "tasks": ["depth"], "classes": ["void"], "train_domain": domain.name, "image_size": 32}
    line = line_of(lambda: score_split(model, config, open_split(domain, "test"), 4, CPU), capsys)
    assert "values that are not finite; the weights are of no use: train anew" in line


@pytest.mark.parametrize("what", ["model.safetensors", "scores.json"])
def test_a_full_disk_leaves_the_results_that_were_there(tmp_path, capsys, what):
    model = make(["depth"])
    scores = {"home": DomainScores(200, ("room",) * 200, "abc", {"depth": {"rmse": 1.0}}, {"depth": [0.5] * 200})}
    write = {
        "model.safetensors": partial(registry.save_model, tmp_path, model, {"run": "a" * 5000}),
        "scores.json": partial(write_scores, tmp_path, scores),
    }[what]
    write()
    before = {path.name: sha256(path) for path in tmp_path.iterdir()}
    with full_disk():
        line = line_of(write, capsys)
    assert line.startswith(f"error: {tmp_path / what}: File too large; make room there")
    assert {path.name: sha256(path) for path in tmp_path.iterdir()} == before


def test_a_full_disk_while_indexing(tmp_path, capsys):
    source = open_source(
        "taskonomy", write_taskonomy(tmp_path / "sets", "splits", {"ihlen": "train", "coffeen": "test"})
    )
    work = partial(build, source, tmp_path / "data" / "taskonomy", 8, tmp_path / "aside")
    for room in (100, 10_000):  # for neither the parts nor the tables; for the parts alone
        with full_disk(room):
            assert "File too large" in line_of(work, capsys)
        assert not (tmp_path / "data" / "taskonomy").exists()
    work()
    assert len(open_split(tmp_path / "data" / "taskonomy", "train")) == 3


def test_a_full_disk_below_the_tracking_store_costs_neither_figures_nor_the_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    with tracking.stage_run("single-depth-s0", {"seed": 0}, {"scale": "smoke"}) as run:
        run.log({"val/loss": 1.0}, 1)
        with full_disk():
            run.log({"val/loss": 0.5}, 2)
        run.log({"val/loss": 0.25}, 3)
    sync.sync()  # in the minute after a failure a stage leaves the store alone
    client, _ = tracking.reach()
    assert [point.step for point in client.get_metric_history(run.id, "val/loss")] == [1, 2, 3]


def test_a_reader_that_is_killed_is_one_line(domain, capsys):
    def work():
        split = open_split(domain, "train")
        for _ in batches_in_order(split, tasks_of(split), 1, CPU, workers=1):
            for child in psutil.Process().children():
                child.kill()
                child.wait(10)

    assert "a process that reads images ahead was killed" in line_of(work, capsys)


def test_a_mistake_that_a_reader_finds_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    root = write_taskonomy(tmp_path / "sets", "splits", {"ihlen": "train"})
    build(open_source("taskonomy", root), tmp_path / "index", 8, tmp_path / "aside")
    monkeypatch.setattr(lazy, "allowed", lambda domain: 0)
    for path in (root / "train" / "ihlen" / "normal").iterdir():
        path.write_bytes(path.read_bytes()[:60])

    def work():
        list(batches_in_order(open_split(tmp_path / "index", "train"), ["normal"], 1, CPU, workers=1))

    line = line_of(work, capsys)
    assert "ihlen/normal/point_" in line
    assert "`damaged` allows 0" in line


@pytest.mark.parametrize("take", [lambda: np.ones(1 << 58), lambda: torch.ones(1 << 58)], ids=["numpy", "torch"])
def test_too_little_memory_is_one_line(take, capsys):
    assert "out of memory; fewer images at once (hardware.part)" in line_of(take, capsys)


def test_a_bad_disk_is_one_line(capsys):
    def work():
        raise OSError(errno.EIO, "Input/output error", "data/rooms-home/test/rgb.npy")

    assert "rgb.npy: Input/output error; the disk may be bad: `mult verify` says" in line_of(work, capsys)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ESTALE, errno.EMFILE])
def test_what_a_machine_refuses_is_one_line(number, capsys):
    line = line_of(raising(OSError(number, os.strerror(number), "runs/a/model.json")), capsys)
    assert line.startswith(f"error: runs/a/model.json: {os.strerror(number)}; ")
    assert "the same command goes on from there" in line


def test_a_test_split_of_nothing_but_unknown_labels_is_one_line(domain, capsys):
    """Else the domain would drop out of all tables without a word."""
    split = open_split(domain, "test")
    depth = np.full_like(split.arrays["depth_zbuffer"], 65535)
    config = {"run": "a", "tasks": ["depth"], "classes": ["void"], "train_domain": domain.name, "image_size": 32}
    lacks_one = replace(split, arrays=split.arrays | {"depth_zbuffer": depth})
    assert score_split(make(["depth"]), config, lacks_one, 4, CPU).figures == {"depth": {}}
    blank = replace(split, arrays={"rgb": split.arrays["rgb"], "depth_zbuffer": depth})
    line = line_of(lambda: score_split(make(["depth"]), config, blank, 4, CPU), capsys)
    assert f"{split.domain}: no label of its {len(split)} test images can be scored; `mult data check`" in line


@pytest.mark.parametrize("defect", [KeyError("a defect"), FileNotFoundError(2, "No such file or directory")])
def test_a_defect_keeps_its_traceback(defect):
    def work():
        raise defect

    with pytest.raises(type(defect)):
        exit_code(work)
