"""Memory of the process that trains."""

import contextlib
import ctypes
import resource
import sys
from pathlib import Path


def keep_freed_memory() -> None:
    """Have malloc keep what is freed instead of handing it back to the kernel (glibc; elsewhere nothing happens).

    A training step frees and takes the same large tensors again; taken anew from the kernel they come page by page,
    zeroed, which costs a step on a CPU several percent.
    """
    if sys.platform != "linux":
        return
    trim_threshold, mmap_threshold = -1, -3
    with contextlib.suppress(AttributeError, OSError):  # another C library
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_threshold, 1 << 30)
        libc.mallopt(trim_threshold, -1)  # never


def peak_mb() -> float:
    """Most resident memory so far; where Linux tells it, of this program and not of what it was started from."""
    status = Path("/proc/self/status")
    if status.is_file():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
