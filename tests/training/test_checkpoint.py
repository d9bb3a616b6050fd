import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from mult.data.store import open_split
from mult.files import sha256, write_json
from mult.training.checkpoint import FOLDER, Checkpoints, fingerprint
from mult.training.trainer import train
from tests.conftest import ROOT, write_domain
from tests.training.helpers import Stop, StoppedAfter
from tests.training.test_trainer import CPU, assert_equal, job, make

# Everything that a training may have to remember: averages, a method of balancing that learns, sums between two
# validations, weights that were better before.
SETTINGS = {
    "steps": 24, "validate_every": 5, "ema": 0.9, "balancing": "gradnorm", "lr": 3e-3, "best_by": "depth_rmse",
}  # fmt: skip


def training(folder, checkpoints=None, start=None, **options):
    data = {split: open_split(folder, split) for split in ("train", "val")}
    model = make(["semseg", "depth", "normal"], drop_path=0.2, dropout=0.2)
    work = job(data, "semseg", "depth", "normal", seed=5, **SETTINGS)
    return train(model, work, CPU, checkpoints=checkpoints, start=start, **options)


def main(folder: str, kept: str, out: str) -> None:
    """What is killed: a training with a checkpoint after each step."""
    checkpoints = Checkpoints(Path(kept), every_s=0.0)
    newest = checkpoints.newest()
    trained = training(folder, checkpoints, newest and newest["state"])
    torch.save({"weights": trained.weights, "rows": trained.history.rows}, out)


@pytest.mark.slow
def test_killed_at_ten_steps_it_ends_with_the_bits_of_an_undisturbed_training(tmp_path):
    folder, kept, out = write_domain(tmp_path / "noise"), tmp_path / "kept", tmp_path / "out.pt"
    expected = training(folder)
    code = "import sys; from tests.training.test_checkpoint import main; main(*sys.argv[1:])"
    command = [sys.executable, "-c", code, str(folder), str(kept), str(out)]
    rng = random.Random(7)
    steps = sorted(rng.sample(range(1, SETTINGS["steps"]), 10))
    for step in steps:
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
        wait_for(lambda step=step: any(int(p.stem[5:]) >= step for p in kept.glob("step-*.json")), process)
        time.sleep(rng.random() * 0.05)  # anywhere in a step, or in the middle of writing
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert not out.exists()
    subprocess.run(command, cwd=ROOT, check=True)
    found = torch.load(out)
    assert_equal(found["weights"], expected.weights)
    assert found["rows"] == expected.history.rows


def wait_for(happened, process):
    deadline = time.monotonic() + 120
    while not happened():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_checkpoint_goes_on_with_the_same_bits(tmp_path):
    folder = write_domain(tmp_path / "noise")
    expected, seen = training(folder), []

    with pytest.raises(Stop):
        training(folder, StoppedAfter(tmp_path / "kept", 13), note={"mlflow_run_id": "abc"})
    newest = Checkpoints(tmp_path / "kept", 0.0).newest()
    assert newest["mlflow_run_id"] == "abc"
    trained = training(folder, start=newest["state"], log=lambda row, step: seen.append(step))
    assert_equal(trained.weights, expected.weights)
    assert trained.history.rows == expected.history.rows
    assert seen == [5, 10, 15, 20, 24]  # the tracker knows which of them it has


def test_a_parameter_without_a_gradient_does_not_matter(tmp_path):
    folder = write_domain(tmp_path / "noise")
    data = {split: open_split(folder, split) for split in ("train", "val")}

    def idle(**options):
        model = make(["depth"])
        model.idle = torch.nn.Parameter(torch.ones(3))
        return train(model, job(data, "depth"), CPU, **options)

    class Kept(Checkpoints):
        def save(self, step, state):
            if step == 3:
                super().save(step, state)

    expected = idle(checkpoints=Kept(tmp_path / "kept", 0.0))
    newest = Checkpoints(tmp_path / "kept", 0.0).newest()
    assert newest["state"]["step"] == 3
    assert_equal(idle(start=newest["state"]).weights, expected.weights)


