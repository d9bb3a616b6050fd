"""`mult bench pipeline`: what stages side by side gain, what a stage costs beside its work, and its memory.

The project is cloned as it is committed, once for each number of jobs, and the one- and two-task trainings of `smoke`
are run in it with more steps, so that a stage is mostly training, as at larger scales. For the memory of every kind of
stage the whole pipeline is run at `smoke`, and once more with several times as many images.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from mult.bench.report import write_bench
from mult.errors import UserError
from mult.files import read_json
from mult.progress import progress
from mult.stage import PEAKS

STAGES = ("train_single", "train_pair")
MORE = 8  # times as many images of each domain


def bench(steps: int) -> pd.DataFrame:
    """Run the stages with one job and with as many as there are cores.

    Columns: jobs, stages, wall_s, speedup (over one job), work_percent (of the jobs' time, spent training), beside_s (a
    stage's time beside its training), nothing_s (`mult repro` when there is nothing to do), peak_mb (most memory that
    one process of a stage took).
    """
    cores = os.cpu_count() or 1
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for jobs in progress(sorted({1, cores}), "bench pipeline", unit="run"):
            clone = _clone(Path(folder) / str(jobs), steps)
            _repro(clone, "prepare")
            wall = _repro(clone, *STAGES, "--jobs", str(jobs))
            nothing = _repro(clone, *STAGES)
            facts = read_json(clone / ".mult" / "last_repro.json")
            stages, work = facts["stages"], sum(facts["work_cpu_s"].values())
            peak = peaks(clone)["peak_mb"].max()
            rows.append((jobs, stages, wall, 100 * work / (wall * jobs), (wall * jobs - work) / stages, nothing, peak))
        memory = _memory(Path(folder))
    table = pd.DataFrame(rows, columns=["jobs", "stages", "wall_s", "work_percent", "beside_s", "nothing_s", "peak_mb"])
    table.insert(3, "speedup", table["wall_s"].iloc[0] / table["wall_s"])
    about = f"`{' '.join(STAGES)}` at scale smoke with {steps} steps a training, in fresh clones."
    write_bench("pipeline", table, about, f"mult bench pipeline --steps {steps}")
    about = f"Most memory of one process of each kind of stage at scale smoke, and with {MORE} times its images."
    write_bench("pipeline-memory", memory, about, f"mult bench pipeline --steps {steps}")
    return table


def _memory(folder: Path) -> pd.DataFrame:
    """Columns: stage, stages, peak_mb, and `more_mb`, of MORE times as many images."""
    found = []
    for name, times in progress((("whole", 1), ("more", MORE)), "bench pipeline, memory", unit="run"):
        clone = _clone(folder / name, 4, times)
        _repro(clone)
        found.append(peaks(clone))
    return found[0].merge(found[1][["stage", "peak_mb"]].rename(columns={"peak_mb": "more_mb"}), on="stage")


def peaks(project: Path) -> pd.DataFrame:
    """Columns: stage (its kind), stages (how many were run), peak_mb (of the one that took most)."""
    found = [(path.stem.split("@")[0], read_json(path)["peak_mb"]) for path in sorted((project / PEAKS).glob("*.json"))]
    groups = pd.DataFrame(found, columns=["stage", "peak_mb"]).groupby("stage")["peak_mb"]
    return groups.agg(stages="count", peak_mb="max").reset_index()


def _clone(folder: Path, steps: int, times: int = 1) -> Path:
    """The project at scale smoke with ``steps`` a training and ``times`` as many images of each domain."""
    done = subprocess.run(["git", "clone", "--quiet", str(Path.cwd()), str(folder)], capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"mult bench pipeline: run it in the project's folder; git: {' '.join(done.stderr.split())}")
    path = folder / "params.yaml"
    text = re.sub(r"(?m)^scale: \*\w+", "scale: *smoke", path.read_text(encoding="utf-8"))
    smoke, others = text.replace("      steps: 4\n", f"      steps: {steps}\n", 1).split("\n  laptop:")
    smoke = re.sub(r"\b(train|val|test): (\d+)", lambda of: f"{of[1]}: {int(of[2]) * times}", smoke)
    path.write_text(f"{smoke}\n  laptop:{others}", encoding="utf-8")
    (folder / "dvc.lock").unlink(missing_ok=True)
    return folder


def _repro(clone: Path, *arguments: str) -> float:
    environment = os.environ | {"PYTHONPATH": str(clone / "src")}
    environment.pop("MLFLOW_TRACKING_URI", None)
    began = time.perf_counter()
    command = [sys.executable, "-m", "mult", "repro", *arguments]
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"mult bench pipeline: {' '.join(done.stdout.split()[-40:])} {done.stderr.strip()}")
    return time.perf_counter() - began
