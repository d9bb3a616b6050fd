import cv2
import numpy as np
import pytest

from mult.cli import main
from mult.data.store import open_split
from mult.errors import UserError
from mult.reports.sheet import COLUMNS, contact_sheet, draw, semantic_colours, write_picture


def test_a_sheet_shows_every_label_of_the_images_asked_for(domain):
    split = open_split(domain, "test")
    one, all_four = contact_sheet(split, 1), contact_sheet(split, 100)
    assert one.shape[1] == all_four.shape[1]
    cells = len(COLUMNS) * 128
    assert cells < one.shape[1] / 2 < 1.1 * cells
    assert all_four.shape[0] - one.shape[0] == pytest.approx(128, abs=8)  # four images in two lines


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
