"""The reader of CocoDoom."""

import shutil

import numpy as np
import pytest

from mult.data import labels
from mult.data.domains.doom import CLASSES
from mult.data.domains.doom.game import UNITS_PER_METRE
from mult.data.encoding import NO_DEPTH
from mult.data.index import build
from mult.data.lazy import open_views
from mult.data.sources import cocodoom_list, elements, open_source
from mult.data.sources.cocodoom import FOV, HEIGHT, WIDTH
from mult.data.sources.cocodoom_list import class_of, open_list, read_list, thing_types
from mult.errors import UserError
from tests.data.sources.cocodoom_miniature import (
    CEILING,
    DECORATION,
    FLOOR,
    HORIZONTAL,
    MONSTER,
    PALETTE,
    PICKUP,
    SKY,
    SKY_NUMBER,
    THINGS,
    VERTICAL,
    VOID,
    WALL,
    coloured,
    corridor,
    indices,
    path,
    write_cocodoom,
    write_frame,
)
from tests.data.sources.miniature import metres, write_png


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_cocodoom(tmp_path_factory.mktemp("written") / "cocodoom")


@pytest.fixture
def cocodoom(written, tmp_path, monkeypatch):
    """A copy of ``written`` to be spoilt, and a working directory in which what is kept aside goes with the test."""
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(written, tmp_path / "cocodoom")


def names(source, split):
    return [(group, view.name) for of, group in source.groups() if of == split for view in source.views(of, group)]


@pytest.mark.parametrize("above", [False, True])
def test_the_lists_say_which_frames(cocodoom, above):
    source = open_source("cocodoom", cocodoom.parent if above else cocodoom)
    assert source.groups() == [
        ("train", "run1-map01"), ("train", "run1-map12"), ("val", "run2-map01"),
        ("test", "run3-map01"), ("test", "run3-map04"),
    ]  # fmt: skip
    assert names(source, "train") == [("run1-map01", "000035"), ("run1-map01", "000040"), ("run1-map12", "000090")]
    assert names(source, "val") == [("run2-map01", "000007")]
    assert source.layout.endswith("the frames in run-*.json")
    assert source.labels == (
        "rgb", "segment_semantic", "depth_zbuffer", "normal", "reshading", "keypoints2d", "edge_texture", "mask_valid",
    )  # fmt: skip
    view = next(source.views("val", "run2-map01"))
    assert view.files == {
        "rgb": "run2/map01/rgb/000007.png",
        "depth_zbuffer": "run2/map01/depth/000007.png",
        "objects": "run2/map01/objects/000007.png",
    }
    assert (source.root / view.files["objects"]).is_file()


@pytest.mark.parametrize("partition", ["run-full", "map", "map-full"])
def test_without_lists_every_frame_is_taken(cocodoom, partition):
    source = open_source("cocodoom", cocodoom, partition)
    assert f"every frame, for there is no {partition}-*.json" in source.layout
    if partition == "run-full":
        assert len(names(source, "train")) == 4
        assert len(names(source, "val")) == 2
    else:  # maps 1 and 2 of each four train, 3 validate, 4 test
        assert {group for group, _ in names(source, "train")} == {"run1-map01", "run2-map01", "run3-map01"}
        assert names(source, "val") == []
        assert {group for group, _ in names(source, "test")} == {"run1-map12", "run3-map04"}
    split, group = source.groups()[0]
    classes = source.read(next(source.views(split, group)), "segment_semantic")
    assert set(np.unique(classes)) == {VOID, WALL, FLOOR, CEILING, SKY}
    assert (classes[THINGS[0][4], THINGS[0][5]] == VOID).all()


@pytest.mark.parametrize(("level", "split"), [(1, "train"), (2, "train"), (3, "val"), (4, "test"), (32, "test")])
def test_the_split_by_map(tmp_path, level, split):
    write_frame(tmp_path, 3, level, 1, ("rgb",))
    assert open_source("cocodoom", tmp_path, "map").groups() == [(split, f"run3-map{level:02d}")]


def test_palette_pictures_are_expanded(cocodoom):
    assert (cocodoom / path(2, 1, 7)).read_bytes()[24:26] == bytes([8, 3])  # bits, and colours by palette
    source = open_source("cocodoom", cocodoom)
    rgb = source.read(next(source.views("val", "run2-map01")), "rgb")
    np.testing.assert_array_equal(rgb, PALETTE[indices(7)])


