"""Stages on the nodes of a Ray cluster: the engine of ``mult repro --ray ADDRESS``.

Ray hands a stage to a node; there it runs in a clone of this working copy (clones.py) that shares its DVC cache. What
comes back is the stage's entry of dvc.lock: later stages get their inputs' entries and link the files. Stages that
write files in git run here.
"""

import contextlib
import logging
import math
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mult import tracking
from mult.clones import Origin, Slot, entries
from mult.errors import UserError
from mult.local import LOGS, Local
from mult.params import Hardware, Scale, load
from mult.process import CHECKPOINTS, STATE, TRACKING
from mult.repro import Graph, outdated
from mult.stage import WORK

VARIABLE = "MULT_CLONES"  # the folder of the clones
_slot: Slot | None = None  # of this Ray worker, once it has been given a stage


def import_ray():
    """The module.

    Raises:
        UserError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise UserError("mult repro --ray needs Ray; pip install -e '.[ray]'") from None
    return ray


@contextmanager
def connected(address: str, graph: Graph, hardware: Hardware, jobs: int | None, local: Local) -> Iterator["Cluster"]:
    """An engine on the cluster at ``address``; when the block has ended well, every result is in this working copy.

    Raises:
        UserError: there is no cluster, or it cannot work from here.
    """
    ray = import_ray()
    if not tracking.git_commit():
        raise UserError("there is no commit here to make clones of; `git init`, `git add -A`, `git commit`")
    if unknown := uncommitted():
        raise UserError(
            f"{unknown[0]}: not committed, so clones on the cluster lack it; commit or `git stash -u` first"
        )
    _absolute(load().scale)
    try:
        if found := re.fullmatch(r"(.+):(\d+)", address.removeprefix("ray://")):
            socket.create_connection((found[1], int(found[2])), timeout=5).close()  # Ray itself would try for minutes
        code = ray.job_config.JobConfig(code_search_path=[str(Path(__file__).parents[1])])  # nodes need not install us
        ray.init(address, logging_level=logging.ERROR, log_to_driver=False, job_config=code)
    except Exception as error:  # Ray has no common class for what goes wrong here
        raise UserError(f"--ray {address}: {_one_line(error)}; `ray start --head` starts a cluster") from None
    try:
        cluster = Cluster(ray, graph, hardware, jobs, local)
        yield cluster
        cluster.bring_home()
    finally:
        ray.shutdown()


def _absolute(scale: Scale) -> None:
    """Raises: UserError: a path that leads somewhere from here, and elsewhere from the clones."""
    given = {"encoder.pretrained": scale.encoder.pretrained}
    for name, of in scale.domains.items():
        given |= {f"domains.{name}.{key}": getattr(of, key, None) for key in ("root", "split")}
    for key, path in given.items():
        a_name = key.endswith(".split") and not str(path).endswith(".csv")
        if isinstance(path, str) and not a_name and not Path(path).is_absolute():
            raise UserError(
                f"params.yaml: scales.{scale.name}.{key}: {path}: with --ray stages run in clones, in other folders; "
                f"write {Path(path).absolute()}"
            )


class Cluster:
    """Runs stages on the nodes that Ray finds free, and on this machine those that write files in git."""

    def __init__(self, ray, graph: Graph, hardware: Hardware, jobs: int | None, local: Local):
        self.ray, self.graph, self.local = ray, graph, local
        nodes = [node for node in ray.nodes() if node["Alive"]]
        resources = [node["Resources"] for node in nodes]
        self.cores = int(sum(node.get("CPU", 0) for node in resources))
        self.cpus = hardware.threads * hardware.processes
        use_gpus = hardware.device != "cpu" and any(node.get("GPU") for node in resources)
        each = hardware.processes if use_gpus else 0  # cards of a stage that needs any
        self.gpus = {stage: count * each for stage, count in graph.gpus.items()}
        fit = room(resources, self.cpus, max(self.gpus.values()))
        self.slots = jobs or fit + 1  # one more: the next to be started, or one of this machine's
        self.origin = _origin(len({node["NodeManagerAddress"] for node in nodes}))
        self.known = entries({name for needed in graph.inputs.values() for name in needed} - graph.needs.keys())
        self.abroad: dict[str, dict] = {}  # results that this working copy does not have yet
        self._home = threading.Lock()
        self._running = {}
        # A lost node costs its stages one more try on another; a stage that fails is not tried again.
        self._work = ray.remote(max_retries=1)(_work)

    def run(self, stage: str) -> tuple[bool, float]:
        """Run one stage; see ``mult.repro.Engine``."""
        if stage in self.graph.uncached:
            with self._home:  # in order, for they are short and the results come home once
                return self.local.run(stage, self._fetch())
        (LOGS / f"{stage}.log").unlink(missing_ok=True)  # should the stage not get so far as to write its own
        inputs = {name: self.known[name] for name in self.graph.inputs[stage] if name in self.known}
        options = {"name": stage, "num_cpus": self.cpus, "num_gpus": self.gpus[stage]}
        task = self._running[stage] = self._work.options(**options).remote(self.origin, stage, inputs)
        began = time.perf_counter()
        try:
            entry, seconds = self.ray.get(task)
        except self.ray.exceptions.RayError as error:
            entry, seconds = None, time.perf_counter() - began
            with open(LOGS / f"{stage}.log", "a") as log:
                log.write(f"error: Ray: {_one_line(getattr(error, 'cause', None) or error)}\n")
        del self._running[stage]
        if entry:
            self.known[stage] = self.abroad[stage] = entry
        return entry is not None, seconds

    def stop(self) -> None:
        """End every stage, by ending the Ray workers."""
        self.local.stop()
        for task in list(self._running.values()):
            with contextlib.suppress(self.ray.exceptions.RayError):
                self.ray.cancel(task, force=True)

    def bring_home(self) -> None:
        """Take over the results that no stage here has asked for, and say so if they do not fit this working copy."""
        with self._home:
            done = self.known.keys() & self.graph.needs.keys()
            if (results := self._fetch()) and not self.local.take_over(results):
                raise UserError(f"the cluster's results could not be checked out; see {LOGS}/checkout.log")
        if again := sorted(done & outdated().needs.keys()):
            print(
                f"warning: {len(again)} stages were run and would run again here ({again[0]}, …): since the start a "
                "parameter or the code has changed, or a folder that they read has other files here; see `dvc status`",
                file=sys.stderr,
            )

    def _fetch(self) -> dict[str, dict]:
        return {stage: self.abroad.pop(stage) for stage in list(self.abroad)}


def _work(origin: Origin, stage: str, inputs: dict[str, dict]) -> tuple[dict | None, float]:
    """What a Ray worker does: run the stage in the clone that it keeps while it lives."""
    global _slot
    if _slot is None or not _slot.alive():
        _slot = Slot(origin)
    return _slot.run(stage, inputs, os.environ.get("CUDA_VISIBLE_DEVICES"))


def uncommitted() -> list[str]:
    """Files that a clone would lack or have otherwise, but for those that it is given or does not need."""
    lines = tracking.git("status", "--porcelain", "--untracked-files=all", "--", ".", *tracking.WRITTEN).splitlines()
    found = [line.split(maxsplit=1) for line in lines]
    return [name for state, name in found if state != "??" or name.startswith(("src/", "pipelines/"))]


def room(nodes: list[dict[str, float]], cpus: int, gpus: int) -> int:
    """How many stages that ask for so much fit side by side on nodes with these resources.

    Raises:
        UserError: none does.
    """
    fit = sum(int(min(n.get("CPU", 0) // cpus, n.get("GPU", 0) // gpus if gpus else math.inf)) for n in nodes)
    if not fit:
        raise UserError(f"no node has the {cpus} CPUs and {gpus} GPUs that a stage asks for; see `ray status`")
    return fit


def store(hosts: int) -> str:
    """Where stages on ``hosts`` hosts find MLflow's store.

    Raises:
        UserError: they cannot share it.
    """
    uri = tracking.store_uri()
    if hosts > 1 and re.match(r"sqlite:|https?://(localhost|127\.)", uri):
        raise UserError(
            f"MLflow's store {uri} serves one host, not {hosts}: start a server that all of them reach and set "
            "MLFLOW_TRACKING_URI to its address (docs/cluster.md)"
        )
    if not uri.startswith("sqlite:"):
        return uri
    return f"sqlite:///{Path(uri.removeprefix('sqlite:///')).absolute()}"


def _origin(hosts: int) -> Origin:
    from dvc.repo import Repo

    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    variables = {name: value for name, value in os.environ.items() if name.startswith("MLFLOW_")}
    variables["MLFLOW_TRACKING_URI"] = store(hosts)
    tracking.connect()  # makes a new store before several stages try
    with Repo() as repo:
        links = repo.config["cache"].get("type") or ["reflink", "hardlink", "symlink", "copy"]
        config = f'[cache]\n    dir = {repo.cache.local_cache_dir}\n    type = "{",".join(links)}"\n'
    for shared in (WORK, CHECKPOINTS, TRACKING):
        shared.mkdir(parents=True, exist_ok=True)
    return Origin(
        folder=str(Path.cwd()),
        commit=tracking.git_commit(),
        params=Path("params.yaml").read_text(encoding="utf-8"),
        config=config,
        clones=str(Path(os.environ.get(VARIABLE) or STATE / "clones").absolute()),
        variables=variables,
    )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
