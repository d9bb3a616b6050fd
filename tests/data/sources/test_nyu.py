"""The reader of NYUv2: every layout in miniature, its own numbers, and real frames where they are present."""

import os
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.io
from PIL import Image

from mult.data import index, labels, lazy
from mult.data.sources import View, open_source
from mult.files import read_json
from tests.data.sources import nyu_miniature as miniature

SAMPLES = Path(os.environ.get("MULT_SAMPLES", Path(__file__).parents[3] / "../shared/samples")).resolve()
real = pytest.mark.skipif(
    not (SAMPLES / "nyuv2/img").is_dir(), reason=f"no real sample files in {SAMPLES} (set MULT_SAMPLES)"
)
LAYOUTS = ("mtl_pytorch", "atrc", "mtan", "adashare", "nicr", "labelled")
ALL = (
    "rgb", "segment_semantic", "depth_zbuffer", "normal", "reshading", "keypoints2d", "edge_texture", "mask_valid",
)  # fmt: skip
# Our split and the group, in order.
SPLITS = {
    "mtl_pytorch": [("train", "0003"), ("train", "0004"), ("test", "0001")],
    "atrc": [("train", "0003"), ("train", "0004"), ("test", "0001")],
    "mtan": [("train", "train-0"), ("train", "train-1"), ("test", "test-0")],
    "adashare": [("train", "0002"), ("train", "0003"), ("test", "0000")],
    "nicr": [("train", "0002"), ("train", "0003"), ("test", "0000")],
    "labelled": [("train", "bedroom_0002"), ("train", "study_0007"), ("test", "kitchen_0001")],
}
OPENCV, OPENGL = np.eye(3), np.diag([1, -1, -1])


@pytest.fixture(scope="module")
def copies(tmp_path_factory) -> dict:
    """Layout to its reader and what its frames should be read as; a frame's key is its name, or split and name."""
    root = tmp_path_factory.mktemp("nyu")
    frames = {layout: getattr(miniature, layout)(root / layout) for layout in LAYOUTS}
    return {layout: (open_source("nyuv2", root / layout), frames[layout]) for layout in LAYOUTS}


