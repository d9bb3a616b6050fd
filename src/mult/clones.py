"""Clones of the working copy, one for each stage that a cluster runs at a time, and the process at work in each.

A clone has the commit and the parameters of the working copy and its DVC cache, so what one clone makes the others
link. It is kept from one `mult repro --ray` to the next; a lock on the file beside it keeps two processes out of it.
"""

import fcntl
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mult import leftovers, lockfile, warm
from mult.errors import UserError
from mult.local import LOGS, Local, environment
from mult.process import CHECKPOINTS, STATE, TRACKING, die_with_parent
from mult.stage import WORK


@dataclass(frozen=True)
class Origin:
    """The working copy, as its clones need to know it.

    Attributes:
        folder: where it is, by the same name on every node.
        params: the text of its params.yaml.
        config: the text of a clone's .dvc/config.local.
        clones: the folder of the clones.
        variables: environment variables of every stage.
    """

    folder: str
    commit: str
    params: str
    config: str
    clones: str
    variables: dict[str, str]


class Slot:
    """A clone that is this process's until it ends, and a process that runs stages in it.

    Raises:
        UserError: the clone could not be made.
    """

    def __init__(self, origin: Origin):
        folder, lock = take(Path(origin.clones))
        update(folder, origin)
        path = f"{folder / 'src'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}".rstrip(os.pathsep)
        # DVC's own databases do not stand a network.
        local = {"DVC_SITE_CACHE_DIR": f"{tempfile.gettempdir()}/mult-dvc-{os.getuid()}"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mult.clones", str(os.getpid())],
            cwd=folder,
            env=local | os.environ | origin.variables | {"PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=[lock.fileno()],  # so the clone is free only when this process has ended as well
        )
        self.lock = lock

    def run(self, stage: str, inputs: Mapping[str, dict], cards: str | None) -> tuple[dict | None, float]:
        """Run one stage after checking out the outs of its ``inputs``, entries of dvc.lock.

        Returns:
            The stage's own entry of dvc.lock, None if it failed; and its seconds.
        """
        print(json.dumps([stage, inputs, cards]), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        return json.loads(answer) if answer else (None, 0.0)

    def alive(self) -> bool:
        return self.process.poll() is None


def take(clones: Path) -> tuple[Path, IO]:
    """The first clone of this node that nobody is at work in, and its lock."""
    clones.mkdir(parents=True, exist_ok=True)
    for number in itertools.count():
        folder = clones / f"{socket.gethostname()}-{number}"
        lock = open(f"{folder}.lock", "a")  # noqa: SIM115
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return folder, lock
        except BlockingIOError:
            lock.close()
    raise AssertionError


def update(folder: Path, origin: Origin) -> None:
    """Bring the clone to the origin's commit, parameters and cache.

    Logs, times, checkpoints and what waits for MLflow go to the origin.
    """
    _git("init", "--quiet", str(folder))
    # Left by processes that were killed; nobody else is at work here.
    (folder / ".git" / "index.lock").unlink(missing_ok=True)
    shutil.rmtree(folder / ".dvc" / "tmp", ignore_errors=True)
    _git("-C", str(folder), "fetch", "--quiet", origin.folder, origin.commit)
    _git("-C", str(folder), "checkout", "--quiet", "--force", "--detach", origin.commit)
    (folder / "params.yaml").write_text(origin.params, encoding="utf-8")
    (folder / ".dvc" / "config.local").write_text(origin.config, encoding="utf-8")
    (folder / STATE).mkdir(exist_ok=True)
    for shared in (LOGS, WORK, CHECKPOINTS, TRACKING):
        (folder / shared).unlink(missing_ok=True)
        (folder / shared).symlink_to(Path(origin.folder) / shared)


def _git(*arguments: str) -> None:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"git {' '.join(arguments)}: {' '.join(done.stderr.split())}")


def serve() -> None:
    """Run the stages that stdin names in this folder, one after the other; see ``Slot.run``."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else is printed must not look like a reply
    with warm.server(environment()) as own:
        own.pop("CUDA_VISIBLE_DEVICES", None)  # of the first stage
        for line in sys.stdin:
            stage, inputs, cards = json.loads(line)
            _tidy(inputs)
            given = {} if cards is None else {"CUDA_VISIBLE_DEVICES": cards}
            ok, seconds = Local({**own, **given}).run(stage, inputs)
            leftovers.sweep()  # while dvc.lock has the stage
            print(json.dumps([entries([stage])[stage] if ok else None, seconds]), file=replies, flush=True)


def _tidy(inputs: Mapping[str, dict]) -> None:
    """Remove what earlier stages left, but for ``inputs``: a folder must hold here what it holds in the working copy.

    Their dvc.lock goes too: its entries are not needed, and reading a long one takes DVC longer than anything else.
    """
    outs = [f"/{out['path']}" for entry in inputs.values() for out in entry.get("outs", [])]
    kept = [f"--exclude={path}" for path in (f"/{STATE}", "/.dvc", "__pycache__", *outs)]
    _git("clean", "-ffdxq", *kept)
    Path("dvc.lock").unlink(missing_ok=True)


def entries(names: Iterable[str]) -> dict[str, dict]:
    """Entries of the stages ``names`` in this folder's dvc.lock, those that it has."""
    known = lockfile.stages()
    return {name: known[name] for name in names if name in known}


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]))
    serve()
