"""Taskonomy's five layouts, written small; its partitions; its real sample, where that is."""

import json
import shutil
import zipfile

import cv2
import numpy as np
import pytest

from mult.data import labels
from mult.data.encoding import NO_DEPTH, NO_NORMAL, NO_SHADE
from mult.data.sources import open_source
from mult.data.sources.picture import read_picture
from mult.data.sources.taskonomy import CLASSES, LAYOUTS, LEFT_OUT, MEAN_FOV, PARTITIONS, built_in, read_partition
from mult.errors import UserError
from tests.data.sources.miniature import FOV, KINDS, PATHS, SAMPLES, metres, values_of, write_png, write_taskonomy

BUILDINGS = {"beechwood": "train", "darden": "val", "ihlen": "test"}
VIEWS = ("point_0_view_1", "point_2_view_0", "point_10_view_3")  # 10 after 2
real = pytest.mark.skipif(not (SAMPLES / "taskonomy").is_dir(), reason=f"no real sample files in {SAMPLES}")


def one_line(error: pytest.ExceptionInfo) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def buildings(tmp_path):
    return write_taskonomy(tmp_path / "data", "buildings", BUILDINGS)


@pytest.mark.parametrize("layout", PATHS)
def test_every_layout(tmp_path, layout):
    buildings = {"beechwood": "train"} if layout == "flat" else BUILDINGS
    root = write_taskonomy(tmp_path / "beechwood", layout, buildings)
    source = open_source("taskonomy", root)
    assert source.layout == LAYOUTS["buildings" if layout == "bare" else layout]
    assert source.groups() == [(split, building) for building, split in buildings.items()]
    assert source.own == set(KINDS)
    assert source.labels == (*KINDS, "mask_valid")
    for split, building in source.groups():
        views = list(source.views(split, building))
        assert [view.name for view in views] == list(VIEWS)
        for view in views:
            assert (view.split, view.group, view.fov, view.place) == (split, building, FOV, -1)
            for kind in KINDS:
                wanted = values_of(kind, building, view.name)
                np.testing.assert_array_equal(
                    source.read(view, kind), wanted[..., 0] if kind == "reshading" else wanted
                )
            assert (source.read(view, "mask_valid") == 255).all()


def test_hidden_files_and_empty_folders_do_not_confuse(buildings):
    (buildings / "rgb" / ".listing").write_text("")
    (buildings / "rgb" / "adairsville").mkdir()
    source = open_source("taskonomy", buildings)
    assert source.layout == LAYOUTS["buildings"]
    assert list(source.views("train", "adairsville")) == []


def test_a_folder_in_no_layout_is_told_the_layouts(tmp_path):
    (tmp_path / "pictures").mkdir()
    with pytest.raises(UserError, match="none of the layouts of taskonomy that can be read: <domain>/<comp") as error:
        open_source("taskonomy", tmp_path)
    for example in LAYOUTS.values():
        assert example in one_line(error)


@pytest.mark.parametrize("partition", PARTITIONS)
def test_partitions(tmp_path, partition):
    members = {"beechwood": "tiny", "adairsville": "medium", "adrian": "full", "ackermanville": "fullplus"}
    root = write_taskonomy(tmp_path, "buildings", dict.fromkeys(members, "train"), VIEWS[:1], ["rgb"])
    source = open_source("taskonomy", root, partition)
    used = [building for building, first in members.items() if PARTITIONS.index(first) <= PARTITIONS.index(partition)]
    assert source.groups() == [("train", building) for building in sorted(used)]
    left = dict.fromkeys(members.keys() - set(used), f"not in the partition {partition}")
    assert source.left_out() == left


def test_the_usual_partition_is_the_largest(tmp_path):
    root = write_taskonomy(tmp_path, "buildings", {"ackermanville": "", "nowhere": ""}, VIEWS[:1], ["rgb"])
    source = open_source("taskonomy", root)
    assert source.groups() == [("train", "ackermanville")]
    assert source.left_out() == {"nowhere": "not in the partition fullplus"}


