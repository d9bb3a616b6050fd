"""What dvc.lock says of files, and whether they are so.

DVC takes a file of its cache at its name's word while the file is read-only, so one that was altered there (a bad disk,
another program) comes back as if it were whole. What a stage reads of others' results is therefore hashed here again.
"""

import hashlib
import os
import time
from pathlib import Path

from mult import lockfile
from mult.errors import UserError

MEND = "`mult verify` says what is damaged and how to mend it"
TRIES, WAIT_S = 20, 0.1  # for DVC by itself writes dvc.lock in place, so half of it may be read


def recorded() -> dict[str, set[str]]:
    """Path -> DVC's digest of all outs in dvc.lock; more than one where a stage that is no more had the same out."""
    found: dict[str, set[str]] = {}
    for entry in lockfile.stages().values():
        for out in entry.get("outs") or []:
            if isinstance(out, dict) and {"path", "md5"} <= out.keys():  # not the last one of half a file
                found.setdefault(out["path"], set()).add(out["md5"])
    return found


def whole(path: Path) -> Path:
    """``path``, a file below this folder, if it is what dvc.lock says of it.

    It is looked at in DVC's stages alone: by hand a run may be made that dvc.lock does not know yet.

    Raises:
        UserError: it is another one.
    """
    if "DVC_STAGE" not in os.environ or not path.is_file():
        return path
    found = digest(path)
    for _ in range(TRIES):
        if found in recorded().get(path.as_posix(), {found}):
            return path
        time.sleep(WAIT_S)
    raise UserError(
        f"{path}: not what dvc.lock says, so altered since it was made; {MEND}; if you made it yourself, `dvc commit` "
        "its stage"
    )


def digest(path: Path) -> str:
    """What DVC takes as the digest of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
