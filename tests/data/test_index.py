"""The index of a data set in place."""

import resource
import time
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mult import leftovers
from mult.data import index as indexing
from mult.data.index import build, mark, view_of
from mult.data.lazy import open_index
from mult.data.sources import View, open_source
from mult.data.sources.source import Source
from mult.data.store import open_split
from mult.errors import UserError
from mult.files import read_json
from tests.data.sources.miniature import FOV, KINDS, write_taskonomy

BUILDINGS = {"darden": "val", "beechwood": "train", "ihlen": "test", "coffeen": "train", "corozal": "val"}


@pytest.fixture
def root(tmp_path):
    return write_taskonomy(tmp_path / "taskonomy", "splits", BUILDINGS)


def built(root, tmp_path, **changed):
    source = open_source("taskonomy", root)
    return source, build(source, tmp_path / "data" / "taskonomy", 8, tmp_path / "aside", **changed)


def test_round_trip(root, tmp_path):
    source, counts = built(root, tmp_path)
    assert counts == {"train": 6, "val": 6, "test": 3}
    folder = tmp_path / "data" / "taskonomy"
    index = read_json(folder / "index.json")
    assert index["kind"] == "index"
    assert {split: [name for name, _ in of["groups"]] for split, of in index["splits"].items()} == {
        "train": ["beechwood", "coffeen"],
        "val": ["corozal", "darden"],
        "test": ["ihlen"],
    }
    assert index["files"] == dict.fromkeys(sorted(KINDS), 15)
    rows = pq.read_table(folder / "views.parquet").to_pylist()
    assert rows == pa.ipc.open_file(str(folder / "views.arrow")).read_all().to_pylist()
    views = [view for group in source.groups() for view in source.views(*group)]
    assert [view_of(row) for row in rows] == views
    for row in rows:
        for kind in KINDS:
            assert (row[f"{kind}_bytes"], row[f"{kind}_mark"]) == mark(root / row[f"{kind}_path"])
    opened = open_index(folder, index, "val")
    assert opened.groups == ("corozal",) * 3 + ("darden",) * 3
    np.testing.assert_allclose(opened.fov, FOV, rtol=1e-6)
    of_val = [view for view in views if view.split == "val"]
    for label in source.labels:
        for image, view in enumerate(of_val):
            values = source.read(view, label)
            if label not in ("rgb", "keypoints2d", "edge_texture"):
                assert set(np.unique(opened.arrays[label][image])) <= set(np.unique(values))
    assert not list((tmp_path / "aside").iterdir())


def test_the_order_of_splits_is_the_indexs_own(root, tmp_path):
    """Views are found by counting groups, so a reader that gives them in another order must not mix splits up."""
    source = open_source("taskonomy", root)
    groups = sorted(source.groups())  # test, train, val
    source.groups = lambda: groups
    build(source, tmp_path / "index", 8, tmp_path / "aside")
    index = read_json(tmp_path / "index" / "index.json")
    for split in ("train", "val", "test"):
        opened = open_index(tmp_path / "index", index, split)
        assert {BUILDINGS[group] for group in opened.groups} == {split}
        view = opened.arrays["rgb"]._pictures.view(0)
        assert (view.split, view.group) == (split, opened.groups[0])


def test_a_limit_is_shared_by_the_groups_and_spread_over_each(root, tmp_path):
    _, counts = built(root, tmp_path, most={"train": 3, "val": 100, "test": 2})
    assert counts == {"train": 3, "val": 6, "test": 2}
    rows = pq.read_table(tmp_path / "data/taskonomy/views.parquet").to_pylist()
    names = {split: [(row["group"], row["name"]) for row in rows if row["split"] == split] for split in counts}
    assert [group for group, _ in names["train"]] == ["beechwood", "coffeen", "coffeen"]
    every = [view.name for view in open_source("taskonomy", root).views("test", "ihlen")]
    assert [name for _, name in names["test"]] == [every[0], every[-1]]


def test_fewer_images_than_groups_are_of_different_groups(root, tmp_path):
    _, counts = built(root, tmp_path, most={"train": 1, "val": 1})
    assert counts == {"train": 1, "val": 1, "test": 3}
    assert open_split(tmp_path / "data/taskonomy", "val").groups == ("darden",)


