"""DVC's own files, put right where a kill or a power failure has left half of one."""

import json
from pathlib import Path

from mult import lockfile
from mult.errors import UserError


def mend() -> list[str]:
    """Look at dvc.lock and at DVC's list of who reads and writes what; a line for each that was mended.

    Plain DVC writes both in place, so what looks damaged may be half written: it is looked at again, and mended, while
    no DVC can write it.

    Raises:
        UserError: one is damaged, and another DVC is at work.
    """
    from dvc.lock import LockError, make_lock
    from dvc.repo import Repo, lock_repo
    from dvc.rwlock import RWLOCK_FILE, RWLOCK_LOCK

    with Repo() as repo:
        users = Path(repo.tmp_dir) / RWLOCK_FILE
        damaged = [name for name, of in ((lockfile.NAME, lockfile.complaint()), (str(users), _complaint(users))) if of]
        if not damaged:
            return []
        link = repo.config["core"].get("hardlink_lock", False)
        guard = make_lock(str(users.with_name(RWLOCK_LOCK)), tmp_dir=repo.tmp_dir, hardlink_lock=link)
        try:
            with lock_repo(repo), guard:
                return [line for line in (lockfile.repair(), _repair(users)) if line]
        except LockError:
            raise UserError(
                f"{damaged[0]}: damaged, or half written by a DVC that is at work; when that has ended, try again"
            ) from None


def _complaint(users: Path) -> str | None:
    try:
        json.loads(users.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        return "not JSON"
    return None


def _repair(users: Path) -> str | None:
    """Without the list nobody reads or writes anything, as is so where no DVC is at work."""
    fault = _complaint(users)
    if fault is None:
        return None
    users.unlink()
    return f"{users}: {fault}; removed"
