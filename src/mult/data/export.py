"""Any domain as files in Taskonomy's layout and encoding, which other programs read, and this one (``taskonomy.py``).

OUT/<kind>/<building>/point_<P>_view_<V>_domain_<kind>.png     a kind is a label; groups are the buildings
OUT/point_info/<building>/point_<P>_view_<V>_domain_point_info.json    field_of_view_rads
OUT/splits.csv, OUT/classes.json                               written last
OUT/export.json                                                what is exported here, and how
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mult.data.claim import claim
from mult.data.fit import square_fov
from mult.data.lazy import Pictures
from mult.data.sources import EXPORT_FILE, Source, View
from mult.data.sources.source import SPLITS
from mult.data.sources.taskonomy import CLASS_FILE, INFO, PARTITION_FILE, STORED
from mult.data.survey import Survey, spread, whole_survey
from mult.data.workers import in_batches, in_processes
from mult.errors import UserError
from mult.files import atomic, write_json
from mult.png import write_png
from mult.progress import progress

BATCH = 8  # views that a process is given at a time
IRREGULAR = {"segment_semantic": "segmentsemantic"}  # kind -> how Taskonomy's files call it
_VIEW = re.compile(r"point_\d+_view_\d+")


@dataclass(frozen=True)
class Item:
    """One view to be written, and under which names."""

    view: View
    building: str
    name: str


def export(source: Source, out: Path, size: int | None = None, processes: int | None = None) -> int:
    """Write every view of ``source`` below ``out``; returns their number.

    A view's labels that are not in files are computed, as training has them; those that it lacks and that cannot be
    computed are left out. Files appear whole or not at all, and a view that is finished is not written again.

    Args:
        size: the middle squares of the pictures, resized to so many pixels; None: the pictures as they are.
        processes: None: one a core.

    Raises:
        UserError: a file of the data set that cannot be read; ``out`` holds something else; two groups whose names
            are not told apart as buildings, or a group in two splits; no room on the disk.
    """
    found = whole_survey(source)
    buildings = _buildings(found)
    claim(source, out, size, EXPORT_FILE, "export")
    batches = in_batches(_items(source, found, buildings), BATCH)
    if found.images() <= BATCH:
        processes = 1  # before another has started, they are written
    done = (view for batch in in_processes(_write_views, (source, out, size), batches, processes) for view in batch)
    for _ in progress(done, f"export {source.domain}", total=found.images(), unit="image"):
        pass
    if source.classes:
        write_json(out / CLASS_FILE, list(source.classes))
    _write_splits(found, buildings, out)
    return found.images()


def _buildings(found: Survey) -> dict[str, str]:
    """Group -> building: the same name, fit for a folder."""
    splits: dict[str, str] = {}
    for split, group, _ in found.groups:
        if splits.setdefault(group, split) != split:
            raise UserError(f"{group}: in {splits[group]} and in {split}; keep it in one (`mult data check` lists all)")
    buildings = {group: re.sub(r"[^\w.-]+|^\.+", "-", group) for group in splits}
    if len(set(buildings.values())) < len(buildings):
        raise UserError("two groups have names that are not told apart as folders; rename one of them")
    return buildings


def _items(source: Source, found: Survey, buildings: dict[str, str]) -> Iterator[Item]:
    group, number = None, 0
    for view in spread(source, found):
        number = number + 1 if view.group == group else 0
        group = view.group
        name = view.name if _VIEW.fullmatch(view.name) else f"point_{number}_view_0"
        yield Item(view, buildings[view.group], name)


def _write_views(kept: tuple[Source, Path, int | None], items: Sequence[Item]) -> list[str]:
    source, out, size = kept
    for item in items:
        info = out / INFO / item.building / f"{item.name}_domain_{INFO}.json"
        if info.exists():  # it is written last
            continue
        pictures = Pictures(source, [item.view].__getitem__, 1, size) if size else None
        for label in STORED:
            if source.available(item.view, label):
                values = pictures.read(0, label) if pictures else source.read(item.view, label)
                name = f"{item.name}_domain_{IRREGULAR.get(label, label)}.png"
                write_png(out / label / item.building / name, values)
        fov = square_fov(item.view.fov, source.aspect) if size else item.view.fov
        write_json(info, {"field_of_view_rads": float(fov)})
    return [item.name for item in items]


def _write_splits(found: Survey, buildings: dict[str, str], out: Path) -> None:
    rows = [",".join(("id", *SPLITS))]
    for split, group, number in found.groups:
        if number:
            rows.append(",".join((buildings[group], *("1" if split == of else "" for of in SPLITS))))
    with atomic(out / PARTITION_FILE, "w") as file:
        file.write("\n".join(rows) + "\n")