def test_another_limit_is_another_index(root, tmp_path):
    built(root, tmp_path, most={"train": 3})
    _, counts = built(root, tmp_path)
    assert counts["train"] == 6


def test_views_that_lack_a_label(root, tmp_path):
    for path in (root / "val/darden/normal").glob("point_2_*"):
        path.unlink()
    for path in (root / "train/coffeen").glob("edge_texture/*"):
        path.unlink()
    (root / "train/coffeen/edge_texture").rmdir()
    source, _ = built(root, tmp_path)
    folder = tmp_path / "data" / "taskonomy"
    index = read_json(folder / "index.json")
    assert (index["files"]["normal"], index["files"]["edge_texture"], index["files"]["rgb"]) == (14, 12, 15)
    views = [view_of(row) for row in pq.read_table(folder / "views.parquet").to_pylist()]
    assert views == [view for group in source.groups() for view in source.views(*group)]
    assert (open_index(folder, index, "val").arrays["normal"][4] == 128).all()
    assert (open_index(folder, index, "train").arrays["edge_texture"][3:] == 0).all()


def test_groups_without_views_are_left_out(root, tmp_path):
    for path in (root / "val/corozal/rgb").iterdir():
        path.unlink()
    _, counts = built(root, tmp_path)
    assert counts == {"train": 6, "val": 3, "test": 3}
    index = read_json(tmp_path / "data" / "taskonomy" / "index.json")
    assert index["splits"]["val"]["groups"] == [["darden", 3]]
    assert open_index(tmp_path / "data" / "taskonomy", index, "test").groups == ("ihlen",) * 3


def test_no_view_at_all(tmp_path):
    (tmp_path / "taskonomy" / "rgb" / "ihlen").mkdir(parents=True)
    with pytest.raises(UserError, match="no image of taskonomy") as error:
        built(tmp_path / "taskonomy", tmp_path)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "data" / "taskonomy").exists()


def test_an_interrupted_indexing_goes_on(root, tmp_path, monkeypatch):
    seen = []

    class Counted(type(open_source("taskonomy", root))):
        def views(self, split: str, group: str) -> Iterator[View]:
            seen.append(group)
            yield from super().views(split, group)

    monkeypatch.setattr(indexing, "THREADS", 1)
    whole = build(Counted(root), tmp_path / "whole", 8, tmp_path / "other")
    assert seen == ["beechwood", "coffeen", "corozal", "darden", "ihlen"]
    seen.clear()
    original = Counted.views

    def dies(self, split, group):
        if group == "corozal":
            raise KeyboardInterrupt
        return original(self, split, group)

    monkeypatch.setattr(Counted, "views", dies)
    with pytest.raises(KeyboardInterrupt):
        build(Counted(root), tmp_path / "index", 8, tmp_path / "aside")
    assert not (tmp_path / "index").exists()
    done = len(list((tmp_path / "aside").glob("*/*.parquet")))
    assert done >= 2
    monkeypatch.setattr(Counted, "views", original)
    seen.clear()
    assert build(Counted(root), tmp_path / "index", 8, tmp_path / "aside") == whole
    assert "beechwood" not in seen
    assert "coffeen" not in seen
    assert len(seen) == 5 - done
    assert (tmp_path / "index" / "views.parquet").read_bytes() == (tmp_path / "whole" / "views.parquet").read_bytes()


