from dataclasses import replace

import cv2
import numpy as np
import pytest

from mult.cli import main
from mult.data.store import open_split
from mult.errors import UserError
from mult.reports.sheet import COLUMNS, contact_sheet, draw, semantic_colours, write_picture


def test_a_sheet_shows_every_label_of_the_images_asked_for(domain):
    split = open_split(domain, "test")
    one, two, all_four = (contact_sheet(split, images) for images in (1, 2, 100))
    cells = len(COLUMNS) * 128
    assert cells < one.shape[1] < 1.1 * cells
    assert two.shape[1] == all_four.shape[1] == 2 * one.shape[1]
    assert all_four.shape[0] - two.shape[0] == pytest.approx(128, abs=8)  # four images in two lines


def test_a_label_that_is_not_there_is_grey(domain):
    split = open_split(domain, "test")
    less = replace(split, arrays={label: of for label, of in split.arrays.items() if label == "rgb"})
    whole, less = contact_sheet(split, 1), contact_sheet(less, 1)
    cell = whole.shape[1] // len(COLUMNS)
    np.testing.assert_array_equal(whole[:, :128], less[:, :128])
    assert (less[60, cell + 10 :: cell] == 60).all()


def test_colours_tell_unknown_from_known():
    colours = semantic_colours(20)
    assert len(np.unique(colours, axis=0)) == 20
    depth = np.array([[256, 2560, 65535]], np.uint16)
    near, far, unknown = draw("depth", depth, depth != 65535)[0].astype(int).sum(-1)
    assert near > far
    assert unknown == 180
    np.testing.assert_array_equal(draw("keypoints", np.array([[0, 328]], np.uint16), None)[0, :, 0], [0, 255])


def test_the_command_writes_it(domain, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["data", "show", "noise", str(domain), "-o", str(tmp_path / "grid.png"), "--images", "3"])
    assert not ended.value.code
    np.testing.assert_array_equal(
        cv2.imread(str(tmp_path / "grid.png"))[..., ::-1], contact_sheet(open_split(domain, "test"), 3)
    )
    for arguments, words in (
        (["rooms-home", str(domain), "-o", "x.png"], "this is noise"),
        (["noise", str(tmp_path), "-o", "x.png"], "no prepared data"),
        (["noise", str(domain), "-o", "x.png", "--images", "0"], "below 1"),
    ):
        with pytest.raises(SystemExit, match=words):
            main(["data", "show", *arguments])


def test_pictures_have_one_of_two_forms(tmp_path):
    with pytest.raises(UserError, match=r"\.png or \.jpg"):
        write_picture(tmp_path / "grid.bmp", np.zeros((2, 2, 3), np.uint8))
