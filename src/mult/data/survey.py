"""What a data set has, counted without opening a picture, and some of its views, evenly spread."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from mult.data.sources import Source, View
from mult.errors import UserError
from mult.progress import progress

FIRST = 5  # examples that are kept of a fault


@dataclass
class Lack:
    """Views without a label: how many, and the first few."""

    number: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, view: View) -> None:
        self.number += 1
        if len(self.first) < FIRST:
            self.first.append(f"{view.group}/{view.name}")


@dataclass
class Survey:
    """What there is.

    Attributes:
        groups: (split, group, number of views).
        having: split -> how many views have a file for each label.
        lacking: label that some views have in files -> those that do not.
        broken: groups whose views could not be listed to the end.
    """

    groups: list[tuple[str, str, int]] = field(default_factory=list)
    having: dict[str, Counter] = field(default_factory=dict)
    lacking: dict[str, Lack] = field(default_factory=dict)
    broken: list[UserError] = field(default_factory=list)

    @property
    def splits(self) -> list[str]:
        return list(self.having)

    def images(self, split: str | None = None) -> int:
        """Views of ``split``, or of all splits."""
        return sum(number for of, _, number in self.groups if split in (None, of))


def survey(source: Source, split: str | None = None) -> Survey:
    """Count the views of ``source``, or of one split; takes memory for its groups, not for its views."""
    found = Survey(lacking={label: Lack() for label in source.labels if label in source.own})
    members = [(of, group) for of, group in source.groups() if split in (None, of)]
    for of, group in progress(members, f"list {source.domain}", unit="group"):
        having, number = found.having.setdefault(of, Counter()), 0
        try:
            for view in source.views(of, group):
                number += 1
                for label in source.labels:
                    if source.has(view, label):
                        having[label] += 1
                    elif label in found.lacking:
                        found.lacking[label].add(view)
        except UserError as error:
            found.broken.append(error)
        found.groups.append((of, group, number))
    return found


def whole_survey(source: Source) -> Survey:
    """``survey`` of a data set that is to be used from the first view to the last.

    Raises:
        UserError: the views of a group cannot be listed, or there is no view.
    """
    found = survey(source)
    if found.broken:
        raise found.broken[0]
    if not found.images():
        raise nothing_in(source)
    return found


def nothing_in(source: Source) -> UserError:
    """What is said of a data set without a view."""
    return UserError(f"{source.root}: no image of {source.domain} ({source.layout}) belongs to a split in use")


def spread(source: Source, found: Survey, images: int | None = None) -> Iterator[View]:
    """``images`` views of those that ``found`` counts, evenly spread over all of them, in their order; None: all."""
    total = found.images()
    wanted = None
    if images is not None and images < total:
        wanted = set(np.linspace(0, total - 1, images).round().astype(int).tolist())
    first = 0
    for split, group, number in found.groups:
        if wanted is None or any(place in wanted for place in range(first, first + number)):
            views = enumerate(islice(source.views(split, group), number), first)
            yield from (view for place, view in views if wanted is None or place in wanted)
        first += number
