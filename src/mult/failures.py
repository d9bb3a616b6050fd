"""What is to blame for a stage's end beside its user: a full disk, too little memory, a killed process, bad weights."""

import errno
from collections.abc import Iterator

from mult.errors import Paused, UserError, in_one_line
from mult.outs import MEND

KEPT = "what was finished is kept, the same command goes on from there"
FULL = f"make room there: {KEPT}"
BAD = f"the disk may be bad: {MEND}"
OURS = f"see that it can be read and written here: {KEPT}"
MANY = f"allow more (`ulimit -n`), or lower hardware.workers: {KEPT}"
MENDS = {errno.ENOSPC: FULL, errno.EDQUOT: FULL, errno.EFBIG: FULL, errno.EIO: BAD}
MENDS |= dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM, errno.ESTALE), OURS)
MENDS |= dict.fromkeys((errno.EMFILE, errno.ENFILE), MANY)
OF_A_WORKER = "mult.errors.UserError: "  # before the line, at the end of a traceback that came from a loader's process


def told(error: Exception) -> UserError | Paused | None:
    """``error`` as one line with the mend; None for one that is nobody's mistake and needs its traceback."""
    text = str(error)
    if isinstance(error, UserError | Paused):
        return UserError(text.rsplit(OF_A_WORKER, 1)[1].strip()) if OF_A_WORKER in text else error
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno in MENDS:
            return UserError(f"{cause.filename or 'the disk'}: {cause.strerror}; {MENDS[cause.errno]}")
    # PyTorch's own, of shared memory in most cases; perhaps of a loader's process, at the end of its traceback.
    if full := [line.strip() for line in text.splitlines() if "No space left on device" in line]:
        return UserError(f"{full[-1]}; make room there, or, in shared memory, lower hardware.workers: {KEPT}")
    if type(error).__name__ == "OutOfMemoryError" or "CUDA error: out of memory" in text:  # torch is not imported here
        said = "out of the GPU's memory; lower score_batch or hardware.part, or have fewer stages on one GPU (--jobs)"
        return UserError(f"{said}: {KEPT}")
    if isinstance(error, FloatingPointError):
        return UserError(f"{in_one_line(error)}; the weights are of no use: train anew with a lower training.lr")
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
