"""What every script in pipelines/ does around its work."""

import os
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mult.errors import UserError
from mult.files import write_json
from mult.process import STATE, alone, die_with_parent

WORK = STATE / "work"  # what each stage's last run did, for the summary of `mult repro`


def run_stage(name: str, work: Callable[[], None]) -> None:
    """Do ``work`` as the only process that works on ``name``; a user's mistake becomes one line and exit code 1."""
    die_with_parent()
    try:
        with alone(name):
            work()
    except UserError as error:
        sys.exit(f"error: {error}")


@contextmanager
def working(kind: str) -> Iterator[None]:
    """Count the CPU time of the block as what the stage is for (``rendering``, ``training`` or ``scoring``)."""
    before = _cpu_seconds()
    yield
    if name := os.environ.get("DVC_STAGE"):
        write_json(WORK / f"{name}.json", {"kind": kind, "cpu_s": round(_cpu_seconds() - before, 2)})


def _cpu_seconds() -> float:
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in usage)
