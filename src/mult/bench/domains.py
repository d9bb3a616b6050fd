"""`mult bench domains`: what an image of each embedded domain costs, and how that grows with images and cores."""

import os
import tempfile
import time
from pathlib import Path

import pandas as pd

from mult.bench.report import write_bench
from mult.data.domains import EMBEDDED
from mult.data.prepare import prepare
from mult.params import EmbeddedDomain
from mult.progress import progress

VIEWS = 8  # a room or a visit to a level, as at laptop scale


def bench(size: int, images: int) -> pd.DataFrame:
    """Time `prepare` in full, labels and writing included, for n, 2 n and 3 n images in one process, n and 3 n in all.

    Columns: domain, size, ms_an_image (one process: the last 2 n images, so that start-up is out of it), linear (time
    of the last n images over that of the n before them), processes, speedup (of the last 2 n images).
    """
    rows = []
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        for domain in progress(EMBEDDED, "bench domains", unit="domain"):
            alone = [_seconds(domain, size, times * images, 1, Path(folder)) for times in (1, 2, 3)]
            spread = [_seconds(domain, size, times * images, cores, Path(folder)) for times in (1, 3)]
            rows.append(
                {
                    "domain": domain,
                    "size": size,
                    "ms_an_image": 1000 * (alone[2] - alone[0]) / (2 * images),
                    "linear": (alone[2] - alone[1]) / (alone[1] - alone[0]),
                    "processes": cores,
                    "speedup": (alone[2] - alone[0]) / (spread[1] - spread[0]),
                }
            )
    table = pd.DataFrame(rows)
    about = f"Rooms and levels with {VIEWS} views each; `ms_an_image` is one core's time, labels and writing included."
    write_bench("domains", table, about, "mult bench domains")
    return table


def _seconds(domain: str, size: int, images: int, processes: int, folder: Path) -> float:
    settings = EmbeddedDomain(test=images, views=VIEWS, edge_sigma=3.0)
    began = time.perf_counter()
    prepare(domain, settings, size, folder / domain, processes, aside=folder / "aside")
    return time.perf_counter() - began
