"""Batches in order, on their device: read ahead by worker processes where there are any."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mult.data.augment import Draws, augment, draw, tasks_to_read
from mult.data.batches import Batch, decode, gather, order_of_step
from mult.data.store import Split
from mult.params import Training
from mult.process import die_with_parent

AHEAD = 4  # batches that a worker reads before they are asked for


class _Reader(Dataset):
    """Codes of numbered batches."""

    def __init__(self, split: Split, tasks: Sequence[str], indices: Callable[[int], np.ndarray]):
        self.split, self.tasks, self.indices = split, tasks, indices

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        indices = self.indices(number)
        return gather(self.split, self.tasks, indices) | {"fov": torch.from_numpy(self.split.fov[indices])}


class TrainingBatches:
    """The batches of one training from step ``first`` on, augmented; ``waited`` counts the seconds spent on reading.

    With several processes each gets its consecutive share of every batch, with the augmentation that those images
    have in one process.
    """

    def __init__(
        self,
        split: Split,
        tasks: Sequence[str],
        settings: Training,
        seed: int,
        device: torch.device,
        first: int = 0,
        workers: int = 0,
        rank: int = 0,
        processes: int = 1,
    ):
        self.tasks, self.settings, self.seed, self.device = list(tasks), settings, seed, device
        self.images = len(split)
        self.reads = tasks_to_read(self.tasks, settings.augment.zoom)
        self.numbers = range(first, settings.steps)
        each = settings.batch_size // processes
        self.mine = slice(rank * each, (rank + 1) * each)
        self.waited = 0.0
        self._loader = _loader(_Reader(split, self.reads, self.indices), self.numbers, workers, device)

    def __iter__(self) -> Iterator[tuple[int, Batch]]:
        """Step numbers and batches."""
        codes = iter(self._loader)
        for step in self.numbers:
            began = time.perf_counter()
            of_step = next(codes)
            self.waited += time.perf_counter() - began
            moved = {label: of.to(self.device, non_blocking=True) for label, of in of_step.items()}
            yield step, augment(decode(moved, self.reads), self._draws(step), moved["fov"]).only(self.tasks)

    def indices(self, step: int) -> np.ndarray:
        """Numbers of the images of this process's share of step ``step``."""
        return order_of_step(self.images, self.settings.batch_size, step, self.seed)[self.mine]

    def _draws(self, step: int) -> Draws:
        chosen = self.settings.augment
        all_images = draw(self.settings.batch_size, chosen.flip, chosen.zoom, chosen.colour, self.seed, step)
        return Draws(**{field.name: getattr(all_images, field.name)[self.mine] for field in fields(Draws)})


def batches_in_order(
    split: Split,
    tasks: Sequence[str],
    batch_size: int,
    device: torch.device,
    workers: int = 0,
    rank: int = 0,
    processes: int = 1,
    images: int | None = None,
) -> Iterator[Batch]:
    """The whole split, or its first ``images``, once, the last batch short.

    With several processes every ``processes``-th batch.
    """
    images = len(split) if images is None else images
    starts = range(rank * batch_size, images, batch_size * processes)
    reader = _Reader(split, tasks, lambda start: np.arange(start, min(start + batch_size, images)))
    for codes in _loader(reader, starts, workers, device):
        yield decode({label: of.to(device, non_blocking=True) for label, of in codes.items()}, tasks)


def _loader(reader: _Reader, numbers: range, workers: int, device: torch.device) -> DataLoader:
    return DataLoader(
        reader,
        batch_size=None,  # numbers are of batches already
        sampler=numbers,
        num_workers=workers,
        prefetch_factor=AHEAD if workers else None,
        pin_memory=device.type == "cuda",
        worker_init_fn=partial(_start, os.getpid()),
    )


def _start(parent: int, number: int) -> None:
    """A worker that outlived its trainer would hold the trainer's locks, which it has inherited."""
    die_with_parent(parent)
