"""The whole pipeline at smoke scale, killed at random moments: nothing that was finished is made twice.

python -m tests.soak.kill --kills 20 --minutes 15 --seed 7          or `make soak`

An undisturbed run comes first. Then `mult repro` is started and killed again and again: its process group, when what it
has started beside that must end by itself, or all of it at once, as when the power fails; now and then dvc.lock is
damaged as well. At the end the results must be those of the undisturbed run; where the pipeline has come to its end
before all kills are done, another copy takes the rest. What takes longer than ``--minutes`` goes on with the next call:
everything is kept in .mult/soak, by the digest of the code that is tried.
"""

import argparse
import contextlib
import csv
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from mult import lockfile
from mult.files import read_json, sha256, write_json
from mult.process import STATE
from mult.tracking.store import opened
from mult.verify import Verification
from tests.conftest import ROOT
from tests.project import Project, copy_project

OTHERWISE = ("wall_s", "mlflow_run_id", "git_commit")  # columns of results.csv that two runs cannot share
GONE_S = 3.0  # within which what a killed pipeline has started has ended; a stage takes about as long
COMPARED = ("model.safetensors", "history.csv", "scores.json", "errors.csv", "affinity.csv", "probes.csv")


@dataclass
class Finished:
    """A stage that has been finished: its entry in dvc.lock, and when its log was written."""

    entry: dict
    logged: int


@dataclass
class Story:
    """What has happened so far; kept between calls."""

    quiet_s: float = 0.0  # that the undisturbed run took
    start_s: float = 0.0  # and of this, until its first stage was at work
    quiet: bool = False  # whether it has come to its end
    kills: list[dict] = field(default_factory=list)
    harmed: bool = False  # whether dvc.lock has been damaged
    finished: dict[str, Finished] = field(default_factory=dict)
    again: list[str] = field(default_factory=list)  # tables and sheets in git that were made twice

    @classmethod
    def read(cls, path: Path) -> "Story":
        if not path.is_file():
            return cls()
        kept = read_json(path)
        return cls(**kept | {"finished": {name: Finished(**of) for name, of in kept["finished"].items()}})


class TimeIsUp(Exception):
    """The next call goes on."""


