"""What `mult verify` says of one file."""

import shlex
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Fault:
    """A file or folder that is not as it was written.

    Attributes:
        mend: a command of the shell, in the project's folder and its environment.
    """

    where: Path
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; mend: {self.mend}"


def removing(*paths: Path) -> str:
    """The command that removes files and folders."""
    return shlex.join(["rm", "-rf", *map(str, sorted(paths))])
