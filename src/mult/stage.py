"""What every script in pipelines/ does around its work."""

import importlib
import inspect
import os
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from mult.errors import Paused, UserError
from mult.files import write_json
from mult.process import STATE, alone, die_with_parent

PAUSED = 75  # exit code: try again later
WORK = STATE / "work"  # what each stage's last run did, for the summary of `mult repro`


def run(script: str, arguments: Sequence[str]) -> int:
    """Call ``pipelines.<script>.main`` with ``arguments`` as the only process at it; returns the exit code.

    A user's mistake becomes one line on stderr and code 1. Of several processes that torchrun has started the first
    holds the lock for all.
    """
    die_with_parent()
    first = os.environ.get("RANK", "0") == "0"
    try:
        main = _main_of(script, arguments)
        with alone("-".join([script, *arguments])) if first else nullcontext():
            main(*arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except Paused as pause:
        print(pause, file=sys.stderr)
        return PAUSED
    return 0


def _main_of(script: str, arguments: Sequence[str]) -> Callable[..., None]:
    known = sorted(path.stem for path in Path("pipelines").glob("[a-z]*.py"))
    if script not in known:
        raise UserError(f"no stage script {script!r}; there are {', '.join(known)}")
    main = importlib.import_module(f"pipelines.{script}").main
    wanted = list(inspect.signature(main).parameters)
    if len(wanted) != len(arguments):
        raise UserError(f"usage: python -m pipelines {' '.join([script, *map(str.upper, wanted)])}")
    return main


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
