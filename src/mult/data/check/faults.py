"""A fault of a data set, and many of them grouped by kind."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from mult.data.survey import FIRST
from mult.errors import UserError


@dataclass(frozen=True)
class Fault:
    """What is wrong, where (a file below the root, or the root's name for it), and the mend."""

    what: str
    where: str
    mend: str


def from_error(error: UserError, root: Path) -> Fault:
    """A reader's message, ``<file>: <what>; <mend>``, as a fault."""
    where, _, said = str(error).partition(": ")
    what, _, mend = said.partition("; ")
    return Fault(what, where.removeprefix(f"{root}/"), mend or "look at this file")


@dataclass
class Kind:
    """Faults of one kind; ``what`` has … where they differ in a number."""

    what: str
    mend: str
    number: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, what: str, files: list[str], number: int) -> None:
        self.what = " ".join(
            ours if ours == theirs else "…" for ours, theirs in zip(self.what.split(" "), what.split(" "), strict=True)
        )
        self.number += number
        self.first += files[: FIRST - len(self.first)]


class Tally:
    """Faults by kind, in the order in which the kinds were met; of each kind the number and the first few places."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str], Kind] = {}

    def add(self, fault: Fault) -> None:
        """Count ``fault``, but not again for each view that one and the same file is read for."""
        kind = self._kinds.get(_key(fault.what, fault.mend))
        if kind is None or fault.where not in kind.first:
            self.add_many(fault.what, [fault.where], fault.mend, 1)

    def add_many(self, what: str, first: list[str], mend: str, number: int) -> None:
        """``number`` faults that are alike, of which the first few are at ``first``."""
        self._kinds.setdefault(_key(what, mend), Kind(what, mend)).add(what, first, number)

    def kinds(self) -> list[Kind]:
        return list(self._kinds.values())

    def __len__(self) -> int:
        return sum(kind.number for kind in self._kinds.values())


def _key(what: str, mend: str) -> tuple[str, str]:
    return re.sub(r"-?\d[\d.]*", "#", what), mend
