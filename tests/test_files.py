import os

import pytest

from mult import files
from mult.files import atomic, intact, read_json, sha256, write_json


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError), atomic(path, "w") as file:
        file.write("half of the n\ud800")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_link_into_the_cache_is_replaced_not_written_through(tmp_path):
    cached = tmp_path / "cache"
    cached.write_text("cached")
    cached.chmod(0o444)
    os.link(cached, tmp_path / "out")
    with atomic(tmp_path / "out", "w") as file:
        file.write("new")
    assert (cached.read_text(), (tmp_path / "out").read_text()) == ("cached", "new")


def test_json_round_trip_and_no_nan(tmp_path):
    write_json(tmp_path / "new" / "a.json", {"x": [1, 2.5, "ä"]})
    assert read_json(tmp_path / "new" / "a.json") == {"x": [1, 2.5, "ä"]}
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "b.json", {"x": float("nan")})
    assert not (tmp_path / "b.json").exists()


def test_digest(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("large", [1, 1 << 26])
def test_intact_files_large_and_small(tmp_path, monkeypatch, large):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(files, "LARGE", large)
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    digest = sha256(path)
    assert intact(path, digest, 3)
    assert intact(path, digest, 3)
    assert not intact(path, digest, 4)
    assert not intact(tmp_path / "b", digest, 3)
    assert not intact(path, sha256(tmp_path / "a")[::-1], 3)
    times = path.stat()
    path.write_bytes(b"abd")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as a copying tool does that keeps times
    assert not intact(path, digest, 3)


def test_an_intact_large_file_is_read_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(files, "LARGE", 1)
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert intact(path, sha256(path), 3)
    monkeypatch.setattr(files, "sha256", lambda path: pytest.fail("read again"))
    assert intact(path, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", 3)
