"""`mult verify`: reads all that results rest on, and says what is not as it was written and how to mend it.

A stage reads only what it needs, a large file once, and DVC copies out of its cache whatever lies there under the right
name. So a disk that goes bad, or a program that wrote where it should not, may show late or not at all. Here every byte
is read: what DVC keeps (``cached``) and what has a digest of our own (``own``), which holds without DVC as well; of
data sets in place, where that is asked for, each file's mark (``in_place``).
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from mult import lockfile
from mult.data.store import INDEX_KIND, read_index
from mult.errors import UserError
from mult.process import CHECKPOINTS, alone
from mult.progress import progress
from mult.quick import quicken
from mult.verify.cached import Cache, Out, fault_of_a_run, faults_of
from mult.verify.fault import Fault, removing
from mult.verify.own import faults_of_a_checkpoint, faults_of_a_domain, faults_of_a_model

Item = TypeVar("Item")


class Verification:
    """One look at everything, which counts what was looked at, faults, and outs that are not here yet."""

    def __init__(self):
        self.looked: Counter[str] = Counter()
        self.damaged = self.absent = 0
        self._told: set[Path] = set()

    def faults(self, files: bool = False) -> Iterator[Fault]:
        """Every fault, as it is found, and each once.

        Args:
            files: compare the files of data sets in place with their index.

        Raises:
            UserError: no project of DVC here, dvc.yaml cannot be read, or `mult repro` is at work.
        """
        with alone("repro"):
            for fault in self._all(files):
                if not self._told & {fault.where, *fault.where.parents}:
                    self._told.add(fault.where)
                    self.damaged += 1
                    yield fault

    def summary(self) -> str:
        """What was looked at, in a line."""
        absent = f" ({self.absent} outs are not here yet: `mult repro` makes them)" if self.absent else ""
        seen = ", ".join(f"{number} {what}" for what, number in self.looked.items() if number)
        return f"looked at {seen}{absent}: {self.damaged or 'nothing'} damaged"

    def _all(self, files: bool) -> Iterator[Fault]:
        if complaint := lockfile.complaint():
            yield Fault(Path(lockfile.NAME), complaint, "mult repro")
        cache, runs, outs = _of_dvc(bool(complaint))
        stages = {out.path: out.stage for out in outs}
        if not complaint:  # which has to be mended first: it says what is to be where
            yield from self._each("files in DVC's cache", cache.objects(), cache.look)
            yield from self._each("outs", outs, lambda out: self._out(out, cache))
            for path in sorted(cache.bad):
                yield Fault(path, "altered; nothing in dvc.lock needs it", removing(path))
            yield from self._each("runs that DVC remembers", sorted(runs.glob("*/*/*")), fault_of_a_run)
        folders = sorted(path for path in Path("data").glob("[!.]*") if path.is_dir())
        yield from self._each("domains", folders, lambda path: faults_of_a_domain(path, stages.get(path)))
        models = sorted(Path("runs").glob("*/model.json"))
        yield from self._each("models", models, lambda path: faults_of_a_model(path, stages))
        kept = sorted(CHECKPOINTS.glob("*/*/step-*.json"))
        yield from self._each("checkpoints", kept, faults_of_a_checkpoint)
        for folder in folders if files else ():
            yield from self._in_place(folder)

    def _each(self, what: str, items: list[Item], look: Callable[[Item], Iterable[Fault] | None]) -> Iterator[Fault]:
        self.looked[what] = len(items)
        for item in progress(items, f"verify {what}"):
            yield from look(item) or ()

    def _out(self, out: Out, cache: Cache) -> Iterator[Fault]:
        state = faults_of(out, cache)
        self.absent += state.absent
        self._told |= state.explained
        yield from state.faults

    def _in_place(self, folder: Path) -> Iterator[Fault]:
        from mult.verify.in_place import faults_of_files

        if folder / "views.arrow" in self._told:
            return
        try:
            index = read_index(folder)
        except UserError:  # told as one of the domain
            return
        if index.get("kind") == INDEX_KIND:
            self.looked["files in place"] += sum(index["files"].values())
            yield from faults_of_files(folder, index)


def _of_dvc(damaged: bool) -> tuple[Cache, Path, list[Out]]:
    """DVC's cache, its folder of earlier runs, and the outs of stages that have been run; none by a damaged lock."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    quicken()
    try:
        with Repo() as repo:
            cache, runs = Cache(_here(repo.cache.local.path)), _here(repo.cache.legacy.path) / "runs"
            stages = [] if damaged else repo.index.stages
            outs = [
                Out(Path(os.path.relpath(out.fs_path)), out.hash_info.value, out.use_cache, stage.addressing)
                for stage in stages
                for out in stage.outs
                if out.hash_info
            ]
    except DvcException as error:
        raise UserError(f"dvc: {' '.join(str(error).split())}") from None
    return cache, runs, outs


def _here(path: str) -> Path:
    """As short as it can be said from here."""
    return Path(min(os.path.relpath(path), path, key=len))
