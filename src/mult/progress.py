"""Progress with time left, on a terminal as a bar, in a log as a line now and then."""

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
LOG_EVERY_S = 15.0  # a log that nobody watches needs no more


def progress(
    items: Iterable[Item], label: str, total: int | None = None, unit: str = "", done: int = 0
) -> Iterator[Item]:
    """Yield ``items`` and show on stderr how many are done, ``done`` before the first, and how long the rest takes."""
    total = len(items) if total is None and isinstance(items, Sized) else total
    shown = {"desc": label, "total": total, "unit": unit, "initial": done}
    interval = 0.2 if sys.stderr.isatty() else LOG_EVERY_S
    with tqdm(items, **shown, mininterval=interval, delay=1.0, leave=False) as bar:
        yield from bar


class Stopwatch:
    """Seconds spent in what a stage is for (rendering, training, scoring), apart from its start-up."""

    def __init__(self):
        self.began = time.perf_counter()

    def seconds(self) -> float:
        return round(time.perf_counter() - self.began, 2)
