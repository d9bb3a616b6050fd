"""What is wrong with a data set as a whole: labels that are missing, and groups that are in several splits."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice

from mult.data.check.faults import Tally, from_error
from mult.data.sources import Source
from mult.data.survey import FIRST, Survey
from mult.tasks import TASKS


def add_whole(tally: Tally, source: Source, found: Survey, others: Sequence[Source] = ()) -> None:
    """Add to ``tally`` the faults that no single view shows; ``others``: see ``check``."""
    for error in found.broken:
        fault = from_error(error, source.root)
        tally.add(replace(fault, what=f"{fault.what}: the group's views from here on were not looked at"))
    _add_missing(tally, source, found)
    _add_lacking(tally, found)
    strays = iter(source.strays())
    first = list(islice(strays, FIRST))
    if first:
        number = len(first) + sum(1 for _ in strays)
        tally.add_many("labels without a picture (rgb)", first, "fetch the picture, or delete the labels", number)
    _add_doubled(tally, source, others)


def tasks_without_classes(source: Source) -> bool:
    """Whether segment_semantic is missing because the data set has no classes, which nobody can mend."""
    return not source.classes and "segment_semantic" not in source.labels


def _add_missing(tally: Tally, source: Source, found: Survey) -> None:
    for task in TASKS.values():
        there = task.name in source.labels
        if there and task.name in source.own:
            there = any(having[task.name] for having in found.having.values())
        if there or (task.short == "semseg" and tasks_without_classes(source)):
            continue
        what = f"no view has {task.name}, nor what it is computed from: the task {task.short} falls away"
        tally.add_many(
            what,
            [str(source.root)],
            f"fetch {task.name}; without it this can be scored in other tasks, not trained on",
            1,
        )


def _add_lacking(tally: Tally, found: Survey) -> None:
    for label, lack in found.lacking.items():
        if 0 < lack.number < found.images():
            what = f"no {label}, which other views have"
            tally.add_many(what, lack.first, f"fetch {label} of these views, or leave them out", lack.number)


def _add_doubled(tally: Tally, source: Source, others: Sequence[Source]) -> None:
    """Groups that are in several splits of ``source``, or in one here and in another of ``others``."""
    ours, mend = _splits_of(source.groups()), "keep it in one split, or what is tested has been trained on"
    for group, splits in ours.items():
        if len(splits) > 1:
            tally.add_many("one group in several splits", [f"{group} ({', '.join(splits)})"], mend, 1)
    for other in others:
        theirs = _splits_of(other.groups())
        for group in ours.keys() & theirs.keys():
            if ours[group] != theirs[group]:
                where = f"{group} ({', '.join(ours[group])} here, {', '.join(theirs[group])} there)"
                tally.add_many(f"one group in another split of {other.root}", [where], mend, 1)


def _splits_of(groups: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for split, group in groups:
        found[group].append(split)
    return found
