"""Files of a data set that turn out to be damaged while they are read: named, counted, and passed over up to a limit.

    .mult/damaged/<domain>.csv      a line a label: split, group, name, label, what is wrong; common to all processes

A training of days must not end for one truncated file among millions, and a data set that is broken as a whole must not
be trained on. The list is begun anew with each indexing. The limit is params.yaml's word at the time of reading: in the
index, another one would outdate all that was trained.
"""

import csv
import fcntl
import sys
from pathlib import Path

from mult.data.sources.source import View
from mult.errors import UserError
from mult.params import RealDomain, load
from mult.process import STATE

FOLDER = STATE / "damaged"
COLUMNS = ("split", "group", "name", "label", "fault")


def allowed(domain: str) -> int:
    """Of how many views of ``domain`` params.yaml lets files be damaged; the usual number where it says nothing."""
    usual = RealDomain.model_fields["damaged"].default
    try:
        return getattr(load().scale.domains.get(domain), "damaged", usual)
    except UserError:  # no params.yaml here
        return usual


class Damage:
    """What has been found in one data set so far."""

    def __init__(self, domain: str, limit: int, folder: Path = FOLDER):
        """``limit``: of views with a damaged file."""
        self.path, self.limit = folder / f"{domain}.csv", limit
        self._blind: set[tuple[str, str, str]] = set()

    def note(self, view: View, label: str, fault: UserError) -> None:
        """Keep in mind that ``label`` of ``view`` cannot be read.

        Raises:
            UserError: so many views are damaged that it is not about single files.
        """
        place = (view.split, view.group, view.name)
        if label == "rgb":
            self._blind.add(place)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a+", encoding="utf-8", newline="") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            known = [tuple(row) for row in csv.reader(file)][1:]
            if (*place, label) not in {row[:4] for row in known}:
                if not known:
                    file.truncate(0)
                    csv.writer(file).writerow(COLUMNS)
                csv.writer(file).writerow([*place, label, str(fault)])
                views = len({row[:3] for row in known} | {place})
                if views <= self.limit:
                    print(f"warning: {fault} (passed over: view {views} of at most {self.limit})", file=sys.stderr)
            else:
                views = len({row[:3] for row in known})
        if views > self.limit:
            raise UserError(
                f"{fault}; that is view {views} with a damaged file, and `damaged` allows {self.limit}: {self.path} "
                "names them; mend these files and delete that list, or allow more in params.yaml, which trains nothing "
                "again"
            )

    def blind(self, view: View) -> bool:
        """Whether the view's picture is damaged, so that its labels are of no use."""
        return (view.split, view.group, view.name) in self._blind
