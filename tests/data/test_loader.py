"""Batches come in one order, whoever reads them."""

import subprocess
import sys
import time
from collections.abc import Callable

import pytest
import torch

from mult.data.index import build
from mult.data.loader import TrainingBatches, batches_in_order
from mult.data.sources import open_source
from mult.data.store import Split, open_split
from mult.process import alone
from tests.data.sources.miniature import write_taskonomy
from tests.training.test_trainer import SETTINGS

CPU = torch.device("cpu")
TASKS = ["semseg", "depth"]


@pytest.fixture(params=["stored", "in place"])
def split(request, domain, tmp_path) -> Split:
    if request.param == "stored":
        return open_split(domain, "train")
    root = write_taskonomy(tmp_path / "taskonomy", "splits", {"ihlen": "train", "coffeen": "train"})
    build(open_source("taskonomy", root), tmp_path / "index", 8, tmp_path / "aside")
    return open_split(tmp_path / "index", "train")


def pictures(batches: Callable[[int], object], workers: int) -> torch.Tensor:
    return torch.cat([(of[1] if isinstance(of, tuple) else of).rgb for of in batches(workers)])


@pytest.mark.parametrize("first", [0, 3])
def test_training_sees_the_same_images_with_any_number_of_workers(split, first):
    def batches(workers: int) -> TrainingBatches:
        return TrainingBatches(split, TASKS, SETTINGS, 7, CPU, first, workers)

    alone = pictures(batches, 0)
    assert len(alone) == (SETTINGS.steps - first) * SETTINGS.batch_size
    for workers in (1, 2):
        assert torch.equal(pictures(batches, workers), alone)


def test_scoring_sees_the_same_images_with_any_number_of_workers(split):
    alone, *others = (pictures(lambda n: batches_in_order(split, TASKS, 4, CPU, n), workers) for workers in (0, 1, 2))
    assert len(alone) == len(split)
    for of in others:
        assert torch.equal(of, alone)


READING = """
import sys, time
import numpy as np, torch
from mult.data import loader
from mult.process import alone

class Slow(loader._Reader):
    def __init__(self): pass
    def __getitem__(self, number):
        print(number, flush=True)
        time.sleep(60)

with alone("training"):
    next(iter(loader._loader(Slow(), range(4), 2, torch.device("cpu"))))
"""


@pytest.mark.slow
def test_workers_end_with_their_trainer_and_hold_no_lock_of_its(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with subprocess.Popen([sys.executable, "-c", READING], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        process.kill()
        process.wait()
        time.sleep(0.5)
        with alone("training"):
            pass
