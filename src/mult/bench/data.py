"""`mult bench data`: how fast batches come from the store, against the same images as PNG files."""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch

from mult.bench.report import write_bench
from mult.data.batches import decode, gather
from mult.data.loader import batches_in_order
from mult.data.prepare import prepare
from mult.data.store import Split, open_split
from mult.params import EmbeddedDomain
from mult.progress import progress
from mult.tasks import TASKS

LABELS = ("rgb", "segment_semantic", "depth_zbuffer", "normal", "reshading", "keypoints2d", "edge_texture")
PASSES = 4  # over the images, a turn: starting a worker is then a small part
CPU = torch.device("cpu")


def bench(size: int, images: int, batch: int, rounds: int) -> pd.DataFrame:
    """Read ``images`` rendered images of ``size`` pixels in every way, ``rounds`` times in turn; medians.

    Columns: source; what is read: ``codes`` (as stored) or ``batches`` (targets and masks); images_per_s; over_png, the
    ratio to the same from PNG files.
    """
    with tempfile.TemporaryDirectory() as folder:
        few = EmbeddedDomain(train=images, val=1, test=1, views=8, edge_sigma=3.0)
        prepare("rooms-home", few, size, Path(folder) / "data", os.cpu_count() or 1, Path(folder) / "aside")
        split = open_split(Path(folder) / "data", "train")
        _write_pngs(split, Path(folder))
        starts = range(0, len(split), batch)
        stops = [min(start + batch, len(split)) for start in starts]
        parts = [range(*ends) for ends in zip(starts, stops, strict=True)]
        tasks = list(TASKS)
        ways: dict[tuple[str, str], Callable[[], Iterator]] = {
            ("PNG files", "codes"): lambda: (_pngs(Path(folder), part) for part in parts),
            ("store", "codes"): lambda: (gather(split, tasks, part) for part in parts),
            ("PNG files", "batches"): lambda: (decode(_pngs(Path(folder), part), tasks) for part in parts),
            ("store", "batches"): lambda: batches_in_order(split, tasks, batch, CPU),
            ("store, a worker", "batches"): lambda: batches_in_order(split, tasks, batch, CPU, workers=1),
        }
        times: dict[tuple[str, str], list[float]] = {way: [] for way in ways}
        for _ in progress(range(rounds), "bench data", unit="round"):
            for way, read in ways.items():
                times[way].append(_seconds(read))
    rates = {way: PASSES * len(split) / statistics.median(seconds) for way, seconds in times.items()}
    table = pd.DataFrame(
        [(*way, rate, rate / rates["PNG files", way[1]]) for way, rate in rates.items()],
        columns=["source", "read", "images_per_s", "over_png"],
    )
    about = (
        f"{len(split)} images of {size} pixels with six tasks' labels, batches of {batch} as tensors on the CPU; "
        f"medians of {rounds} turns. PNG files are read with OpenCV, one a label."
    )
    write_bench("data", table, about, f"mult bench data --size {size}")
    return table


def _seconds(read: Callable[[], Iterator]) -> float:
    torch.set_num_threads(1)
    began = time.perf_counter()
    for _ in range(PASSES):
        for _ in read():
            pass
    return time.perf_counter() - began


def _write_pngs(split: Split, folder: Path) -> None:
    for label in LABELS:
        (folder / label).mkdir()
        for place, image in enumerate(split.arrays[label]):
            cv2.imwrite(str(folder / label / f"{place}.png"), image[..., ::-1] if image.ndim == 3 else image)


def _pngs(folder: Path, images: range) -> dict[str, torch.Tensor]:
    """What ``gather`` gives, from files."""
    codes = {}
    for label in LABELS:
        read = np.stack([cv2.imread(str(folder / label / f"{i}.png"), cv2.IMREAD_UNCHANGED) for i in images])
        read = np.ascontiguousarray(read[..., ::-1]) if read.ndim == 4 else read
        codes[label] = torch.from_numpy(read.view(np.int16) if read.dtype == np.uint16 else read)
    return codes | {"mask_valid": (codes["depth_zbuffer"] != -1).to(torch.uint8)}  # 65535 as int16
