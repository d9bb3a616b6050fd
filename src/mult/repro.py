"""`mult repro`: what `dvc repro` does, with stages side by side.

DVC runs one stage at a time and tells when something is out of date; this module walks its graph and calls
``dvc --wait-for-lock repro --single-item STAGE`` for each stage that is, or whose ancestors are. The results are those
of plain `dvc repro`.
"""

import contextlib
import heapq
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import SimpleQueue

from mult import warm
from mult.errors import UserError
from mult.files import atomic, read_json, write_json
from mult.params import load
from mult.process import STATE, alone, die_with_parent
from mult.runs import names
from mult.stage import WORK

LOGS = STATE / "logs"
# Importing DVC and preparing its parsers would otherwise be paid by every stage.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    ["mult.repro", "dvc.cli", "dvc.commands.repro", "dvc.repo.reproduce", "dvc.data_cloud", "dvc.lock", "scmrepo.git"]
)
TAIL_LINES = 12  # of a failed stage's log
HEARTBEAT_S = 30


def choose_scale(name: str, path: Path | str = "params.yaml") -> None:
    """Make ``name`` the scale of ``path``, by its last line; nothing else in the file changes."""
    path = Path(path)
    load(path)
    text = path.read_text(encoding="utf-8")
    changed, count = re.subn(r"(?m)^scale: \*\w+", f"scale: *{name}", text)
    if count != 1:
        raise UserError(f"{path}: it must have one line `scale: *{name}` (or another scale), not {count}")
    if changed != text:
        with atomic(path, "w") as file:
            file.write(changed)
        print(f"{path}: scale is now {name}")


@dataclass
class Graph:
    """The stages that must be looked at, what each waits for, and how long each may take."""

    needs: dict[str, set[str]]
    weight: dict[str, float]
    gpus: dict[str, int]
    feeds: dict[str, set[str]] = field(init=False)

    def __post_init__(self):
        self.feeds = {stage: set() for stage in self.needs}
        for stage, needed in self.needs.items():
            for other in needed:
                self.feeds[other].add(stage)

    def path_length(self) -> dict[str, float]:
        """Weight of the heaviest way from each stage to the end: what to start first."""
        lengths: dict[str, float] = {}

        def length(stage: str) -> float:
            if stage not in lengths:
                lengths[stage] = self.weight[stage] + max((length(f) for f in self.feeds[stage]), default=0.0)
            return lengths[stage]

        for stage in self.needs:
            length(stage)
        return lengths


