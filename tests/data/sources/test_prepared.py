import pickle

import numpy as np
import pytest

from mult.data.sources import open_data
from mult.data.store import open_split
from mult.errors import UserError


def test_every_view_is_that_of_the_arrays(prepared):
    folder = prepared("doom")
    source = open_data("doom", folder)
    seen = {"train": set(), "val": set(), "test": set()}
    for split, group in source.groups():
        stored = open_split(folder, split)
        for view in source.views(split, group):
            assert stored.groups[view.place] == group
            assert view.fov == pytest.approx(stored.fov[view.place])
            seen[split].add(view.place)
            for label, array in stored.arrays.items():
                np.testing.assert_array_equal(source.read(view, label), array[view.place])
    assert {split: len(places) for split, places in seen.items()} == {"train": 5, "val": 2, "test": 4}
    assert source.classes == stored.classes


def test_it_travels_to_other_processes_without_its_arrays(prepared):
    source = open_data("rooms-home", prepared("rooms-home"))
    sent = pickle.dumps(source)
    assert len(sent) < 10_000
    view = next(source.views(*source.groups()[0]))
    np.testing.assert_array_equal(pickle.loads(sent).read(view, "normal"), source.read(view, "normal"))


def test_another_domain_or_none_is_said(prepared, tmp_path):
    with pytest.raises(UserError, match="this is doom, not rooms-home"):
        open_data("rooms-home", prepared("doom"))
    with pytest.raises(UserError, match="no prepared data of doom here"):
        open_data("doom", tmp_path)
    (tmp_path / "index.json").write_text("{")
    with pytest.raises(UserError, match="not a whole index"):
        open_data("doom", tmp_path)


def test_an_export_is_opened_under_its_own_name(exported):
    source = open_data("rooms-home", exported)
    assert source.domain == "rooms-home"
    assert "sofa" in source.classes
