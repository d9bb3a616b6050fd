"""What DVC keeps: outs of stages in the workspace, and their copies in its cache, each named by the MD5 of its content.

    .dvc/cache/files/md5/3f/9a…       a file
    .dvc/cache/files/md5/77/0c….dir   the list of a folder's files, as JSON
    .dvc/cache/runs/c0/c049…/2bfe…    an earlier run of a stage: what it was made from and what came out

A whole copy, in the workspace or in the cache, mends the other; without one the stage is run again.
"""

import hashlib
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mult.outs import digest
from mult.verify.fault import Fault, removing

FOLDER = ".dir"  # ends the name of what lists a folder
NAME = re.compile(rf"[0-9a-f]{{30}}({re.escape(FOLDER)})?")


@dataclass(frozen=True)
class Out:
    """What a stage has written, by dvc.lock; ``oid`` is the MD5 of its content. Some are kept by git, not the cache."""

    path: Path
    oid: str
    cached: bool
    stage: str


@dataclass
class State:
    """What there is to say of an out; ``explained``: files whose faults are among these as well."""

    absent: bool = False
    faults: list[Fault] = field(default_factory=list)
    explained: set[Path] = field(default_factory=set)


class Cache:
    """DVC's cache in ``folder``; each file is read once, also where the workspace has a hard link to it.

    Attributes:
        bad: of what was looked at, what is not as its name says.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.bad: set[Path] = set()
        self._seen: dict[tuple[int, int], str] = {}

    def objects(self) -> list[Path]:
        """Every file in it but those that were being written when a kill came."""
        return sorted(
            path for path in self.folder.glob("??/*") if re.fullmatch(rf"[0-9a-f]{{30}}({FOLDER})?", path.name)
        )

    def path(self, oid: str) -> Path:
        """Where the content ``oid`` is, if it is there."""
        return self.folder / oid[:2] / oid[2:]

    def look(self, path: Path) -> None:
        """Read the object ``path``."""
        if self.md5(path) != f"{path.parent.name}{path.name}".removesuffix(FOLDER):
            self.bad.add(path)

    def has(self, oid: str) -> bool:
        """Whether the content ``oid`` is there and whole, by what was looked at."""
        return self.path(oid).is_file() and self.path(oid) not in self.bad

    def md5(self, path: Path) -> str:
        """Of a file's content; empty where the disk does not give it."""
        about = path.stat()
        key = (about.st_dev, about.st_ino)
        if key not in self._seen:
            try:
                self._seen[key] = digest(path)
            except OSError:
                self._seen[key] = ""
        return self._seen[key]


def faults_of(out: Out, cache: Cache) -> State:
    """Compare an out in the workspace with what dvc.lock says of it, and name its copies in the cache that are bad."""
    found = {path: cache.md5(path) for path in _files(out.path)}
    wanted = _wanted(out, found, cache)
    oids = {out.oid, *(wanted or {}).values()} if out.cached else set()
    can_restore = bool(oids) and wanted is not None and all(map(cache.has, oids))
    if not found and not can_restore:
        return State(absent=True)
    bad = cache.bad & {cache.path(oid) for oid in oids}
    if wanted is None:
        # It is not known which are the out's, so all bad copies go: DVC would take one for what the stage has made.
        mend = f"{removing(out.path, *cache.bad)} && mult repro {shlex.quote(out.stage)}"
        fault = Fault(out.path, "not as dvc.lock has it, and DVC's list of its files is damaged or missing", mend)
        return State(faults=[fault], explained=bad)
    if wrong := sorted(path for path in {*found, *wanted} if found.get(path) != wanted.get(path)):
        again = f"dvc checkout {shlex.quote(str(out.path))}" if can_restore else f"mult repro {shlex.quote(out.stage)}"
        mend = f"{removing(out.path, *bad)} && {again}"
        return State(faults=[Fault(path, _what(path, found, wanted), mend) for path in wrong], explained=bad)
    return State(faults=[_copied(path, out, wanted, cache) for path in sorted(bad)])


def fault_of_a_run(path: Path) -> Iterator[Fault]:
    """Compare an earlier run that DVC remembers with its name, which is its digest."""
    import yaml
    from dvc.stage.cache import _get_cache_hash  # no documented one: a test holds it against real entries

    if not re.fullmatch(r"[0-9a-f]{64}", path.name):  # was being written when a kill came
        return
    try:
        whole = _get_cache_hash(yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)) == path.name
    except (yaml.YAMLError, OSError, ValueError, TypeError, AttributeError):
        whole = False
    if not whole:
        yield Fault(path, "altered, DVC's memory of an earlier run", removing(path))


def _copied(copy: Path, out: Out, wanted: dict[Path, str], cache: Cache) -> Fault:
    """A bad copy of what is whole in the workspace."""
    whole = [path for path, oid in wanted.items() if cache.path(oid) == copy]
    if whole:
        mend = shlex.join(["install", "-m", "444", str(whole[0]), str(copy)])
    else:  # the list of a folder's files
        mend = f"{removing(copy)} && dvc commit {shlex.quote(str(out.path))}"
    return Fault(copy, f"altered, DVC's copy of {whole[0] if whole else out.path}", mend)


def _files(path: Path) -> list[Path]:
    places = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [place for place in places if place.is_file()]


def _wanted(out: Out, found: dict[Path, str], cache: Cache) -> dict[Path, str] | None:
    """The MD5 of each file of an out; None for a folder whose list is lost and that is not as it was."""
    if not out.oid.endswith(FOLDER):
        return {out.path: out.oid}
    listed = [{"md5": md5, "relpath": path.relative_to(out.path).as_posix()} for path, md5 in found.items()]
    text = json.dumps(sorted(listed, key=lambda of: of["relpath"]), sort_keys=True)  # as DVC writes it
    if hashlib.md5(text.encode()).hexdigest() == out.oid.removesuffix(FOLDER):
        return found
    listing = cache.path(out.oid)
    if not cache.has(out.oid):
        return None
    return {out.path / of["relpath"]: of["md5"] for of in json.loads(listing.read_text(encoding="utf-8"))}


def _what(path: Path, found: dict[Path, str], wanted: dict[Path, str]) -> str:
    if path not in found:
        return "missing"
    return "altered" if path in wanted else "not one of the files that were written there"
