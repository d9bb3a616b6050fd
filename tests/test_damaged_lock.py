"""A damaged dvc.lock: `mult repro` mends it, and nothing that was finished is made again."""

import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mult import lockfile

ROOT = Path(__file__).parents[1]  # conftest's would bring PyTorch with it
STAGES = """
stages:
  one:
    cmd: cat given > one && echo one >> made
    deps: [given]
    outs: [one]
  two:
    cmd: cat one > two && echo two >> made
    deps: [one]
    outs: [two]
"""
HARMS = {
    "empty": lambda text: b"",
    "blank": lambda text: b"\n\n",
    "braces": lambda text: b"{}\n",
    "of another kind": lambda text: b"- hello\n",
    "cut in an entry": lambda text: text[: len(text) // 2],
    "cut in a digest": lambda text: text[: text.rindex(b"md5: ") + 9],
    "cut between two lines": lambda text: text[: text.rindex(b"  outs:")],
    "cut before its stages": lambda text: text[:20],
    "zeros": lambda text: bytes(len(text)),
    "no text": lambda text: text[:100] + b"\xff\xfe\x80" * 50,
    "garbled": lambda text: text.replace(b"cmd:", b"{md:"),
    "gone": None,
}
FORGOTTEN = ("empty", "cut in a digest", "garbled", "gone")  # that are tried without what was written last as well


def main() -> None:
    """Damage the lock of the project here in each way and have it mended; writes down what was made after each harm."""
    from mult import repro, warm

    warm.server = contextlib.nullcontext  # it would import what these stages do not need
    assert repro.repro(targets=["one", "two"]) == 0
    lock, said = Path("dvc.lock"), {}
    whole = lock.read_bytes()
    for name, forgotten in [*((name, False) for name in HARMS), *((name, True) for name in FORGOTTEN)]:
        harm = HARMS[name]
        Path("made").unlink(missing_ok=True)
        lock.unlink() if harm is None else lock.write_bytes(harm(whole))
        if forgotten:
            lockfile.kept_beside(lock).unlink()
        code = repro.repro(targets=["one", "two"])
        made = Path("made").read_text().split() if Path("made").exists() else []
        said[f"{name} {forgotten}"] = {"code": code, "made": made, "same": lock.read_bytes() == whole}
    for users in ("", '{"read": {"one": [{"pid": 1'):
        Path(".dvc/tmp/rwlock").write_text(users)
        Path("one").unlink()  # so that DVC has something to do
        said[f"rwlock {users!r}"] = {"code": repro.repro(targets=["one", "two"]), "made": [], "same": True}
    said["at work"] = beside_another_dvc(lock, whole)
    Path("said.json").write_text(json.dumps(said))


def beside_another_dvc(lock: Path, whole: bytes) -> dict:
    """A plain DVC that is writing dvc.lock keeps what it has written."""
    from dvc.repo import Repo, lock_repo

    from mult import mends
    from mult.errors import UserError

    with Repo() as repo, lock_repo(repo):
        lock.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(UserError, match=r"^dvc\.lock: damaged, or half written by a DVC that is at work; when"):
            mends.mend()
        same = lock.read_bytes() == whole[: len(whole) // 2]
        lock.write_bytes(whole)
    return {"code": len(mends.mend()), "made": [], "same": same}


@pytest.mark.slow
def test_it_is_mended_and_nothing_is_made_twice(tmp_path):
    (tmp_path / "dvc.yaml").write_text(STAGES)
    (tmp_path / "given").write_text("hello\n")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / ".dvc", tmp_path / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp", "config.local"))
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.test_damaged_lock import main; main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads((tmp_path / "said.json").read_text())
    assert len(said) == len(HARMS) + len(FORGOTTEN) + 3
    assert {name: of for name, of in said.items() if of != {"code": 0, "made": [], "same": True}} == {}, done.stdout
    assert "dvc.lock: empty; it is " in done.stdout
    assert done.stdout.count("rwlock: not JSON; removed") == 2
    assert (tmp_path / ".mult" / "dvc.lock.damaged").is_file()


def test_a_whole_one_stays(tmp_path):
    path = tmp_path / "dvc.lock"
    assert lockfile.repair(path) is None
    with lockfile.modify(path) as data:
        data |= {"schema": "2.0", "stages": {"a": {"cmd": "x"}}}
    for kept in (True, False):
        if not kept:
            lockfile.kept_beside(path).unlink()
        before = path.read_bytes()
        assert lockfile.repair(path) is None
        assert path.read_bytes() == before


@pytest.mark.parametrize("kept", ["", "{", "[]", '{"sha256": "0", "data": "{}", "pieces": {}}'])
def test_what_was_kept_is_put_back_only_if_it_is_whole(tmp_path, kept):
    path = tmp_path / "dvc.lock"
    lockfile.kept_beside(path).parent.mkdir()
    lockfile.kept_beside(path).write_text(kept)
    path.write_text("stages: {")
    assert "it is made anew" in lockfile.repair(path)
    assert not path.exists()
    assert (tmp_path / ".mult" / "dvc.lock.damaged").read_text() == "stages: {"
