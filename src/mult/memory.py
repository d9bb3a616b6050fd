"""Memory of the process that trains."""

import contextlib
import ctypes
import sys


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
