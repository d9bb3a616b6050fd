import os

import pytest

from mult.files import atomic, read_json, sha256, write_json


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
