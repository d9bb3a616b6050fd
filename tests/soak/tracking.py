"""MLflow's outages with the bounds as they are, kills at random moments, and four first users who log call by call.

python -m tests.soak.tracking [--kills 20]        about five minutes; prints the figures of docs/reliability.md
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from mult.files import read_json
from mult.tracking import store, sync
from tests.outage import CONTEXT, NOWHERE, Proxy, Stage, home, told
from tests.project import copy_project
from tests.stores import mlflow_server

STEPS = 60
EVERY_S = 1.0
SLOW_S = 5.0
FIGURES = 2000
# What the server does, and after how many of the steps.
OUTAGES = [
    ("nothing", 0),
    ("absent", 0),
    ("mute", 0),
    ("slow", 0),
    ("forget", 0),
    ("dead", 20),
    ("mute", 20),
    ("slow", 20),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # as `make soak` ends it: the server ends as well
    with tempfile.TemporaryDirectory() as place:
        with mlflow_server(Path(place)) as server:
            outages(server, Path(place))
            kills(server, Path(place) / "kills", chosen.kills, random.Random(chosen.seed))
        first_users(Path(place) / "first")
        pipeline(Path(place) / "pipeline")


def outages(server: str, place: Path) -> None:
    """A stage of a minute beside each kind of outage, all at once; then what waits is sent."""
    with ThreadPoolExecutor(len(OUTAGES)) as pool:
        runs = list(pool.map(lambda outage: _outage(server, place / "-".join(map(str, outage)), *outage), OUTAGES))
    print(
        f"a stage of {STEPS} messages in {STEPS * EVERY_S:.0f} s; a server that is slow takes {SLOW_S:.0f} s a request"
    )
    expected = None
    for (how, after), (folder, proxy, waited, took) in zip(OUTAGES, runs, strict=True):
        waiting = len(list(folder.glob(".mult/tracking/[0-9]*")))
        proxy.recover()
        sent = _timed(lambda folder=folder, proxy=proxy: _mult(folder, "track", "sync"))
        (facts,) = told(proxy.address, folder.name)
        expected = expected or facts
        assert facts == expected, (how, after)
        assert len(facts["points"]) == 3 * STEPS
        assert waited < store.BUDGET_S + store.SHARE * took + 2 * store.WAIT_S + 1, (how, after, waited)
        print(f"{how:8} from message {after:2} on: waited {waited:5.1f} s; {waiting} runs to send, in {sent:.1f} s")
        proxy.close()


def _outage(server: str, folder: Path, how: str, after: int) -> tuple[Path, Proxy, float, float]:
    folder.mkdir()
    home(folder)
    proxy = Proxy(server, "absent" if how == "absent" else "pass")
    began = time.monotonic()
    if not after:
        proxy.fail(how, SLOW_S)
    stage = Stage(folder, proxy.address, folder.name, {})
    for step in range(1, STEPS + 1):
        if step == after:
            proxy.fail(how, SLOW_S)
        stage.log(step)
        time.sleep(max(0.0, began + step * EVERY_S - time.monotonic()))
    stage.end()
    return folder, proxy, stage.waited, time.monotonic() - began


def kills(server: str, folder: Path, count: int, chance: random.Random) -> None:
    """A training killed at random moments while the server comes and goes, then syncs killed at random moments."""
    folder.mkdir()
    home(folder)
    proxy, bounds = Proxy(server), {"WAIT_S": 1.0, "PAUSE_S": 0.5}
    done, resume = 0, None
    for _ in range(count):
        stage = Stage(folder, proxy.address, "kills", bounds, resume)
        resume = stage.id
        killer = threading.Timer(chance.uniform(0.0, 3.0), stage.process.kill)
        killer.start()
        with suppress(EOFError, ConnectionError):
            kept = chance.randint(0, done)  # its checkpoint's step: what was before is told again
            stage.log(*range(1, kept + 1))
            for step in range(kept + 1, kept + 100):
                if chance.random() < 0.3:
                    proxy.fail(chance.choice(["nothing", "dead", "mute", "forget", "slow"]), 0.3)
                stage.log(step)
                done = max(done, step)
                time.sleep(0.2)
        killer.join()
        stage.kill()
    proxy.fail("dead")
    stage = Stage(folder, proxy.address, "kills", bounds, resume)
    stage.log(*range(1, done + 2))
    stage.end()
    others, cut = [f"other-{number}" for number in range(count)], 0
    for other in others:
        proxy.fail("dead")
        stage = Stage(folder, proxy.address, other, bounds)
        stage.log(1, 2, 3)
        stage.end()
        proxy.recover()
        process = CONTEXT.Process(target=_sync, args=(str(folder),))
        process.start()
        process.join(chance.uniform(0.1, 1.5))
        cut += process.is_alive()
        process.kill()
        process.join()
    _mult(folder, "track", "sync")
    (facts,) = told(proxy.address, "kills")
    steps = [step for key, step, _ in facts["points"] if key == "val/figure_0"]
    assert steps == list(range(1, done + 2)), steps
    assert facts["status"] == "FINISHED"
    told_of = [told(proxy.address, other) for other in others]
    assert all(runs == told_of[0] and len(runs) == 1 and len(runs[0]["points"]) == 9 for runs in told_of)
    print(f"a training killed {count} times: its {len(steps)} steps, each once, in one run")
    print(f"{cut} syncs killed at work, {count} runs: each whole, none twice")
    proxy.close()


def _sync(folder: str) -> None:
    os.chdir(folder)
    sync.SETTLE_S = 0.3
    sync.sync()


def first_users(folder: Path) -> None:
    """Four processes make a store and log a figure a call, at once."""
    folder.mkdir()
    code = (
        "from mult import tracking\n"
        "with tracking.stage_run('first', {}, {}) as run:\n"
        f"    for step in range({FIGURES}): run.log({{'val/loss': float(step)}}, step)\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    began = time.monotonic()
    users = [subprocess.Popen([sys.executable, "-c", code], cwd=folder, env=environment) for _ in range(4)]
    assert [user.wait() for user in users] == [0] * 4
    took = time.monotonic() - began
    left = _mult(folder, "track", "status").strip()
    _mult(folder, "track", "sync")
    runs = told(f"sqlite:///{folder}/mlflow.db", "first")
    assert [len(run["points"]) for run in runs] == [FIGURES] * 4
    assert {run["status"] for run in runs} == {"FINISHED"}
    print(f"four first users, {FIGURES} calls each: {took:.0f} s, none lost, none failed; at their end: {left}")


def pipeline(folder: Path) -> None:
    """Stages of each kind at smoke scale while no store answers; then all of it is sent to one that does."""
    project = copy_project(folder)
    project.commit()
    project.environment["MLFLOW_TRACKING_URI"] = NOWHERE
    said = project.run("mult", "repro", "--scale", "smoke", "probe@shared-0", "fine_tune_six@shared-0", "log_model")
    reminder = said.splitlines()[-1]
    assert f"{NOWHERE} has not been told of" in reminder, said
    sent = project.run("mult", "track", "sync", "--to", "sqlite:///mlflow.db")
    assert "model mult-shared-s0: models:/" in sent, sent
    known = {run.data.tags["mult.local_id"]: run.info for run in project.current_runs().values()}
    ids = {
        read_json(path)["mlflow_run_id"]
        for path in project.folder.glob("runs/*/*.json")
        if "mlflow_run_id" in path.read_text()
    }
    assert ids == known.keys()
    assert {run.status for run in known.values()} == {"FINISHED"}
    print(f"mult repro, no store: {reminder}")
    print(f"sent: {len(known)} runs, which runs/ cites by the same ids")


def _timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def _start(folder: Path, *command: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "mult", *command],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _mult(folder: Path, *command: str) -> str:
    process = _start(folder, *command)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return output


if __name__ == "__main__":
    main()
