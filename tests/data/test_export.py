"""What is exported is read back by Taskonomy's reader, equal to the last bit."""

import shutil

import cv2
import numpy as np
import pytest

from mult.cli import main
from mult.data.check import check
from mult.data.domains import EMBEDDED
from mult.data.export import export
from mult.data.fit import square
from mult.data.sources import open_data, open_source
from mult.data.sources.taskonomy import STORED
from mult.errors import UserError
from tests.data.test_labels import SAMPLES


def views(source):
    return [view for split, group in source.groups() for view in source.views(split, group)]


def assert_same(source, out):
    back = open_source("taskonomy", out)
    pairs = list(zip(views(source), views(back), strict=True))
    for ours, theirs in pairs:
        assert theirs.split == ours.split
        assert theirs.group == ours.group.replace("/", "-")
        assert theirs.fov == pytest.approx(ours.fov, abs=1e-9)
        for label in STORED:
            assert source.available(ours, label) == back.has(theirs, label)
            if source.available(ours, label):
                np.testing.assert_array_equal(source.read(ours, label), back.read(theirs, label), err_msg=label)
    return pairs


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in EMBEDDED if name != "rooms-home"]


@pytest.mark.parametrize("name", ["rooms-home", *SLOW])
def test_a_rendered_domain_is_clean_and_read_back(name, prepared, tmp_path):
    source = open_data(name, prepared(name))
    assert not len(check(source, processes=1).tally)
    assert export(source, tmp_path / "out", processes=1) == 11
    assert len(assert_same(source, tmp_path / "out")) == 11
    assert open_source("taskonomy", tmp_path / "out").classes == source.classes


@pytest.mark.parametrize("name", ["taskonomy", "replica"])
def test_a_real_data_set_is_read_back(name, tmp_path):
    if not (SAMPLES / name).is_dir():
        pytest.skip(f"no real sample files in {SAMPLES} (set MULT_SAMPLES)")
    source = open_data(name, SAMPLES / name)
    export(source, tmp_path / "out")
    assert assert_same(source, tmp_path / "out")
    (view,) = views(source)
    assert (tmp_path / "out" / "rgb" / view.group / f"{view.name}_domain_rgb.png").is_file()


def test_sizes_are_those_of_training(exported, tmp_path):
    source = open_data("taskonomy", exported)
    export(source, tmp_path / "small", size=16, processes=1)
    back = open_data("taskonomy", tmp_path / "small")
    for ours, theirs in zip(views(source), views(back), strict=True):
        for label in STORED:
            np.testing.assert_array_equal(square(source.read(ours, label), label, 16), back.read(theirs, label))


def test_pictures_that_are_not_square_keep_their_field_of_view(exported, tmp_path):

    shutil.copytree(exported, tmp_path / "wide")
    for path in (tmp_path / "wide").glob("*/*/*.png"):
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[4:-4])
    source = open_data("taskonomy", tmp_path / "wide")
    assert source.aspect == pytest.approx(24 / 32)
    export(source, tmp_path / "squares", size=24, processes=1)
    wide, narrow = views(source)[0].fov, views(open_data("taskonomy", tmp_path / "squares"))[0].fov
    assert np.tan(narrow / 2) == pytest.approx(np.tan(wide / 2) * 24 / 32)


def test_it_goes_on_where_it_was_interrupted(prepared, tmp_path):
    source, out = open_data("rooms-home", prepared("rooms-home")), tmp_path / "out"
    export(source, out, processes=1)
    written = {path: path.stat().st_mtime_ns for path in out.rglob("point_*")}
    first = sorted(out.rglob("*point_info.json"))[0]
    first.unlink()
    name = first.name.split("_domain_")[0]
    (out / "normal" / first.parent.name / f"{name}_domain_normal.png").unlink()
    (out / "splits.csv").unlink()
    export(source, out, processes=1)
    again = {path for path, at in written.items() if path.stat().st_mtime_ns != at}
    assert {(path.parent.name, path.name.split("_domain_")[0]) for path in again} == {(first.parent.name, name)}
    assert_same(source, out)


def test_two_exports_are_not_mixed(prepared, exported, tmp_path):
    source = open_data("rooms-home", prepared("rooms-home"))
    with pytest.raises(UserError, match="another export is here"):
        export(source, exported, size=16)
    (tmp_path / "mine.txt").touch()
    with pytest.raises(UserError, match="not empty"):
        export(source, tmp_path)


def test_the_command_writes_it_by_several_processes(prepared, tmp_path, capsys):
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as ended:
        main(["data", "export", "rooms-home", str(prepared("rooms-home")), str(out)])
    assert not ended.value.code
    assert "11 images" in capsys.readouterr().out
    assert_same(open_data("rooms-home", prepared("rooms-home")), out)
    assert not list(out.rglob(".*"))  # nothing half-written
