"""Replica in Omnidata's rendering: Taskonomy's names, scenes for buildings; the real sample, where that is."""

import numpy as np
import pytest

from mult.data import labels
from mult.data.sources import open_source
from mult.data.sources.replica import SCENES
from mult.data.sources.taskonomy import read_partition
from mult.errors import UserError
from tests.data.sources.miniature import SAMPLES, metres, values_of, write_taskonomy

real = pytest.mark.skipif(not (SAMPLES / "replica").is_dir(), reason=f"no real sample files in {SAMPLES}")


@pytest.fixture
def replica(tmp_path):
    scenes = {"room_1": "test", "office_0": "val", "hotel_0": "train", "garage_0": "none"}
    return write_taskonomy(tmp_path, "components", scenes)


def test_scenes_belong_to_omnidatas_splits(replica):
    source = open_source("replica", replica)
    assert source.groups() == [("train", "hotel_0"), ("val", "office_0"), ("test", "room_1")]
    assert source.left_out() == {"garage_0": "not in the partition scenes"}
    assert {split: len(scenes) for split, scenes in SCENES.items()} == {"train": 10, "val": 4, "test": 4}


def test_it_has_no_classes_even_if_such_files_are_there(replica):
    source = open_source("replica", replica)
    assert source.classes == ()
    assert "segment_semantic" not in source.labels
    view = next(source.views("val", "office_0"))
    np.testing.assert_array_equal(source.read(view, "normal"), values_of("normal", "office_0", view.name))


def test_other_partitions(replica, tmp_path):
    with pytest.raises(UserError, match=r"replica: no partition 'tiny'; there is scenes, or a \.csv file"):
        open_source("replica", replica, "tiny")
    (tmp_path / "mine.csv").write_text("id,train,val,test\ngarage_0,0,0,1\n")
    assert open_source("replica", replica, str(tmp_path / "mine.csv")).groups() == [("test", "garage_0")]


@pytest.mark.skipif(not (SAMPLES / "splits").is_dir(), reason=f"no real sample files in {SAMPLES}")
def test_the_scenes_are_the_published_ones():
    published = read_partition(SAMPLES / "splits" / "train_val_test_replica.csv")
    assert published == {scene: split for split, scenes in SCENES.items() for scene in scenes}


@real
def test_the_real_sample():
    source = open_source("replica", SAMPLES / "replica")
    (view,) = source.views("test", "sample")
    assert (view.name, round(view.fov, 4)) == ("point_47_view_25", 1.0935)
    depth = metres(source.read(view, "depth_zbuffer"))
    assert 0.5 < np.median(depth[depth > 0]) < 10
    stored, known = labels.decode_normal(source.read(view, "normal"))
    made = labels.normal_from_depth(depth, view.fov)
    assert np.median((stored * made).sum(-1)[known]) > 0.999
    shade = labels.reshading(depth, stored, view.fov)
    assert np.corrcoef(shade.ravel(), source.read(view, "reshading").ravel())[0, 1] > 0.99