def test_pictures_of_no_known_building_are_for_testing(tmp_path):
    root = write_taskonomy(tmp_path, "buildings", {"nowhere": "", "elsewhere": ""}, VIEWS[:1], ["rgb"])
    assert open_source("taskonomy", root).groups() == [("test", "elsewhere"), ("test", "nowhere")]
    assert open_source("taskonomy", root, "tiny").groups() == []


def test_left_out_buildings(tmp_path):
    root = write_taskonomy(
        tmp_path, "buildings", dict.fromkeys(["rough", "wiconisco", "ihlen"], ""), VIEWS[:1], ["rgb"]
    )
    source = open_source("taskonomy", root)
    assert source.groups() == [("test", "ihlen")]
    assert source.left_out() == {"rough": LEFT_OUT["rough"], "wiconisco": LEFT_OUT["wiconisco"]}


def test_an_unknown_partition(buildings):
    with pytest.raises(
        UserError, match=r"no partition 'huge'; there are tiny, medium, full, fullplus, or a \.csv"
    ) as error:
        open_source("taskonomy", buildings, "huge")
    one_line(error)


@pytest.mark.parametrize("ends", ["\r", "\n", "\r\n"])
@pytest.mark.parametrize("where", ["named", "at the root"])
def test_a_partition_of_the_users_own(tmp_path, buildings, ends, where):
    path = buildings / "splits.csv" if where == "at the root" else tmp_path / "mine.csv"
    path.write_bytes(ends.join(["id,train,val,test", "ihlen,1,0,0", "nowhere,1,0,0", "darden,0,0,1", ""]).encode())
    source = open_source("taskonomy", buildings, str(path) if where == "named" else None)
    assert source.groups() == [("train", "ihlen"), ("test", "darden")]
    assert source.left_out().keys() == {"beechwood"}


def test_a_named_partition_wins_over_that_at_the_root(buildings):
    (buildings / "splits.csv").write_text("id,train,val,test\nihlen,1,0,0\n")
    assert open_source("taskonomy", buildings, "tiny").groups() == [(s, b) for b, s in BUILDINGS.items()]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "first line must be id,train,val,test"),
        ("building,split\nihlen,train\n", "first line must be id,train,val,test"),
        ("id,train,val,test\nihlen,1,0,1\n", "ihlen must have one line with one 1"),
        ("id,train,val,test\nihlen,0,0,0\n", "ihlen must have one line with one 1"),
        ("id,train,val,test\nihlen,1,0,0\nihlen ,1,0,0\n", "ihlen must have one line with one 1"),
        ("id,train,val,test\nihlen\n", "ihlen must have one line with one 1"),
    ],
)
def test_damaged_partitions(tmp_path, text, message):
    path = tmp_path / "splits.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as error:
        read_partition(path)
    assert one_line(error).startswith(str(path))


@pytest.mark.skipif(not (SAMPLES / "splits").is_dir(), reason=f"no real sample files in {SAMPLES}")
@pytest.mark.parametrize("partition", PARTITIONS)
def test_built_in_partitions_are_the_published_ones(tmp_path, partition):
    name = f"train_val_test_{partition}.csv"
    with zipfile.ZipFile(SAMPLES / "splits" / "splits_taskonomy.zip") as archive:
        (tmp_path / name).write_bytes(archive.read(f"splits_taskonomy/{name}"))
    assert read_partition(tmp_path / name) == built_in()[partition]


def test_classes_of_the_users_own(buildings):
    assert open_source("taskonomy", buildings).classes == CLASSES
    (buildings / "classes.json").write_text(json.dumps(["void", "wall"]))
    source = open_source("taskonomy", buildings)
    assert source.classes == ("void", "wall")
    with pytest.raises(UserError, match="class 17, but segment_semantic has 0 to 1") as error:
        source.read(next(source.views("train", "beechwood")), "segment_semantic")
    assert "beechwood/point_0_view_1_domain_segmentsemantic.png" in one_line(error)


