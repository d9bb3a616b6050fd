"""The word that several processes of one work leave when it fails or pauses, for the process that has started them.

The first to leave it has brought the others to their end, so it alone is quoted; the others end without a sound.
"""

import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from mult.errors import Paused, UserError
from mult.process import rank

VARIABLE = "MULT_WORD"  # the file that the word is left in: empty at first, and missing on hosts that do not see it
GRACE_S = 1.0  # who loses the others through one that was killed is itself ended within this time, and not quoted


@dataclass(frozen=True)
class Word:
    """Who has left it, whether for a pause, and in one line why."""

    rank: int
    paused: bool
    line: str


def leave(error: Exception) -> int | None:
    """Leave word that this process ends by ``error``, unless another has left its own: to be called while the others
    have not lost this one. A failure takes the place of a pause.

    Returns:
        The rank of the one whose word it is; None where nobody waits for one, so that this process must speak.
    """
    place = Path(os.environ.get(VARIABLE, ""))
    if not place.is_file():
        return None
    expected = isinstance(error, UserError | Paused)
    if not expected and read(place) is None:
        time.sleep(GRACE_S)
    line = " ".join(str(error).split())
    own = Word(rank(), isinstance(error, Paused), line if expected else f"{type(error).__name__}: {line[:200]}")
    with open(place, "r+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        found = _parsed(file.read())
        if found is not None and (own.paused or not found.paused):
            return found.rank
        file.seek(0)
        file.truncate()
        file.write(json.dumps(asdict(own)))
    return own.rank


def read(place: Path) -> Word | None:
    """The word that was left in ``place``, if any."""
    with open(place, encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        return _parsed(file.read())


def _parsed(text: str) -> Word | None:
    return Word(**json.loads(text)) if text else None
