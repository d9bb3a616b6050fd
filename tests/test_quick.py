"""DVC answers the same with ``quicken`` as without."""

import os
import shutil
import subprocess
from pathlib import Path

import dvc.dependency.param
import dvc.dvcfile
import pytest
from dvc.repo import Repo
from dvc.utils.serialize import load_yaml

from mult import lockfile
from mult.quick import quicken
from tests.conftest import ROOT


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """A project with this one's stages and lock; returns what makes DVC quick in it."""
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q"], check=True)
    Repo.init()
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, name)
    with lockfile.modify() as data:
        data |= load_yaml(ROOT / "dvc.lock")
    for place, name in (
        (dvc.dvcfile, "modify_yaml"),
        (dvc.dvcfile.Lockfile, "_load_yaml"),
        (dvc.dependency.param, "read_param_file"),
    ):
        monkeypatch.setattr(place, name, getattr(place, name))  # put back after the test
    return quicken


def statuses() -> dict:
    with Repo() as repo:
        stages = repo.index.stages
        return {
            s.addressing: [d.status() for d in s.deps if isinstance(d, dvc.dependency.param.ParamsDependency)]
            for s in stages
        }


@pytest.mark.slow
def test_every_stage_sees_the_same_parameters(quick):
    def change(old, new):
        text = Path("params.yaml").read_text()
        assert old in text
        Path("params.yaml").write_text(text.replace(old, new))

    usual = statuses()
    change("clip_norm: 1.0 ", "clip_norm: 2 ")
    change("weight: 2.8", "weight: true")
    change("depth: {loss: rotate, weight: 5.0}", "other: 1")
    changed = statuses()
    assert changed != usual
    quick()
    assert statuses() == changed
    shutil.copy(ROOT / "params.yaml", "params.yaml")  # what was parsed is not taken for the new file
    assert statuses() == usual


def test_the_lock_is_read_as_dvc_reads_it(quick, tmp_path, monkeypatch):
    usual = dvc.dvcfile.Lockfile(Repo(), "dvc.lock").load()
    quick()
    with monkeypatch.context() as patch:
        patch.setattr("dvc.utils.strictyaml.load", None)  # which is not asked
        assert dvc.dvcfile.Lockfile(Repo(), str(tmp_path / "dvc.lock")).load() == usual
    os.unlink(lockfile.kept_beside(tmp_path / "dvc.lock"))
    assert dvc.dvcfile.Lockfile(Repo(), str(tmp_path / "dvc.lock")).load() == usual
