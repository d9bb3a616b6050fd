"""What dvc.lock says of files, and whether they are so.

DVC takes a file of its cache at its name's word while the file is read-only, so one that was altered there (a bad disk,
another program) comes back as if it were whole. What a stage reads of others' results is therefore hashed here again.
"""

import hashlib
import json
import os
import time
from functools import lru_cache
from pathlib import Path

import yaml

from mult import lockfile
from mult.errors import UserError

MEND = "`mult verify` says what is damaged and how to mend it"
FOLDER = ".dir"  # ends the digest of what is a folder
TRIES, WAIT_S = 20, 0.1  # for DVC by itself writes dvc.lock in place, so half of it may be read


def recorded() -> dict[str, str]:
    """Path -> DVC's digest of all outs in dvc.lock; none where it cannot be read, which `mult repro` mends."""
    try:
        seen = os.stat(lockfile.NAME)
    except OSError:
        return {}
    return _recorded(Path.cwd(), seen.st_ino, seen.st_mtime_ns, seen.st_size)


def whole(path: Path) -> Path:
    """``path``, a file or folder below this one, if it is what dvc.lock says of it.

    It is looked at in DVC's stages alone: by hand a run may be made that dvc.lock does not know yet.

    Raises:
        UserError: it is another one.
    """
    if "DVC_STAGE" not in os.environ or not path.exists():
        return path
    found = digest(path)
    for _ in range(TRIES):
        if recorded().get(path.as_posix(), found) == found:
            return path
        time.sleep(WAIT_S)
    raise UserError(f"{path}: altered since it was made (its digest is not dvc.lock's); {MEND}")


def digest(path: Path) -> str:
    """What DVC takes as the digest of a file or of a folder."""
    if path.is_file():
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest()
    files = sorted((of.relative_to(path).parts, of) for of in path.rglob("*") if of.is_file())
    listed = [{"md5": digest(of), "relpath": "/".join(parts)} for parts, of in files]
    return hashlib.md5(json.dumps(listed).encode(), usedforsecurity=False).hexdigest() + FOLDER


@lru_cache(1)
def _recorded(*_: object) -> dict[str, str]:
    try:
        kept = lockfile.read(lockfile.NAME)
        data = kept[0] if kept else yaml.load(Path(lockfile.NAME).read_text(encoding="utf-8"), yaml.CSafeLoader)
        return {out["path"]: out["md5"] for stage in data["stages"].values() for out in stage.get("outs", [])}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        return {}
