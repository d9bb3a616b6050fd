"""What is packed is what training would have of the data set in place, equal to the last bit."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from mult.cli import main
from mult.data import pack as packing
from mult.data.check import check
from mult.data.index import build
from mult.data.lazy import open_views
from mult.data.loader import batches_in_order
from mult.data.pack import pack
from mult.data.sources import check_splits, open_data, open_source
from mult.data.sources import packed as reading
from mult.data.sources.packed import Packed
from mult.data.store import open_split, splits_of
from mult.errors import UserError
from mult.tasks import TASKS
from tests.conftest import ROOT
from tests.data.sources.miniature import write_taskonomy
from tests.data.sources.test_cocodoom import write_frame
from tests.data.test_lazy import Images

SIZE = 24


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(packing, "SHARD", 2)


@pytest.fixture
def taskonomy(tmp_path):
    return write_taskonomy(tmp_path / "taskonomy", "buildings", {"beechwood": "", "coffeen": "", "darden": ""})


@pytest.fixture
def doom(tmp_path):
    """CocoDoom: wide pictures; one view has no depth, one nothing but the picture."""
    root = tmp_path / "cocodoom"
    for run, level, tics in ((1, 1, 5), (1, 2, 1), (2, 3, 2), (3, 1, 3)):
        for tic in range(tics):
            kinds = {3: ("rgb", "objects"), 4: ("rgb",)}.get(tic, ("rgb", "depth", "objects"))
            write_frame(root, run, level, tic, kinds)
    return root


def views_of(source, split):
    return [view for of, group in source.groups() if of == split for view in source.views(of, group)]


def indexed(source, folder, size):
    """Its splits, as training opens them."""
    build(source, folder, size, folder.with_name("aside"))
    return {split: open_split(folder, split) for split in splits_of(folder)}


def assert_same(source, out, tmp_path, size):
    """``out`` is ``source`` in ``size`` pixels, whichever way it is opened."""
    back = open_data(source.domain, out)
    facts = ("domain", "classes", "labels", "edge_sigma", "partition")
    assert [getattr(back, fact) for fact in facts] == [getattr(source, fact) for fact in facts]
    ours = {split: open_views(source, views_of(source, split), size) for split in {of for of, _ in source.groups()}}
    theirs = indexed(back, tmp_path / "index", size)
    assert theirs.keys() == ours.keys()
    for split, expected in ours.items():
        views = list(zip(views_of(source, split), views_of(back, split), strict=True))
        assert theirs[split].groups == expected.groups
        np.testing.assert_array_equal(theirs[split].fov, expected.fov)
        for in_place, packed in views:
            assert (packed.group, packed.name) == (in_place.group, in_place.name)
            assert [back.has(packed, k) for k in back.labels] == [source.available(in_place, k) for k in source.labels]
        for label, values in expected.arrays.items():
            found = theirs[split].arrays[label]
            assert (found.dtype, found.shape) == (values.dtype, values.shape)
            np.testing.assert_array_equal(found[:], values[:], err_msg=f"{split} {label}")


def files(out):
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(("shard", "batch"), [(2, 1), (3, 2), (4, 16), (1024, 3)])
def test_an_export_with_all_labels_comes_back(exported, tmp_path, monkeypatch, shard, batch):
    monkeypatch.setattr(packing, "SHARD", shard)
    monkeypatch.setattr(packing, "BATCH", batch)
    source = open_source("taskonomy", exported)
    assert pack(source, tmp_path / "out", SIZE, processes=1) == 11
    assert_same(source, tmp_path / "out", tmp_path, SIZE)
    arrays = [np.load(path) for path in sorted((tmp_path / "out").glob("shards/train-*/normal.npy"))]
    assert max(map(len, arrays)) == min(shard, 5)
    normals = [source.read(view, "normal") for view in views_of(source, "train")]
    assert len(np.concatenate(arrays)) == len(normals)


def test_prepared_data_come_back(prepared, tmp_path):
    source = open_data("rooms-home", prepared("rooms-home"))
    pack(source, tmp_path / "out", 32, processes=1)
    assert_same(source, tmp_path / "out", tmp_path, 32)
    assert "instance" in open_data("rooms-home", tmp_path / "out").labels


def test_wide_pictures_and_labels_that_are_computed_or_missing_come_back(doom, tmp_path):
    source = open_source("cocodoom", doom)
    assert source.own < set(source.labels)
    pack(source, tmp_path / "out", SIZE, processes=1)
    assert_same(source, tmp_path / "out", tmp_path, SIZE)
    back = open_source("cocodoom", tmp_path / "out")
    assert back.aspect == 1
    (view,) = (view for view in views_of(back, "train") if view.name == "000004")
    assert set(view.files) == {"rgb", "keypoints2d", "edge_texture"}
    assert (back.read(view, "depth_zbuffer") == 65535).all()


def test_a_packed_copy_is_as_faulty_as_its_data_set(doom, tmp_path):
    source = open_source("cocodoom", doom)
    pack(source, tmp_path / "out", SIZE, processes=1)
    lacking = [kind.what for kind in check(source, processes=1).tally.kinds() if kind.what.startswith("no ")]
    found = [kind.what for kind in check(open_source("cocodoom", tmp_path / "out"), processes=1).tally.kinds()]
    assert set(lacking) <= set(found)
    assert not [what for what in found if "empty" in what or "altered" in what]


def failing(source, after):
    """``source``, which cannot read a picture when it has read ``after``."""
    load, seen = source.load, set()

    def limited(view, label):
        seen.add((view.split, view.group, view.name))
        if len(seen) > after:
            raise UserError(f"{view.name}: no more")
        return load(view, label)

    source.load = limited
    return source


@pytest.mark.parametrize(("after", "shards"), [(1, 0), (4, 2), (5, 3)])
def test_it_goes_on_where_it_was_interrupted(exported, tmp_path, after, shards):
    source, out = open_source("taskonomy", exported), tmp_path / "out"
    pack(source, tmp_path / "at once", SIZE, processes=1)
    broken = failing(open_source("taskonomy", exported), after)
    broken.aspect = 1.0
    with pytest.raises(UserError, match="no more"):
        pack(broken, out, SIZE, processes=1)
    with pytest.raises(UserError, match=r"the packing was not finished; run the same `mult data pack` again"):
        open_source("taskonomy", out)
    written = {path: path.stat().st_mtime_ns for path in out.glob("shards/train-*/*")}
    assert len({path.parent for path in written}) == shards
    pack(source, out, SIZE, processes=1)
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert files(out) == files(tmp_path / "at once")


SLOWLY = """
import sys
import time
from pathlib import Path

