"""`mult data show` of a data set in place; of prepared data see tests/reports/test_sheet.py."""

import shutil

import cv2
import numpy as np
import pytest

from mult.cli import main
from mult.data.lazy import open_some
from mult.data.sources import open_data
from mult.errors import UserError
from mult.reports.sheet import contact_sheet
from tests.data.test_labels import SAMPLES


def show(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(["data", "show", *map(str, arguments)])
    return ended.value.code


def test_views_of_all_splits_or_of_one(exported):
    source = open_data("taskonomy", exported)
    split, total = open_some(source, 3)
    assert (len(split), total, split.split) == (3, 11, "train, val, test")
    assert split.arrays["rgb"].shape == (3, 32, 32, 3)  # as small as they are
    split, total = open_some(source, 99, "val")
    assert (len(split), total, split.split) == (2, 2, "val")


def test_a_split_without_images_is_said(exported, tmp_path):
    for kind in ("rgb", "normal"):
        shutil.copytree(exported / kind, tmp_path / kind)
    source = open_data("taskonomy", tmp_path)  # without splits.csv
    with pytest.raises(UserError, match="no images in val; splits that have some: test"):
        open_some(source, 3, "val")


def test_the_command_draws_what_is_there(exported, tmp_path):
    for kind in ("rgb", "depth_zbuffer"):
        shutil.copytree(exported / kind, tmp_path / "few" / kind)
    assert not show("taskonomy", tmp_path / "few", "-o", tmp_path / "few.png", "--images", 4)
    picture = cv2.imread(str(tmp_path / "few.png"))[..., ::-1]
    split, total = open_some(open_data("taskonomy", tmp_path / "few"), 4)
    np.testing.assert_array_equal(picture, contact_sheet(split, 4, of=total))
    semseg = picture[50:170, 140:255]
    assert (semseg == 60).all()
    assert picture[50:170, 300:380].std() > 5  # depth


@pytest.mark.parametrize("name", ["taskonomy", "replica"])
def test_real_samples(name, tmp_path):
    if not (SAMPLES / name).is_dir():
        pytest.skip(f"no real sample files in {SAMPLES} (set MULT_SAMPLES)")
    assert not show(name, SAMPLES / name, "-o", tmp_path / "sheet.jpg")
    assert cv2.imread(str(tmp_path / "sheet.jpg")).shape[1] > 1000


def test_a_damaged_picture_is_one_line(exported, tmp_path):
    shutil.copytree(exported, tmp_path / "copy")
    for path in (tmp_path / "copy").glob("edge_texture/*/*.png"):
        path.write_bytes(path.read_bytes()[:-9])
    code = show("taskonomy", tmp_path / "copy", "-o", tmp_path / "never.png")
    assert "truncated PNG" in code
    assert "\n" not in code
    assert not (tmp_path / "never.png").exists()
