"""`mult verify`: each kind of damage is found, and mended by the command that it prints."""

import errno
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mult import cli, files
from mult.data.index import build
from mult.data.sources import open_source
from mult.data.store import open_split
from mult.files import intact, read_json, sha256, write_json
from mult.process import CHECKPOINTS
from mult.verify import Verification
from tests.conftest import ROOT, write_domain
from tests.data.sources.miniature import write_taskonomy

pytestmark = pytest.mark.slow

STAGES = """
stages:
  prepare:
    matrix: {domain: [noise, taskonomy]}
    cmd: mkdir -p data && cp -r given/${item.domain} data/ && echo ${item.domain} >> made
    deps: ["given/${item.domain}"]
    outs: ["data/${item.domain}"]
  train:
    cmd: mkdir -p runs/a && cp given/model.json given/model.safetensors runs/a && echo train >> made
    deps: [given/model.json, given/model.safetensors]
    outs: [runs/a/model.json, runs/a/model.safetensors]
  table:
    cmd: mkdir -p reports && wc runs/a/model.json > reports/results.csv && echo table >> made
    deps: [runs/a/model.json]
    outs: [reports/results.csv: {cache: false}]
"""
# The command line, without the process that has PyTorch ready for stages that need it.
MULT = f"""#!{sys.executable}
import contextlib
from mult import cli, warm
if __name__ == "__main__":
    warm.server = contextlib.nullcontext
    cli.main()
"""


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    """A small project whose stages have been run."""
    folder = tmp_path_factory.mktemp("original") / "project"
    given = folder / "given"
    (folder.parent / "mult").write_text(MULT)
    (folder.parent / "mult").chmod(0o755)
    write_domain(given / "noise")
    root = write_taskonomy(folder.parent / "taskonomy", "splits", {"ihlen": "train", "coffeen": "test"})
    build(open_source("taskonomy", root), given / "taskonomy", 8, folder.parent / "aside")
    (given / "model.safetensors").write_bytes(b"weights" * 1000)
    write_json(given / "model.json", {"run": "a", "weights_sha256": sha256(given / "model.safetensors")})
    (folder / "dvc.yaml").write_text(STAGES)
    shutil.copy(ROOT / "params.yaml", folder)
    shutil.copytree(ROOT / ".dvc", folder / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp", "config.local"))
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    run("dvc repro -q", folder)
    kept = folder / CHECKPOINTS / "smoke-a" / "0123"
    for step in (1, 2):
        kept.mkdir(parents=True, exist_ok=True)
        (kept / f"step-{step:08d}.pt").write_bytes(b"state" * 100 * step)
        write_json(kept / f"step-{step:08d}.json", {"sha256": sha256(kept / f"step-{step:08d}.pt")})
    return folder


@pytest.fixture
def project(original, tmp_path, monkeypatch) -> Path:
    """A copy of it, with the hard links between workspace and cache."""
    subprocess.run(["cp", "-a", original, original.parent / "mult", tmp_path], check=True)
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def run(command: str, folder: Path) -> str:
    """What a command of the shell says that is given in the project's environment."""
    places = [str(folder.parent), str(Path(sys.executable).parent), os.environ["PATH"]]
    environment = os.environ | {"PATH": os.pathsep.join(places), "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stdout} {done.stderr}"
    return done.stdout


def found(files: bool = False) -> dict[str, str]:
    """The mends by the places of the faults."""
    return {str(fault.where): fault.mend for fault in Verification().faults(files)}


def flip(path: Path, through_links: bool = False) -> None:
    """Change one bit; by hand, of this file alone; ``through_links`` of its hard links too, as a bad disk would."""
    about, content = path.stat(), bytearray(path.read_bytes())
    content[-7] ^= 1
    if not through_links:
        path.unlink()
    else:
        path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(about.st_mode & 0o777)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def cached(path: Path) -> Path:
    """DVC's copy of a file."""
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    return Path(".dvc/cache/files/md5") / md5[:2] / md5[2:]


def folder_of(path: str) -> Path:
    """DVC's list of a folder's files."""
    (md5,) = re.findall(rf"path: {path}\n.*\n\s+md5: (\w+)\.dir", Path("dvc.lock").read_text())[-1:]
    return Path(f".dvc/cache/files/md5/{md5[:2]}/{md5[2:]}.dir")


def test_what_is_whole_is_counted(project, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["verify", "--files"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert re.fullmatch(
        r"looked at \d+ files in DVC's cache, 5 outs, 3 runs that DVC remembers, 2 domains, 1 models, 2 checkpoints, "
        r"42 files in place: nothing damaged\n",
        said,
    )


def test_each_fault_is_found_and_mended_by_what_is_printed(project, capsys):
    """All at once, and the commands one after the other."""
    remembered = next(path for path in Path(".dvc/cache/runs").glob("*/*/*") if "path: data/noise" in path.read_text())
    old = cached(Path("runs/a/model.json")).parent / ("0" * 30)
    old.write_text("of a run that nothing here needs")
    array, table = Path("data/noise/test/normal.npy"), Path("data/taskonomy/views.parquet")
    copies = cached(table), cached(Path("runs/a/model.safetensors"))
    places = [array, Path("data/noise/val/rgb.npy"), Path("data/noise/val/more.npy"), remembered, old, copies[0]]
    flip(array)
    places[1].unlink()
    places[2].write_text("a stranger")
    remembered.write_text(remembered.read_text().replace("noise", "voice"))
    flip(copies[0])
    flip(Path("runs/a/model.safetensors"), through_links=True)
    flip(Path("reports/results.csv"))
    state = next(CHECKPOINTS.glob("*/*/*2.pt"))
    flip(state)
    places += [Path("runs/a/model.safetensors"), Path("reports/results.csv"), state]
    with pytest.raises(SystemExit) as ended:
        cli.main(["verify"])
    assert ended.value.code == 1
    *lines, summary = capsys.readouterr().out.splitlines()
    assert sorted(line.split(": ")[0] for line in lines) == sorted(map(str, places))
    assert summary.endswith(f": {len(places)} damaged")
    Path("made").unlink()
    for command in dict.fromkeys(line.split("; mend: ")[1] for line in lines):
        run(command, project)
    assert found() == {}
    assert sorted(Path("made").read_text().split()) == ["table", "train"], "what no good copy was left of"
    assert not state.exists()
    assert Path("runs/a/model.safetensors").read_bytes() == b"weights" * 1000
    assert "up to date" in run("dvc status", project)


def test_a_folder_whose_list_is_damaged(project):
    listing = folder_of("data/noise")
    flip(listing)
    assert found() == {str(listing): f"rm -rf {listing} && dvc commit data/noise"}
    array = Path("data/noise/test/rgb.npy")
    copy = cached(array)
    flip(array)
    flip(copy)
    faults = found()
    assert set(faults) == {"data/noise", str(copy)}
    run(faults["data/noise"], project)
    assert found() == {}
    assert (project / "made").read_text().split().count("noise") == 2


def test_an_emptied_lock_is_mended_without_making_anything(project):
    Path("dvc.lock").write_text("")
    assert found() == {"dvc.lock": "mult repro"}
    Path("made").unlink()
    run("mult repro table", project)
    assert found() == {}
    assert Path("made").read_text().split() == ["table"], "which is in git, past DVC's cache"


def test_without_a_lock_our_own_digests_tell(project):
    Path("dvc.lock").write_text("{")
    flip(Path("data/noise/train/rgb.npy"))
    flip(Path("runs/a/model.safetensors"))
    assert found() == {
        "dvc.lock": "mult repro",
        "data/noise/train/rgb.npy": "rm -rf data/noise && mult repro",
        "runs/a/model.safetensors": "rm -rf runs/a/model.safetensors && mult repro",
    }


def test_what_was_damaged_before_dvc_saw_it(project):
    flip(Path("data/noise/train/rgb.npy"))
    flip(Path("runs/a/model.safetensors"))
    run("dvc commit -f", project)
    faults = found()
    assert faults == {
        "data/noise/train/rgb.npy": "dvc repro --force --single-item prepare@noise",
        "runs/a/model.safetensors": "dvc repro --force --single-item train",
    }
    for command in faults.values():
        run(command, project)
    assert found() == {}


def test_a_large_file_that_was_verified_before_is_read_again(project, monkeypatch):
    monkeypatch.setattr(files, "LARGE", 1)
    open_split("data/noise", "test")
    path = Path("data/noise/test/rgb.npy")
    facts = read_json("data/noise/index.json")["splits"]["test"]["files"]["rgb"]
    whole = sha256(path)
    monkeypatch.setattr(files, "sha256", lambda of: "0" if of == path else sha256(of))  # a bad disk changes no time
    assert intact(path, facts["sha256"], facts["bytes"])
    assert whole == facts["sha256"]
    assert found() == {str(path): "dvc repro --force --single-item prepare@noise"}
    assert not intact(path, facts["sha256"], facts["bytes"])


def test_what_the_disk_does_not_give_is_damaged(project, monkeypatch):
    array, weights = Path("data/noise/test/rgb.npy"), Path("runs/a/model.safetensors")
    inodes = {path.stat().st_ino for path in (array, weights)}  # that of the weights is their copy's as well
    copy, digest = cached(weights), hashlib.file_digest

    def read(file, kind):
        if os.fstat(file.fileno()).st_ino in inodes:
            raise OSError(errno.EIO, "Input/output error")
        return digest(file, kind)

    monkeypatch.setattr(hashlib, "file_digest", read)
    assert found() == {
        str(array): "rm -rf data/noise && dvc checkout data/noise",
        str(weights): f"rm -rf {copy} {weights} && mult repro train",
    }
    Path("dvc.lock").unlink()
    assert {str(array), str(weights)} <= set(found())


def test_files_of_a_data_set_in_place(project):
    index = read_json("data/taskonomy/index.json")
    root = project.parent / "taskonomy"
    shutil.copytree(index["root"], root)
    for name in ("given/taskonomy/index.json", "data/taskonomy/index.json"):
        Path(name).chmod(0o644)
        Path(name).unlink()
        write_json(name, index | {"root": str(root)})
    run("dvc commit -f", project)
    one, two, three = sorted((root / "train" / "ihlen" / "rgb").iterdir())
    whole = two.read_bytes()
    one.unlink()
    two.write_bytes(whole[:-3])
    flip(three)
    assert found() == {}
    mend = "put it back, or index what is there: dvc repro --force --single-item prepare@taskonomy"
    assert found(files=True) == dict.fromkeys(map(str, (one, two, three)), mend)
    shutil.rmtree(root)
    assert found(files=True) == {str(root): "put it back, or change `root` in params.yaml"}
    shutil.copytree(index["root"], root)
    assert found(files=True) == {}


def test_what_is_not_made_yet_is_no_damage(project, capsys):
    shutil.rmtree(".dvc/cache")
    shutil.rmtree("data/noise")
    verification = Verification()
    assert list(verification.faults()) == []
    assert "(1 outs are not here yet: `mult repro` makes them): nothing damaged" in verification.summary()


def test_outside_a_project_it_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        cli.main(["verify"])
    assert str(ended.value.code).startswith("error: dvc: ")
    assert "\n" not in str(ended.value.code)
