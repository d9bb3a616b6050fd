"""Work on many small jobs by several processes, in order and in bounded memory."""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any, TypeVar

from mult.errors import UserError
from mult.process import die_with_parent

Kept, Job, Result = TypeVar("Kept"), TypeVar("Job"), TypeVar("Result")
AHEAD = 4  # jobs a process that are waiting or done and not yet asked for

_kept: Any = None  # in a worker process


def in_batches(jobs: Iterable[Job], size: int) -> Iterator[list[Job]]:
    """``jobs`` in lists of ``size``, the last one shorter."""
    jobs = iter(jobs)
    while batch := list(islice(jobs, size)):
        yield batch


def in_processes(
    work: Callable[[Kept, Job], Result], kept: Kept, jobs: Iterable[Job], processes: int | None = None
) -> Iterator[Result]:
    """Yield ``work(kept, job)`` of each job, in their order; ``kept`` is sent to each process once.

    Args:
        processes: how many; None: one a core; 1: this one.

    Raises:
        UserError: a process was killed.
    """
    processes = processes or os.cpu_count() or 1
    if processes == 1:
        yield from (work(kept, job) for job in jobs)
        return
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    waiting: deque = deque()
    with ProcessPoolExecutor(processes, context, _start, (os.getpid(), kept)) as pool:
        try:
            for job in jobs:
                waiting.append(pool.submit(_call, work, job))
                if len(waiting) >= AHEAD * processes:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise UserError("a worker process was killed, perhaps for want of memory; run the command again") from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _start(parent: int, kept: Any) -> None:
    global _kept
    die_with_parent(parent)
    import cv2

    cv2.setNumThreads(1)  # the pool already fills the cores
    _kept = kept


def _call(work: Callable[[Any, Job], Result], job: Job) -> Result:
    return work(_kept, job)
