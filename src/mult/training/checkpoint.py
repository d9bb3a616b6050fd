"""Checkpoints from which a killed training goes on as if nothing had been.

    .mult/checkpoints/<run>/<fingerprint>/step-00000045.pt     torch.save of plain containers and tensors
    .mult/checkpoints/<run>/<fingerprint>/step-00000045.json   its digest, written after it
    .mult/checkpoints/<run>/<fingerprint>/lock                 held, with others, by whoever writes

They are no output of a DVC stage: `persist` would hand a training the weights of other parameters. The fingerprint
covers parameters, data and code, so a training finds only checkpoints of itself; they go when dvc.lock has the run.
"""

import fcntl
import hashlib
import json
import pickle
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from mult import leftovers
from mult.files import atomic, read_json, sha256, write_json
from mult.process import CHECKPOINTS, rank

FOLDER = CHECKPOINTS
KEPT = 2  # the newest ones: the last may turn out to be damaged


class Checkpoints:
    """The checkpoints of one training."""

    def __init__(self, folder: Path, every_s: float):
        """``every_s``: seconds from one to the next; where less is lost, less often is cheaper."""
        self.folder, self.every_s = folder, every_s
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether it is time for the next one."""
        return time.monotonic() - self._last >= self.every_s

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Keep what is needed to go on after ``step`` steps; older ones but a whole one go."""
        path = self.folder / f"step-{step:08d}.pt"
        with self._writing() as alone:
            with atomic(path) as file:
                torch.save(state, file)
            write_json(path.with_suffix(".json"), {"sha256": sha256(path)})
            paths = self._paths()
            # Damaged ones, which this training has gone back behind, and those that a kill has left without a digest.
            ahead = [p for p in paths if int(p.stem[5:]) > step]
            useless = ahead + [p for p in paths if alone and p not in ahead and not p.with_suffix(".json").is_file()]
            for old in useless + [p for p in paths if p not in useless][KEPT:]:
                old.with_suffix(".json").unlink(missing_ok=True)
                old.unlink(missing_ok=True)
        self._last = time.monotonic()

    def newest(self) -> dict[str, Any] | None:
        """What the newest whole one holds, on the CPU; None where there is none. Damaged ones are named and skipped."""
        for path in self._paths():
            try:
                if read_json(path.with_suffix(".json"))["sha256"] == sha256(path):
                    return torch.load(path, map_location="cpu", weights_only=True)
                complaint = "its digest is not the one written with it"
            except (OSError, ValueError, KeyError, TypeError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
                complaint = type(error).__name__
            if rank() == 0:  # the others see the same
                print(f"warning: {path}: damaged ({complaint}); an older one is tried", file=sys.stderr)
        return None

    def ended(self, out: Path) -> None:
        """The run has been trained, into ``out`` among others: they go when dvc.lock has it.

        Those of other fingerprints of the run go at once, and all where there is none of this one.
        """
        for other in self.folder.parent.glob("*"):
            if other != self.folder or not self._paths():
                shutil.rmtree(other, ignore_errors=True)
        if self._paths():
            leftovers.ended(self.folder, out)

    @contextmanager
    def _writing(self) -> Iterator[bool]:
        """Remove what processes that were killed had begun to write, if no other process writes here when this begins.

        Yields whether none does.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        alone = False
        with open(self.folder / "lock", "a") as lock:
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                alone = True
                for begun in self.folder.glob(".step-*"):
                    begun.unlink(missing_ok=True)
            fcntl.flock(lock, fcntl.LOCK_SH)
            yield alone

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.pt"), reverse=True)


def fingerprint(settings: object, code: Iterable[Path]) -> str:
    """Twelve hex digits of settings (anything that JSON can say) and of the files in ``code`` and below its folders."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for place in sorted(code):
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            digest.update(str(path).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]
