"""What the machine does to a stage: a full disk, too little memory, a process of it that was killed."""

import errno
from collections.abc import Iterator

from mult.errors import Paused, UserError

KEPT = "what was finished is kept, the same command goes on from there"
FULL = f"make room there: {KEPT}"
BAD = "the disk may be bad: `mult verify` says what is damaged and how to mend it"
MENDS = {errno.ENOSPC: FULL, errno.EDQUOT: FULL, errno.EFBIG: FULL, errno.EIO: BAD}
OF_A_WORKER = "mult.errors.UserError: "  # before the line, at the end of a traceback that came from a loader's process


def told(error: Exception) -> UserError | Paused | None:
    """``error`` as one line with the mend; None for one that is nobody's mistake and needs its traceback."""
    text = str(error)
    if isinstance(error, UserError | Paused):
        return UserError(text.rsplit(OF_A_WORKER, 1)[1].strip()) if OF_A_WORKER in text else error
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno in MENDS:
            return UserError(f"{cause.filename or 'the disk'}: {cause.strerror}; {MENDS[cause.errno]}")
    if isinstance(error, MemoryError) or "can't allocate memory" in text:
        return UserError(f"out of memory; fewer images at once (hardware.part), or fewer stages (--jobs): {KEPT}")
    if "DataLoader worker" in text and ("killed by signal" in text or "exited unexpectedly" in text):
        return UserError(
            f"a process that reads images ahead was killed, perhaps for want of memory; lower hardware.workers: {KEPT}"
        )
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
