import os
import subprocess
import sys

import pytest

from mult import outs
from mult.errors import UserError

ANALYTICS = {"DVC_NO_ANALYTICS": "1"}
STAGES = """stages:
  file: {cmd: echo one > one.txt, outs: [one.txt]}
  folder:
    cmd: mkdir -p two/b && echo a > two/a-b.txt && echo b > two/b/ö.txt && echo c > two/a
    outs: [two]
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Two stages that DVC has run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").write_text(STAGES)
    for command in ("init --quiet --no-scm", "config cache.type hardlink", "repro --quiet"):
        subprocess.run([sys.executable, "-m", "dvc", *command.split()], check=True, env=os.environ | ANALYTICS)
    return tmp_path


def test_digests_are_those_of_dvc(project):
    assert outs.recorded() == {"one.txt": outs.digest(project / "one.txt"), "two": outs.digest(project / "two")}


@pytest.mark.parametrize(("out", "file"), [("one.txt", "one.txt"), ("two", "two/b/ö.txt")])
def test_what_was_altered_is_refused_in_a_stage(project, monkeypatch, out, file):
    """DVC has a hard link to it in its cache and says that all is well."""
    path = outs.Path(out)
    content = (project / file).read_bytes()
    os.chmod(project / file, 0o644)
    with open(project / file, "r+b") as altered:
        altered.write(b"x" * len(content))
    os.chmod(project / file, 0o444)
    assert outs.whole(path) == path  # by hand
    monkeypatch.setenv("DVC_STAGE", "next")
    with pytest.raises(UserError, match=rf"^{out}: altered since it was made .*; `mult verify`"):
        outs.whole(path)


def test_what_dvc_lock_does_not_tell_is_not_looked_at(project, monkeypatch):
    monkeypatch.setenv("DVC_STAGE", "next")
    (project / "dvc.lock").write_text("stages: [half")
    assert outs.recorded() == {}
    (project / "one.txt").unlink()
    assert outs.whole(outs.Path("one.txt"))
    (project / "dvc.lock").unlink()
    assert outs.recorded() == {}
