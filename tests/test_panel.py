"""Panels as pictures: what stands where."""

import numpy as np
import pytest
from PIL import Image

from mult.panel import CELL, GAP, LEAST, TITLE, cell_size, panel
from mult.reports.sheet import PAPER, semantic_colours
from mult.tasks import TASKS

CLASSES = ["void", "wall", "floor", "chair"]


def maps(height: int, width: int, tasks=tuple(TASKS)) -> dict[str, np.ndarray]:
    codes = {
        "semseg": np.where(np.arange(width) < width // 4, 3, 1).astype(np.uint8)[None].repeat(height, 0),
        "depth": np.full((height, width), 512, np.uint16),
        "normal": np.full((height, width, 3), (10, 20, 30), np.uint8),
        "reshading": np.full((height, width), 77, np.uint8),
        "keypoints": np.full((height, width), 328, np.uint16),
        "edges": np.zeros((height, width), np.uint16),
    }
    return {task: codes[task] for task in tasks}


@pytest.mark.parametrize(
    ("photo", "cell"),
    [((480, 640), (240, 320)), ((640, 480), (320, 240)), ((10, 10), (320, 320)), ((6000, 10), (320, 1))],
)
def test_cells_have_the_photo_s_shape(photo, cell):
    assert cell_size(*photo) == cell


@pytest.mark.parametrize(("height", "width"), [(240, CELL), (CELL, 40)])
@pytest.mark.parametrize("tasks", [tuple(TASKS), ("depth",)])
def test_photo_and_maps_stand_side_by_side(height, width, tasks):
    photo = Image.new("RGB", (width, height), (1, 2, 3))
    drawn = panel(photo, maps(height, width, tasks), CLASSES)
    step = max(width, LEAST) + GAP
    assert drawn.shape[1] == GAP + (1 + len(tasks)) * step
    expected = {
        "photo": [1, 2, 3],
        "normal": [10, 20, 30],
        "reshading": [77] * 3,
        "keypoints": [255] * 3,
        "edges": [0] * 3,
    }
    for place, task in enumerate(["photo", *tasks]):
        left = GAP + place * step
        cell = drawn[TITLE : TITLE + height, left : left + width]
        if task in expected:
            assert (cell == expected[task]).all(), task
        title = drawn[:TITLE, left : left + step]
        assert (title != PAPER).any(), "no title"
        assert (title[:, -GAP:] == PAPER).all(), "the title does not fit"
        assert (drawn[TITLE : TITLE + height, left + width : left + step] == PAPER).all()


def test_the_legend_names_the_classes_that_are_there():
    drawn = panel(Image.new("RGB", (CELL, 240)), maps(240, CELL), CLASSES)
    legend = drawn[TITLE + 240 + GAP :]
    colours = semantic_colours(256)[:4]
    places = [np.argwhere((legend == colour).all(-1)) for colour in colours]
    assert [len(found) > 0 for found in places] == [False, True, False, True]
    assert places[1][:, 1].max() < places[3][:, 1].min(), "the larger class comes first"
    assert len(panel(Image.new("RGB", (CELL, 240)), maps(240, CELL, ["edges"]), CLASSES)) == len(drawn) - len(legend)


def test_the_legend_ends_where_the_room_does():
    names = ["void", *(f"a class with a long name {i}" for i in range(60))]
    codes = np.arange(1, 61, dtype=np.uint8)[None].repeat(40, 0)
    drawn = panel(Image.new("RGB", (60, 40)), {"semseg": codes}, names)
    assert drawn.shape[1] == GAP + 2 * (LEAST + GAP)
    assert (drawn[-TITLE:, -1] == PAPER).all()