def test_a_damaged_one_is_skipped_and_named(tmp_path, capsys):
    checkpoints = Checkpoints(tmp_path / "run" / "kept", 1e9)
    assert checkpoints.newest() is None
    for step in (10, 20, 30):
        checkpoints.save(step, {"step": step})
    paths = sorted(checkpoints.folder.glob("*.pt"))
    assert [p.name for p in paths] == ["step-00000020.pt", "step-00000030.pt"]
    assert not checkpoints.due()
    os.truncate(paths[1], 100)
    assert checkpoints.newest() == {"step": 20}
    assert "step-00000030.pt: damaged (its digest" in capsys.readouterr().err
    checkpoints.save(21, {"step": 21})  # what goes on from 20 has no use for 30
    assert sorted(p.stem for p in checkpoints.folder.glob("*.pt")) == ["step-00000020", "step-00000021"]
    for path in checkpoints.folder.glob("*.json"):
        path.unlink()
    assert checkpoints.newest() is None


def test_what_a_kill_has_left_without_a_digest_takes_no_whole_ones_place(tmp_path):
    checkpoints = Checkpoints(tmp_path / "run" / "kept", 1e9)
    for step in (5, 10):
        checkpoints.save(step, {"step": step})
    (checkpoints.folder / "step-00000010.json").unlink()  # as if killed before it
    checkpoints.save(12, {"step": 12})
    os.truncate(checkpoints.folder / "step-00000012.pt", 100)
    assert checkpoints.newest() == {"step": 5}


def test_those_of_other_settings_go_when_a_training_ends(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_STAGE", "train_single@depth-0")
    checkpoints, other = (Checkpoints(FOLDER / "run" / name, 1e9) for name in ("this", "other"))
    write_json(out := Path("runs/run/run.json"), {"wall_s": 1.0})
    checkpoints.save(1, {"step": 1})
    other.save(1, {"step": 1})
    checkpoints.ended(out)
    assert checkpoints.newest() == {"step": 1}  # until dvc.lock has the run, see test_leftovers
    assert not other.folder.exists()
    other.ended(out)  # which has none
    assert not list(FOLDER.glob("run/*"))


def test_one_that_is_no_checkpoint_is_skipped_and_named(tmp_path, capsys):
    """Its digest is the one written with it: the fault was there before."""
    checkpoints = Checkpoints(tmp_path / "run" / "kept", 1e9)
    for step in (1, 2):
        checkpoints.save(step, {"step": step})
    newest = checkpoints.folder / "step-00000002.pt"
    newest.write_bytes(b"not a checkpoint")
    write_json(newest.with_suffix(".json"), {"sha256": sha256(newest)})
    assert checkpoints.newest() == {"step": 1}
    assert "step-00000002.pt: damaged (UnpicklingError)" in capsys.readouterr().err


def test_what_a_killed_process_had_begun_to_write_is_removed(tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / ".step-00000003.pt.abcdef").write_bytes(b"a part")
    Checkpoints(kept, 0.0).save(4, {"step": 4})
    assert sorted(path.name for path in kept.glob("*step-*")) == ["step-00000004.json", "step-00000004.pt"]


def test_what_another_process_is_writing_lives(tmp_path):
    """Others wait in the middle of writing; the second of them had begun while the first was at it."""
    code = (
        "import sys; from pathlib import Path; from mult.training.checkpoint import Checkpoints\n"
        "class Slow:\n"
        "    def __reduce__(self): print('writing', flush=True); sys.stdin.readline(); return (int, ())\n"
        "Checkpoints(Path(sys.argv[1]), 0.0).save(int(sys.argv[2]), {'slow': Slow()})"
    )
    others = []
    for step in ("2", "3"):
        command = [sys.executable, "-c", code, str(tmp_path), step]
        others.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert others[-1].stdout.readline() == "writing\n"
    assert len(list(tmp_path.glob(".step-*"))) == 2
    for step, other in ((4, others[0]), (5, others[1])):
        Checkpoints(tmp_path, 0.0).save(step, {"step": step})
        other.communicate("go on\n")
        assert other.returncode == 0
    assert not list(tmp_path.glob(".step-*"))


def test_the_fingerprint_knows_settings_and_code(tmp_path):
    code = tmp_path / "code"
    code.mkdir()
    (code / "a.py").write_text("x = 1")
    first = fingerprint({"lr": 1.0}, [code])
    assert first == fingerprint({"lr": 1.0}, [code])
    assert first != fingerprint({"lr": 2.0}, [code])
    (code / "a.py").write_text("x = 2")
    assert first != fingerprint({"lr": 1.0}, [code])
