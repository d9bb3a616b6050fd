"""Damaged files of a data set in place: passed over, named, and too many of them an error."""

import csv
import re

import cv2
import numpy as np
import pytest
import torch

from mult.data import damage, lazy
from mult.data.batches import read
from mult.data.index import build
from mult.data.loader import batches_in_order
from mult.data.sources import open_source
from mult.data.store import open_split
from mult.errors import UserError
from mult.tasks import TASKS
from tests.conftest import ROOT
from tests.data.sources.miniature import write_taskonomy

SIZE = 12
BUILDINGS = {"beechwood": "train", "coffeen": "train", "ihlen": "test"}
ALL = list(TASKS)


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lazy, "allowed", lambda domain: int((tmp_path / "allowed").read_text()))
    return write_taskonomy(tmp_path / "taskonomy", "splits", BUILDINGS)


def opened(root, limit):
    (root.parent / "allowed").write_text(str(limit))
    build(open_source("taskonomy", root), root.parent / "index", SIZE, root.parent / "aside")
    return open_split(root.parent / "index", "train")


def truncate(root, kind, building, view):
    (path,) = root.glob(f"train/{building}/{kind}/{view}_*")
    path.write_bytes(path.read_bytes()[:60])


def listed(root):
    with open(root.parent / ".mult/damaged/taskonomy.csv", newline="") as file:
        return [(row["group"], row["name"], row["label"]) for row in csv.DictReader(file)]


def test_a_damaged_label_is_unknown_and_the_others_stay(root, capsys):
    whole = read(opened(root, 3), ALL, range(6))
    truncate(root, "depth_zbuffer", "beechwood", "point_2_view_0")
    batch = read(opened(root, 3), ALL, range(6))
    assert [bool(mask.any()) for mask in batch.masks["depth"]] == [True, False, True, True, True, True]
    assert torch.equal(batch.targets["edges"], whole.targets["edges"])
    assert torch.equal(batch.rgb, whole.rgb)
    assert listed(root) == [("beechwood", "point_2_view_0", "depth_zbuffer")]
    told = capsys.readouterr().err
    assert "beechwood/depth_zbuffer/point_2_view_0" in told
    assert "passed over: view 1 of at most 3" in told


def test_a_view_without_its_picture_has_no_label(root):
    truncate(root, "rgb", "coffeen", "point_0_view_1")
    batch = read(opened(root, 1), ALL, range(6))
    for task in ALL:
        assert not batch.masks[task][3].any(), task
        assert batch.masks[task][[0, 1, 2, 4, 5]].flatten(1).any(1).all(), task


@pytest.mark.parametrize("kind", ["depth_zbuffer", "rgb"])
def test_a_picture_of_another_size_is_damaged(root, capsys, kind):
    (path,) = root.glob(f"train/beechwood/{kind}/point_2_view_0_*")
    cv2.imwrite(str(path), np.repeat(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), 2, axis=1))
    seen = [bool(mask.any()) for mask in read(opened(root, 3), ALL, range(6)).masks["depth"]]
    assert seen == [True, False, True, True, True, True]
    assert listed(root) == [("beechwood", "point_2_view_0", kind)]
    assert "24 x 12 pixels, but the first picture has 12 x 12" in capsys.readouterr().err
    with pytest.raises(UserError, match="`damaged` allows 0"):
        read(opened(root, 0), ALL, range(6))


def test_too_many_are_an_error_that_counts_views(root):
    for kind in ("normal", "reshading"):
        truncate(root, kind, "beechwood", "point_2_view_0")
    split = opened(root, 1)
    read(split, ALL, range(6))  # one view, two files
    truncate(root, "edge_texture", "coffeen", "point_0_view_1")
    with pytest.raises(UserError, match=r"that is view 2 with a damaged file, and `damaged` allows 1: .*taskonomy.csv"):
        read(opened(root, 1), ALL, range(6))
    with pytest.raises(UserError, match="view 2"):  # known, and still an error
        read(opened(root, 1), ALL, [3])
    assert len(listed(root)) == 3


def test_none_at_all_are_allowed_with_zero(root):
    truncate(root, "normal", "beechwood", "point_2_view_0")
    with pytest.raises(UserError, match="`damaged` allows 0"):
        read(opened(root, 0), ALL, range(6))


def test_workers_keep_one_list(root, capfd):
    for building in ("beechwood", "coffeen"):
        for kind in ("normal", "keypoints2d"):
            truncate(root, kind, building, "point_10_view_3")
    split = opened(root, 2)
    batches = list(batches_in_order(split, ALL, 2, torch.device("cpu"), workers=2))
    assert sum(len(batch) for batch in batches) == 6
    assert sorted(listed(root)) == sorted(
        (building, "point_10_view_3", kind)
        for building in ("beechwood", "coffeen")
        for kind in ("normal", "keypoints2d")
    )
    masks = torch.cat([batch.masks["keypoints"] for batch in batches])
    np.testing.assert_array_equal(masks.flatten(1).any(1), [True, True, False, True, True, False])


def test_params_yaml_says_how_many_and_outdates_nothing_by_it(root):
    assert damage.allowed("taskonomy") == 100, "no params.yaml"
    text = (ROOT / "params.yaml").read_text()
    scale = re.sub(r"(?m)^scale: \*\w+", "scale: *paper", text)
    given = "taskonomy: {root: /data/taskonomy, "
    for changed, limit in ((scale, 100), (scale.replace(given, given + "damaged: 7, "), 7)):
        (root.parent / "params.yaml").write_text(changed)
        assert damage.allowed("taskonomy") == limit
        assert damage.allowed("unheard-of") == 100
    digests = [opened(root, limit).digest for limit in (1, 2)]
    assert digests[0] == digests[1]
