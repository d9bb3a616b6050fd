import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from pydantic import ValidationError

from mult import leftovers
from mult.data.domains import EMBEDDED, embedded
from mult.data.prepare import prepare
from mult.data.store import LABELS, open_split
from mult.errors import UserError
from mult.files import read_json
from mult.params import EmbeddedDomain

SETTINGS = EmbeddedDomain(train=4, val=2, test=3, views=2, edge_sigma=3.0)


def test_number_of_processes_does_not_change_a_pixel(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for processes in (1, 2):
        prepare("rooms-home", SETTINGS, 32, tmp_path / str(processes), processes=processes)
    one, two = (open_split(tmp_path / str(processes), "test") for processes in (1, 2))
    assert len(one) == 3
    assert one.digest == two.digest
    for label in LABELS:
        np.testing.assert_array_equal(one.arrays[label], two.arrays[label])


@pytest.mark.parametrize("name", EMBEDDED)
def test_groups_of_splits_are_disjoint(name):
    groups = [{u.group for u in embedded(name).units(split, 200, 4)} for split in ("train", "val", "test")]
    assert not groups[0] & groups[1]
    assert not groups[0] & groups[2]
    assert not groups[1] & groups[2]


@pytest.mark.slow
def test_a_killed_preparation_goes_on_where_it_stopped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = (
        "from mult.data.prepare import prepare; from mult.params import EmbeddedDomain; from pathlib import Path;"
        "prepare('rooms-home', EmbeddedDomain(train=60, val=2, test=2, views=2, edge_sigma=3.0), 32, Path('d'))"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    kept = tmp_path / ".mult" / "render"
    deadline = time.monotonic() + 60
    while len(list(kept.rglob("train-*.npz"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "d").exists()
    time.sleep(1)  # the workers end with their parent
    before = {p: p.stat().st_mtime_ns for p in kept.rglob("train-*.npz")}
    assert 3 <= len(before) < 30
    settings = EmbeddedDomain(train=60, val=2, test=2, views=2, edge_sigma=3.0)
    seen = {}

    def note(path, **_):
        seen.update({p: p.stat().st_mtime_ns for p in path.absolute().rglob("*.npz")})

    monkeypatch.setattr("shutil.rmtree", note)
    prepare("rooms-home", settings, 32, tmp_path / "d")
    assert {p: seen[p] for p in before} == before, "finished units are not rendered again"
    assert len(open_split(tmp_path / "d", "train")) == 60


@pytest.mark.parametrize("harm", ["alter", "cut", "empty"])
def test_a_unit_that_the_disk_has_not_kept_is_rendered_again(tmp_path, monkeypatch, capsys, harm):
    monkeypatch.chdir(tmp_path)
    settings = EmbeddedDomain(train=2, val=2, test=2, views=2, edge_sigma=3.0)
    with monkeypatch.context() as patch:
        patch.setattr(leftovers, "ended", lambda kept, folder: None)  # as if dvc.lock had not got it yet
        prepare("rooms-home", settings, 32, tmp_path / "whole", 1)
    (unit,) = (tmp_path / ".mult" / "render").rglob("train-*.npz")
    data = unit.read_bytes()
    middle = len(data) // 2
    altered = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    unit.write_bytes({"alter": altered, "cut": data[:middle], "empty": b""}[harm])
    prepare("rooms-home", settings, 32, tmp_path / "again", 1)
    assert f"{unit.relative_to(tmp_path)}: damaged; rendered again" in capsys.readouterr().err
    assert read_json(tmp_path / "whole" / "index.json") == read_json(tmp_path / "again" / "index.json")


@pytest.mark.slow
@pytest.mark.parametrize("limit", [3_000, 60_000], ids=["while rendering", "while packing"])
def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path, limit):
    """The kernel refuses to write files beyond a limit, as it does on a full disk."""
    code = (
        "import resource, sys; from mult.data.prepare import prepare; from mult.errors import UserError;"
        "from mult.params import EmbeddedDomain; from pathlib import Path;"
        "limit = int(sys.argv[1]); limit and resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit));"
        "\ntry: prepare('rooms-home', EmbeddedDomain(test=24, views=2, edge_sigma=3.0), 32, Path('d'), 1)"
        "\nexcept UserError as error: sys.exit(str(error))"
    )

    def run(limit):
        command = [sys.executable, "-c", code, str(limit)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    failed = run(limit)
    assert failed.returncode == 1
    assert "File too large; the finished images are kept" in failed.stderr.splitlines()[-1], failed.stderr
    assert "Traceback" not in failed.stderr
    assert not (tmp_path / "d").exists()
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / ".mult" / "render").rglob("test-*.npz")}
    assert len(kept) == (0 if limit < 10_000 else 12)
    assert run(0).returncode == 0
    assert len(open_split(tmp_path / "d", "test")) == 24


@pytest.mark.slow
def test_a_killed_worker_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    import psutil

    def kill_workers():
        while not stop.wait(0.2):
            for child in psutil.Process().children():
                if "spawn_main" in " ".join(child.cmdline()) and list((tmp_path / ".mult").rglob("*.npz")):
                    child.kill()

    stop = threading.Event()
    killer = threading.Thread(target=kill_workers)
    killer.start()
    with pytest.raises(UserError, match="a rendering process was killed"):
        prepare("rooms-home", EmbeddedDomain(test=200, views=2, edge_sigma=3.0), 32, tmp_path / "d")
    stop.set()
    killer.join()
    assert list((tmp_path / ".mult").rglob("*.npz"))


def test_no_images_is_one_line():
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        EmbeddedDomain(test=0, views=2, edge_sigma=3.0)
    for name in EMBEDDED:
        with pytest.raises(UserError, match="images must be at least 1"):
            embedded(name).units("test", 0, 2)


def test_bad_requests_are_one_line():
    with pytest.raises(UserError, match="image size: 40 is no multiple"):
        prepare("rooms-home", SETTINGS, 40, None)
    with pytest.raises(UserError, match="'taskonomy': it does not render itself"):
        prepare("taskonomy", SETTINGS, 32, None)
