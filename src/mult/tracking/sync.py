"""`mult track`: what waits for MLflow, and sending it."""

import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from mult.errors import UserError
from mult.files import read_json
from mult.process import alone
from mult.progress import progress
from mult.tracking.box import Box, boxes, now_ms, sweep, waiting
from mult.tracking.current import unmarked
from mult.tracking.store import Client, brief, reach, silent
from mult.tracking.telling import begin, mark, run_of, say

SETTLE_S = 30.0  # within which a store may still be at work on a request that was given up
SHOWN = 20


def reminder() -> str:
    """A line on what waits and how to send it; empty where nothing does."""
    runs = [(head["store"], messages) for _, head, messages in waiting()]
    stores = sorted({store for store, _ in runs} | {marks["store"] for _, marks in unmarked()})
    if not stores:
        return ""
    what = f"{len(runs)} runs ({sum(messages for _, messages in runs)} messages)" if runs else "which runs are current"
    return f"MLflow's store {', '.join(stores)} has not been told of {what}: `mult track sync` sends it"


def status() -> None:
    """Print what waits."""
    line = reminder()
    print(line or "nothing waits: MLflow has been told of everything")
    waits = list(waiting())
    for _, head, messages in waits[:SHOWN]:
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(head["start_ms"] / 1000))
        print(f"  {since}  {head['name']}: {messages} messages{'' if head['begun'] else ', and the run itself'}")
    if len(waits) > SHOWN:
        print(f"  and {len(waits) - SHOWN} more")
    for store in sorted({head["store"] for _, head, _ in waits}):
        if why := silent(store):
            print(f"{store}, a moment ago: {why}")


def sync(to: str | None = None) -> None:
    """Send what waits, each run to the store that it was meant for, or to the one called ``to``.

    Killed, it is run again: what a store has it is not told twice.

    Raises:
        UserError: a store cannot be reached, or does not take a run; or another process is at it.
    """
    with alone("track"):
        sweep()
        stores = {read_json(folder / "head.json")["store"] for folder in boxes()}
        stores |= {marks["store"] for _, marks in unmarked()}
        failed = [line for store in sorted(stores) for line in _send_all(store, to or store)]
    if not stores:
        print("nothing waits: MLflow has been told of everything")
    if failed:
        raise UserError(f"{failed[0]}; `mult track status` says what waits on")


def _send_all(store: str, to: str) -> list[str]:
    """Send what waits for ``store`` to ``to``; returns why some of it still waits, a line each."""
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    try:
        client, experiment = reach(to)
    except UserError as error:
        return [str(error)]
    runs, failed = 0, []
    for folder in progress(boxes(), "track", unit="run"):
        box = Box.take(folder)
        if box is None:  # its stage is at work, and sends for itself
            continue
        try:
            if box.head["store"] == store:
                _send(box, client, experiment, moved=to != store)
                runs += 1
        except Exception as error:  # of any kind: the other runs are to be sent
            failed.append(f"{to}: {box.head['name']}: {brief(error)}")
            if not _answers(client, experiment):
                break
        finally:
            box.release()
    if not failed:
        failed = _mark_all(store, client, experiment)
    print(f"{to}: {runs} runs sent")
    return failed


def _answers(client: Client, experiment: str) -> bool:
    try:
        client.get_experiment(experiment)
    except Exception:
        return False
    return True


def _send(box: Box, client: Client, experiment: str, moved: bool) -> None:
    """Send what a box holds, and remove it. That its process was killed is said where it has not said how it ended.

    Of a run that somebody has deleted meanwhile the rest is not wanted; one that is gone with its store is made again.
    """
    run = None if moved or not box.head["begun"] else run_of(client, box.head["run_id"])
    if run and run.info.lifecycle_stage == "deleted":
        name, run_id = box.head["name"], box.head["run_id"]
        print(f"warning: {name}: run {run_id} was deleted in MLflow; what waited for it is left out", file=sys.stderr)
        box.remove()
        return
    if run is None:
        _settle(box.head)
        box.note(tried_ms=now_ms(), begun=False)
        run_id, _ = begin(client, experiment, box.head, doubtful=True, late=True)
        box.note(run_id=run_id, begun=True)
    messages = box.messages()
    if not messages or "end" not in messages[-1]:
        last = max((message.get("time_ms", 0) for message in messages), default=0)
        messages.append({"end": "KILLED", "time_ms": last or box.head["start_ms"]})
    said = say(client, experiment, box.head["run_id"], messages, box.files, None)
    for refusal in said.refused:
        print(f"warning: {box.head['name']}: MLflow will never take this: {refusal}", file=sys.stderr)
    for name, uri in said.models.items():
        print(f"model {name}: {uri}")
    box.remove()


def _settle(head: Mapping[str, Any]) -> None:
    """Wait until the store has either made the run that it was asked for and has not confirmed, or will not."""
    left = SETTLE_S - (now_ms() - head["tried_ms"]) / 1000
    if left > 0:
        print(
            f"{head['name']}: the store was asked for it a moment ago; {left:.0f} s for it to settle", file=sys.stderr
        )
        time.sleep(left)


def _mark_all(store: str, client: Client, experiment: str) -> list[str]:
    for path, marks in unmarked():
        if marks["store"] == store:
            try:
                mark(client, experiment, marks)
            except Exception as error:
                return [f"{client.tracking_uri}: {brief(error)}"]
            with suppress(OSError):
                if read_json(path) == marks:  # else there is a newer word
                    path.unlink()
    return []
