"""Which runs the results of a scale come from: the last word of `mult repro`, on disk until the store has taken it."""

import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from mult.files import read_json, write_json
from mult.process import TRACKING
from mult.tracking.box import now_ms, waiting
from mult.tracking.store import Link, Unreachable, store_uri
from mult.tracking.telling import mark

MARK_S = 60.0  # for a call a run


def mark_current(run_ids: Collection[str], scale: str, besides: str = "") -> None:
    """Tag the runs of ``scale`` that the results come from as current, and no others.

    Needed because DVC restores a stage's earlier result, and with it the link to an earlier run, from its cache. Runs
    with ``besides`` in their tag ``stage`` stay as they are, and so do later ones.
    """
    link = Link(store_uri())
    path = TRACKING / f"current-{scale}.json"
    marks = {"store": link.uri, "scale": scale, "besides": besides, "time_ms": now_ms(), "run_ids": sorted(run_ids)}
    write_json(path, marks)
    if link.closed():
        return
    try:
        with link.trying(MARK_S):
            link.call(mark, marks)
    except Unreachable as error:
        print(f"warning: MLflow's store {link.uri}: {error}", file=sys.stderr)
        return
    if not any(head["store"] == link.uri for _, head, _ in waiting()):  # else they are marked when they have been sent
        path.unlink()


def unmarked() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Marks that wait: each file and what it says."""
    for path in sorted(TRACKING.glob("current-*.json")):
        yield path, read_json(path)
