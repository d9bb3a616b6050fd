import subprocess
import sys
import time

import psutil
import pytest

from mult.errors import UserError
from mult.process import alone


def test_two_cannot_hold_one_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from mult.process import alone; import time\nwith alone('x'): print(1, flush=True); time.sleep(60)",
        ],
        stdout=subprocess.PIPE,
    )
    holder.stdout.readline()
    with alone("y"), pytest.raises(UserError, match=rf"x: process {holder.pid} is at work on it"), alone("x"):
        pass
    holder.kill()
    holder.wait()
    with alone("x"):
        pass


def test_a_child_ends_with_its_parent():
    inner = (
        "import time; from mult.process import die_with_parent; die_with_parent(); print(1, flush=True); time.sleep(60)"
    )
    outer = (
        f"import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', {inner!r}]);"
        "print(p.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", outer], stdout=subprocess.PIPE, text=True)
    lines = {parent.stdout.readline().strip(), parent.stdout.readline().strip()}
    child = max(int(line) for line in lines)
    assert psutil.pid_exists(child)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 2
    while psutil.pid_exists(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(child)