@pytest.mark.parametrize("text", ["{}", "[]", "[1, 2]", '["void"', json.dumps(["x"] * 257)])
def test_damaged_classes(buildings, text):
    (buildings / "classes.json").write_text(text)
    with pytest.raises(UserError, match="must be a list of the classes' names") as error:
        open_source("taskonomy", buildings)
    one_line(error)


@pytest.mark.parametrize("text", ["{}", "[]", "{", '{"field_of_view_rads": "wide"}', '{"field_of_view_rads": 61.2}'])
def test_a_damaged_field_of_view(buildings, text):
    path = buildings / "point_info/beechwood/point_2_view_0_domain_fixatedpose.json"
    path.write_text(text)
    with pytest.raises(UserError, match="field_of_view_rads") as error:
        list(open_source("taskonomy", buildings).views("train", "beechwood"))
    assert one_line(error).startswith(str(path))


def test_without_point_info_the_mean_field_of_view_is_taken(buildings):
    shutil.rmtree(buildings / "point_info")
    assert {view.fov for view in open_source("taskonomy", buildings).views("train", "beechwood")} == {MEAN_FOV}


def test_a_label_that_one_view_lacks_is_unknown_everywhere(buildings):
    for kind in KINDS.keys() - {"rgb"}:
        for path in (buildings / kind / "darden").glob("point_2_*"):
            path.unlink()
    source = open_source("taskonomy", buildings)
    first, lacking, last = source.views("val", "darden")
    assert set(lacking.files) == {"rgb"}
    unknown = {"depth_zbuffer": NO_DEPTH, "normal": NO_NORMAL, "reshading": NO_SHADE}
    for label in source.labels:
        values = source.read(lacking, label)
        assert (values.shape, values.dtype) == (source.read(first, label).shape, source.read(last, label).dtype)
        if label != "rgb":
            assert (values == unknown.get(label, 0)).all(), label


def test_what_no_view_has_is_computed(tmp_path):
    root = write_taskonomy(tmp_path, "buildings", {"ihlen": "test"}, VIEWS[:1], ["rgb", "depth_zbuffer"])
    slope = np.linspace(1000, 2000, 64)[:, None] * np.ones(64)
    path = root / "depth_zbuffer/ihlen/point_0_view_1_domain_depth_zbuffer.png"
    depth = slope.astype(np.uint16)
    depth[:2, :2] = NO_DEPTH
    write_png(path, depth)
    rgb = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    write_png(root / "rgb/ihlen/point_0_view_1_domain_rgb.png", rgb)
    source = open_source("taskonomy", root)
    assert source.own == {"rgb", "depth_zbuffer"}
    assert source.labels == (
        "rgb", "depth_zbuffer", "normal", "reshading", "keypoints2d", "edge_texture", "mask_valid",
    )  # fmt: skip
    (view,) = source.views("test", "ihlen")
    made = {label: source.read(view, label) for label in source.labels}
    np.testing.assert_array_equal(made["mask_valid"] > 0, depth != NO_DEPTH)
    normal = labels.normal_from_depth(metres(depth), FOV)
    np.testing.assert_array_equal(made["normal"], labels.encode_normal(normal))
    np.testing.assert_array_equal(made["edge_texture"], labels.texture_maps(rgb)["edge_texture"])
    np.testing.assert_array_equal(made["keypoints2d"], labels.texture_maps(rgb)["keypoints2d"])
    assert made["reshading"][40, 40] > NO_SHADE
    with pytest.raises(UserError, match="has no segment_semantic and nothing to compute it from") as error:
        source.read(view, "segment_semantic")
    one_line(error)


