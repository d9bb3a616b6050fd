"""`mult bench memory`: what every kind of stage takes, and that it grows with the model and not with the data set.

The whole pipeline is run at scale smoke, once as it is, once with several times as many images, once with a larger
model.
"""

import tempfile
from pathlib import Path

import pandas as pd

from mult.bench.clones import cloned, repro
from mult.bench.report import write_bench
from mult.files import read_json
from mult.progress import progress
from mult.stage import PEAKS

TIMES = 8  # as many images of each domain, and as wide an encoder
RUNS = {
    "peak_mb": {},
    "more_images_mb": {r"\b(train|val|test): (\d+)": lambda of: f"{of[1]}: {TIMES * int(of[2])}"},
    "larger_model_mb": {r"embed_dim: (\d+)": lambda of: f"embed_dim: {TIMES * int(of[1])}"},
}


def bench() -> pd.DataFrame:
    """Columns: stage (its kind), stages (how many were run), and the most memory of one process in each of ``RUNS``."""
    tables = []
    with tempfile.TemporaryDirectory() as folder:
        for name, changes in progress(RUNS.items(), "bench memory", unit="run"):
            clone = cloned(Path(folder) / name, changes)
            repro(clone)
            tables.append(peaks(clone).rename(columns={"peak_mb": name}).set_index("stage"))
    table = pd.concat([tables[0], *(of.drop(columns="stages") for of in tables[1:])], axis=1).reset_index()
    about = (
        f"Most resident memory of one process of each kind of stage at scale smoke: as it is, with {TIMES} times as "
        f"many images, and with an encoder {TIMES} times as wide."
    )
    write_bench("memory", table, about, "mult bench memory")
    return table


def peaks(project: Path) -> pd.DataFrame:
    """Columns: stage (its kind), stages (how many were run), peak_mb (of the one that took most)."""
    found = [(path.stem.split("@")[0], read_json(path)["peak_mb"]) for path in sorted((project / PEAKS).glob("*.json"))]
    groups = pd.DataFrame(found, columns=["stage", "peak_mb"]).groupby("stage")["peak_mb"]
    return groups.agg(stages="count", peak_mb="max").round().astype(int).reset_index()
