"""Stages as processes of this machine: each is ``dvc --wait-for-lock repro --single-item STAGE``, forked and logged."""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from multiprocessing.process import BaseProcess
from queue import SimpleQueue

from mult import lockfile
from mult.process import PARENT, STATE, die_with_parent
from mult.quick import quicken

LOGS = STATE / "logs"
# Importing DVC and preparing its parsers would otherwise be paid by every stage.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    ["mult.local", "dvc.cli", "dvc.commands.repro", "dvc.repo.reproduce", "dvc.data_cloud", "dvc.lock", "scmrepo.git"]
)


class Local:
    """Runs stages on this machine, each with a GPU of its own if it asks for one and there are any.

    Args:
        environment: of every stage; see ``environment``.
        slots: stages at a time.
        gpus: what each stage asks for.
        cards: GPUs that stages can be given; more slots than cards share them evenly.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        slots: int = 1,
        gpus: Mapping[str, int] | None = None,
        cards: Sequence[str] = (),
    ):
        self.environment, self.slots, self.gpus = environment, slots, gpus or {}
        self.cores = os.cpu_count() or 1
        self._cards: SimpleQueue[str] = SimpleQueue()
        for turn in range(slots if cards else 0):
            self._cards.put(cards[turn % len(cards)])
        self._running: dict[str, BaseProcess] = {}
        self._stopped = False
        LOGS.mkdir(parents=True, exist_ok=True)

    def run(self, stage: str, results: Mapping[str, dict] | None = None) -> tuple[bool, float]:
        """Run one stage, its output in a log; returns whether it succeeded, and its seconds.

        Args:
            results: entries of dvc.lock, by stage, that were made elsewhere; they are taken over first.
        """
        began = time.perf_counter()
        card = self._cards.get() if self.gpus.get(stage) and not self._cards.empty() else None
        given = {} if card is None else {"CUDA_VISIBLE_DEVICES": card}
        ok = self._fork(stage, results, ["--wait-for-lock", "repro", "--single-item", stage], given)
        if card is not None:
            self._cards.put(card)
        return ok, time.perf_counter() - began

    def take_over(self, results: Mapping[str, dict]) -> bool:
        """Write ``results``, entries of dvc.lock, into ours and check their outs out of the cache."""
        return self._fork("checkout", results, [], {})

    def stop(self) -> None:
        """End every stage at once."""
        self._stopped = True
        for process in list(self._running.values()):
            _end(process)

    def _fork(self, name: str, results: Mapping[str, dict] | None, command: list[str], given: dict[str, str]) -> bool:
        process = FORKS.Process(target=_dvc, args=(os.getpid(), name, results, command, {**self.environment, **given}))
        process.start()
        self._running[name] = process
        if self._stopped:
            _end(process)
        process.join()
        del self._running[name]
        if (process.exitcode or 0) < 0 and not self._stopped:
            with open(LOGS / f"{name}.log", "a") as log:
                how = signal.Signals(-process.exitcode).name
                log.write(f"\nerror: {name}: its process was ended by {how}; the same command goes on\n")
        return process.exitcode == 0


def _dvc(
    parent: int, name: str, results: Mapping[str, dict] | None, command: list[str], environment: dict[str, str]
) -> None:
    """Be ``dvc`` for one command, in a process forked from one that has imported it; output goes to a log."""
    os.setsid()  # a session of its own, so that ending it ends the stage's processes as well
    die_with_parent(parent)
    os.environ.clear()
    os.environ.update(environment)
    os.environ[PARENT] = str(os.getpid())
    with open(LOGS / f"{name}.log", "w") as log, open(os.devnull) as nothing:
        for own, given in enumerate((nothing, log, log)):
            os.dup2(given.fileno(), own)
    quicken()
    if results:
        _take_over(results)
    if command:
        from dvc.cli import main

        sys.exit(main(command))


def _take_over(results: Mapping[str, dict]) -> None:
    from dvc.exceptions import DvcException
    from dvc.repo import Repo, lock_repo

    try:
        with Repo(_wait_for_lock=True) as repo, lock_repo(repo):
            with lockfile.modify() as lock:
                lock.setdefault("schema", "2.0")
                lock.setdefault("stages", {}).update(results)
            # Not repo.checkout, which reads the whole dvc.lock again for each target.
            stages = [stage for stage in repo.index.stages if stage.addressing in results]
            if missing := [str(out) for stage in stages for out in stage.outs if out.changed_cache()]:
                sys.exit(f"error: DVC's cache lacks results of other stages: {', '.join(missing)}")
            for stage in stages:
                stage.checkout(force=True)
    except DvcException as error:
        sys.exit(f"error: results of other stages: {error}")


def _end(process: BaseProcess) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)


def environment() -> dict[str, str]:
    """Stages find this interpreter as ``python``; each has the threads that params.yaml gives it and no more."""
    path = f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ.get('PATH', '')}"
    quiet = {"DVC_NO_ANALYTICS": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONUNBUFFERED": "1"}
    single = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
    return os.environ | quiet | single | {"PATH": path}


def visible_gpus() -> list[str]:
    """Cards that stages can be given, one each; asked of the driver, since importing torch takes seconds."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [card for card in visible.split(",") if card and card != "-1"]
    try:
        answer = subprocess.run(
            ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"], capture_output=True, text=True
        )
    except OSError:
        return []
    return answer.stdout.split() if answer.returncode == 0 else []
