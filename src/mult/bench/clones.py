"""Copies of the project at scale smoke, in which a benchmark runs the pipeline."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from mult.errors import UserError


def cloned(folder: Path, changes: Mapping[str, str | Callable[[re.Match], str]]) -> Path:
    """The project as it is committed, at scale smoke; ``changes`` of patterns in what params.yaml says of that scale.

    Raises:
        UserError: this is not the folder of a project in git, or a pattern is not found.
    """
    done = subprocess.run(["git", "clone", "--quiet", str(Path.cwd()), str(folder)], capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"mult bench: run it in the project's folder; git: {' '.join(done.stderr.split())}")
    path = folder / "params.yaml"
    text = re.sub(r"(?m)^scale: \*\w+", "scale: *smoke", path.read_text(encoding="utf-8"))
    smoke, _, others = text.partition("\n  laptop:")
    for pattern, changed in changes.items():
        smoke, found = re.subn(pattern, changed, smoke)
        if not found:
            raise UserError(f"mult bench: {path}: scale smoke has nothing like {pattern!r} to be changed")
    path.write_text(f"{smoke}\n  laptop:{others}", encoding="utf-8")
    (folder / "dvc.lock").unlink(missing_ok=True)
    return folder


def repro(clone: Path, *arguments: str) -> float:
    """`mult repro` in a clone; returns its seconds.

    Raises:
        UserError: a stage has failed.
    """
    environment = os.environ | {"PYTHONPATH": str(clone / "src")}
    environment.pop("MLFLOW_TRACKING_URI", None)
    began = time.perf_counter()
    command = [sys.executable, "-m", "mult", "repro", *arguments]
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"mult bench: {' '.join(done.stdout.split()[-40:])} {done.stderr.strip()}")
    return time.perf_counter() - began
