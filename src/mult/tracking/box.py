"""What a run has to say and its store has not taken yet, on disk.

    .mult/tracking/<began>-<number>/head.json        what the run is: all that making it in a store needs
    .mult/tracking/<began>-<number>/messages.jsonl   a message a line: metrics, artifact, model, again or end
    .mult/tracking/<began>-<number>/files/           artifacts and models, by the names that messages give them
    .mult/tracking/<began>-<number>/lock             held by the process that works on the run, or sends it

A box appears and goes as a whole. A line is written before it is told and removed when the store has it, so a process
that is killed in between leaves a message that may be there already; telling.py leaves out what is.
"""

import fcntl
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from mult.files import read_json, write_json
from mult.process import TRACKING

LEFT_OVER_S = 3600  # after which a half-made or half-removed box is nobody's

Message = dict[str, Any]


def now_ms() -> int:
    """Milliseconds since 1970, as MLflow counts."""
    return int(time.time() * 1000)


class Box:
    """The box of one run, while this process holds its lock.

    Attributes:
        head: ``name``, ``stage``, ``store``, ``params``, ``tags``, ``inputs`` ([name, digest, path] each), ``context``,
            ``once`` (name of the tag by which an equal run is known, or ""), ``start_ms``; ``local_id`` stands for the
            run where the store has given no id, ``run_id`` is the store's, ``begun`` whether it has all of the above,
            ``tried_ms`` when it was last asked to make the run.
        files: folder of artifacts.
    """

    def __init__(self, folder: Path, head: dict[str, Any], lock: IO):
        self.folder, self.head, self.files, self._lock = folder, head, folder / "files", lock
        self._messages = folder / "messages.jsonl"
        self._held: list[str] = []

    @classmethod
    def new(cls, head: dict[str, Any]) -> "Box":
        """A box for a run that begins."""
        name = f"{head['start_ms']}-{uuid.uuid4().hex[:8]}"
        making = TRACKING / f".{name}"
        making.mkdir(parents=True)
        lock = _locked(making)
        write_json(making / "head.json", head)
        os.rename(making, TRACKING / name)
        return cls(TRACKING / name, head, lock)

    @classmethod
    def take(cls, folder: Path) -> "Box | None":
        """A box that another process has left; None while a living process holds it, or where it has just gone."""
        try:
            lock = _locked(folder)
            box = cls(folder, read_json(folder / "head.json"), lock)
        except (BlockingIOError, FileNotFoundError):
            return None
        box._cut()
        return box

    @classmethod
    def of(cls, run: str) -> "Box | None":
        """The box that a killed process has left of the run with this id, the store's or the local one."""
        for folder in boxes():
            with suppress(OSError, ValueError):
                head = read_json(folder / "head.json")
                if run in (head["run_id"], head["local_id"]) and (box := cls.take(folder)):
                    return box
        return None

    def note(self, **changes: Any) -> None:
        """Change the head, on disk as well."""
        self.head = self.head | changes
        write_json(self.folder / "head.json", self.head)

    def add(self, message: Message) -> None:
        """Keep a message, behind those that wait.

        Raises:
            OSError: the disk does not take it; it stays in memory, and is written with the next one.
        """
        self._held.append(json.dumps(message, allow_nan=False) + "\n")
        size = self._messages.stat().st_size if self._messages.exists() else 0
        try:
            with open(self._messages, "a", encoding="utf-8") as file:
                file.writelines(self._held)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            with suppress(FileNotFoundError):
                os.truncate(self._messages, size)
            raise
        self._held.clear()

    def messages(self) -> list[Message]:
        """What waits, in order."""
        return [*_lines(self.folder), *map(json.loads, self._held)]

    def clear(self) -> None:
        """Forget what waited: the store has it."""
        self._held.clear()
        if self._messages.exists():
            os.truncate(self._messages, 0)
        shutil.rmtree(self.files, ignore_errors=True)

    def remove(self) -> None:
        """Nothing is left to say."""
        gone = self.folder.with_name(f".{self.folder.name}")
        os.rename(self.folder, gone)
        shutil.rmtree(gone, ignore_errors=True)
        self._lock.close()

    def release(self) -> None:
        """Leave the box to whoever sends it."""
        self._lock.close()

    def _cut(self) -> None:
        """Remove what a killed process has begun to write of a line, lest the next one be joined to it."""
        if self._messages.exists():
            text = self._messages.read_bytes()
            os.truncate(self._messages, text.rfind(b"\n") + 1)


def _locked(folder: Path) -> IO:
    lock = open(folder / "lock", "a")  # noqa: SIM115  held as long as the box is
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise
    return lock


def _lines(folder: Path) -> list[Message]:
    try:
        text = (folder / "messages.jsonl").read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in text.split("\n")[:-1]]


def boxes() -> list[Path]:
    """Folders of all boxes, the run that began first before the others."""
    found = (path.parent for path in TRACKING.glob("[0-9]*-*/head.json"))
    return sorted(found, key=lambda folder: (int(folder.name.partition("-")[0]), folder.name))


def waiting() -> Iterator[tuple[Path, dict[str, Any], int]]:
    """Folder, head and number of messages of each box that has something to say."""
    for folder in boxes():
        with suppress(OSError):  # gone meanwhile
            head, count = read_json(folder / "head.json"), len(_lines(folder))
            if count or not head["begun"]:
                yield folder, head, count


def sweep() -> None:
    """Remove what killed processes had begun to make, or to remove."""
    for folder in TRACKING.glob(".*-*"):
        with suppress(FileNotFoundError):
            if time.time() - folder.stat().st_mtime > LEFT_OVER_S:
                shutil.rmtree(folder, ignore_errors=True)
