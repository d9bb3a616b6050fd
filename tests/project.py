"""A copy of the project that commands run in, for tests of the whole pipeline."""

import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from mult.files import read_json
from tests.conftest import ROOT


class Project:
    """A copy of the project that commands run in."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.environment = os.environ | {
            "PYTHONPATH": str(folder / "src"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "SHELL": "/bin/sh",  # DVC runs stages by it; Debian's stays between the two where bash steps aside
        }
        self.environment.pop("MLFLOW_TRACKING_URI", None)

    def start(self, *command: str, **options) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", *command], cwd=self.folder, env=self.environment, text=True, **options
        )

    def run(self, *command: str, code: int = 0) -> str:
        process = self.start(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output, _ = process.communicate(timeout=1500)
        assert process.returncode == code, output
        return output

    def repro(self) -> str:
        return self.run("mult", "repro")

    def edit(self, old: str, new: str, file: str = "params.yaml") -> None:
        path = self.folder / file
        text = path.read_text()
        assert text.count(old) == 1, old
        path.write_text(text.replace(old, new))

    def commit(self) -> None:
        who = ("-c", "user.name=t", "-c", "user.email=t@t")
        for command in (["init", "-q"], ["add", "-A"], [*who, "commit", "-qm", "t"]):
            subprocess.run(["git", *command], cwd=self.folder, check=True)

    def mlflow_ids(self) -> dict[str, str]:
        return {p.parent.name: read_json(p)["mlflow_run_id"] for p in self.folder.glob("runs/*/run.json")}

    def current_runs(self) -> dict:
        """MLflow's runs that the results come from, by id."""
        import mlflow

        client = mlflow.MlflowClient(f"sqlite:///{self.folder}/mlflow.db")
        experiment = client.get_experiment_by_name("mult").experiment_id
        runs = client.search_runs([experiment], "tags.`dvc.current` = 'yes'", max_results=1000)
        return {run.info.run_id: run for run in runs}

    def processes(self) -> list[str]:
        """Command lines of the processes that run in the folder or in a clone below it."""
        found = []
        for process in psutil.process_iter(["cmdline", "cwd"]):
            if process.info["cwd"] and Path(process.info["cwd"]).is_relative_to(self.folder):
                found.append(" ".join(process.info["cmdline"] or []))
        return found

    def wait_for_trainer(self, below: str = ".mult/locks") -> None:
        """Wait until a training has taken its lock in the folder ``below``, which may be a pattern."""
        self.wait_for(lambda: any(_held(lock) for lock in self.folder.glob(f"{below}/train-*.lock")))

    def wait_for(self, happened: Callable[[], bool], seconds: float = 60.0) -> None:
        """Raises: AssertionError: it has not happened in that time."""
        deadline = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < deadline, self.processes()
            time.sleep(0.1)


def copy_project(folder: Path) -> Project:
    """A copy of what git would commit here, less dvc.lock, not committed yet."""
    files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    for name in files.stdout.splitlines():
        if (ROOT / name).is_file() and name != "dvc.lock":
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return Project(folder)


@contextmanager
def cpu_seconds() -> Iterator[Callable[[], float]]:
    """A function that tells the CPU time of the processes that ended in the block; other tests may run beside it."""

    def ended() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    before = ended()
    yield lambda: ended() - before


def _held(lock: Path) -> bool:
    """Whether a living process has taken ``lock``."""
    owner = lock.read_text().strip()
    return bool(re.fullmatch(r"\d+", owner)) and psutil.pid_exists(int(owner))
