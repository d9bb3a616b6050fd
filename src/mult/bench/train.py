"""`mult bench train`: what a training step costs on this machine, against the plain one in the same run.

Each case is a process of its own (two for the case of two), so that its peak memory is its own; cases take turns.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from mult import params
from mult.bench.report import write_bench
from mult.errors import UserError
from mult.memory import peak_mb
from mult.params import EmbeddedDomain, Hardware
from mult.progress import progress
from mult.runs import resolve

RUN = "mult-shared-s0"
WARM = 3  # steps before the clock starts: memory is taken, and compiled what is to be
# What is measured, and in what it differs from the scale's `hardware`.
CASES: dict[str, dict] = {
    "plain": {"processes": 1, "part": 0, "recompute": False, "workers": 0},
    "read ahead by a worker": {"processes": 1, "part": 0, "recompute": False, "workers": 1},
    "in two parts": {"processes": 1, "part": 2, "recompute": False, "workers": 0},
    "activations computed again": {"processes": 1, "part": 0, "recompute": True, "workers": 0},
    "two processes": {"processes": 2, "part": 0, "recompute": False, "workers": 0},
}


def bench(settings: params.Params, steps: int, rounds: int) -> pd.DataFrame:
    """Time ``steps`` steps of the six-task `shared` model in each case, ``rounds`` times, and keep the medians.

    Columns: case, images_per_s, over_plain (ratio), waiting_percent (of the time, for data), memory_mb (peak of a
    process), checkpoint_s (to write one) and resume_s (to read it and go on).
    """
    with tempfile.TemporaryDirectory() as folder:
        _prepare(settings, Path(folder))
        found: dict[str, list[dict]] = {case: [] for case, of in CASES.items() if _can(of["processes"])}
        for _ in progress(range(rounds), "bench train", unit="round"):
            for case in found:
                found[case].append(_measured(settings.scale.name, case, Path(folder), steps))
    rows = [
        {"case": case} | {key: statistics.median(of[key] for of in times) for key in times[0]}
        for case, times in found.items()
    ]
    table = pd.DataFrame(rows)
    table.insert(2, "over_plain", table["images_per_s"] / table["images_per_s"].iloc[0])
    scale = settings.scale
    about = (
        f"`{RUN}`: six tasks, {scale.image_size} pixels, batches of {scale.training.batch_size}, "
        f"{scale.training.precision}; medians of {rounds} turns of {steps} steps. Memory is a process's."
    )
    write_bench(f"train-{scale.name}", table, about, f"mult bench train --scale {scale.name}")
    return table


def _can(processes: int) -> bool:
    """Whether so many find a device each."""
    import torch

    return not torch.cuda.is_available() or torch.cuda.device_count() >= processes


def _prepare(settings: params.Params, folder: Path) -> None:
    """A few rendered images of the scale's size: steps go over them again and again."""
    from mult.data.prepare import prepare

    scale = settings.scale
    if not isinstance(scale.domains[scale.train_domain], EmbeddedDomain):
        raise UserError(
            f"mult bench train: {scale.train_domain} is no domain that renders itself; choose another scale"
        )
    few = EmbeddedDomain(train=2 * scale.training.batch_size, val=1, test=1, views=8, edge_sigma=3.0)
    prepare(scale.train_domain, few, scale.image_size, folder / "data", os.cpu_count() or 1, folder / "aside")


def _measured(scale: str, case: str, folder: Path, steps: int) -> dict:
    """One case, in processes of its own."""
    out = folder / "out.json"
    own = [sys.executable, "-m"]
    if CASES[case]["processes"] > 1:
        own += ["torch.distributed.run", "--standalone", "--nproc-per-node", str(CASES[case]["processes"]), "-m"]
    command = [*own, "mult.bench.train", scale, case, str(folder), str(steps), str(out)]
    done = subprocess.run(command, env={"OMP_NUM_THREADS": "1"} | os.environ, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"mult bench train: {case}: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(out.read_text())


def measure(scale: str, case: str, folder: str, steps: str, out: str) -> None:
    """What a process of a case does; the first one writes what it found to ``out``."""
    settings = params.load(scale=scale)
    changes = dict(CASES[case])
    if changes["part"]:
        changes["part"] = settings.scale.training.batch_size // changes["part"]
    hardware = Hardware.model_validate(settings.scale.hardware.model_dump() | {"shard": False} | changes)
    found = _time_steps(settings, hardware, Path(folder), int(steps))
    if found is not None:
        Path(out).write_text(json.dumps(found))


def _time_steps(settings: params.Params, hardware: Hardware, folder: Path, steps: int) -> dict | None:
    import torch

    from mult.data.loader import TrainingBatches
    from mult.data.store import open_split
    from mult.models.mult import MulT
    from mult.tasks import outputs
    from mult.training.balancing import balancing
    from mult.training.checkpoint import Checkpoints
    from mult.training.distributed import joined
    from mult.training.state import State
    from mult.training.step import Step
    from mult.training.trainer import prepare

    run = resolve(settings, RUN)
    training = settings.scale.training.model_copy(update={"steps": WARM + steps})
    with joined(hardware) as (world, device):
        split = open_split(folder / "data", "train")
        encoder = run.encoder | {"pretrained": False}
        model = MulT(outputs(run.tasks, len(split.classes)), settings.scale.image_size, encoder, run.decoder, 0)
        prepare(model, hardware, device)
        method = balancing("fixed", run.tasks, 2, device)
        step = Step(model, settings.losses, training, hardware, method, None, world)
        state = State(model, step.optimiser, method, 0.0, len(run.tasks))
        batches = TrainingBatches(split, run.tasks, training, 0, device, 0, hardware.workers, world.rank, world.size)

        def now() -> float:
            if device.type == "cuda":
                torch.cuda.synchronize()
            return time.perf_counter()

        began = waited = 0.0
        for number, batch in batches:
            if number == WARM:
                began, waited = now(), batches.waited
            step(batch, number, 0)
            state.moved()
        seconds = now() - began
        memory = peak_mb() if device.type == "cpu" else torch.cuda.max_memory_allocated() / 2**20
        found = {
            "images_per_s": steps * training.batch_size / seconds,
            "waiting_percent": 100 * (batches.waited - waited) / seconds,
            "memory_mb": memory,
        }
        checkpoints = Checkpoints(folder / "kept" / "here", 0.0)
        found["checkpoint_s"] = _timed(lambda: _save(checkpoints, state, world.first))
        world.agree("written")
        found["resume_s"] = _timed(lambda: state.load_state_dict(checkpoints.newest()["state"]))
        return found if world.first else None


def _save(checkpoints, state, first: bool) -> None:
    kept = state.state_dict()
    if first:
        checkpoints.save(state.step, {"state": kept})


def _timed(call: Callable[[], None]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    measure(*sys.argv[1:])
