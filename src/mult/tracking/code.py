"""What a run was made from: the state of the code, and the digests of its data."""

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from mult import outs

# What the pipeline itself writes among the files in git; parameters are logged.
WRITTEN = (":!dvc.lock", ":!reports", ":!params.yaml")


def dvc_digests(paths: Sequence[Path | str]) -> dict[str, str]:
    """MD5 of each of ``paths`` that dvc.lock knows as an output.

    Another dvc may be rewriting the file: what is cut off is read again, for two seconds.
    """
    wanted, found = {str(path) for path in paths}, {}
    for _ in range(outs.TRIES):
        found = {path: min(digests) for path, digests in outs.recorded().items() if path in wanted}
        if wanted <= found.keys():
            break
        time.sleep(outs.WAIT_S)
    return found


def code_state() -> dict[str, str]:
    """Tags of the code: commit, and whether the code was changed since."""
    return {
        "mlflow.source.git.commit": git_commit(),
        "git.dirty": "yes" if git("status", "--porcelain", "-uno", "--", ".", *WRITTEN) else "no",
    }


def git_commit() -> str:
    """The commit that is checked out; empty outside a repository."""
    return git("rev-parse", "HEAD")


def git(*args: str) -> str:
    """What git answers here; empty where it fails."""
    done = subprocess.run(["git", *args], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
