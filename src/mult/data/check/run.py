"""Going through a data set: once without opening a picture, then view by view."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from mult.data.check.faults import Fault, Tally, from_error
from mult.data.check.view import faults_of
from mult.data.check.whole import add_whole
from mult.data.sources import Source, View
from mult.data.survey import Survey, nothing_in, spread, survey
from mult.data.workers import in_batches, in_processes
from mult.errors import UserError
from mult.progress import progress

BATCH = 16  # views that a process is given at a time


@dataclass
class Report:
    """What was found.

    Attributes:
        looked_at: number of views whose files were opened.
        tally: the faults; none where the data set is clean.
    """

    source: Source
    survey: Survey
    looked_at: int
    tally: Tally


def check(
    source: Source, images: int | None = None, others: Sequence[Source] = (), processes: int | None = None
) -> Report:
    """Find what is wrong with ``source``, in memory that does not grow with its views.

    Args:
        images: open the files of so many views, evenly spread; None: of all, and compare what digests there are.
            Counts and splits are of all views.
        others: data sets of the same buildings, of which none may be in another split there.
        processes: None: one a core.

    Raises:
        UserError: nothing to look at; or prepared data that are not as they were written.
    """
    found = survey(source)
    total = found.images()
    if not total and not found.broken:
        raise nothing_in(source)
    tally = Tally()
    add_whole(tally, source, found, others)
    number = min(total, images or total)
    if number == total:
        _add_altered(tally, source, processes)
    batches = in_batches(spread(source, found, images), BATCH)
    if number <= BATCH:
        processes = 1  # before another has started, they are looked at
    done = (faults for batch in in_processes(_look, source, batches, processes) for faults in batch)
    for faults in progress(done, f"check {source.domain}", total=number, unit="image"):
        for fault in faults:
            tally.add(fault)
    return Report(source, found, number, tally)


def _add_altered(tally: Tally, source: Source, processes: int | None) -> None:
    parts = source.parts()
    found = in_processes(_verify, source, parts, 1 if len(parts) == 1 else processes)
    for errors in progress(found, f"verify {source.domain}", total=len(parts), unit="part"):
        for error in errors:
            tally.add(from_error(error, source.root))


def _verify(source: Source, part: str) -> list[UserError]:
    return source.verify(part)


def _look(source: Source, views: Sequence[View]) -> list[list[Fault]]:
    with _quiet():
        return [faults_of(source, view) for view in views]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what libpng itself prints of damaged files: the report says it once, and of which."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