def test_depth_is_that_of_the_corridor(cocodoom):
    source = open_source("cocodoom", cocodoom)
    view = next(source.views("train", "run1-map01"))
    code = source.read(view, "depth_zbuffer")
    assert (code.shape, code.dtype, view.fov) == ((HEIGHT, WIDTH), np.uint16, FOV)
    depth, _, numbers = corridor()
    known = depth < 1023.9
    assert (code[depth >= 1024] == NO_DEPTH).all()
    assert (code[numbers == SKY_NUMBER] == NO_DEPTH).all()
    assert (numbers == SKY_NUMBER).sum() > 100
    error = np.abs(metres(code)[known] - depth[known] / UNITS_PER_METRE)
    assert error.max() < 0.76 / 512  # cut to 1/64 map unit by the engine, then rounded
    np.testing.assert_array_equal(source.read(view, "mask_valid") > 0, code != NO_DEPTH)


def test_normals_are_those_of_the_corridor(cocodoom):
    source = open_source("cocodoom", cocodoom)
    normal, known = labels.decode_normal(source.read(next(source.views("train", "run1-map01")), "normal"))
    depth, wanted, _ = corridor()
    cosine = (normal * wanted).sum(-1)[known & (depth < 500)]
    assert known[depth < 500].mean() > 0.95
    assert np.median(cosine) > 0.999
    assert np.mean(cosine > 0.95) > 0.93


def test_classes_are_those_of_the_doom_domain(cocodoom):
    source = open_source("cocodoom", cocodoom)
    assert source.classes == CLASSES
    classes = source.read(next(source.views("test", "run3-map04")), "segment_semantic")
    assert (classes.shape, classes.dtype) == ((HEIGHT, WIDTH), np.uint8)
    _, _, numbers = corridor()
    below = np.arange(HEIGHT)[:, None] >= HEIGHT // 2
    wanted = np.where(numbers == HORIZONTAL, np.where(below, FLOOR, CEILING), np.where(numbers == VERTICAL, WALL, SKY))
    for *_, class_, rows, columns, _ in THINGS:
        wanted[rows, columns] = class_
    np.testing.assert_array_equal(classes, wanted)
    assert set(np.unique(classes)) == {VOID, WALL, FLOOR, CEILING, SKY, MONSTER, PICKUP, DECORATION}


def test_numbers_that_mean_nothing_are_void(cocodoom):
    numbers = np.full((HEIGHT, WIDTH), 2**23 + 258)  # as the engine's spectres leave them in the picture's upper part
    write_png(cocodoom / path(2, 1, 7).replace("rgb", "objects"), coloured(numbers))
    source = open_source("cocodoom", cocodoom)
    assert (source.read(next(source.views("val", "run2-map01")), "segment_semantic") == VOID).all()


def test_files_that_a_frame_lacks(cocodoom):
    for kind in ("depth", "objects"):
        (cocodoom / path(1, 1, 40).replace("rgb", kind)).unlink()
    source = open_source("cocodoom", cocodoom)
    _, lacking = source.views("train", "run1-map01")
    assert set(lacking.files) == {"rgb"}
    assert (source.read(lacking, "segment_semantic") == VOID).all()
    assert (source.read(lacking, "depth_zbuffer") == NO_DEPTH).all()
    assert (source.read(lacking, "normal") == 128).all()


def test_a_data_set_of_pictures_alone(tmp_path):
    write_frame(tmp_path, 1, 1, 3, ("rgb",))
    source = open_source("cocodoom", tmp_path)
    assert source.labels == ("rgb", "keypoints2d", "edge_texture")
    (view,) = source.views("train", "run1-map01")
    assert source.read(view, "edge_texture").max() > 0
    with pytest.raises(UserError, match="has no depth_zbuffer and nothing to compute it from"):
        source.read(view, "depth_zbuffer")


def test_squares_and_index(cocodoom, tmp_path):
    source = open_source("cocodoom", cocodoom)
    split = open_views(source, list(source.views("train", "run1-map01")), 100)
    assert np.tan(split.fov / 2) == pytest.approx([HEIGHT / WIDTH] * 2)
    middle = split.arrays["segment_semantic"][0][:, 50]
    assert (middle[0], middle[-1]) == (CEILING, FLOOR)
    assert build(source, tmp_path / "index", 64, tmp_path / "aside") == {"train": 3, "val": 1, "test": 2}


def test_a_listed_frame_that_is_gone_is_named(cocodoom, tmp_path):
    (cocodoom / path(1, 1, 35)).unlink()
    with pytest.raises(UserError, match=r"run1/map01/rgb/000035\.png"):
        build(open_source("cocodoom", cocodoom), tmp_path / "index", 64, tmp_path / "aside")


def test_types_of_things():
    types = thing_types()
    assert len(types) == 137
    assert [list(types)[number] for number in (0, 56, 136)] == ["PLAYER", "INV", "MISC86"]
    enemies = [1, 2, 3, 5, 8, 10, 11, 12, 14, 15, *range(17, 24)]
    assert {list(types.values())[number] for number in enemies} == {MONSTER}


