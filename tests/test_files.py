import ast
import os

import pytest

from mult import files
from mult.files import atomic, intact, read_json, sha256, write_json
from tests.conftest import ROOT

# Calls that write into a file under its own name: how many, and why each is right: what is not read by anyone who would
# take a part for the whole.
WRITES = {
    "src/mult/clones.py": (3, "locks, and settings in a clone that is this process's"),
    "src/mult/cluster.py": (1, "a log"),
    "src/mult/data/damage.py": (1, "a list under a lock, whose lines are whole"),
    "src/mult/data/domains/doom/game.py": (1, "a script in a folder of its own"),
    "src/mult/data/pack.py": (2, "in a folder that gets its name when it is complete"),
    "src/mult/files.py": (1, "`flushed`"),
    "src/mult/launch.py": (1, "an empty file"),
    "src/mult/local.py": (2, "a log, and a line at its end"),
    "src/mult/process.py": (1, "a lock"),
    "src/mult/tracking/box.py": (2, "locks, and lines of which a part does not count"),
    "src/mult/tracking/run.py": (1, "an artifact in a box that is named by a message after it"),
    "src/mult/tracking/store.py": (1, "a lock"),
    "src/mult/training/checkpoint.py": (1, "a lock"),
    "src/mult/training/stopped.py": (1, "a batch to be looked at"),
    "src/mult/word.py": (1, "a word under a lock"),
}
WRITERS = {
    "write_text", "write_bytes", "save_file", "imwrite", "savefig", "to_csv", "to_parquet", "savez", "savez_compressed",
    "tofile", "copyfile", "copy2", "copytree", "ParquetWriter", "new_file", "open_memmap", "memmap",
}  # fmt: skip
SAVERS = {"np", "torch", "image"}  # whose `save` writes
MODES = {"w", "wb", "x", "xb", "a", "ab", "a+", "a+b", "r+", "r+b", "w+", "w+b"}
OPENED = {"file", "first", "second"}  # what `atomic` and `flushed` give


def writes(call: ast.Call) -> bool:
    """Whether a call writes to a path, as far as can be seen."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    values = [*call.args, *(of.value for of in call.keywords)]
    if name == "open":
        return any(isinstance(of, ast.Constant) and of.value in MODES for of in values)
    if name == "save":
        owner = call.func.value if isinstance(call.func, ast.Attribute) else None
        name = "save_file" if isinstance(owner, ast.Name) and owner.id in SAVERS else name
    opened = any(isinstance(of, ast.Name) and of.id in OPENED for of in values)
    return name in WRITERS and bool(call.args) and not opened


def test_whatever_is_read_again_is_written_atomically():
    found = {}
    for place in ("src/mult", "pipelines"):
        for path in sorted((ROOT / place).rglob("*.py")):
            calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
            if path.parent.name != "bench" and (number := sum(map(writes, calls))):
                found[str(path.relative_to(ROOT))] = number
    known = {path: number for path, (number, _) in WRITES.items()}
    assert found == known, "write by mult.files.atomic, or say here why not"


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


@pytest.mark.parametrize("damaged", [False, True])
def test_what_was_noted_does_not_count_where_it_is_read_anew(tmp_path, monkeypatch, damaged):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(files, "LARGE", 1)
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    digest = sha256(path)
    assert intact(path, digest, 3)
    if damaged:  # by the disk: no time of the file has changed
        monkeypatch.setattr(files, "sha256", lambda path: "another")
    assert intact(path, digest, 3), "as it was noted"
    assert intact(path, digest, 3, anew=True) != damaged
    assert intact(path, digest, 3) != damaged, "the note is gone"
