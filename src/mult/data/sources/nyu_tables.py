"""NYUv2's own numbers: which frames train and test, and its sets of semantic classes.

nyu_split.csv    runs of frames, from 1 to 1449, of the official split (splits.mat): 795 train, 654 test
nyu_labels.csv   the 894 labels of the file of labelled frames, and which of the 40 classes each belongs to
nyu_classes.csv  the 40 classes, and the class among 13 of each; their counterparts elsewhere: mult.data.classes
"""

import csv
from functools import cache
from pathlib import Path

import numpy as np

VOID = "void"
FRAMES = 1449


@cache
def official_split() -> dict[int, str]:
    """Frame, counted from 1 as in splits.mat, to train or test."""
    runs = [(int(row["first"]), int(row["last"]), row["split"]) for row in _rows("split")]
    return {frame: split for first, last, split in runs for frame in range(first, last + 1)}


@cache
def class_names(count: int) -> tuple[str, ...]:
    """The names of the 40 or of the 13 classes by id, void first."""
    rows = _rows("classes")
    names = [row["name"] for row in rows] if count == 40 else sorted({row["nyu13"] for row in rows})
    return (VOID, *names)


@cache
def classes_of_labels() -> np.ndarray:
    """Look-up table, uint8 (895,): label 0 to 894 to the id among the 40 classes, 0 void."""
    return np.array([0, *(int(row["nyu40"]) for row in _rows("labels"))], np.uint8)


def _rows(table: str) -> list[dict[str, str]]:
    with open(Path(__file__).with_name(f"nyu_{table}.csv"), encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
