"""The report of a check as text."""

from collections import defaultdict
from collections.abc import Iterator

from mult.data.check.run import Report
from mult.data.check.whole import tasks_without_classes
from mult.data.sources.source import SPLITS
from mult.data.survey import FIRST

INDENT = 8  # columns for a number


def lines(report: Report) -> Iterator[str]:
    """Counts a split, what is left out, then the faults by kind: their number, the first few places and the mend."""
    source, found, tally = report.source, report.survey, report.tally
    yield f"{source.domain} in {source.root}: {source.layout}"
    yield ""
    yield from _aligned(list(_counts(report)))
    yield ""
    yield from _notes(report)
    for kind in tally.kinds():
        yield f"{kind.number:>{INDENT},}  {kind.what}"
        more = f" and {kind.number - len(kind.first):,} more" if kind.number > len(kind.first) else ""
        for place, where in enumerate(kind.first, 1):
            yield f"{'':{INDENT}}    {where}{more if place == len(kind.first) else ''}"
        yield f"{'':{INDENT}}    mend: {kind.mend}"
    looked = "all" if report.looked_at == found.images() else f"{report.looked_at:,}, evenly spread,"
    yield f"{len(tally):,} fault{'s' if len(tally) != 1 else ''}; looked at {looked} of {found.images():,} images"


def _counts(report: Report) -> Iterator[list[str]]:
    """Rows: the head, images, groups, and of each label how many views have it."""
    source, found = report.source, report.survey
    splits = found.splits
    yield ["", *splits]
    yield ["images", *(f"{found.images(split):,}" for split in splits)]
    yield ["groups", *(f"{sum(of == split for of, _, _ in found.groups):,}" for split in splits)]
    for label in source.labels:
        if label not in source.own | {"rgb"}:
            yield [label, *["computed"] * len(splits)]
            continue
        counts = [found.having[split][label] for split in splits]
        yield [label, *("all" if n == found.images(s) else f"{n:,}" for s, n in zip(splits, counts, strict=True))]


def _aligned(rows: list[list[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        yield "  ".join(cells).rstrip()


def _notes(report: Report) -> Iterator[str]:
    """What is no fault and yet to be known."""
    source, found = report.source, report.survey
    said = []
    if empty := [split for split in SPLITS if split not in found.splits]:
        said.append(f"no images in {', '.join(empty)}")
    if tasks_without_classes(source):
        said.append("the data set has no semantic classes: no task semseg")
    reasons: dict[str, list[str]] = defaultdict(list)
    for group, reason in sorted(source.left_out().items()):
        reasons[reason].append(group)
    for reason, groups in reasons.items():
        more = f" and {len(groups) - FIRST} more" if len(groups) > FIRST else ""
        said.append(f"left out: {', '.join(groups[:FIRST])}{more} ({reason})")
    yield from said
    if said:
        yield ""
