"""What is said of copies of NYUv2 that are damaged, or are something else."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from mult.data.sources import open_source
from mult.data.sources.nyu_decode import metres, normals
from mult.errors import UserError
from tests.data.sources import nyu_miniature as miniature


def read_first(root: Path, label: str) -> np.ndarray:
    source = open_source("nyuv2", root)
    return source.read(miniature.views(source)[0], label)


def fault(root: Path, label: str = "depth_zbuffer") -> str:
    """What the reader says of a damaged copy."""
    with pytest.raises(UserError) as mistake:
        read_first(root, label)
    assert "\n" not in str(mistake.value)
    return str(mistake.value)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("layout", "file", "label"),
    [
        ("mtl_pytorch", "images/0003.jpg", "rgb"),
        ("mtl_pytorch", "normals/0003.npy", "normal"),
        ("mtl_pytorch", "segmentation/0003.png", "segment_semantic"),
        ("atrc", "normals/0003.png", "normal"),
        ("mtan", "train/depth/0.npy", "depth_zbuffer"),
        ("adashare", "depth/0002.npy", "depth_zbuffer"),
        ("nicr", "train/depth_raw/0002.png", "depth_zbuffer"),
        ("labelled", "nyu_depth_v2_labeled.mat", "rgb"),
    ],
)
def test_truncated_and_missing_files_are_named(tmp_path, layout, file, label):
    getattr(miniature, layout)(tmp_path)
    cut(tmp_path / file)
    said = fault(tmp_path, label=label)
    assert said.startswith(f"{tmp_path / file}: ")
    assert "fetch" in said
    (tmp_path / file).unlink()
    said = fault(tmp_path, label=label)
    assert (
        "none of the layouts" in said if layout == "labelled" else said.startswith(f"{tmp_path / file}: no such file")
    )


@pytest.mark.parametrize("frame", ["0001", "0003"])
@pytest.mark.parametrize("file", ["images/{}.jpg", "depth/{}.npy", "normals/{}.npy"])
def test_a_damaged_frame_spoils_no_other(tmp_path, file, frame):
    """Neither that whose size tells the copy, nor one of those by which the axes of all normals are found."""
    miniature.mtl_pytorch(tmp_path)
    whole = open_source("nyuv2", tmp_path)
    others = [view for view in miniature.views(whole) if frame not in view.files["rgb"]]
    assert len(others) >= 2
    expected = [whole.read(view, "normal") for view in others]
    cut(tmp_path / file.format(frame))
    damaged = open_source("nyuv2", tmp_path)
    for view, normal in zip(others, expected, strict=True):
        np.testing.assert_array_equal(damaged.read(view, "normal"), normal)


@pytest.mark.parametrize(
    ("file", "values", "label", "said"),
    [
        ("depth/0002.npy", np.full((480, 640), 2500, np.float32), "depth_zbuffer", "it is in metres"),
        ("depth/0002.npy", np.ones((480, 640, 3), np.float32), "depth_zbuffer", "one channel"),
        ("depth/0002.npy", np.ones((240, 320), np.float32), "depth_zbuffer", "240x320 pixels, but the first picture"),
        ("seg/0002.png", np.full((480, 640), 40, np.uint8), "segment_semantic", "class 40, but"),
        ("seg/0002.png", np.zeros((480, 640, 3), np.uint8), "segment_semantic", "coloured copy"),
        ("img/0002.png", np.zeros((100, 100, 3), np.uint8), "rgb", "pictures of 100x100, but copies have 480x640"),
    ],
)
def test_files_of_another_kind_are_told(tmp_path, file, values, label, said):
    miniature.adashare(tmp_path)
    miniature.adashare_lists(tmp_path, train=["0002"], test=["0000"])
    (miniature.picture if file.endswith("png") else miniature.array)(tmp_path / file, values)
    told = fault(tmp_path, label=label)
    assert said in told
    assert str(tmp_path) in told


def test_folders_that_are_no_copy_are_told(tmp_path):
    said = fault(tmp_path)
    assert "none of the layouts" in said
    assert all(mark in said for mark in ("nyu_depth_v2_labeled.mat", "NYUD_MT", "ATRC", "MTAN", "AdaShare", "nicr"))
    miniature.picture(tmp_path / "images/1.jpg", np.zeros((480, 640, 3), np.uint8))
    assert "gt_sets" in fault(tmp_path)
    miniature.picture(tmp_path / "b/img/kitchen.png", np.zeros((480, 640, 3), np.uint8))
    assert "kitchen.png: not the number of a frame" in fault(tmp_path / "b")
    (tmp_path / "b/nyu_v2_3task.json").write_text("[1]")
    assert "nyu_v2_3task.json: not lists" in fault(tmp_path / "b")
    with pytest.raises(UserError, match="no partition 'tiny'"):
        open_source("nyuv2", tmp_path / "b", "tiny")


def test_damaged_labelled_files_are_told(tmp_path):
    miniature.labelled(tmp_path, scenes=False)
    (tmp_path / "splits.mat").write_bytes(b"MATLAB 5.0")
    assert f"{tmp_path / 'splits.mat'}: no trainNdxs" in fault(tmp_path)
    scipy.io.savemat(tmp_path / "splits.mat", {"trainNdxs": [[1]], "testNdxs": [[9]]})
    assert "frames 1 to 9, but nyu_depth_v2_labeled.mat has 1 to 4" in fault(tmp_path)
    (tmp_path / "splits.mat").unlink()
    with h5py.File(tmp_path / "nyu_depth_v2_labeled.mat", "a") as file:
        file["labels"][2] = 895
    assert "label 895 in frame 0003" in fault(tmp_path, label="segment_semantic")
    with h5py.File(tmp_path / "nyu_depth_v2_labeled.mat", "a") as file:
        del file["rawDepths"]
    assert "no rawDepths in it" in fault(tmp_path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1.0])
def test_a_depth_or_normal_that_is_no_number_is_unknown(tmp_path, value):
    depth, normal = np.full((4, 4), 2.0, np.float32), np.zeros((4, 4, 3), np.float32)
    normal[..., 2] = -1
    depth[1, 2] = value
    normal[1, 2] = value if value != -1.0 else 0
    np.save(tmp_path / "depth.npy", depth)
    np.save(tmp_path / "normal.npy", normal)
    known = np.ones((4, 4), bool)
    known[1, 2] = False
    np.testing.assert_array_equal(metres(tmp_path / "depth.npy") > 0, known)
    np.testing.assert_array_equal(normals(tmp_path / "normal.npy").any(-1), known)
