"""`mult bench data`: how fast batches come from the store and from packed shards, against PNG files in place."""

import os
import pickle
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd
import torch

from mult.bench.report import write_bench
from mult.data.batches import gather
from mult.data.export import export
from mult.data.index import build
from mult.data.loader import batches_in_order
from mult.data.pack import pack
from mult.data.prepare import prepare
from mult.data.sources import open_data, open_source
from mult.data.store import Split, open_split
from mult.params import EmbeddedDomain
from mult.progress import progress
from mult.tasks import TASKS

PASSES = 4  # over the images, a turn: starting a worker is then a small part
CPU = torch.device("cpu")
REFERENCE = "PNG files in place"


def bench(size: int, images: int, batch: int, rounds: int) -> pd.DataFrame:
    """Read ``images`` rendered images of ``size`` pixels in every way, ``rounds`` times in turn; medians.

    Columns: source; what is read: ``codes`` (as stored), ``batches`` (targets and masks), both in this process, or
    ``batches, a worker`` (read by a process of its own); images_per_s; over_png, the ratio to the same from PNG files.
    """
    tasks = list(TASKS)
    reads: dict[str, Callable[[Split], Iterable]] = {
        "codes": lambda split: (gather(split, tasks, part) for part in _parts(len(split), batch)),
        "batches": lambda split: batches_in_order(split, tasks, batch, CPU),
        "batches, a worker": lambda split: batches_in_order(split, tasks, batch, CPU, workers=1),
    }
    with tempfile.TemporaryDirectory() as folder:
        opens = write_all(Path(folder), size, images)
        ways = [(source, what) for what in reads for source in opens]
        times: dict[tuple[str, str], list[float]] = {way: [] for way in ways}
        for _ in progress(range(rounds), "bench data", unit="round"):
            for source, what in ways:
                times[source, what].append(_seconds(opens[source], reads[what]))
    rates = {way: PASSES * images / statistics.median(seconds) for way, seconds in times.items()}
    table = pd.DataFrame(
        [(*way, rate, rate / rates[REFERENCE, way[1]]) for way, rate in rates.items()],
        columns=["source", "read", "images_per_s", "over_png"],
    )
    about = (
        f"{images} images of {size} pixels with six tasks' labels, batches of {batch} as tensors on the CPU; medians "
        f"of {rounds} turns. The PNG files are what `mult data export` writes, a file a label, the shards what `mult "
        "data pack` makes of them; both are read through an index, and all files are in the system's cache."
    )
    write_bench("data", table, about, f"mult bench data --size {size}")
    return table


def write_all(folder: Path, size: int, images: int) -> dict[str, Callable[[], Split]]:
    """The same training images in every form below ``folder``: what opens them, as a process that has read nothing."""
    few = EmbeddedDomain(train=images, val=1, test=1, views=8, edge_sigma=3.0)
    prepare("rooms-home", few, size, folder / "store", os.cpu_count() or 1, folder / "aside")
    export(open_data("rooms-home", folder / "store"), folder / "png")
    pack(open_source("taskonomy", folder / "png"), folder / "packed", size)
    store = open_split(folder / "store", "train")
    png, packed = (_indexed(folder, of, size) for of in ("png", "packed"))
    return {
        REFERENCE: lambda: pickle.loads(png),
        "packed shards": lambda: pickle.loads(packed),
        "store": lambda: store,
    }


def _indexed(folder: Path, of: str, size: int) -> bytes:
    """The training images of a data set in place, as they are sent to a worker."""
    index = folder / f"{of}-index"
    build(open_source("taskonomy", folder / of), index, size, folder / "aside")
    return pickle.dumps(open_split(index, "train"))


def _parts(images: int, batch: int) -> list[range]:
    return [range(start, min(start + batch, images)) for start in range(0, images, batch)]


def _seconds(opened: Callable[[], Split], read: Callable[[Split], Iterable]) -> float:
    torch.set_num_threads(1)
    seconds = 0.0
    for _ in range(PASSES):
        split = opened()  # anew: what a pass has left in memory is no part of the next
        began = time.perf_counter()
        for _ in read(split):
            pass
        seconds += time.perf_counter() - began
    return seconds
