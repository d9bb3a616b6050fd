"""A way to MLflow that fails as it is told to, a stage in a process of its own, and all that a store has of a run."""

import multiprocessing
import os
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np

from mult import tracking
from mult.tracking import store

CONTEXT = multiprocessing.get_context("forkserver")  # imports MLflow once for all stages
CONTEXT.set_forkserver_preload(
    ["tests.outage", *(f"mlflow.store.tracking.{of}_store" for of in ("rest", "sqlalchemy"))]
)
NOWHERE = "http://127.0.0.1:9"  # a port that nothing listens on
FIGURES = 3  # of each step
PATIENCE_S = 120


class Proxy:
    """Hands requests on to an HTTP server, or does to them what ``mode`` says.

    pass: nothing; mute: takes them and never answers; forget: has a run made and closes before the answer comes; dead:
    closes at once; absent, only at first: refuses. ``delay_s``: before each request is handed on.
    """

    def __init__(self, server: str, mode: str = "pass"):
        self.mode, self.delay_s = mode, 0.0
        self._server = (urlparse(server).hostname, urlparse(server).port)
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))  # nothing can connect before it listens
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        if mode != "absent":
            self.listen()

    def fail(self, how: str, delay_s: float = 0.0) -> None:
        """From now on: a mode, ``slow`` for ``delay_s`` a request, or ``nothing``."""
        if how == self.mode == "absent":
            return
        self.recover()
        if how == "slow":
            self.delay_s = delay_s
        elif how == "dead":
            self.die()
        elif how != "nothing":
            self.mode = how

    def recover(self) -> None:
        """Do nothing to requests any more."""
        if self.mode == "absent":
            self.listen()
        self.mode, self.delay_s = "pass", 0.0

    def listen(self) -> None:
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def die(self) -> None:
        """Close what is open and what comes."""
        self.mode = "dead"
        for link in self._open:
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.die()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.mode == "dead":
                    client.close()
                    continue
                server = socket.create_connection(self._server)
                self._open += [client, server]
                asked = [b""]  # the request that is on its way
                threading.Thread(target=self._ask, args=(client, server, asked), daemon=True).start()
                threading.Thread(target=self._answer, args=(client, server, asked), daemon=True).start()

    def _ask(self, client: socket.socket, server: socket.socket, asked: list[bytes]) -> None:
        with suppress(OSError):
            while data := client.recv(1 << 16):
                while self.mode == "mute":
                    time.sleep(0.02)
                if not asked[0]:
                    time.sleep(self.delay_s)
                asked[0] += data
                server.sendall(data)
        _shut(client, server)

    def _answer(self, client: socket.socket, server: socket.socket, asked: list[bytes]) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 16):
                if self.mode == "forget" and b"/runs/create" in asked[0]:
                    break
                asked[0] = b""
                client.sendall(data)
        _shut(client, server)


def _shut(*links: socket.socket) -> None:
    for link in links:
        with suppress(OSError):
            link.shutdown(socket.SHUT_RDWR)


class Stage:
    """A training stage in a process of its own, which logs when it is told to.

    Attributes:
        waited: seconds that it has spent on MLflow.
    """

    def __init__(self, folder: Path, uri: str, name: str, bounds: dict[str, float], resume: str | None = None):
        self._link, theirs = CONTEXT.Pipe()
        self.process = CONTEXT.Process(target=_work, args=(theirs, str(folder), uri, name, bounds, resume))
        self.process.start()
        theirs.close()
        self.waited = 0.0
        self.id: str = self._heard()

    def log(self, *steps: int) -> None:
        self._link.send(steps)
        self._heard()

    def end(self) -> None:
        self._link.send(None)
        self._heard()
        self.process.join(PATIENCE_S)
        assert self.process.exitcode == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.join(PATIENCE_S)

    def _heard(self) -> str:
        assert self._link.poll(PATIENCE_S), "the stage hangs"
        answer, seconds = self._link.recv()
        self.waited += seconds
        return answer


def _work(link, folder: str, uri: str, name: str, bounds: dict[str, float], resume: str | None) -> None:
    os.chdir(folder)
    os.environ |= {"MLFLOW_TRACKING_URI": uri, "DVC_STAGE": "train_six@shared-0"}
    for bound, value in bounds.items():
        setattr(store, bound, value)
    began = time.monotonic()
    tags, texts = {"scale": "smoke", "stage": "train"}, {"config.yaml": "tasks: [depth]\n"}
    with tracking.stage_run(name, {"seed": 0}, tags, ["data/home"], texts=texts, resume=resume) as run:
        link.send((run.id, time.monotonic() - began))
        while (steps := link.recv()) is not None:
            began = time.monotonic()
            for step in steps:
                run.log({f"val/figure_{number}": number / step for number in range(FIGURES)}, step)
            run.show("predictions/home.png", np.full((8, 8, 3), 200, np.uint8))
            link.send(("", time.monotonic() - began))
        began = time.monotonic()
    link.send(("", time.monotonic() - began))


def log_many(folder: str, steps: int, figures: int) -> None:
    """A stage, in ``folder`` and its default store, that logs so many figures at so many steps."""
    os.chdir(folder)
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    with tracking.stage_run("many", {}, {}) as run:
        for step in range(steps):
            run.log({f"val/figure_{number}": float(step) for number in range(figures)}, step)


def home(folder: Path) -> None:
    """A lock file that knows the stage's data."""
    (folder / "dvc.lock").write_text("stages: {prepare: {outs: [{path: data/home, md5: 0123456789abcdef}]}}\n")


def told(uri: str, name: str) -> list[dict[str, Any]]:
    """What the store has of the runs called ``name``, in their order, but for ids and times."""
    client, experiment = tracking.reach(uri)
    runs = client.search_runs([experiment], f"attributes.run_name = '{name}'")
    return [_facts(client, run) for run in sorted(runs, key=lambda run: run.info.start_time)]


def _facts(client, run) -> dict[str, Any]:
    run_id = run.info.run_id
    found = client.list_artifacts(run_id)
    files = [inner for file in found for inner in (client.list_artifacts(run_id, file.path) if file.is_dir else [file])]
    assert run.info.status == "RUNNING" or run.info.end_time >= run.info.start_time
    return {
        "status": run.info.status,
        "params": run.data.params,
        "tags": {key: value for key, value in run.data.tags.items() if key not in ("mult.local_id", "mlflow.runName")},
        "inputs": [(of.dataset.name, of.dataset.digest, of.tags[0].value) for of in run.inputs.dataset_inputs],
        "files": sorted((file.path, file.file_size) for file in files),
        "points": sorted(
            (key, point.step, point.value)
            for key in run.data.metrics
            for point in client.get_metric_history(run_id, key)
        ),
    }
