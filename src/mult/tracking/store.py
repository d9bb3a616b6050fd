"""MLflow's store: where it is, opening it, and how long anything here waits for it.

Three bounds hold for every store and every way in which it may hang. One try (opening the store, making the run,
telling what has come together) ends after ``WAIT_S``. A stage begins no try while those before have taken more than
``BUDGET_S`` and ``SHARE`` of its time. After a failed try no process in this folder begins one for ``PAUSE_S``.
Only making a database file on this machine is no wait in this sense.
"""

import fcntl
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from mult.errors import UserError
from mult.files import read_json, write_json
from mult.process import STATE, TRACKING

EXPERIMENT = "mult"
DEFAULT_STORE = "sqlite:///mlflow.db"

WAIT_S = 10.0
BUDGET_S = 20.0
SHARE = 0.01
PAUSE_S = 60.0
MAKING_S = 120.0  # for making a database file, whose first users wait for each other
LOCK = STATE / "mlflow.lock"  # of whoever makes the file
SILENCE = TRACKING / "silent.json"
# Left alone, MLflow tries a request seven times, two minutes each. What it repeats by itself may be done twice.
LIMITS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "8", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}

Result = TypeVar("Result")
Client = Any  # mlflow.MlflowClient, which takes seconds to import


class Unreachable(Exception):
    """The store has not done what it was asked, or not in time; the text says why in one line."""


def store_uri() -> str:
    """Where runs are kept."""
    return os.environ.get("MLFLOW_TRACKING_URI", DEFAULT_STORE)


def store_exists(uri: str | None = None) -> bool:
    """Whether the store has been made; of one that is no file of this machine, yes."""
    _, is_file, path = (uri or store_uri()).partition("sqlite:///")
    return not is_file or Path(path).exists()


def brief(error: BaseException) -> str:
    """An error in one line of at most 200 characters.

    Where the system has refused something (a connection, a name, a file), what it says: MLflow, requests and urllib3
    wrap that into several hundred characters of their own.
    """
    below: BaseException | None = error
    while below and not (isinstance(below, OSError) and below.strerror):
        below = below.__cause__ or below.__context__
    return " ".join((below.strerror if below else str(error)).split())[:200] or type(error).__name__


def opened(uri: str) -> tuple[Client, str]:
    """A client of the store and the experiment's id; both are made where there are none. Takes as long as it takes."""
    import mlflow

    for name, value in {"MLFLOW_DISABLE_TELEMETRY": "true", **LIMITS}.items():
        os.environ.setdefault(name, value)
    if not store_exists(uri):
        _make(Path(uri.removeprefix("sqlite:///")))
    client = mlflow.MlflowClient(uri)
    found = client.get_experiment_by_name(EXPERIMENT)
    if not found:
        try:
            return client, client.create_experiment(EXPERIMENT)
        except mlflow.exceptions.MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        found = client.get_experiment_by_name(EXPERIMENT)  # another process was quicker
    return client, found.experiment_id


