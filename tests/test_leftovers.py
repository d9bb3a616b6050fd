import threading
from pathlib import Path

import pytest
import yaml

from mult import leftovers, outs
from mult.files import write_json
from mult.process import CHECKPOINTS, STATE, TRACKING

STAGE = "prepare@doom"


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_STAGE", STAGE)


def kept(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "piece").write_text("1")
    return folder


def write_lock(entry: dict | None, name: str = STAGE) -> None:
    stages = {"other": {"cmd": "y"}} | ({name: entry} if entry else {})
    Path("dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))


def test_a_training_is_known_by_its_run():
    """Its stage may be killed until dvc.lock has that very one; whatever else is in it."""
    folder = kept(CHECKPOINTS / "laptop-run" / "fingerprint")
    write_json(out := Path("runs/run/run.json"), {"wall_s": 1.0})
    leftovers.ended(folder, out)
    for entry in (None, {"outs": [{"path": str(out), "md5": "0" * 32}]}):
        write_lock(entry)
        leftovers.sweep(idle=True)
        assert folder.is_dir()
    write_lock({"outs": [{"path": str(out), "md5": outs.digest(out)}]}, "by-another-name")
    leftovers.sweep()
    assert not folder.parent.exists()


def test_a_folder_is_known_by_its_stage():
    """Also where it was made anew to the same bytes, from other code."""
    out = {"path": "data/doom", "md5": "1.dir"}
    write_lock({"deps": ["before"], "outs": [out]})
    folder = kept(STATE / "render" / "doom-fingerprint")
    Path("data/doom").mkdir(parents=True)
    leftovers.ended(folder, Path("data/doom"))
    leftovers.sweep()
    assert folder.is_dir()
    write_lock({"deps": ["after"], "outs": [out]})
    leftovers.sweep()
    assert not folder.exists()


def test_one_that_was_made_of_the_same_waits_until_all_is_done():
    write_lock({"outs": []})
    folder = kept(STATE / "index" / "doom-fingerprint")
    Path("data/doom").mkdir(parents=True)
    leftovers.ended(folder, Path("data/doom"))
    leftovers.sweep()
    assert folder.is_dir()
    leftovers.sweep(idle=True)
    assert not folder.exists()


def test_by_hand_nothing_is_kept(monkeypatch):
    monkeypatch.delenv("DVC_STAGE")
    folder = kept(STATE / "render" / "doom-fingerprint")
    leftovers.ended(folder, Path("data/doom"))
    assert not folder.exists()


def test_what_others_make_and_remove_meanwhile_does_no_harm():
    def others():
        for number in range(300):
            folder = kept(TRACKING / f"box-{number}")
            pieces = kept(STATE / "render" / f"doom-{number}")
            (pieces / leftovers.MARK).write_text("{")
            for of in (folder, pieces):
                for path in of.iterdir():
                    path.unlink()
                of.rmdir()

    beside = threading.Thread(target=others)
    beside.start()
    while beside.is_alive():
        leftovers.sweep()
    beside.join()