class Soak:
    """One call of the soak, at most ``minutes`` long."""

    def __init__(self, folder: Path, kills: int, minutes: float, seed: int):
        self.folder, self.kills, self.seed = folder, kills, seed
        self.until = time.monotonic() + 60 * minutes
        self.story = Story.read(folder / "story.json")

    def run(self) -> None:
        """Raises: TimeIsUp, AssertionError."""
        quiet = self._project("quiet")
        if not self.story.quiet:
            began = time.monotonic()
            try:
                self._to_the_end(quiet)
            finally:
                self._keep(quiet_s=self.story.quiet_s + time.monotonic() - began)
            self._keep(quiet=True)
            print(f"undisturbed: {self.story.quiet_s:.0f} s", flush=True)
        stages = 0
        while not stages or len(self.story.kills) < self.kills:
            stages = self._disturbed(quiet)
        print(f"{len(self.story.kills)} kills: none of {stages} stages was made twice, the results are the same")
        self._keep(kills=[])

    def _disturbed(self, quiet: Project) -> int:
        """A pipeline that is killed until all kills are done, or it; how many stages it has."""
        killed = self._project("killed")
        while len(self.story.kills) < self.kills:
            if not self._kill(killed, random.Random(f"{self.seed}-{len(self.story.kills)}")):
                break
        self._to_the_end(killed)
        self._check(killed, ended=True)
        _compare(quiet.folder, killed.folder)
        killed.run("mult", "track", "sync")
        assert _current(killed.folder) == _current(quiet.folder), "MLflow's runs"
        again = len(set(self.story.again))
        if again:
            print(f"{again} tables and sheets that are in git were made twice, while dvc.lock was damaged")
        stages = len(_entries(killed.folder))
        shutil.rmtree(killed.folder)
        self._keep(finished={}, again=[], harmed=False)
        return stages

    def _kill(self, project: Project, rng: random.Random) -> bool:
        """Start the pipeline and kill it after a while; False where it was done before."""
        after = rng.uniform(0, 2 * (self.story.start_s + self.story.quiet_s / self.kills))
        if time.monotonic() + after > self.until:
            raise TimeIsUp
        process = _start(project)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(after)
            assert process.returncode == 0, _tail(project)
            return False
        at_once = rng.random() < 0.5
        victims = _processes(project.folder) if at_once else []
        os.killpg(process.pid, signal.SIGKILL)
        for victim in victims:
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.kill()
        process.wait()
        project.wait_for(lambda: not project.processes(), GONE_S)
        harm = rng.choice(["", "empty", "cut", "garbage"]) if len(self.story.kills) >= self.kills / 2 else ""
        done = self._check(project)
        _harm(project.folder / lockfile.NAME, harm, rng)
        about = {"after_s": round(after, 2), "at_once": at_once, "stages": done, "lock": harm or "whole"}
        self._keep(kills=[*self.story.kills, about], harmed=self.story.harmed or bool(harm))
        print(f"kill {len(self.story.kills)}: {about}", flush=True)
        return True

    def _check(self, project: Project, ended: bool = False) -> int:
        """Look at what the run before has left, and remember which stages it has finished; how many these are.

        While dvc.lock is damaged entries are missing from it, and DVC makes once more what is kept in git, past its
        cache: tables and sheets.
        """
        entries, known = _entries(project.folder), self.story.finished
        harmed = self.story.harmed
        logs = project.folder / STATE / "logs"
        for name, before in known.items():
            log = logs / f"{name}.log"
            again = log.stat().st_mtime_ns != before.logged and "Running stage" in log.read_text()
            assert not again or (harmed and _in_git(before.entry)), f"{name} was made twice"
            if again:
                self.story.again.append(name)
                before.logged = log.stat().st_mtime_ns
            if ended or not harmed:
                assert entries.get(name) == before.entry, f"{name} is another one in dvc.lock"
        for log in logs.glob("*.log"):
            assert "Traceback" not in log.read_text(), log.read_text()
        with contextlib.chdir(project.folder):
            damaged = harmed and lockfile.complaint()  # not mended yet: this kill came soon
            faults = {str(fault.where): str(fault) for fault in Verification().faults()}
            assert faults.keys() <= ({lockfile.NAME} if damaged else set()), faults
            for path in [*Path("runs").rglob("[!.]*.json"), *Path("gallery").rglob("[!.]*.json")]:
                read_json(path)
        for name, entry in entries.items():
            first = known[name].entry if name in known else entry
            known[name] = Finished(first, (logs / f"{name}.log").stat().st_mtime_ns)
        self._keep(finished=known)
        return len(entries)

    def _to_the_end(self, project: Project) -> None:
        began, process = time.monotonic(), _start(project)
        while not self.story.start_s and process.poll() is None:
            if any((project.folder / STATE / "logs").glob("*.log")):
                self._keep(start_s=time.monotonic() - began)
            time.sleep(0.1)
        try:
            process.wait(max(1.0, self.until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            process.wait()
            raise TimeIsUp from None
        assert process.returncode == 0, _tail(project)

    def _project(self, name: str) -> Project:
        folder = self.folder / name
        if (folder / ".git").is_dir():
            return Project(folder)
        shutil.rmtree(folder, ignore_errors=True)
        project = copy_project(folder)
        project.edit("checkpoint_s: 300 ", "checkpoint_s: 0 ")  # more to be cut off: a checkpoint after each step
        project.commit()
        return project

    def _keep(self, **changes: object) -> None:
        for name, value in changes.items():
            setattr(self.story, name, value)
        write_json(self.folder / "story.json", asdict(self.story))


def _start(project: Project) -> subprocess.Popen:
    with open(project.folder / "repro.log", "w") as log:
        return project.start("mult", "repro", "--scale", "smoke", stdout=log, stderr=log, start_new_session=True)


def _tail(project: Project) -> str:
    return "\n".join((project.folder / "repro.log").read_text().splitlines()[-30:])


def _processes(folder: Path) -> list[psutil.Process]:
    found = psutil.process_iter(["cwd"])
    return [of for of in found if of.info["cwd"] and Path(of.info["cwd"]).is_relative_to(folder)]


def _entries(folder: Path) -> dict[str, dict]:
    """The stages that dvc.lock has, where it is whole."""
    path = folder / lockfile.NAME
    return {} if lockfile.complaint(path) else dict(lockfile.stages(path))


def _in_git(entry: dict) -> bool:
    return any(out["path"].startswith("reports") for out in entry["outs"])


def _harm(lock: Path, harm: str, rng: random.Random) -> None:
    if not harm or not lock.is_file():
        return
    text = lock.read_bytes()
    cut = text[: rng.randrange(len(text))]
    lock.write_bytes({"empty": b"", "cut": cut, "garbage": cut + rng.randbytes(200)}[harm])


def _compare(quiet: Path, killed: Path) -> None:
    def rows(folder: Path) -> list[dict[str, str]]:
        with open(folder / "reports" / "results.csv", newline="") as file:
            return [{key: of for key, of in row.items() if key not in OTHERWISE} for row in csv.DictReader(file)]

    assert rows(quiet) == rows(killed), "results.csv"
    for path in sorted(quiet.glob("runs/*/*")):
        if path.name in COMPARED:
            assert sha256(path) == sha256(killed / path.relative_to(quiet)), path


def _current(folder: Path) -> list[tuple[str, str]]:
    """Name and state of each current run in MLflow's store."""
    client, experiment = opened(f"sqlite:///{folder}/mlflow.db")
    runs = client.search_runs([experiment], "tags.`dvc.current` = 'yes'", max_results=5000)
    return sorted((run.info.run_name, run.info.status) for run in runs)


def _code() -> str:
    """Digest of what is copied into the projects."""
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    digest = hashlib.sha256()
    for name in names.stdout.splitlines():
        if (ROOT / name).is_file() and name.split("/")[0] in ("src", "pipelines", "dvc.yaml", "params.yaml"):
            digest.update(f"{name} {sha256(ROOT / name)}\n".encode())
    return digest.hexdigest()[:12]


def main() -> int:
    """Exit code 0 when all is well, 1 when not, 75 when time was up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 10_000)
    chosen = parser.parse_args()
    folder = ROOT / STATE / "soak" / _code()
    for other in folder.parent.glob("*"):
        if other != folder:
            shutil.rmtree(other)
    print(f"soak: seed {chosen.seed}, {chosen.kills} kills, {chosen.minutes:g} minutes, in {folder}", flush=True)
    soak = Soak(folder, chosen.kills, chosen.minutes, chosen.seed)
    try:
        soak.run()
    except AssertionError as error:
        print(f"FAILED: {error}\nwhat it has left is in {folder}; delete that to begin anew", file=sys.stderr)
        return 1
    except TimeIsUp:
        print(f"time is up after {len(soak.story.kills)} kills; the same command goes on from here")
        return 75
    return 0


if __name__ == "__main__":
    sys.exit(main())