def _make(path: Path) -> None:
    """Make a database file, beside its place: what a kill leaves of MLflow's many steps it never opens again.

    Nor does it open what two processes have made at the same time, hence the lock, and the names with their numbers.
    """
    import psutil
    from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    STATE.mkdir(exist_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(LOCK, "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in path.parent.glob(f".{path.name}.*.making*"):  # of one that was killed, and SQLite's journal of it
            maker = left.name.removeprefix(f".{path.name}.").split(".")[0]
            if maker == str(os.getpid()) or not (maker.isdecimal() and psutil.pid_exists(int(maker))):
                left.unlink(missing_ok=True)
        if path.exists():  # somebody has made it meanwhile
            return
        beside = path.with_name(f".{path.name}.{os.getpid()}.making")
        SqlAlchemyStore(f"sqlite:///{beside}", DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH).engine.dispose()
        if not path.exists():  # nor from another folder, with another lock
            os.replace(beside, path)


def reach(uri: str | None = None) -> tuple[Client, str]:
    """A client of the store and the experiment's id, for what is of no use without them.

    Raises:
        UserError: the store cannot be reached.
    """
    uri = uri or store_uri()
    try:
        return _open(uri, WAIT_S)
    except Unreachable as error:
        raise UserError(f"MLflow's store {uri}: {error}; start it, or unset MLFLOW_TRACKING_URI") from None


def connect() -> None:
    """Make the store where there is none, before several processes do; one that cannot be reached costs a warning."""
    uri = store_uri()
    if silent(uri):
        return
    try:
        _open(uri, WAIT_S)
    except Unreachable as error:
        note_silence(uri, error)
        print(f"warning: MLflow's store {uri}: {error}", file=sys.stderr)


def _open(uri: str, seconds: float) -> tuple[Client, str]:
    import mlflow.tracking  # noqa: F401  here, so that the time it takes is not taken for the store's

    return bounded(opened, uri, seconds=seconds if store_exists(uri) else MAKING_S)


def bounded(call: Callable[..., Result], *arguments: Any, seconds: float) -> Result:
    """What ``call`` returns, if it does so within ``seconds``.

    It runs in a thread of its own: there is no setting that bounds every kind of store. One that is late is left to
    itself; whatever it still gets done, telling the same again is harmless.

    Raises:
        Unreachable: it has failed or is late.
    """
    answers: queue.SimpleQueue = queue.SimpleQueue()

    def work() -> None:
        try:
            answers.put((call(*arguments), None))
        except Exception as error:
            answers.put((None, error))

    threading.Thread(target=work, daemon=True).start()
    try:
        result, error = answers.get(timeout=max(seconds, 0.01))
    except queue.Empty:
        raise Unreachable("no answer in time") from None
    if error is not None:
        raise Unreachable(brief(error)) from error
    return result


def silent(uri: str) -> str:
    """Why a process here could not reach the store within the last ``PAUSE_S``; empty where none has failed."""
    try:
        noted = read_json(SILENCE)
    except (OSError, ValueError):
        return ""
    return noted["why"] if noted["store"] == uri and 0 <= time.time() - noted["time"] < PAUSE_S else ""


def note_silence(uri: str, error: Unreachable) -> None:
    """Have the processes here leave the store alone for ``PAUSE_S``."""
    with suppress(OSError):
        write_json(SILENCE, {"store": uri, "time": time.time(), "why": str(error)})


class Link:
    """A process's way to the store, which costs a bounded time in all."""

    def __init__(self, uri: str):
        self.uri = uri
        self._began, self._spent, self._deadline = time.monotonic(), 0.0, 0.0
        self._opened: tuple[Client, str] | None = None

    def closed(self, last: bool = False) -> str:
        """Why this is not the time for a try; empty if it is. ``last``: whatever was spent before."""
        if why := silent(self.uri):
            return why
        spare = BUDGET_S + SHARE * (time.monotonic() - self._began) - self._spent
        return "" if last or spare > 0 else "too slow"

    @contextmanager
    def trying(self, seconds: float | None = None) -> Iterator[None]:
        """One try; all that it calls may take ``seconds`` together, ``WAIT_S`` if none are given."""
        seconds = seconds or WAIT_S
        self._deadline = time.monotonic() + seconds
        try:
            yield
        except Unreachable as error:
            note_silence(self.uri, error)
            raise
        finally:
            self._spent += time.monotonic() - (self._deadline - seconds)

    def call(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """What ``work(client, experiment, *arguments)`` returns.

        Raises:
            Unreachable: it has failed, or the try's time is over.
        """
        if self._opened is None:
            began, making = time.monotonic(), not store_exists(self.uri)
            self._opened = _open(self.uri, self._deadline - began)
            if making:
                self._deadline += time.monotonic() - began
        return bounded(work, *self._opened, *arguments, seconds=self._deadline - time.monotonic())
