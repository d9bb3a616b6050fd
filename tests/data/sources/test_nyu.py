"""The reader of NYUv2: every layout in miniature, its own numbers, and real frames where they are present."""

import csv
import os
from itertools import permutations, product
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import scipy.io
from PIL import Image

from mult.data import index, labels, lazy
from mult.data.sources import nyu_tables, open_source
from mult.data.sources.nyu_axes import EIGEN, find_axes, to_camera
from mult.data.sources.source import View
from mult.data.sources.taskonomy import CLASSES
from mult.errors import UserError
from mult.files import read_json
from tests.data.sources import nyu_miniature as miniature

SAMPLES = Path(os.environ.get("MULT_SAMPLES", Path(__file__).parents[3] / "../shared/samples")).resolve()
real = pytest.mark.skipif(
    not (SAMPLES / "nyuv2/img").is_dir(), reason=f"no real sample files in {SAMPLES} (set MULT_SAMPLES)"
)
real_tables = pytest.mark.skipif(
    not (SAMPLES / "nyuv2_meta").is_dir(), reason=f"no real sample files in {SAMPLES} (set MULT_SAMPLES)"
)
LAYOUTS = ("mtl_pytorch", "atrc", "mtan", "adashare", "nicr", "labelled")
ALL = (
    "rgb", "segment_semantic", "depth_zbuffer", "normal", "reshading", "keypoints2d", "edge_texture", "mask_valid",
)  # fmt: skip
# Group, or group and split where frames are numbered in each, to our split.
SPLITS = {
    "mtl_pytorch": [("train", "0003"), ("train", "0004"), ("test", "0001")],
    "atrc": [("train", "0003"), ("train", "0004"), ("test", "0001")],
    "mtan": [("train", "0"), ("train", "1"), ("test", "0")],
    "adashare": [("train", "0002"), ("train", "0003"), ("test", "0000")],
    "nicr": [("train", "0002"), ("train", "0003"), ("test", "0000")],
    "labelled": [("train", "bedroom_0002"), ("train", "study_0007"), ("test", "kitchen_0001")],
}
OPENCV, OPENGL, AWAY = np.eye(3), np.diag([1, -1, -1]), -np.eye(3)


@pytest.fixture(scope="module")
def copies(tmp_path_factory) -> dict:
    """Layout to its reader and what its frames should be read as; a frame's key is its name, or split and name."""
    root = tmp_path_factory.mktemp("nyu")
    frames = {layout: getattr(miniature, layout)(root / layout) for layout in LAYOUTS}
    return {layout: (open_source("nyuv2", root / layout), frames[layout]) for layout in LAYOUTS}


def views(source) -> list[View]:
    return [view for group in source.groups() for view in source.views(*group)]


def expected(view: View, frames: dict):
    split = "val" if "val/0" in frames and view.split == "test" else view.split
    return frames.get(view.name) or frames[f"{split}/{view.name}"]


def read_first(root: Path, label: str) -> np.ndarray:
    source = open_source("nyuv2", root)
    return source.read(views(source)[0], label)


def fault(root: Path, label: str = "depth_zbuffer") -> str:
    """What the reader says of a damaged copy."""
    with pytest.raises(UserError) as mistake:
        read_first(root, label)
    assert "\n" not in str(mistake.value)
    return str(mistake.value)


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
    for view in views(source):
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
    view = views(source)[-1]
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
    view = views(source)[0]
    frame = expected(view, frames)
    valid = source.read(view, "mask_valid") > 0
    assert not valid[frame.hole].any()
    assert valid[~frame.hole].mean() > 0.99
    shade = labels.reshading(frame.depth, frame.normal, view.fov).astype(int)
    assert np.abs(source.read(view, "reshading") - shade)[valid].mean() < 2


@pytest.mark.parametrize("matrix", [OPENCV, OPENGL, AWAY], ids=["opencv", "opengl", "away"])
@pytest.mark.parametrize("layout", ["mtl_pytorch", "atrc"])
def test_other_axes_of_a_copy_are_found_by_its_depth(tmp_path, layout, matrix):
    frames = getattr(miniature, layout)(tmp_path / "copy", matrix)
    source = open_source("nyuv2", tmp_path / "copy")
    view = views(source)[0]
    normal, known = labels.decode_normal(source.read(view, "normal"))
    assert np.median((normal * frames[view.name].normal).sum(-1)[known]) > 0.9999


def test_all_orders_and_signs_of_axes_are_told_apart():
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(40, 50, 3)) - [0, 0, 2]
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    noisy = normal + 0.2 * rng.normal(size=normal.shape)
    noisy /= np.linalg.norm(noisy, axis=-1, keepdims=True)
    for order, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        matrix = np.eye(3)[list(order)] * signs
        stored = normal @ matrix.T
        axes = find_axes([(stored, noisy)], "here")
        assert axes == miniature.axes_of(matrix)
        assert np.allclose(to_camera(stored, axes), normal)


def test_normals_of_other_frames_are_refused(tmp_path):
    rng = np.random.default_rng(0)
    normal, other = rng.normal(size=(2, 40, 50, 3))
    with pytest.raises(UserError, match="here: the normals do not fit the depth"):
        find_axes([(normal / 2, other / 2)], "here")
    assert find_axes([(normal, np.zeros_like(other))], "here") == EIGEN


def test_a_copy_without_normals_has_them_computed(tmp_path):
    frames = miniature.adashare(tmp_path)
    for path in tmp_path.glob("normal_mask/*"):
        path.unlink()
    source = open_source("nyuv2", tmp_path)
    assert source.labels == ALL
    assert "normal" not in source.own
    normal, known = labels.decode_normal(source.read(views(source)[0], "normal"))
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
    assert np.array_equal(source.read(views(source)[0], "segment_semantic"), frames["0003"].ids)


@pytest.mark.parametrize("layout", ["labelled", "mtan"])
def test_an_index_leads_back_to_the_frames(copies, tmp_path, layout):
    source, frames = copies[layout]
    counts = index.build(source, tmp_path / "nyuv2", 64, tmp_path / "aside")
    assert counts == {"train": 2, "test": len(frames) - 2}
    split = lazy.open_index(tmp_path / "nyuv2", read_json(tmp_path / "nyuv2/index.json"), "test")
    assert split.classes == source.classes
    assert split.arrays["rgb"][:].shape == (len(frames) - 2, 64, 64, 3)
    last = frames["0002" if layout == "labelled" else "val/0"]
    shown = split.arrays["segment_semantic"][-1]
    assert set(np.unique(shown)) <= set(np.unique(last.ids))
    assert len(np.unique(shown)) > 5


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


def test_counterparts_are_taskonomys_and_none_where_things_hide():
    with open(Path(nyu_tables.__file__).with_name("nyu_classes.csv")) as file:
        counterpart = {row["name"]: row["taskonomy"] for row in csv.DictReader(file)}
    assert tuple(counterpart) == nyu_tables.class_names(40)[1:]
    assert set(counterpart.values()) - {""} <= set(CLASSES[1:])
    assert counterpart["refridgerator"] == "refrigerator"
    assert counterpart["table"] == "dining table"
    assert counterpart["window"] == "background"
    assert not any(counterpart[name] for name in ("otherprop", "otherfurniture", "otherstructure", "bookshelf", "desk"))


@real_tables
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


@real
def test_real_normals_fit_the_real_depth():
    source = open_source("nyuv2", SAMPLES / "nyuv2")
    assert "AdaShare" in source.layout
    for view in views(source):
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
    for view in views(source):
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
