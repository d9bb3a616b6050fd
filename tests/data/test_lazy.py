"""Splits whose labels are decoded when they are asked for."""

import pickle

import numpy as np
import pytest
import torch

from mult.data import lazy
from mult.data.encoding import NO_DEPTH
from mult.data.fit import square
from mult.data.index import build
from mult.data.lazy import open_index, open_views
from mult.data.sources import open_source
from mult.data.store import LABELS
from mult.errors import UserError
from mult.files import read_json
from tests.data.sources.miniature import FOV, write_png, write_taskonomy

SIZE = 8


@pytest.fixture
def source(tmp_path):
    root = write_taskonomy(tmp_path / "taskonomy", "buildings", {"beechwood": "", "coffeen": "", "ihlen": ""})
    for path in (root / "depth_zbuffer").rglob("*.png"):  # holes
        depth = np.random.default_rng(len(str(path))).integers(500, 600, (12, 12), np.uint16)
        depth[3:6, 2:9] = NO_DEPTH
        write_png(path, depth)
    return open_source("taskonomy", root)


@pytest.fixture
def views(source):
    return [view for group in source.groups() for view in source.views(*group)]


@pytest.fixture
def split(source, views):
    return open_views(source, views, SIZE)


@pytest.fixture
def indexed(source, tmp_path):
    build(source, tmp_path / "index", SIZE, tmp_path / "aside")
    return open_index(tmp_path / "index", read_json(tmp_path / "index" / "index.json"), "train")


@pytest.mark.parametrize(
    "which",
    [
        0, 5, -1, np.int64(3), slice(None), slice(2, 5), slice(None, None, -2), slice(7, 3), [3], [4, 4, 0], [-1, 2],
        np.array([5, 1]), np.array([], int), [],
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("label", ["rgb", "depth_zbuffer", "mask_valid"])
def test_it_is_indexed_like_an_array(split, label, which):
    lazily = split.arrays[label]
    whole = np.stack(list(lazily))
    assert (lazily.shape, lazily.dtype, len(lazily)) == (whole.shape, whole.dtype, len(whole))
    which = np.array(which, int) if isinstance(which, list) else which
    np.testing.assert_array_equal(lazily[which], whole[which])
    assert lazily[which].dtype == LABELS[label]


@pytest.mark.parametrize("which", [9, -10, [0, 9], np.array([-10])], ids=str)
def test_images_that_are_not_there(split, which):
    with pytest.raises(IndexError):
        split.arrays["rgb"][which]


def test_it_holds_the_middle_squares_of_the_files(source, views, split):
    for label in source.labels:
        for image in (0, 4):
            np.testing.assert_array_equal(
                split.arrays[label][image], square(source.read(views[image], label), label, SIZE)
            )
    assert (split.domain, split.classes) == ("taskonomy", source.classes)
    assert split.groups == ("beechwood",) * 3 + ("coffeen",) * 3 + ("ihlen",) * 3
    np.testing.assert_allclose(split.fov, FOV, rtol=1e-6)


@pytest.mark.parametrize("size", [5, 8, 12, 31])
def test_what_is_valid_is_what_has_depth(source, views, size):
    arrays = open_views(source, views, size).arrays
    for image in range(len(views)):
        np.testing.assert_array_equal(arrays["mask_valid"][image] == 255, arrays["depth_zbuffer"][image] != NO_DEPTH)
        assert set(np.unique(arrays["mask_valid"][image])) == {0, 255}


def test_field_of_view_is_that_of_the_square(source, views):
    source.aspect = 0.5
    np.testing.assert_allclose(np.tan(open_views(source, views, SIZE).fov / 2), np.tan(FOV / 2) / 2, rtol=1e-6)


def test_what_is_given_cannot_be_spoilt(split):
    for values in (split.arrays["normal"][2], split.arrays["normal"][2]):
        with pytest.raises(ValueError, match="read-only"):
            values[:] = 0
    stacked = split.arrays["normal"][[2, 2]]
    stacked[:] = 0
    assert split.arrays["normal"][2].any()


def test_few_squares_are_remembered(split, monkeypatch):
    monkeypatch.setattr(lazy, "REMEMBERED", 4)
    arrays = split.arrays
    first = arrays["rgb"][:].copy()
    pictures = arrays["rgb"]._pictures
    assert len(pictures._seen) == 4
    np.testing.assert_array_equal(arrays["rgb"][:], first)
    reads = []
    monkeypatch.setattr(pictures, "view", lambda image: reads.append(image))
    arrays["rgb"][8]
    assert reads == []


def test_splits_of_an_index_and_of_views_are_the_same(split, indexed):
    assert indexed.groups == split.groups[:6]
    assert len(indexed.digest) == 12
    for label, lazily in indexed.arrays.items():
        np.testing.assert_array_equal(lazily[:], split.arrays[label][:6])


class Images(torch.utils.data.Dataset):
    def __init__(self, split):
        self.split = split

    def __len__(self):
        return len(self.split)

    def __getitem__(self, image):
        return {label: np.array(lazily[image], np.int64) for label, lazily in self.split.arrays.items()}


@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_in_worker_processes(indexed, start):
    indexed.arrays["rgb"][0]  # the index is open before the workers are
    loader = torch.utils.data.DataLoader(Images(indexed), batch_size=2, num_workers=2, multiprocessing_context=start)
    batches = list(loader)
    for label, lazily in indexed.arrays.items():
        read = torch.cat([batch[label] for batch in batches]).numpy()
        np.testing.assert_array_equal(read, lazily[:])


def test_what_is_pickled_is_small(indexed):
    before = len(pickle.dumps(indexed))
    for lazily in indexed.arrays.values():
        lazily[:]
    assert len(pickle.dumps(indexed)) == before
    again = pickle.loads(pickle.dumps(indexed))
    np.testing.assert_array_equal(again.arrays["rgb"][:], indexed.arrays["rgb"][:])


def test_a_damaged_file_is_named_when_it_is_read(source, views, split):
    path = source.root / views[3].files["normal"]
    path.write_bytes(path.read_bytes()[:-20])
    split.arrays["normal"][2]
    with pytest.raises(UserError, match="truncated PNG") as error:
        split.arrays["normal"][[2, 3]]
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_no_view(source):
    empty = open_views(source, [], SIZE)
    assert len(empty) == 0
    assert empty.arrays["rgb"][:].shape == (0, SIZE, SIZE, 3)
