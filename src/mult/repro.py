"""`mult repro`: what `dvc repro` does, with stages side by side.

DVC runs one stage at a time and tells when something is out of date; this module walks its graph and has an engine run
``dvc --wait-for-lock repro --single-item STAGE`` for each stage that is, or whose ancestors are: on this machine
(local.py) or on the nodes of a Ray cluster (cluster.py). The results are those of plain `dvc repro`.
"""

import heapq
import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mult import leftovers, mends, preflight, warm
from mult.errors import UserError
from mult.files import atomic, read_json, write_json
from mult.local import LOGS, Local, environment, visible_gpus
from mult.params import Hardware, load
from mult.process import LAUNCHER, STATE, UNTIL, alone, time_is_up
from mult.quick import quicken
from mult.runs import names, probed
from mult.stage import PAUSED, WORK

TAIL_LINES = 12  # of a failed stage's log
HEARTBEAT_S = 30


def choose_scale(name: str, path: Path | str = "params.yaml") -> None:
    """Make ``name`` the scale of ``path``, by its last line; nothing else in the file changes."""
    path = Path(path)
    load(path, name)
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
    """The stages that must be looked at, what each waits for, and how long each may take.

    Attributes:
        inputs: all stages whose outs a stage reads; ``needs`` has those among them that must be looked at.
        uncached: stages that write files in git, past DVC's cache, and those that come after them.
    """

    needs: dict[str, set[str]]
    weight: dict[str, float]
    gpus: dict[str, int]
    inputs: dict[str, set[str]] = field(default_factory=dict)
    uncached: set[str] = field(default_factory=set)
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

    def downstream(self, stage: str) -> set[str]:
        """All that cannot be made without ``stage``."""
        found, todo = set(), [stage]
        while todo:
            for fed in self.feeds[todo.pop()] - found:
                found.add(fed)
                todo.append(fed)
        return found


