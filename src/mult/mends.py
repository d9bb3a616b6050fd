"""DVC's own files, put right where a kill or a power failure has left half of one."""

from pathlib import Path

from mult import lockfile
from mult.errors import UserError
from mult.files import read_json

USERS = Path(".dvc/tmp/rwlock")


def mend() -> list[str]:
    """Look at dvc.lock and at DVC's list of who reads and writes what; a line for each that was mended.

    Plain DVC writes both in place, so what looks damaged may be half written: it is looked at again, and mended, while
    no DVC can write it.

    Raises:
        UserError: one is damaged, and another DVC is at work.
    """
    damaged = [name for name, of in ((lockfile.NAME, lockfile.complaint()), (USERS, _complaint())) if of]
    if not damaged:
        return []
    from dvc.lock import LockError, make_lock  # late: DVC is slow to start
    from dvc.repo import Repo, lock_repo
    from dvc.rwlock import RWLOCK_LOCK

    with Repo() as repo:
        link = repo.config["core"].get("hardlink_lock", False)
        guard = make_lock(str(USERS.with_name(RWLOCK_LOCK)), tmp_dir=repo.tmp_dir, hardlink_lock=link)
        try:
            with lock_repo(repo), guard:
                return [line for line in (lockfile.repair(), _repair()) if line]
        except LockError:
            raise UserError(
                f"{damaged[0]}: damaged, or half written by a DVC that is at work; when that has ended, try again"
            ) from None


def _complaint() -> str | None:
    try:
        read_json(USERS)
    except FileNotFoundError:
        return None
    except ValueError:
        return "not JSON"
    return None


def _repair() -> str | None:
    """Without the list nobody reads or writes anything, as is so where no DVC is at work."""
    fault = _complaint()
    if fault is None:
        return None
    USERS.unlink()
    return f"{USERS}: {fault}; removed"
