"""Processes that neither outlive their parent nor work twice in one folder."""

import ctypes
import fcntl
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mult.errors import UserError

LAUNCHER = "MULT_LAUNCH"  # a command that starts a training's processes, also on other hosts: `srun torchrun …`
PARENT = "MULT_PARENT"  # process id of the DVC that has started a stage
UNTIL = "MULT_UNTIL"  # when what is at work should pause, in seconds since 1970
STATE = Path(".mult")  # git-ignored, unknown to DVC: locks, logs, rendered pieces
CHECKPOINTS = STATE / "checkpoints"  # of trainings; see mult.training.checkpoint
TRACKING = STATE / "tracking"  # what MLflow has not been told yet; see mult.tracking.box


def die_with_parent(parent: int | None = None) -> None:
    """Ask the kernel to end this process when its parent ends (Linux; elsewhere nothing happens).

    DVC, when it is killed, leaves the stage's process running, and the next `dvc repro` would start a second one.

    Args:
        parent: its process id where the caller knows it; if it has ended already, so does this process. One that is no
            parent but a parent's parent is only looked at now.
    """
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
    if parent is not None and os.getppid() != parent and parent not in _ancestors():
        os.kill(os.getpid(), signal.SIGTERM)


def _ancestors() -> set[int]:
    import psutil  # late: not needed where the parent is alive

    return {of.pid for of in psutil.Process().parents()}


def rank() -> int:
    """This process's number among those of one training, from 0; 0 for one that is alone."""
    return int(os.environ.get("RANK", "0")) if "WORLD_SIZE" in os.environ else 0


def time_is_up() -> bool:
    """Whether the moment that ``MULT_UNTIL`` names has come."""
    return time.time() >= float(os.environ.get(UNTIL, "inf"))


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Hold the lock called ``name`` while the block runs.

    Raises:
        UserError: another living process holds it.
    """
    path = STATE / "locks" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise UserError(f"{name}: process {lock.read().strip()} is at work on it; wait for it or end it") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