from mult.data import pack
from mult.data.sources.taskonomy import Taskonomy

class Slow(Taskonomy):
    def load(self, view, label):
        time.sleep(0.01)
        return super().load(view, label)

if __name__ == "__main__":
    pack.SHARD, pack.BATCH = 2, 1
    pack.pack(Slow(sys.argv[1]), Path(sys.argv[2]), 24, processes=2)
"""


def test_killed_it_goes_on(exported, tmp_path):
    script, out = tmp_path / "slowly.py", tmp_path / "out"
    script.write_text(SLOWLY)
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    process = subprocess.Popen([sys.executable, script, exported, out], env=environment)
    deadline = time.monotonic() + 60
    while not list(out.glob("shards/train-*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = {path: path.stat().st_mtime_ns for path in out.glob("shards/train-*/*")}
    assert finished
    assert not (out / "index.json").exists()
    source = open_source("taskonomy", exported)
    pack(source, out, 24, processes=1)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert_same(source, out, tmp_path, 24)
    pack(source, tmp_path / "at once", 24, processes=1)
    assert files(out) == files(tmp_path / "at once")


def flip(path: Path) -> None:
    values = bytearray(path.read_bytes())
    values[len(values) // 2] ^= 1
    path.write_bytes(values)


DAMAGES = {
    "flipped": flip,
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "missing": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["depth_zbuffer.npy", "shard.json"])
def test_a_damaged_shard_is_found_and_mended(exported, tmp_path, damage, name):
    source, out = open_source("taskonomy", exported), tmp_path / "out"
    pack(source, out, 32, processes=1)
    assert not len(check(open_source("taskonomy", out), processes=1).tally)
    before = files(out)
    DAMAGES[damage](out / "shards" / "train-00001" / name)
    kinds = check(open_source("taskonomy", out), processes=1).tally.kinds()
    assert {place for kind in kinds for place in kind.first} == {f"shards/train-00001/{name}"}
    assert {kind.mend for kind in kinds} == {"delete its folder and run the same `mult data pack` again"}
    if name != "shard.json":
        assert [(kind.what, kind.number) for kind in kinds] == [("missing, truncated or altered", 1)]
    others = {path: path.stat().st_mtime_ns for path in out.glob("shards/*/*") if path.parent.name != "train-00001"}
    shutil.rmtree(out / "shards" / "train-00001")
    pack(source, out, 32, processes=1)
    assert files(out) == before
    assert {path: path.stat().st_mtime_ns for path in others} == others


def test_some_images_are_looked_at_without_reading_every_shard(exported, tmp_path):
    pack(open_source("taskonomy", exported), tmp_path / "out", 32, processes=1)
    flip(tmp_path / "out" / "shards" / "train-00001" / "rgb.npy")
    assert not len(check(open_source("taskonomy", tmp_path / "out"), images=3, processes=1).tally)


def test_a_truncated_shard_is_named_when_it_is_read(exported, tmp_path):
    pack(open_source("taskonomy", exported), tmp_path / "out", 32, processes=1)
    source = open_source("taskonomy", tmp_path / "out")
    path = tmp_path / "out" / "shards" / "train-00000" / "reshading.npy"
    path.write_bytes(path.read_bytes()[:-1])
    first, second = views_of(source, "train")[:2]
    source.read(first, "reshading")
    with pytest.raises(UserError, match="missing, truncated or altered; delete its folder and run") as error:
        source.read(second, "reshading")
    assert str(error.value).startswith(f"{path}: ")


def test_another_domain_partition_or_size_is_said(taskonomy, tmp_path):
    out = tmp_path / "out"
    pack(open_source("taskonomy", taskonomy, "medium"), out, 8, processes=1)
    for opening in (open_source, open_data):
        with pytest.raises(UserError, match=r"out: this is taskonomy, not replica$"):
            opening("replica", out)
        with pytest.raises(UserError, match=r"out: packed from partition medium, not tiny; pack that one"):
            opening("taskonomy", out, "tiny")
        assert isinstance(opening("taskonomy", out, "medium"), Packed)
    source = open_source("taskonomy", out)
    assert (source.partition, source.layout) == ("medium", "packed shards of 8 pixels")
    with pytest.raises(UserError, match=r"packed in 8 pixels, not 16; pack the data set with --size 16"):
        build(source, tmp_path / "index", 16, tmp_path / "aside")
    with pytest.raises(UserError, match=r"packed in 8 pixels, not 16"):
        pack(source, tmp_path / "again", 16)


def test_two_packed_copies_are_not_mixed(taskonomy, exported, tmp_path):
    source, out = open_source("taskonomy", taskonomy), tmp_path / "out"
    pack(source, out, 8, processes=1)
    with pytest.raises(UserError, match=r"another packed copy is here \(pack.json\), with size 8, not 16; take"):
        pack(source, out, 16, processes=1)
    with pytest.raises(UserError, match=r"another packed copy is here \(pack.json\), with partition None, not tiny"):
        pack(open_source("taskonomy", taskonomy, "tiny"), out, 8, processes=1)
    with pytest.raises(UserError, match=r"another packed copy is here \(pack.json\), with root"):
        pack(open_source("taskonomy", exported), out, 8, processes=1)
    with pytest.raises(UserError, match="not empty, and no packed copy"):
        pack(source, taskonomy, 8, processes=1)


def test_a_data_set_that_has_changed_is_not_mixed_with_what_it_was(taskonomy, tmp_path):
    out = tmp_path / "out"
    pack(open_source("taskonomy", taskonomy), out, 8, processes=1)
    for path in (taskonomy / "rgb").glob("*/point_2_*"):
        path.unlink()
    with pytest.raises(UserError, match=r"train-00000: not the images that .* has now; .* into an empty folder"):
        pack(open_source("taskonomy", taskonomy), out, 8, processes=1)


def test_a_building_in_two_splits_is_refused_before_anything_is_written(exported, tmp_path):
    source = open_source("taskonomy", exported)
    (split, group), *others = source.groups()
    source.groups = lambda: [(split, group), *others, ("test", group)]
    with pytest.raises(UserError, match="keep it in one of them"):
        check_splits(source)
    with pytest.raises(UserError, match="keep it in one of them"):
        pack(source, tmp_path / "out", 8)
    assert not (tmp_path / "out").exists()


def test_nothing_to_pack_is_said(taskonomy, tmp_path):
    source = open_source("taskonomy", taskonomy)
    source.groups = lambda: []
    with pytest.raises(UserError, match="no image of taskonomy"):
        pack(source, tmp_path / "out", 8)


def test_opening_reads_the_index_alone(exported, tmp_path):
    pack(open_source("taskonomy", exported), tmp_path / "out", 32, processes=1)
    shutil.rmtree(tmp_path / "out" / "shards")
    source = open_source("taskonomy", tmp_path / "out")
    assert source.groups() == open_source("taskonomy", exported).groups()
    with pytest.raises(UserError, match=r"shard.json: missing, truncated or altered"):
        next(source.views(*source.groups()[0]))
    (tmp_path / "out" / "index.json").write_text("{")
    with pytest.raises(UserError, match=r"index\.json: not a whole index; run the same `mult data pack` again"):
        open_data("taskonomy", tmp_path / "out")


def test_few_files_are_open_at_a_time(exported, tmp_path, monkeypatch):
    pack(open_source("taskonomy", exported), tmp_path / "out", 32, processes=1)
    monkeypatch.setattr(reading, "OPEN", 3)
    source = open_source("taskonomy", tmp_path / "out")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(2):
        for view in views_of(source, "train"):
            for label in source.labels:
                source.read(view, label)
    assert len(os.listdir("/proc/self/fd")) == before + 3


def test_batches_by_worker_processes(exported, tmp_path):
    pack(open_source("taskonomy", exported), tmp_path / "out", 32, processes=1)
    split = indexed(open_source("taskonomy", tmp_path / "out"), tmp_path / "index", 32)["train"]
    size = len(pickle.dumps(split))
    here, there = (list(batches_in_order(split, list(TASKS), 2, torch.device("cpu"), workers=n)) for n in (0, 2))
    assert len(pickle.dumps(split)) == size < 20_000
    for ours, theirs in zip(here, there, strict=True):
        assert torch.equal(ours.rgb, theirs.rgb)
        for task in TASKS:
            assert torch.equal(ours.targets[task], theirs.targets[task]), task


@pytest.mark.slow
def test_in_processes_that_start_anew(exported, tmp_path):
    pack(open_source("taskonomy", exported), tmp_path / "out", 32, processes=1)
    split = indexed(open_source("taskonomy", tmp_path / "out"), tmp_path / "index", 32)["train"]
    split.arrays["rgb"][0]  # its file is open
    batches = list(DataLoader(Images(split), batch_size=2, num_workers=2, multiprocessing_context="spawn"))
    for label, lazily in split.arrays.items():
        np.testing.assert_array_equal(torch.cat([batch[label] for batch in batches]).numpy(), lazily[:])


def test_the_index_of_a_packed_copy_is_in_the_order_of_that_in_place(taskonomy, tmp_path):
    source = open_source("taskonomy", taskonomy)
    groups = source.groups()
    source.groups = lambda: groups[::-1]
    pack(source, tmp_path / "out", 8, processes=1)
    ours = indexed(open_source("taskonomy", taskonomy), tmp_path / "ours", 8)
    theirs = indexed(open_source("taskonomy", tmp_path / "out"), tmp_path / "theirs", 8)
    for split in ours:
        assert theirs[split].groups == ours[split].groups
        np.testing.assert_array_equal(theirs[split].arrays["rgb"][:], ours[split].arrays["rgb"][:])


def test_the_command_packs_by_several_processes(exported, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(packing, "BATCH", 2)
    out = tmp_path / "out"
    monkeypatch.chdir(ROOT)

    def command(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(["data", *map(str, arguments)])
        return ended.value.code, capsys.readouterr().out

    code, said = command("pack", "taskonomy", exported, out, "--size", 32)
    assert not code
    assert said == f"{out}: 11 images; set `root: {out}` of taskonomy in params.yaml\n"
    assert_same(open_source("taskonomy", exported), out, tmp_path, 32)
    assert not list(out.rglob(".*"))  # nothing half-written
    assert command("check", "taskonomy", out)[0] == 0
    code, _ = command("pack", "taskonomy", exported, out, "--size", 16)
    assert str(code).startswith(f"error: {out}: another packed copy is here")
