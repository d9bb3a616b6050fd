import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mult import outs
from mult.errors import UserError
from mult.reports.album import album
from mult.reports.figures.gallery import load_gallery

ANALYTICS = {"DVC_NO_ANALYTICS": "1"}
STAGES = "stages:\n  file: {cmd: echo one > one.txt, outs: [one.txt]}\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A stage that DVC has run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").write_text(STAGES)
    for command in ("init --quiet --no-scm", "config cache.type hardlink", "repro --quiet"):
        subprocess.run([sys.executable, "-m", "dvc", *command.split()], check=True, env=os.environ | ANALYTICS)
    return tmp_path


def test_digests_are_those_of_dvc(project):
    assert outs.recorded() == {"one.txt": {outs.digest(Path("one.txt"))}}


def test_what_was_altered_is_refused_in_a_stage(project, monkeypatch):
    """DVC has a hard link to it in its cache and says that all is well."""
    alter(path := Path("one.txt"))
    assert outs.whole(path) == path  # by hand
    monkeypatch.setenv("DVC_STAGE", "next")
    with pytest.raises(UserError, match=r"^one.txt: not what dvc.lock says.*; `mult verify`"):
        outs.whole(path)


def test_an_entry_of_a_stage_that_is_no_more_does_no_harm(project, monkeypatch):
    monkeypatch.setenv("DVC_STAGE", "next")
    lock = yaml.safe_load(Path("dvc.lock").read_text())
    of_old = {"cmd": "echo", "outs": [{"path": "one.txt", "hash": "md5", "md5": "0" * 32, "size": 4}]}
    for stages in ({"old": of_old} | lock["stages"], lock["stages"] | {"old": of_old}):
        Path("dvc.lock").write_text(yaml.safe_dump(lock | {"stages": stages}, sort_keys=False))
        assert outs.whole(Path("one.txt"))


def test_a_gallery_that_was_altered_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_STAGE", "site")
    entry = {"outs": []}
    for name in ("gallery.json", "pictures.npz"):
        path = Path("gallery/doom") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"{}")
        entry["outs"].append({"path": str(path), "md5": outs.digest(path)})
    Path("dvc.lock").write_text(yaml.safe_dump({"stages": {"gallery@doom": entry}}))
    alter(Path("gallery/doom/pictures.npz"))
    with pytest.raises(UserError, match=r"pictures\.npz: not what dvc\.lock says"):
        load_gallery("gallery/doom")
    alter(Path("gallery/doom/gallery.json"))
    with pytest.raises(UserError, match=r"gallery\.json: not what dvc\.lock says"):
        album(Path("gallery/doom"))


def alter(path):
    """Write other bytes into a file that is left as it was otherwise."""
    os.chmod(path, 0o644)
    with open(path, "r+b") as file:
        file.write(b"x" * path.stat().st_size)
    os.chmod(path, 0o444)


def test_what_dvc_lock_does_not_tell_is_not_looked_at(project, monkeypatch):
    monkeypatch.setenv("DVC_STAGE", "next")
    (project / "dvc.lock").write_text("stages: [half")
    assert outs.recorded() == {}
    (project / "one.txt").unlink()
    assert outs.whole(Path("one.txt"))
    (project / "dvc.lock").unlink()
    assert outs.recorded() == {}