def outdated(targets: Sequence[str] = ()) -> Graph:
    """Stages that DVC finds changed, and everything downstream of them.

    ``targets``: names of stages, or of groups such as ``train_pair``: these alone, and what they need.

    Raises:
        UserError: dvc.yaml or dvc.lock cannot be read, or a target is in neither.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    quicken()
    try:
        return _outdated(Repo(), targets)
    except DvcException as error:
        raise UserError(f"dvc: {' '.join(str(error).split())}") from None


def _outdated(repo, targets: Sequence[str]) -> Graph:
    import networkx

    with repo:
        graph = repo.index.graph  # edges point from a stage to what it needs; not a documented API, a test guards it
        stages = {stage.addressing: stage for stage in graph.nodes}
        changed = [name for name in repo.status() if name in stages]

        def with_downstream(names: list[str]) -> set[str]:
            return {s.addressing for name in names for s in {stages[name], *networkx.ancestors(graph, stages[name])}}

        todo = with_downstream(changed) & _wanted(graph, stages, targets)
        inputs = {name: {s.addressing for s in graph.successors(stages[name])} for name in todo}
        uncached = [name for name in todo if not all(out.use_cache for out in stages[name].outs)]
        meta = {name: stages[name].meta or {} for name in todo}
        home = with_downstream(uncached)
    return Graph(
        {name: needed & todo for name, needed in inputs.items()},
        inputs=inputs,
        uncached=home,
        weight={name: float(m.get("weight", 1)) for name, m in meta.items()},
        gpus={name: int(m.get("gpus", 0)) for name, m in meta.items()},
    )


def _wanted(graph, stages: Mapping[str, object], targets: Sequence[str]) -> set[str]:
    """The stages that ``targets`` name, and all that they need; every stage where there are no targets."""
    import networkx

    if not targets:
        return set(stages)
    wanted: set[str] = set()
    for target in targets:
        named = [name for name in stages if target in (name, name.split("@")[0])]
        if not named:
            groups = ", ".join(dict.fromkeys(name.split("@")[0] for name in stages))
            raise UserError(f"{target}: no such stage; name one as `dvc stage list` does, or all of a kind: {groups}")
        for name in named:
            wanted |= {name} | {stage.addressing for stage in networkx.descendants(graph, stages[name])}
    return wanted


class Engine(Protocol):
    """Where stages run: ``slots`` at a time, on ``cores`` cores."""

    slots: int
    cores: int

    def run(self, stage: str) -> tuple[bool, float]:
        """Run one stage; returns whether it succeeded, and its seconds. Its output is in ``LOGS``."""

    def stop(self) -> None:
        """End what is running; every ``run`` then returns."""


def repro(
    jobs: int | None = None,
    scale_name: str | None = None,
    ray: str | None = None,
    targets: Sequence[str] = (),
    minutes: float | None = None,
) -> int:
    """Bring every stage up to date, at another scale if one is named; returns the exit code, 0 when all are.

    Args:
        jobs: stages at a time.
        ray: address of the Ray cluster to run them on; this machine without.
        targets: these stages alone and what they need, see ``outdated``.
        minutes: after them no stage is begun and trainings write a checkpoint and end; the exit code is then 75.
    """
    load()
    if minutes is not None:
        os.environ[UNTIL] = str(time.time() + 60 * minutes)
    with alone("repro"):
        if scale_name:  # not before: another run would go on at this scale
            choose_scale(scale_name)
        settings = load()
        scale = settings.scale
        began = time.perf_counter()
        for line in mends.mend():
            print(line)
        leftovers.sweep()
        graph = outdated(targets)
        if not graph.needs:
            print(f"scale {scale.name}: everything is up to date")
            _remind()
            return 0
        if any(stage.startswith("train") for stage in graph.needs):
            preflight.ready(settings, environment(), graph.needs, elsewhere=ray is not None)
        with _engine(graph, scale.hardware, jobs, ray) as engine:
            print(
                f"scale {scale.name}: {len(graph.needs)} stages to look at, {engine.slots} at a time; logs in {LOGS}/"
            )
            failed, skipped = _Walk(graph, engine).run()
        if not failed and not skipped and not targets:
            from mult.comparisons import STAGE  # late: pandas
            from mult.evaluation.results import run_ids
            from mult.tracking import mark_current

            current = run_ids(names(settings), probed(settings), [f"mult-{settings.served}-s0"])
            mark_current(current, scale.name, besides=STAGE)
        leftovers.sweep(idle=not (failed or skipped or targets))
        _summary(graph, failed, skipped, time.perf_counter() - began, engine)
        _remind()
        return 1 if failed else PAUSED if time_is_up() and skipped else 0


@contextmanager
def _engine(graph: Graph, hardware: Hardware, jobs: int | None, ray: str | None) -> Iterator[Engine]:
    with warm.server(environment()) as own:
        if ray is None:
            cards = visible_gpus() if hardware.device != "cpu" else []
            if not os.environ.get(LAUNCHER):  # which may start processes on other hosts
                cards = _hands(cards, hardware.processes)
            yield Local(own, jobs or len(cards) or os.cpu_count() or 1, graph.gpus, cards)
        else:
            from mult.cluster import connected

            with connected(ray, graph, hardware, jobs, Local(own)) as cluster:
                yield cluster


def _hands(cards: Sequence[str], each: int) -> list[str]:
    """``cards`` in hands of ``each``, as CUDA_VISIBLE_DEVICES wants them; what is left over is not used."""
    if cards and len(cards) < each:
        raise UserError(f"hardware.processes: {each} GPUs for a training, but {len(cards)} can be seen")
    return [",".join(cards[place : place + each]) for place in range(0, len(cards) - each + 1, each)]


class _Walk:
    """One pass over the graph, with as many stages at a time as the engine has slots."""

    def __init__(self, graph: Graph, engine: Engine):
        self.graph, self.engine = graph, engine
        self.priority = graph.path_length()
        self.waits = {stage: set(needed) for stage, needed in graph.needs.items()}

    def run(self) -> tuple[list[str], list[str]]:
        """Stages that failed, and those that were not tried for it, or for time."""
        done, failed, doomed, ended = 0, [], set(), set()
        ready = [(-self.priority[s], s) for s, needed in self.waits.items() if not needed]
        heapq.heapify(ready)
        futures: dict[Future, str] = {}
        began, total_weight = time.perf_counter(), sum(self.graph.weight.values())
        weight_done = 0.0
        with ThreadPoolExecutor(self.engine.slots) as pool:
            try:
                while futures or (ready and not time_is_up()):
                    while ready and len(futures) < self.engine.slots and not time_is_up():
                        stage = heapq.heappop(ready)[1]
                        futures[pool.submit(self.engine.run, stage)] = stage
                    finished, _ = wait(futures, HEARTBEAT_S, FIRST_COMPLETED)
                    if not finished:
                        self._beat(list(futures.values()), began, weight_done / total_weight)
                    for future in finished:
                        stage, (ok, seconds) = futures.pop(future), future.result()
                        done, weight_done = done + ok, weight_done + ok * self.graph.weight[stage]
                        paused = not ok and self._paused(stage)
                        state = "done" if ok else "paused" if paused else "FAILED"
                        self._say(stage, state, seconds, done, began, weight_done / total_weight)
                        ended.add(stage)
                        if not ok:
                            doomed |= {stage} | self.graph.downstream(stage) if paused else self.graph.downstream(stage)
                            failed += [] if paused else [stage]
                        for fed in self.graph.feeds[stage]:
                            self.waits[fed].discard(stage)
                            if ok and not self.waits[fed] and fed not in doomed:
                                heapq.heappush(ready, (-self.priority[fed], fed))
            except BaseException:
                self.engine.stop()
                raise
        return failed, sorted(doomed | (self.graph.needs.keys() - ended))

    def _paused(self, stage: str) -> bool:
        """Whether a stage that has ended without its results did so because time was up."""
        return time_is_up() and ": paused" in (LOGS / f"{stage}.log").read_text(errors="replace")

    def _say(self, stage: str, state: str, seconds: float, done: int, began: float, share: float) -> None:
        total = len(self.graph.needs)
        print(
            f"[{done:{len(str(total))}}/{total}] {state:6} {stage:40} {seconds:6.1f} s   {_times(began, share)}",
            flush=True,
        )
        if state == "FAILED":
            lines = (LOGS / f"{stage}.log").read_text(errors="replace").splitlines()
            print("\n".join(f"    {line}" for line in lines[-TAIL_LINES:]), flush=True)

    def _beat(self, stages: list[str], began: float, share: float) -> None:
        """Say what is being worked on, when nothing has been finished for a while."""
        print(f"        at work on {', '.join(sorted(stages))}; {_times(began, share)}", flush=True)


def _summary(graph: Graph, failed: list[str], skipped: list[str], wall: float, engine: Engine) -> None:
    work: dict[str, float] = {}
    for stage in graph.needs:
        path = WORK / f"{stage}.json"
        if path.is_file() and path.stat().st_mtime > time.time() - wall:
            entry = read_json(path)
            work[entry["kind"]] = work.get(entry["kind"], 0.0) + entry["cpu_s"]
    parts = ", ".join(f"{kind} {seconds:.0f} s" for kind, seconds in work.items())
    share = 100 * sum(work.values()) / (wall * engine.cores)
    print(f"{len(graph.needs) - len(failed) - len(skipped)} stages in {_clock(wall)} on {engine.cores} cores", end="")
    print(f"; {share:.0f} % of the cores' time in {parts}" if work else "")
    facts = {
        "wall_s": round(wall, 1),
        "cores": engine.cores,
        "jobs": engine.slots,
        "stages": len(graph.needs) - len(failed) - len(skipped),
        "work_cpu_s": work,
        "failed": failed,
    }
    write_json(STATE / "last_repro.json", facts)
    doomed = sorted(set().union(*(graph.downstream(stage) for stage in failed)))
    if to_go := len(set(skipped) - set(doomed)):
        print(f"time is up: {to_go} stages to go; the same command goes on where this one ended")
    if failed:
        print(f"failed: {', '.join(failed)}; not tried because of it: {_kinds(doomed) or 'none'}")


def _remind() -> None:
    """Say so if something waits for MLflow."""
    from mult.tracking.sync import reminder

    if line := reminder():
        print(line)


def _kinds(stages: list[str]) -> str:
    """Stages in short: those of one name together, with their number."""
    counts = Counter(stage.split("@")[0] for stage in stages)
    return ", ".join(name if count == 1 else f"{name} ({count})" for name, count in counts.items())


def _times(began: float, share: float) -> str:
    """Time gone and time left, for a share of the work that is done."""
    spent = time.perf_counter() - began
    left = f"about {_clock(max(0.0, spent / share - spent))} left" if share else "time left not known yet"
    return f"{_clock(spent)} gone, {left}"


def _clock(seconds: float) -> str:
    return f"{int(seconds // 60)}:{int(seconds % 60):02d}"
