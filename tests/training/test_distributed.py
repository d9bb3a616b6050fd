"""Two real processes over gloo against one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mult.data.store import open_split
from mult.errors import UserError
from mult.launch import launch
from mult.process import LAUNCHER
from mult.training.checkpoint import Checkpoints
from mult.training.distributed import World, device_of, joined, must_launch
from mult.training.trainer import train
from tests.conftest import ROOT, write_domain
from tests.models.test_mult import TINY, make
from tests.training.helpers import Stop, StoppedAfter
from tests.training.test_trainer import CPU, HARDWARE, exact, job

# Where nothing joins the skip to the streams, these read no map of the encoder but the coarsest.
SKIPLESS = ("self", "uniform", "bias_only", "reference", "joint", "mixture")
SETTINGS = {"steps": 6, "validate_every": 3, "best_by": "loss"}
STOP = 4  # steps after which a training that is to be gone on with ends


@pytest.fixture
def folder(tmp_path):
    return write_domain(tmp_path / "noise")


def work(folder, hardware=HARDWARE, **changes):
    data = {split: open_split(folder, split) for split in ("train", "val")}
    every = 0 if hardware.shard else 3
    return job(
        data, "semseg", "depth", "normal", seed=2, hardware=hardware, affinity_every=every, **SETTINGS, **changes
    )


def model():
    return exact("semseg", "depth", "normal")


def skipless(folder, attention, hardware=HARDWARE):
    """What ``train`` wants for a small training of a variant without a skip."""
    data = {split: open_split(folder, split) for split in ("train", "val")}
    model = make(("depth", "normal"), options=TINY | {"drop_path_rate": 0.0}, attention=attention, skip="none")
    return model.double(), job(data, "depth", "normal", hardware=hardware, steps=3, validate_every=3)


def main(folder: str, out: str, balancing: str, shard: str, kept: str) -> None:
    """One of the processes."""
    part = 0 if balancing == "geometric_mean" else 1
    hardware = HARDWARE.model_copy(update={"processes": 2, "shard": shard == "shard", "part": part})
    checkpoints = Checkpoints(Path(kept), 1e9) if kept else None
    start = checkpoints and checkpoints.newest()
    with joined(hardware) as (world, device):
        of = work(folder, hardware, balancing=balancing)
        trained = train(model(), of, device, world, checkpoints=checkpoints, start=start and start["state"])
    if world.first:
        torch.save({"weights": trained.weights} | vars(trained.history), out)


def variants(folder: str, out: str) -> None:
    """One of the processes that train each variant without a skip."""
    hardware = HARDWARE.model_copy(update={"processes": 2})
    with joined(hardware) as (world, device):
        trained = {name: train(*skipless(folder, name, hardware), device, world) for name in SKIPLESS}
    if world.first:
        torch.save({name: {"weights": of.weights, "rows": of.history.rows} for name, of in trained.items()}, out)


def two(folder, out, balancing="fixed", shard="whole", kept="") -> dict:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    command += ["tests.training.test_distributed", "main", *map(str, (folder, out, balancing, shard, kept))]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return torch.load(out)


def assert_close(found, expected, recorded):
    """The same to 1e-6, in weights, in what validation says and in the affinities that were recorded."""
    for name in expected.weights:
        torch.testing.assert_close(found["weights"][name], expected.weights[name], atol=1e-6, rtol=0, msg=name)
    for ours, theirs in zip(found["rows"], expected.history.rows, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-6)
    if recorded:
        assert len(found["affinities"]) == 2 * 2 * 9
        for ours, theirs in zip(found["affinities"], expected.history.affinities, strict=True):
            assert ours == pytest.approx(theirs, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("balancing", "shard"), [("fixed", "whole"), ("geometric_mean", "whole"), ("pcgrad", "whole"), ("fixed", "shard")]
)
def test_two_processes_train_as_one(folder, tmp_path, balancing, shard):
    if balancing != "fixed":
        pytest.importorskip("torchjd")
    expected = train(model(), work(folder, balancing=balancing), CPU)
    assert_close(two(folder, tmp_path / "out.pt", balancing, shard), expected, shard == "whole")


@pytest.mark.slow
@pytest.mark.parametrize("shard", ["whole", "shard"])
def test_two_processes_go_on_where_one_was_killed(folder, tmp_path, shard):
    kept = tmp_path / "kept"
    with pytest.raises(Stop):
        train(model(), work(folder), CPU, checkpoints=StoppedAfter(kept, STOP))
    found = two(folder, tmp_path / "out.pt", shard=shard, kept=kept)
    assert_close(found, train(model(), work(folder), CPU), shard == "whole")


@pytest.fixture(scope="module")
def of_two(tmp_path_factory):
    """The noise, and each variant without a skip as two processes have trained it; started as a stage starts them."""
    place = tmp_path_factory.mktemp("skipless")
    folder = write_domain(place / "noise")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        patch.delenv(LAUNCHER, raising=False)
        launch("tests.training.test_distributed", ["variants", str(folder), "out.pt"], 2)
    return folder, torch.load(place / "out.pt")


@pytest.mark.slow
@pytest.mark.parametrize("attention", SKIPLESS)
def test_two_processes_train_variants_that_read_one_map_of_the_encoder(of_two, attention):
    folder, found = of_two
    assert_close(found[attention], train(*skipless(folder, attention), CPU), recorded=False)


def test_another_number_of_processes_than_asked_for_is_an_error(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert must_launch(2)
    assert not must_launch(1)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not must_launch(2)
    with pytest.raises(UserError, match=r"hardware\.processes: 1 in params\.yaml, but 2 were started"):
        must_launch(1)
    with (
        pytest.raises(UserError, match=r"hardware\.processes: 4 in params\.yaml, but 2 were started"),
        joined(HARDWARE.model_copy(update={"processes": 4})),
    ):
        pass


def test_alone_there_is_one_process(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined(HARDWARE) as (world, device):
        assert world == World(0, 1, 0)
        assert world.first
        assert device == CPU == device_of(HARDWARE)
        assert world.agree("yes") == "yes"


if __name__ == "__main__":
    {"main": main, "variants": variants}[sys.argv[1]](*sys.argv[2:])