def expected(view: View, frames: dict):
    split = "val" if "val/0" in frames and view.split == "test" else view.split
    return frames.get(view.name) or frames[f"{split}/{view.name}"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_is_recognised_and_split(copies, layout):
    source, _ = copies[layout]
    marks = {"mtl_pytorch": "NYUD_MT", "atrc": "ATRC", "mtan": "MTAN", "adashare": "AdaShare", "nicr": "nicr"}
    assert marks.get(layout, "as NYU has it") in source.layout
    assert source.labels == ALL
    assert source.groups() == SPLITS[layout]
    if layout == "labelled":
        assert [view.name for view in source.views("test", "kitchen_0001")] == ["0001", "0002"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_is_read_in_the_encoding(copies, layout):
    source, frames = copies[layout]
    for view in miniature.views(source):
        frame = expected(view, frames)
        depth = source.read(view, "depth_zbuffer")
        assert depth.dtype == np.uint16
        known = ~frame.hole if layout in ("labelled", "nicr") else np.ones_like(frame.hole)
        assert (depth[~known] == 65535).all()
        assert np.abs(depth[known].astype(int) - np.rint(frame.depth[known] * 512)).max() <= 1
        assert np.array_equal(source.read(view, "segment_semantic"), frame.ids)
        off = np.abs(source.read(view, "rgb").astype(int) - frame.rgb)
        assert off.mean() <= (2 if layout == "mtl_pytorch" else 0)  # JPEG
        assert view.fov == pytest.approx(2 * np.arctan((560 if layout == "atrc" else 561) / 2 / 518.86))
        assert source.aspect == pytest.approx(depth.shape[0] / depth.shape[1])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_normals_have_opencv_axes_and_fit_the_depth(copies, layout):
    source, frames = copies[layout]
    view = miniature.views(source)[-1]
    frame = expected(view, frames)
    normal, known = labels.decode_normal(source.read(view, "normal"))
    assert not known[frame.hole].any()
    assert known[~frame.hole].mean() > 0.99
    assert np.median((normal * frame.normal).sum(-1)[known]) > 0.9999
    assert np.percentile((normal * frame.normal).sum(-1)[known], 5) > 0.999
    computed = labels.normal_from_depth(labels.decode_depth(source.read(view, "depth_zbuffer"))[0], view.fov)
    assert np.median((normal * computed).sum(-1)[known]) > 0.999


@pytest.mark.parametrize("layout", LAYOUTS)
def test_reshading_is_valid_where_depth_and_normal_are(copies, layout):
    source, frames = copies[layout]
    view = miniature.views(source)[0]
    frame = expected(view, frames)
    valid = source.read(view, "mask_valid") > 0
    assert not valid[frame.hole].any()
    assert valid[~frame.hole].mean() > 0.99
    shade = labels.reshading(frame.depth, frame.normal, view.fov).astype(int)
    assert np.abs(source.read(view, "reshading") - shade)[valid].mean() < 2


@pytest.mark.parametrize(("layout", "matrix"), [("mtl_pytorch", OPENCV), ("atrc", OPENGL)], ids=["opencv", "opengl"])
def test_other_axes_of_a_copy_are_found_by_its_depth(tmp_path, layout, matrix):
    frames = getattr(miniature, layout)(tmp_path / "copy", matrix)
    source = open_source("nyuv2", tmp_path / "copy")
    view = miniature.views(source)[0]
    normal, known = labels.decode_normal(source.read(view, "normal"))
    assert np.median((normal * frames[view.name].normal).sum(-1)[known]) > 0.9999


def test_a_copy_without_normals_has_them_computed(tmp_path):
    frames = miniature.adashare(tmp_path)
    for path in tmp_path.glob("normal_mask/*"):
        path.unlink()
    source = open_source("nyuv2", tmp_path)
    assert source.labels == ALL
    assert "normal" not in source.own
    normal, known = labels.decode_normal(source.read(miniature.views(source)[0], "normal"))
    assert np.median((normal * frames["0002"].normal).sum(-1)[known]) > 0.9999


def test_adashares_lists_say_what_trains(tmp_path):
    miniature.adashare(tmp_path)
    miniature.adashare_lists(tmp_path, train=["0000"], train1=["0000"], val=["0003"], test=["0002"])
    assert open_source("nyuv2", tmp_path).groups() == [("train", "0000"), ("val", "0003"), ("test", "0002")]


def test_the_labelled_files_split_and_scenes(tmp_path):
    miniature.labelled(tmp_path, scenes=False)
    assert open_source("nyuv2", tmp_path).groups() == [
        ("train", "0003"), ("train", "0004"), ("test", "0001"), ("test", "0002"),
    ]  # fmt: skip
    scipy.io.savemat(tmp_path / "splits.mat", {"trainNdxs": [[1], [4]], "testNdxs": [[2]]})
    assert open_source("nyuv2", tmp_path).groups() == [("train", "0001"), ("train", "0004"), ("test", "0002")]


def test_segmentation_with_a_palette_is_read_by_its_numbers(tmp_path):
    frames = miniature.atrc(tmp_path)
    path = tmp_path / "segmentation/0003.png"
    coloured = Image.open(path).convert("P")
    coloured.putdata(frames["0003"].ids.ravel().tolist())
    coloured.putpalette([(37 * i) % 256 for i in range(768)])
    coloured.save(path)
    source = open_source("nyuv2", tmp_path)
    assert np.array_equal(source.read(miniature.views(source)[0], "segment_semantic"), frames["0003"].ids)


@pytest.mark.parametrize("layout", ["labelled", "mtan"])
def test_an_index_leads_back_to_the_frames(copies, tmp_path, layout):
    source, frames = copies[layout]
    counts = index.build(source, tmp_path / "nyuv2", 64, tmp_path / "aside")
    assert counts == {"train": 2, "test": len(frames) - 2}
    split = lazy.open_index(tmp_path / "nyuv2", read_json(tmp_path / "nyuv2/index.json"), "test")
    split = pickle.loads(pickle.dumps(split))  # as for a worker process
    assert split.classes == source.classes
    assert split.arrays["rgb"][:].shape == (len(frames) - 2, 64, 64, 3)
    last = frames["0002" if layout == "labelled" else "val/0"]
    shown = split.arrays["segment_semantic"][-1]
    assert set(np.unique(shown)) <= set(np.unique(last.ids))
    assert len(np.unique(shown)) > 5


@real
def test_real_normals_fit_the_real_depth():
    source = open_source("nyuv2", SAMPLES / "nyuv2")
    assert "AdaShare" in source.layout
    for view in miniature.views(source):
        metres, known = labels.decode_depth(source.read(view, "depth_zbuffer"))
        normal, also = labels.decode_normal(source.read(view, "normal"))
        computed = labels.normal_from_depth(metres, view.fov)
        both = known & also & (np.abs(computed).max(-1) > 0)
        assert both.mean() > 0.8
        assert np.median((normal * computed).sum(-1)[both]) >= 0.95


@real
def test_real_frames_are_read():
    source = open_source("nyuv2", SAMPLES / "nyuv2")
    assert source.groups() == [("test", "0061"), ("test", "0774")]
    for view in miniature.views(source):
        read = {label: source.read(view, label) for label in source.labels}
        assert all(map_.shape[:2] == (427, 561) for map_ in read.values())
        stored = cv2.imread(str(SAMPLES / "nyuv2" / view.files["segment_semantic"]), cv2.IMREAD_UNCHANGED)[
            44:471, 40:601
        ]
        assert np.array_equal(read["segment_semantic"] == 0, stored == 255)
        assert np.array_equal(read["segment_semantic"][stored < 40], stored[stored < 40] + 1)
        metres = np.load(SAMPLES / "nyuv2" / view.files["depth_zbuffer"])[44:471, 40:601]
        assert np.abs(read["depth_zbuffer"] / 512 - metres).max() < 0.6 / 512
        white = cv2.imread(str(SAMPLES / "nyuv2" / view.files["normal"]))[44:471, 40:601].min(-1) == 255
        assert (read["normal"][white] == 128).all()
        assert (read["mask_valid"][white] == 0).all()
        assert read["mask_valid"].mean() > 0.85 * 255