def spoil(path, how):
    data = path.read_bytes()
    if how == "gone":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif how == "no picture":
        path.write_bytes(b"<html>404</html>")
    elif how == "a byte":
        at = data.index(b"IDAT") + 8
        path.write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
    else:
        picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        write_png(path, np.clip(picture, 0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    ("kind", "how", "message"),
    [
        ("keypoints2d", "8 bits", "8 bits a channel, but keypoints2d has 16"),
        ("depth_zbuffer", "8 bits", "8 bits a channel, but depth_zbuffer has 16"),
        ("normal", "truncated", "truncated PNG of"),
        ("rgb", "gone", "no such file"),
        ("rgb", "empty", "cannot be read as a picture"),
        ("edge_texture", "no picture", "cannot be read as a picture"),
        ("edge_texture", "a byte", "cannot be read as a picture"),
    ],
)
def test_damaged_files_are_named(buildings, kind, how, message):
    source = open_source("taskonomy", buildings)
    view = next(source.views("train", "beechwood"))
    path = buildings / view.files[kind]
    spoil(path, how)
    with pytest.raises(UserError, match=message) as error:
        source.read(view, kind)
    assert one_line(error).startswith(f"{path}: ")


def test_colours_in_the_place_of_grey(buildings):
    source = open_source("taskonomy", buildings)
    view = next(source.views("train", "beechwood"))
    write_png(buildings / view.files["reshading"], values_of("rgb", "", ""))
    with pytest.raises(UserError, match="colours, but reshading is grey"):
        source.read(view, "reshading")


def test_grey_and_transparent_pictures(tmp_path):
    grey, colours = values_of("segment_semantic", "", ""), values_of("rgb", "", "")
    write_png(tmp_path / "grey.png", grey)
    np.testing.assert_array_equal(
        read_picture(tmp_path / "grey.png", np.uint8, 3, "rgb"), np.repeat(grey[..., None], 3, -1)
    )
    transparent = np.concatenate([colours[..., ::-1], grey[..., None]], -1)
    (tmp_path / "rgba.png").write_bytes(cv2.imencode(".png", transparent)[1].tobytes())
    np.testing.assert_array_equal(read_picture(tmp_path / "rgba.png", np.uint8, 3, "rgb"), colours)


@real
def test_the_real_sample():
    source = open_source("taskonomy", SAMPLES / "taskonomy")
    assert source.groups() == [("test", "sample")]
    assert source.labels == (
        "rgb", "depth_zbuffer", "normal", "reshading", "keypoints2d", "edge_texture", "mask_valid",
    )  # fmt: skip
    (view,) = source.views("test", "sample")
    assert view.name == "point_202_view_5"
    assert np.rad2deg(view.fov) == pytest.approx(67.64, abs=0.01)
    near = metres(source.read(view, "depth_zbuffer"))
    path = next(SAMPLES.glob("taskonomy/depth_euclidean/*/*.png"))
    far = metres(read_picture(path, np.uint16, 1, "depth_euclidean"))
    both = (near > 0) & (far > 0)
    assert both.mean() > 0.5
    ratio = labels.euclidean_from_zbuffer(near, view.fov)[both] / far[both]
    assert np.percentile(ratio, [5, 50, 95]) == pytest.approx([1, 1, 1], abs=1e-3)


@real
def test_normals_of_the_real_sample_fit_its_depth():
    source = open_source("taskonomy", SAMPLES / "taskonomy")
    (view,) = source.views("test", "sample")
    stored, known = labels.decode_normal(source.read(view, "normal"))
    made = labels.normal_from_depth(metres(source.read(view, "depth_zbuffer")), view.fov)
    assert np.median((stored * made).sum(-1)[known]) > 0.999


def test_an_unknown_domain_and_a_missing_root(tmp_path):
    with pytest.raises(UserError, match="domain 'kitti': there is no reader"):
        open_source("kitti", tmp_path)
    with pytest.raises(UserError, match="no such folder; taskonomy should be there"):
        open_source("taskonomy", tmp_path / "gone")
