"""Stages in the server that has imported what they need, with real processes."""

import os
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest

from mult import warm
from mult.process import PARENT
from tests.conftest import ROOT

pytestmark = pytest.mark.slow
STAGE = """
import os, pathlib, sys, time
def main(word):
    if word == "parent":
        print(os.environ.get("MULT_PARENT"), flush=True)
        return
    print("out", word, os.environ["COLOUR"], "torch" in sys.modules, flush=True)
    print("err", file=sys.stderr, flush=True)
    pathlib.Path("pid").write_text(str(os.getpid()))
    if word == "sleep": time.sleep(60)
    if word == "fail": raise RuntimeError("broken")
    if word == "user":
        from mult.errors import UserError
        raise UserError("what, where, mend")
"""


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """A function that runs the stage script `say` with an argument, through a server."""
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "say.py").write_text(STAGE)
    (tmp_path / "pipelines" / "__main__.py").write_text((ROOT / "pipelines" / "__main__.py").read_text())
    monkeypatch.chdir(tmp_path)
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT / 'src'}"}
    with warm.server(environment) as with_server:

        def start(word, shell=False, **extra):
            command = [sys.executable, "-m", "pipelines", "say", word]
            command = ["sh", "-c", f"{' '.join(command)}; exit $?"] if shell else command
            return subprocess.Popen(
                command, env=with_server | {"COLOUR": "red"} | extra, stdout=-1, stderr=-1, text=True
            )

        yield start


def test_output_environment_and_exit_code_come_through(stage):
    process = stage("hello")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "out hello red True\n", "err\n")
    process = stage("fail", COLOUR="blue")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "blue" in out
    assert "RuntimeError: broken" in err
    process = stage("user")
    assert process.communicate(timeout=60)[1] == "err\nerror: what, where, mend\n"
    assert process.returncode == 1


def test_the_work_ends_with_the_command_that_asked_for_it(stage, tmp_path):
    process = stage("sleep")
    deadline = time.monotonic() + 60
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    worker = int((tmp_path / "pid").read_text())
    assert worker != process.pid
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 2
    while psutil.pid_exists(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(worker)


def test_without_its_server_a_stage_works_by_itself(stage):
    process = stage("hello", **{warm.VARIABLE: "/nowhere/warm.socket"})
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "out hello red False\n")


def test_a_server_that_is_killed_before_it_has_read_is_one_line(stage, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(tmp_path / "warm.socket"))
        listener.listen()
        process = stage("hello", **{warm.VARIABLE: str(tmp_path / "warm.socket")})
        link, _ = listener.accept()
        time.sleep(0.5)  # the message has come, and is not read: the kernel resets the connection
        link.close()
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (1, "", "error: say: the stage's process was killed\n")


@pytest.mark.parametrize("served", [True, False])
def test_a_stage_whose_dvc_has_ended_before_it_could_look_does_nothing(stage, tmp_path, served):
    gone = subprocess.Popen(["true"])
    gone.wait()
    given = {} if served else {warm.VARIABLE: "/nowhere/warm.socket"}
    process = stage("hello", **given, **{PARENT: str(gone.pid)})
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == -signal.SIGTERM
    assert not (tmp_path / "pid").exists()


@pytest.mark.parametrize("served", [True, False])
def test_a_stage_whose_dvc_is_its_parents_parent_works(stage, served):
    """Its command went through a shell, then; what it starts in turn has another parent."""
    given = {} if served else {warm.VARIABLE: "/nowhere/warm.socket"}
    process = stage("parent", shell=True, **given, **{PARENT: str(os.getpid())})
    assert process.communicate(timeout=60) == ("None\n", "")
    assert process.returncode == 0