def outdated() -> Graph:
    """Stages that DVC finds changed, and everything downstream of them."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        return _outdated(Repo())
    except DvcException as error:
        text = " ".join(str(error).split())
        raise UserError(f"dvc: {text}; if dvc.lock is damaged: `git checkout dvc.lock`, or delete it") from None


def _outdated(repo) -> Graph:
    import networkx

    with repo:
        graph = repo.index.graph  # edges point from a stage to what it needs; not a documented API, a test guards it
        stages = {stage.addressing: stage for stage in graph.nodes}
        changed = [name for name in repo.status() if name in stages]
        todo = set(changed)
        for name in changed:
            todo |= {stage.addressing for stage in networkx.ancestors(graph, stages[name])}
        needs = {name: {s.addressing for s in graph.successors(stages[name])} & todo for name in todo}
        meta = {name: stages[name].meta or {} for name in todo}
    return Graph(
        needs,
        weight={name: float(m.get("weight", 1)) for name, m in meta.items()},
        gpus={name: int(m.get("gpus", 0)) for name, m in meta.items()},
    )


def repro(jobs: int | None = None, scale_name: str | None = None) -> int:
    """Bring every stage up to date, at another scale if one is named; returns the exit code, 0 when all are."""
    load()
    with alone("repro"):
        if scale_name:  # not before: another run would go on at this scale
            choose_scale(scale_name)
        settings = load()
        scale = settings.scale
        began = time.perf_counter()
        graph = outdated()
        if not graph.needs:
            print(f"scale {scale.name}: everything is up to date")
            return 0
        cards = _visible_gpus() if scale.hardware.device != "cpu" else []
        workers = jobs or (len(cards) or os.cpu_count() or 1)
        print(f"scale {scale.name}: {len(graph.needs)} stages to look at, {workers} at a time; logs in {LOGS}/")
        LOGS.mkdir(parents=True, exist_ok=True)
        with warm.server(_environment()) as environment:
            failed, skipped = _Walk(graph, workers, cards, environment).run()
        if not failed:
            from mult.evaluation.results import run_ids  # late: pandas
            from mult.tracking import mark_current

            mark_current(run_ids(names(settings)), scale.name)
        _summary(graph, failed, skipped, time.perf_counter() - began, workers)
        return 1 if failed else 0


class _Walk:
    """One pass over the graph with a fixed number of stages at a time."""

    def __init__(self, graph: Graph, workers: int, cards: list[str], environment: dict[str, str]):
        self.graph, self.workers, self.environment = graph, workers, environment
        self.cards: SimpleQueue[str] = SimpleQueue()
        for turn in range(workers if cards else 0):  # more jobs than cards share them evenly
            self.cards.put(cards[turn % len(cards)])
        self.priority = graph.path_length()
        self.waits = {stage: set(needed) for stage, needed in graph.needs.items()}
        self.running: dict[str, BaseProcess] = {}
        self.stopped = False

    def run(self) -> tuple[list[str], list[str]]:
        """Stages that failed, and those that could not be tried for it."""
        done, failed, doomed = 0, [], set()
        ready = [(-self.priority[s], s) for s, needed in self.waits.items() if not needed]
        heapq.heapify(ready)
        futures: dict[Future, str] = {}
        began, total_weight = time.perf_counter(), sum(self.graph.weight.values())
        weight_done = 0.0
        with ThreadPoolExecutor(self.workers) as pool:
            try:
                while ready or futures:
                    while ready and len(futures) < self.workers:
                        stage = heapq.heappop(ready)[1]
                        futures[pool.submit(self._reproduce, stage)] = stage
                    finished, _ = wait(futures, HEARTBEAT_S, FIRST_COMPLETED)
                    if not finished:
                        self._beat(list(futures.values()), began, weight_done / total_weight)
                    for future in finished:
                        stage, (ok, seconds) = futures.pop(future), future.result()
                        done, weight_done = done + 1, weight_done + self.graph.weight[stage]
                        self._say(stage, ok, seconds, done, began, weight_done / total_weight)
                        if not ok:
                            failed.append(stage)
                            doomed |= self._downstream(stage)
                        for fed in self.graph.feeds[stage]:
                            self.waits[fed].discard(stage)
                            if ok and not self.waits[fed] and fed not in doomed:
                                heapq.heappush(ready, (-self.priority[fed], fed))
            except BaseException:
                self._stop()
                raise
        return failed, sorted(doomed)

    def _reproduce(self, stage: str) -> tuple[bool, float]:
        """Run one stage; its output goes to a log."""
        began = time.perf_counter()
        environment = dict(self.environment)
        card = self.cards.get() if self.graph.gpus[stage] and not self.cards.empty() else None
        if card is not None:
            environment["CUDA_VISIBLE_DEVICES"] = card
        process = FORKS.Process(target=_dvc, args=(stage, environment))
        process.start()
        self.running[stage] = process
        if self.stopped:
            _end(process)
        process.join()
        del self.running[stage]
        if card is not None:
            self.cards.put(card)
        return process.exitcode == 0, time.perf_counter() - began

    def _say(self, stage: str, ok: bool, seconds: float, done: int, began: float, share: float) -> None:
        total = len(self.graph.needs)
        state = "done" if ok else "FAILED"
        print(
            f"[{done:{len(str(total))}}/{total}] {state:6} {stage:40} {seconds:6.1f} s   {_times(began, share)}",
            flush=True,
        )
        if not ok:
            lines = (LOGS / f"{stage}.log").read_text(errors="replace").splitlines()
            print("\n".join(f"    {line}" for line in lines[-TAIL_LINES:]), flush=True)

    def _beat(self, stages: list[str], began: float, share: float) -> None:
        """Say what is being worked on, when nothing has been finished for a while."""
        print(f"        at work on {', '.join(sorted(stages))}; {_times(began, share)}", flush=True)

    def _downstream(self, stage: str) -> set[str]:
        found, todo = set(), [stage]
        while todo:
            for fed in self.graph.feeds[todo.pop()] - found:
                found.add(fed)
                todo.append(fed)
        return found

    def _stop(self) -> None:
        self.stopped = True
        for process in list(self.running.values()):
            _end(process)


def _dvc(stage: str, environment: dict[str, str]) -> None:
    """Be ``dvc repro`` for one stage, in a process forked from one that has imported DVC; output goes to a log."""
    os.setsid()  # a session of its own, so that ending it ends the stage's processes as well
    die_with_parent()
    os.environ.clear()
    os.environ.update(environment)
    with open(LOGS / f"{stage}.log", "w") as log, open(os.devnull) as nothing:
        for own, given in enumerate((nothing, log, log)):
            os.dup2(given.fileno(), own)
    from dvc.cli import main

    sys.exit(main(["--wait-for-lock", "repro", "--single-item", stage]))


def _end(process: BaseProcess) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)


def _environment() -> dict[str, str]:
    """Stages find this interpreter as ``python``; each has the threads that params.yaml gives it and no more."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    quiet = {"DVC_NO_ANALYTICS": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONUNBUFFERED": "1"}
    single = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
    return os.environ | quiet | single | {"PATH": path}


def _visible_gpus() -> list[str]:
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


def _summary(graph: Graph, failed: list[str], skipped: list[str], wall: float, workers: int) -> None:
    work: dict[str, float] = {}
    for stage in graph.needs:
        path = WORK / f"{stage}.json"
        if path.is_file() and path.stat().st_mtime > time.time() - wall:
            entry = read_json(path)
            work[entry["kind"]] = work.get(entry["kind"], 0.0) + entry["cpu_s"]
    cores = os.cpu_count() or 1
    parts = ", ".join(f"{kind} {seconds:.0f} s" for kind, seconds in work.items())
    share = 100 * sum(work.values()) / (wall * cores)
    print(f"{len(graph.needs) - len(failed) - len(skipped)} stages in {_clock(wall)} on {cores} cores", end="")
    print(f"; {share:.0f} % of the cores' time in {parts}" if work else "")
    facts = {"wall_s": round(wall, 1), "cores": cores, "jobs": workers, "work_cpu_s": work, "failed": failed}
    write_json(STATE / "last_repro.json", facts)
    if failed:
        print(f"failed: {', '.join(failed)}; not tried because of it: {', '.join(skipped) or 'none'}")


def _times(began: float, share: float) -> str:
    """Time gone and time left, for a share of the work that is done."""
    spent = time.perf_counter() - began
    left = f"about {_clock(max(0.0, spent / share - spent))} left" if share else "time left not known yet"
    return f"{_clock(spent)} gone, {left}"


def _clock(seconds: float) -> str:
    return f"{int(seconds // 60)}:{int(seconds % 60):02d}"
