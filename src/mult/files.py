"""Writing so that a file is either whole or not there."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from mult.process import STATE

LARGE = 1 << 26  # bytes of a file that is not read again to see that it is as it was


@contextmanager
def atomic(path: Path | str, mode: str = "wb") -> Iterator[IO]:
    """Open a file beside ``path`` for writing; on success flush it to disk and rename it to ``path``.

    Readers see the old file or the new one, never a part. A path that DVC has linked read-only is replaced, not
    written into.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    encoding = None if "b" in mode else "utf-8"
    handle = tempfile.NamedTemporaryFile(  # noqa: SIM115
        mode, dir=path.parent, prefix=f".{path.name}.", delete=False, encoding=encoding
    )
    try:
        with handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        os.chmod(handle.name, 0o644)
        os.replace(handle.name, path)
    except BaseException as error:
        os.unlink(handle.name)
        if isinstance(error, OSError) and error.filename is None:  # such as a full disk
            error.filename = str(path)
        raise


@contextmanager
def flushed(path: Path) -> Iterator[IO[bytes]]:
    """Open ``path``, in a folder that gets its name when it is complete, for writing; flush it to the disk."""
    with open(path, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def write_json(path: Path | str, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically; NaN and infinity are refused, for no reader agrees on them."""
    text = json.dumps(value, indent=1, allow_nan=False)
    with atomic(path, "w") as file:
        file.write(text + "\n")


def read_json(path: Path | str) -> Any:
    """The value that ``write_json`` wrote."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def sha256(path: Path | str) -> str:
    """Hex digest of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def intact(path: Path, digest: str, size: int, anew: bool = False) -> bool:
    """Whether the file is there with ``size`` bytes, whose ``sha256`` is ``digest``.

    A large file is read through once: then the file system's word, that nothing has touched it since, is taken. What
    was verified is noted in ``.mult``, so a disk that goes bad is not seen here.

    Args:
        anew: read it whatever was noted, as `mult verify` does.
    """
    if not path.is_file() or path.stat().st_size != size:
        return False
    if size < LARGE:
        return sha256(path) == digest
    seen = path.stat()  # before reading: what is written meanwhile changes the times
    now = f"{digest} {seen.st_ino} {seen.st_mtime_ns} {seen.st_ctime_ns}"
    note = STATE / "intact" / hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:32]
    if not anew and note.is_file() and note.read_text(encoding="utf-8") == now:
        return True
    if sha256(path) != digest:
        note.unlink(missing_ok=True)
        return False
    with atomic(note, "w") as file:
        file.write(now)
    return True
