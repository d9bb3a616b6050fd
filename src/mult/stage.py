"""What every script in pipelines/ does around its work."""

import importlib
import inspect
import os
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from mult import leftovers, word
from mult.errors import Paused, UserError
from mult.failures import told
from mult.files import write_json
from mult.memory import peak_mb
from mult.paths import one_name
from mult.process import STATE, alone, rank

PAUSED = 75  # exit code: try again later
WORK = STATE / "work"  # what each stage's last run did, for the summary of `mult repro`
PEAKS = STATE / "peaks"  # its memory, for `mult bench pipeline`


def run(script: str, arguments: Sequence[str]) -> int:
    """Call ``pipelines.<script>.main`` with ``arguments`` as the only process at it; returns the exit code.

    Of several processes that torchrun has started the first holds the lock for all.
    """

    def work() -> None:
        main = _main_of(script, arguments)
        if rank() == 0:
            leftovers.sweep()
        with alone("-".join([script, *arguments])) if rank() == 0 else nullcontext():
            main(*arguments)
        if name := os.environ.get("DVC_STAGE"):
            write_json(PEAKS / f"{name}.json", {"peak_mb": round(_peak_mb(), 1)})

    return exit_code(work)


def exit_code(work: Callable[[], None]) -> int:
    """Call ``work``; a user's mistake, or a machine's shortage, becomes one line on stderr and code 1, a pause code 75.

    One of several processes leaves the line to the process that has started them, and is silent where another's error
    came first (mult.word).
    """
    try:
        work()
    except Exception as error:
        line = told(error)
        if line is None:
            if word.leave(error) not in (None, rank()):
                return 1
            raise
        paused = isinstance(line, Paused)
        if word.leave(line) is None:
            print(line if paused else f"error: {line}", file=sys.stderr)
        return PAUSED if paused else 1
    return 0


def _main_of(script: str, arguments: Sequence[str]) -> Callable[..., None]:
    known = sorted(path.stem for path in Path("pipelines").glob("[a-z]*.py"))
    if script not in known:
        raise UserError(f"no stage script {script!r}; there are {', '.join(known)}")
    main = importlib.import_module(f"pipelines.{script}").main
    wanted = list(inspect.signature(main).parameters)
    if len(wanted) != len(arguments):
        raise UserError(f"usage: python -m pipelines {' '.join([script, *map(str.upper, wanted)])}")
    for argument in arguments:  # a run or a domain, which names files
        one_name(argument, f"python -m pipelines {script}")
    return main


@contextmanager
def working(kind: str) -> Iterator[None]:
    """Count the CPU time of the block as what the stage is for (``rendering``, ``training`` or ``scoring``).

    Of several processes the first one's.
    """
    before = _cpu_seconds()
    yield
    if (name := os.environ.get("DVC_STAGE")) and rank() == 0:
        write_json(WORK / f"{name}.json", {"kind": kind, "cpu_s": round(_cpu_seconds() - before, 2)})


def _cpu_seconds() -> float:
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in usage)


def _peak_mb() -> float:
    """Most resident memory that one process of this stage has had."""
    return max(peak_mb(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10)
