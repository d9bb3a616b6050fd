"""Rendering a domain into its folder: by several processes, and on from where a killed run stopped."""

import hashlib
import json
import multiprocessing
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from mult import leftovers
from mult.data import labels
from mult.data.domains import embedded
from mult.data.frame import Unit
from mult.data.store import LABELS, Writer
from mult.errors import UserError
from mult.files import atomic
from mult.params import STRIDE, EmbeddedDomain
from mult.process import STATE, die_with_parent
from mult.progress import progress

Sample = tuple[dict[str, np.ndarray], str, float]
Job = tuple[Unit, int, float, Path]  # a unit, the image size, the edges' sigma, and where what is rendered is kept


def prepare(
    name: str,
    settings: EmbeddedDomain,
    image_size: int,
    folder: Path,
    processes: int | None = None,
    aside: Path = STATE / "render",
) -> int:
    """Render every split of the domain ``name`` into ``folder``; returns the number of images.

    Each finished unit is kept in ``aside`` until dvc.lock has the domain, so that an interrupted run goes on where it
    stopped. The pixels do not depend on the number of processes.

    Raises:
        UserError: unknown domain, an image size that is no multiple of the encoder's coarsest stride, a full disk, a
            process that was killed.
    """
    kept = "the finished images are kept, the same command goes on from there"
    try:
        return _prepare(name, settings, image_size, folder, processes, aside)
    except OSError as error:
        raise UserError(f"{error.filename or folder}: {error.strerror or error}; {kept}") from None
    except BrokenProcessPool:
        raise UserError(f"{folder}: a rendering process was killed, perhaps for want of memory; {kept}") from None


def _prepare(
    name: str, settings: EmbeddedDomain, image_size: int, folder: Path, processes: int | None, aside: Path
) -> int:
    if image_size % STRIDE:
        raise UserError(f"image size: {image_size} is no multiple of the encoder's coarsest stride {STRIDE}")
    domain = embedded(name)
    counts = {split: getattr(settings, split) for split in ("train", "val", "test")}
    plan = {split: domain.units(split, n, settings.views) for split, n in counts.items() if n}
    units = [unit for split in plan.values() for unit in split]
    kept = aside / f"{name}-{_fingerprint(settings, image_size)}"
    for other in kept.parent.glob(f"{name}-*"):  # of a preparation with other settings, never to be finished
        if other != kept:
            shutil.rmtree(other)
    kept.mkdir(parents=True, exist_ok=True)

    jobs = {unit: (unit, image_size, settings.edge_sigma, _file(kept, unit)) for unit in units}
    todo = [job for unit, job in jobs.items() if not _file(kept, unit).exists()]
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    with ProcessPoolExecutor(processes or os.cpu_count(), context, _start_worker, (os.getpid(),)) as pool:
        for _ in progress(pool.map(_render, todo), f"render {name}", total=len(todo), unit="unit"):
            pass

    writer = Writer(folder, name, domain.classes, image_size, edge_sigma=settings.edge_sigma)
    for split, members in plan.items():
        writer.add(split, counts[split], _samples([jobs[unit] for unit in members]))
    writer.close()
    leftovers.ended(kept, folder)
    return sum(counts.values())


def _start_worker(parent: int) -> None:
    die_with_parent(parent)
    import cv2

    cv2.setNumThreads(1)  # the pool already fills the cores


def _render(job: Job) -> None:
    unit, image_size, edge_sigma, path = job
    frames = embedded(unit.domain).render(unit, image_size)
    samples = [labels.annotate(frame, edge_sigma) for frame in frames]
    stacked = {label: np.stack([sample[label] for sample in samples]) for label in LABELS}
    with atomic(path) as file:
        np.savez(file, fov=[frame.fov for frame in frames], **stacked)


def _samples(jobs: Sequence[Job]) -> Iterator[Sample]:
    """The samples of rendered units; of one that the disk has not kept as it was written, rendered anew."""
    for job in jobs:
        unit, _, _, path = job
        try:
            arrays = _arrays(path)
        except (BadZipFile, EOFError, KeyError, ValueError):
            print(f"{path}: damaged; rendered again", file=sys.stderr)
            _render(job)
            arrays = _arrays(path)
        for view, fov in enumerate(arrays["fov"]):
            yield {label: arrays[label][view] for label in LABELS}, unit.group, float(fov)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """All of a unit's file, whose format has a sum of each array."""
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in ("fov", *LABELS)}


def _file(kept: Path, unit: Unit) -> Path:
    return kept / f"{unit.split}-{unit.index:06d}.npz"


def _fingerprint(settings: EmbeddedDomain, image_size: int) -> str:
    """Of everything that decides the pixels: the settings and the code of this package."""
    digest = hashlib.sha256(json.dumps([settings.model_dump(), image_size]).encode())
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
