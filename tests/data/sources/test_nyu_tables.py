"""NYUv2's split and classes, against the files that they were taken from where these are present."""

import csv
import os
from pathlib import Path

import pytest
import scipy.io

from mult.data.classes import class_map
from mult.data.sources import nyu_tables
from mult.data.sources.taskonomy import CLASSES

SAMPLES = Path(os.environ.get("MULT_SAMPLES", Path(__file__).parents[3] / "../shared/samples")).resolve()


def test_the_tables_are_whole():
    split = list(nyu_tables.official_split().values())
    assert (split.count("train"), split.count("test")) == (795, 654)
    assert list(nyu_tables.official_split()) == list(range(1, 1450))
    assert len(nyu_tables.class_names(40)) == 41
    assert nyu_tables.class_names(13) == (
        "void", "bed", "books", "ceiling", "chair", "floor", "furniture", "objects", "picture", "sofa", "table", "tv",
        "wall", "window",
    )  # fmt: skip
    assert len(nyu_tables.classes_of_labels()) == 895
    assert set(nyu_tables.classes_of_labels()[1:]) == set(range(1, 41))


def test_the_40_classes_have_their_counterparts_and_none_where_things_hide():
    names = nyu_tables.class_names(40)
    as_taskonomys = dict(zip(names, (CLASSES[i] for i in class_map(names, CLASSES)), strict=False))
    assert as_taskonomys["refridgerator"] == "refrigerator"
    assert as_taskonomys["table"] == "dining table"
    assert as_taskonomys["window"] == as_taskonomys["dresser"] == "background"
    for name in ("otherprop", "otherfurniture", "otherstructure", "bookshelf", "desk"):
        assert as_taskonomys[name] == CLASSES[0], name


@pytest.mark.skipif(
    not (SAMPLES / "nyuv2_meta").is_dir(), reason=f"no real sample files in {SAMPLES} (set MULT_SAMPLES)"
)
def test_the_tables_equal_the_real_ones():
    split = scipy.io.loadmat(SAMPLES / "nyuv2_meta/splits.mat")
    for name in ("train", "test"):
        ours = [frame for frame, of in nyu_tables.official_split().items() if of == name]
        assert ours == split[f"{name}Ndxs"].ravel().tolist()
    to40 = scipy.io.loadmat(SAMPLES / "nyuv2_meta/classMapping40.mat")
    to13 = scipy.io.loadmat(SAMPLES / "nyuv2_meta/class13Mapping.mat")["classMapping13"][0, 0]
    text = lambda cells: [str(cell[0]) for cell in cells.ravel()]  # noqa: E731
    assert nyu_tables.classes_of_labels()[1:].tolist() == to40["mapClass"].ravel().tolist()
    assert list(nyu_tables.class_names(40)[1:]) == text(to40["className"])
    assert list(nyu_tables.class_names(13)[1:]) == text(to13["classNames"])
    with open(Path(nyu_tables.__file__).with_name("nyu_classes.csv")) as file:
        of13 = [nyu_tables.class_names(13).index(row["nyu13"]) for row in csv.DictReader(file)]
    assert of13 == to13["labels13"].ravel().tolist()