@pytest.mark.parametrize("harm", ["alter", "cut", "empty"])
def test_a_groups_part_that_the_disk_has_not_kept_is_made_anew(root, tmp_path, monkeypatch, harm):
    with monkeypatch.context() as patch:
        patch.setattr(leftovers, "ended", lambda kept, folder: None)  # as if dvc.lock had not got it yet
        _, counts = built(root, tmp_path)
    part = sorted((tmp_path / "aside").glob("*/*.parquet"))[0]
    data = part.read_bytes()
    altered = data[:40] + bytes([data[40] ^ 255]) + data[41:]  # in the first page
    part.write_bytes({"alter": altered, "cut": data[: len(data) // 2], "empty": b""}[harm])
    with pytest.raises(UserError, match=rf"^{part}: damaged \(.*\); run the command again, which makes it anew$"):
        built(root, tmp_path)
    assert built(root, tmp_path)[1] == counts


def test_what_was_begun_for_another_root_is_not_gone_on_with(root, tmp_path):
    (tmp_path / "aside" / "taskonomy-0123456789ab").mkdir(parents=True)
    (tmp_path / "aside" / "replica-0123456789ab").mkdir()
    built(root, tmp_path)
    assert [path.name for path in (tmp_path / "aside").iterdir()] == ["replica-0123456789ab"]


def test_marks_tell_files_apart(tmp_path):
    path = tmp_path / "file"
    content = bytearray(np.random.default_rng(0).bytes(20_000))
    path.write_bytes(content)
    length, first = mark(path)
    assert length == 20_000
    assert mark(path) == (length, first)
    for place in (0, 4095, 19_999, 16_000):
        changed = content.copy()
        changed[place] ^= 1
        path.write_bytes(changed)
        assert mark(path) != (length, first)
    path.write_bytes(content[:-1])
    assert mark(path) != (length, first)
    for size in (0, 1, 4096, 4097, 8192, 8193):
        path.write_bytes(content[:size])
        assert mark(path)[0] == size


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match=r"gone\.png: No such file or directory; the index has to see every file"):
        mark(tmp_path / "gone.png")


@pytest.mark.parametrize("name", ["views.parquet", "views.arrow"])
@pytest.mark.parametrize("harm", ["truncate", "alter", "delete"])
def test_a_damaged_index(root, tmp_path, name, harm):
    built(root, tmp_path)
    folder = tmp_path / "data" / "taskonomy"
    content = bytearray((folder / name).read_bytes())
    if harm == "delete":
        (folder / name).unlink()
    else:
        content[-7] ^= 1
        (folder / name).write_bytes(content[:-5] if harm == "truncate" else content)
    with pytest.raises(UserError, match=f"{name}: missing or altered; `mult verify`") as error:
        open_index(folder, read_json(folder / "index.json"), "train")
    assert "\n" not in str(error.value)


def test_a_data_set_that_has_moved_or_changed(root, tmp_path):
    built(root, tmp_path)
    folder = tmp_path / "data" / "taskonomy"
    index = read_json(folder / "index.json")
    root.rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="no such folder; taskonomy should be there"):
        open_index(folder, index, "train")
    write_taskonomy(root, "buildings", BUILDINGS)
    with pytest.raises(UserError, match="but it was <split>/<building>/<domain>") as error:
        open_index(folder, index, "train")
    assert "\n" not in str(error.value)


def test_a_split_that_is_not_there(root, tmp_path):
    built(root, tmp_path)
    folder = tmp_path / "data" / "taskonomy"
    with pytest.raises(UserError, match="no split 'dev'; it has train, val, test"):
        open_split(folder, "dev")


class Many(Source):
    """Views without end, all of two files."""

    domain = "many"
    layout = "made up"
    own = frozenset({"depth_zbuffer"})
    of_a_group = 50_000

    def groups(self):
        return [("train", f"building-{number}") for number in range(4)]

    def views(self, split, group):
        for number in range(self.of_a_group):
            name = f"point_{number}_view_0"
            files = {kind: f"./././././././././././././././{kind}.png" for kind in ("rgb", "depth_zbuffer")}
            yield View(split, group, name, files, FOV)

    def load(self, view, label):
        raise NotImplementedError


@pytest.mark.slow
def test_two_hundred_thousand_views_take_little_room(tmp_path):
    """130 MB for four groups at a time; if all their rows were Python objects at once, 430 MB."""
    for kind in ("rgb", "depth_zbuffer"):
        (tmp_path / f"{kind}.png").write_bytes(b"picture")
    Many.of_a_group = 1000
    build(Many(tmp_path), tmp_path / "index", 64, tmp_path / "aside")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    Many.of_a_group = 50_000
    assert build(Many(tmp_path), tmp_path / "index", 64, tmp_path / "aside") == {"train": 200_000}
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before  # KiB
    assert grown < 250_000


def test_the_first_error_ends_an_indexing(tmp_path):
    """Groups that wait are not indexed first, which may take hours."""
    seen = []

    class Broken(Many):
        def groups(self):
            return [("train", f"{number:03d}") for number in range(500)]

        def views(self, split, group):
            seen.append(group)
            time.sleep(0.02)
            raise UserError(f"{group} is broken")

    with pytest.raises(UserError, match="000 is broken"):
        build(Broken(tmp_path), tmp_path / "index", 64, tmp_path / "aside")
    assert len(seen) < 250