@pytest.mark.parametrize(
    ("category", "name", "class_"),
    [
        (14, "HEAD", MONSTER),
        (14, "MT_HEAD", MONSTER),
        (78, "SUPERSHOTGUN", PICKUP),
        (78, "MISC29", PICKUP),  # the table without INV
        (79, "MISC29", DECORATION),
        (3, "BARREL", DECORATION),  # numbered anew
        (900, "BARREL", DECORATION),
        (136, "MISC86", DECORATION),
        (-1, "PLAYER", MONSTER),
    ],
)
def test_categories(category, name, class_):
    assert class_of(category, name) == class_


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda text: text[: len(text) // 2], "truncated or damaged JSON"),
        (lambda text: "", "truncated or damaged JSON"),
        (lambda text: "[1, 2]", "truncated or damaged JSON"),
        (lambda text: text.replace('"id"', '"ID"', 1), "'id' is missing"),
        (lambda text: text.replace("POSSESSED", "CAT"), "category 1 'CAT' is no type of thing in Doom"),
        (lambda text: text.replace('"category_id": 33', '"category_id": 34'), "category 34 has no name"),
        (
            lambda text: text.replace("map01/rgb", "map02/rgb"),
            "is 'run2/map02/rgb/000007.png', but should be run2/map01",
        ),
        (lambda text: text.replace('"category_id": 33', '"category_id": null'), "is it one of CocoDoom's lists"),
    ],
)
def test_damaged_lists(cocodoom, harm, message):
    damaged = cocodoom / "run-val.json"
    damaged.write_text(harm(damaged.read_text()))
    with pytest.raises(UserError, match=message) as error:
        open_source("cocodoom", cocodoom)
    assert str(error.value).startswith(str(damaged))
    assert "\n" not in str(error.value)


def test_lists_are_read_once(cocodoom, tmp_path, monkeypatch):
    path = cocodoom / "run-train.json"
    first = open_list(path, tmp_path / "aside")
    monkeypatch.setattr(cocodoom_list, "read_list", lambda path: pytest.fail("read again"))
    again = open_list(path, tmp_path / "aside")
    for name, values in vars(first).items():
        np.testing.assert_array_equal(getattr(again, name), values)
    monkeypatch.undo()
    path.write_text(path.read_text().replace("000035", "000036"))  # as long as before
    assert open_list(path, tmp_path / "aside").tics(1, 1) == [36, 40]
    (tmp_path / "file").write_text("")
    assert open_list(path, tmp_path / "file" / "aside").tics(1, 1) == [36, 40]  # where no folder can be made


@pytest.mark.parametrize("piece", [1, 7, 100])
def test_lists_are_read_in_pieces(cocodoom, monkeypatch, piece):
    whole = read_list(cocodoom / "run-train.json")
    monkeypatch.setattr(elements, "PIECE", piece)
    pieces = read_list(cocodoom / "run-train.json")
    for one, other in ((whole.images, pieces.images), (whole.things, pieces.things), (whole.classes, pieces.classes)):
        np.testing.assert_array_equal(one, other)
    assert len(whole.images) == 3
    assert len(whole.things) == 12


def test_elements_of_lists(tmp_path):
    file = tmp_path / "some.json"
    file.write_text(' {"a": [1, 23 , "]"],"b":{"c": [1]}, "d": [ ], "e": [{"f": [2, [3]]}], "g": null }\n')
    assert list(elements.elements(file)) == [("a", 1), ("a", 23), ("a", "]"), ("e", {"f": [2, [3]]})]


def test_other_mistakes(cocodoom, tmp_path):
    with pytest.raises(UserError, match="no partition 'tiny'; there are run, map, run-full, map-full"):
        open_source("cocodoom", cocodoom, "tiny")
    (tmp_path / "other").mkdir()
    with pytest.raises(UserError, match=r"no cocodoom/run\{1,2,3\}/map\{01\.\.32\}/rgb/NNNNNN\.png"):
        open_source("cocodoom", tmp_path / "other")
    (cocodoom / "run-test.json").unlink()
    with pytest.raises(UserError, match=r"run-test\.json is missing beside the other lists"):
        open_source("cocodoom", cocodoom)


@pytest.mark.parametrize(
    ("folder", "picture", "message"),
    [
        ("depth", np.ones((HEIGHT, WIDTH), np.uint8), "8 bits a channel, but depth_zbuffer has 16"),
        ("depth", np.ones((100, 160), np.uint16), "160 x 100 pixels, but cocodoom has 320 x 200"),
        ("objects", np.ones((HEIGHT, WIDTH, 3), np.uint16), "16 bits a channel, but objects has 8"),
    ],
)
def test_damaged_pictures(cocodoom, folder, picture, message):
    write_png(cocodoom / path(2, 1, 7).replace("rgb", folder), picture)
    source = open_source("cocodoom", cocodoom)
    label = "depth_zbuffer" if folder == "depth" else "segment_semantic"
    with pytest.raises(UserError, match=message) as error:
        source.read(next(source.views("val", "run2-map01")), label)
    assert "\n" not in str(error.value)
