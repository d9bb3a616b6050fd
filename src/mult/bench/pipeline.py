"""`mult bench pipeline`: what stages side by side gain, and what a stage costs beside its work.

The project is cloned as it is committed, once for each number of jobs, and the one- and two-task trainings of `smoke`
are run in it with more steps, so that a stage is mostly training, as at larger scales.
"""

import os
import tempfile
from pathlib import Path

import pandas as pd

from mult.bench.clones import cloned, repro
from mult.bench.memory import peaks
from mult.bench.report import write_bench
from mult.files import read_json
from mult.progress import progress

STAGES = ("train_single", "train_pair")


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
            clone = cloned(Path(folder) / str(jobs), {r"      steps: 4\n": f"      steps: {steps}\n"})
            repro(clone, "prepare")
            wall = repro(clone, *STAGES, "--jobs", str(jobs))
            nothing = repro(clone, *STAGES)
            facts = read_json(clone / ".mult" / "last_repro.json")
            stages, work = facts["stages"], sum(facts["work_cpu_s"].values())
            peak = peaks(clone)["peak_mb"].max()
            rows.append((jobs, stages, wall, 100 * work / (wall * jobs), (wall * jobs - work) / stages, nothing, peak))
    table = pd.DataFrame(rows, columns=["jobs", "stages", "wall_s", "work_percent", "beside_s", "nothing_s", "peak_mb"])
    table.insert(3, "speedup", table["wall_s"].iloc[0] / table["wall_s"])
    about = f"`{' '.join(STAGES)}` at scale smoke with {steps} steps a training, in fresh clones."
    write_bench("pipeline", table, about, f"mult bench pipeline --steps {steps}")
    return table
