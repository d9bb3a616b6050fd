"""Taskonomy (Zamir et al., CVPR 2018) in place, in any of the layouts in which it is handed on.

A view is point_<P>_view_<V> of a building. Which buildings train, validate and test is one of the data set's own
partitions, tiny, medium, full or fullplus (StanfordVL/taskonomy, data/assets/splits_taskonomy.zip; here
taskonomy_partitions.csv), or a file of the same form: ``id,train,val,test`` with a 1 in one of three columns.
"""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache, cached_property
from pathlib import Path

import numpy as np

from mult.data.sources.picture import read_bytes, read_picture
from mult.data.sources.source import SPLITS, Source, View
from mult.errors import UserError

PARTITIONS = ("tiny", "medium", "full", "fullplus")
USUAL = "fullplus"
# At the root, as `mult data export` writes them: taken where no partition is named, and in the place of CLASSES.
PARTITION_FILE, CLASS_FILE = "splits.csv", "classes.json"
LEFT_OUT = {
    **dict.fromkeys(
        ("mosquito", "tansboro", "tomkins", "darnestown", "brinnon", "rough", "woodbine"),
        "forbidden by Omnidata's loaders",
    ),
    "wiconisco": "many corrupt edge_texture files",
    "grace": "left out by VTAGML",
}
MEAN_FOV = float(np.deg2rad(61.2))  # of views without point_info
CLASSES = (
    "void", "background", "bottle", "chair", "couch", "potted plant", "bed", "dining table", "toilet", "tv",
    "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase",
)  # fmt: skip
# What is read of a view, with bits and channels.
STORED = {
    "rgb": (np.uint8, 3),
    "segment_semantic": (np.uint8, 1),
    "depth_zbuffer": (np.uint16, 1),
    "normal": (np.uint8, 3),
    "reshading": (np.uint8, 1),
    "keypoints2d": (np.uint16, 1),
    "edge_texture": (np.uint16, 1),
    "mask_valid": (np.uint8, 1),
}
INFO = "point_info"
# Layout -> what a path looks like below the root. A file's name may end in _domain_<domain>, in any spelling.
LAYOUTS = {
    "components": "<domain>/<component>/<building>/point_<P>_view_<V>_domain_<domain>.png, as Omnidata has it",
    "buildings": "<domain>/<building>/point_<P>_view_<V>[_domain_<domain>].png, as MultiMAE and taskgrouping have it",
    "flat": "<domain>/point_<P>_view_<V>_domain_<domain>.png, as Taskonomy's sample has it",
    "pairs": "<building>_<domain>/<domain>/point_<P>_view_<V>_domain_<domain>.png, as XTC has it",
    "splits": "<split>/<building>/<domain>/point_<P>_view_<V>_domain_<domain>.png, as SON-GOKU has it",
}
# Where the files of one kind and one building lie.
FOLDERS = {
    "components": "{kind}/*/*",
    "buildings": "{kind}/*",
    "flat": "{kind}",
    "pairs": "*_{kind}/{kind}",
    "splits": "*/*/{kind}",
}
_NAME = re.compile(r"^(point_\d+_view_\d+)(?:_domain_\w+)?\.(?:png|json)$")


class Taskonomy(Source):
    """See ``Source``."""

    domain = "taskonomy"
    classes = CLASSES
    stored = STORED
    usual = USUAL
    forbidden = LEFT_OUT

    def __init__(self, root: Path | str, partition: str | None = None):
        super().__init__(root, partition)
        self._kind = self._recognised()
        self.layout = LAYOUTS[self._kind]
        # Listed once: a network's file system takes its time.
        found = self._found()
        self._folders = {place: folders for place, folders in found.items() if "rgb" in folders}
        self._without_pictures = {place: folders for place, folders in found.items() if "rgb" not in folders}
        self.own = frozenset(kind for folders in self._folders.values() for kind in folders) & self.stored.keys()
        self._split_of = self._splits()
        if (self.root / CLASS_FILE).is_file():
            self.classes = read_classes(self.root / CLASS_FILE)

    @cached_property
    def aspect(self) -> float:
        """That of the first picture that can be read: Taskonomy's own are square, those of an export need not be."""
        height, width = self._shape
        return height / width

    @cached_property
    def _shape(self) -> tuple[int, int]:
        """That of the first picture that can be read."""
        for split, group in self.groups():
            for view in self.views(split, group):
                with suppress(UserError):
                    return read_picture(self.root / view.files["rgb"], *self.stored["rgb"], what="rgb").shape[:2]
        return (1, 1)

    def groups(self) -> list[tuple[str, str]]:
        found = {(self._split_of[place], place[1]) for place in self._folders if self._in_use(place)}
        return sorted(found, key=lambda of: (SPLITS.index(of[0]), of[1]))

    def left_out(self) -> Mapping[str, str]:
        buildings = [building for _, building in self._folders]
        said = {building: reason for building, reason in self.forbidden.items() if building in buildings}
        strangers = [building for where, building in self._folders if (where, building) not in self._split_of]
        own = PARTITION_FILE if (self.root / PARTITION_FILE).is_file() else self.usual
        return said | dict.fromkeys(strangers, f"not in the partition {self.partition or own}")

    def views(self, split: str, group: str) -> Iterator[View]:
        for place, folders in self._folders.items():
            if place[1] != group or self._split_of.get(place) != split:
                continue
            listed = {kind: self._listed(folder) for kind, folder in sorted(folders.items())}
            for name in sorted(listed["rgb"], key=_number):
                files = {kind: names[name] for kind, names in listed.items() if name in names and kind != INFO}
                info = listed.get(INFO, {}).get(name)
                yield View(split, group, name, files, self._fov(info) if info else MEAN_FOV)

    def strays(self) -> Iterator[str]:
        for place, folders in (self._folders | self._without_pictures).items():
            if not self._in_use(place):
                continue
            pictures = self._listed(folders["rgb"]) if "rgb" in folders else {}
            found: dict[str, str] = {}
            for kind in sorted(folders.keys() - {"rgb"}):
                found = self._listed(folders[kind]) | found
            yield from (found[name] for name in sorted(found.keys() - pictures.keys(), key=_number))

    def load(self, view: View, label: str) -> np.ndarray:
        path = self.root / view.files[label]
        values = read_picture(path, *self.stored[label], what=label)
        if values.shape[:2] != self._shape:
            sizes = [f"{width} x {height}" for height, width in (values.shape[:2], self._shape)]
            raise UserError(
                f"{path}: {sizes[0]} pixels, but the first picture has {sizes[1]}; "
                "fetch both of one version of the data set"
            )
        if label == "segment_semantic" and values.max() >= len(self.classes):
            raise UserError(
                f"{path}: class {values.max()}, but segment_semantic has 0 to {len(self.classes) - 1}; fetch it again, "
                f"or name all classes in {CLASS_FILE} at the root"
            )
        return values

    def _recognised(self) -> str:
        names = {path.name for path in self.root.iterdir() if path.is_dir()}
        if "rgb" in names:
            return self._recognised_by(self.root / "rgb")
        if any(name.endswith("_rgb") for name in names):
            return "pairs"
        if any(next((self.root / split).glob("*/rgb"), None) for split in names & set(SPLITS)):
            return "splits"
        known = "; ".join(LAYOUTS.values())
        raise UserError(f"{self.root}: none of the layouts of {self.domain} that can be read: {known}")

    @staticmethod
    def _recognised_by(rgb: Path) -> str:
        """The layout of those that have a folder ``rgb`` at the root."""
        inside = sorted(path for path in rgb.iterdir() if path.is_dir())
        if not inside:
            return "flat"
        deeper = (path for folder in inside for path in folder.iterdir() if not path.name.startswith("."))
        first = next(deeper, None)  # one tells: there may be millions
        return "components" if first is not None and first.is_dir() else "buildings"

    def _in_use(self, place: tuple[str, str]) -> bool:
        return place in self._split_of and place[1] not in self.forbidden

    def _found(self) -> dict[tuple[str, str], dict[str, str]]:
        """(The split in whose folder it is, or "", building) -> the folder of each kind."""
        kinds = (*self.stored, INFO)
        pattern = FOLDERS[self._kind]
        found: dict[tuple[str, str], dict[str, str]] = {}
        for kind in kinds:
            for folder in sorted(self.root.glob(pattern.format(kind=kind))):
                if folder.is_dir():
                    below = folder.relative_to(self.root).as_posix()
                    where = below.split("/")[0] if self._kind == "splits" else ""
                    found.setdefault((where, self._building(folder, kind)), {})[kind] = below
        return dict(sorted(found.items()))

    def _building(self, folder: Path, kind: str) -> str:
        if self._kind == "flat":
            return self.root.resolve().name
        if self._kind == "pairs":
            return folder.parent.name.removesuffix(f"_{kind}")
        return folder.parent.name if self._kind == "splits" else folder.name

    def _splits(self) -> dict[tuple[str, str], str]:
        """Place, as in ``_found``, -> split."""
        places = [*self._folders, *self._without_pictures]
        own = self.root / PARTITION_FILE
        if self.partition is None and own.is_file():
            of = read_partition(own)
        elif self.partition is not None and self.partition.endswith(".csv"):
            of = read_partition(Path(self.partition))
        elif self.partition is None and self._kind == "splits":
            return {place: place[0] for place in places if place[0] in SPLITS}
        else:
            of = self._built_in(self.partition or self.usual)
            if self.partition is None and not any(building in of for _, building in places):
                return dict.fromkeys(places, "test")  # some other pictures in this layout
        return {place: of[place[1]] for place in places if place[1] in of}

    def _built_in(self, partition: str) -> dict[str, str]:
        if partition not in PARTITIONS:
            raise UserError(
                f"{self.domain}: no partition {partition!r}; there are {', '.join(PARTITIONS)}, or a .csv file"
            )
        return built_in()[partition]

    def _listed(self, folder: str) -> dict[str, str]:
        """View -> path below the root of its file in ``folder``."""
        found = ((entry.name, _NAME.match(entry.name)) for entry in (self.root / folder).iterdir())
        return {match[1]: f"{folder}/{name}" for name, match in found if match}

    def _fov(self, path: str) -> float:
        try:
            fov = float(json.loads(read_bytes(self.root / path))["field_of_view_rads"])
        except (ValueError, KeyError, TypeError):
            fov = 0.0
        if not 0 < fov < np.pi:
            raise UserError(f"{self.root / path}: no `field_of_view_rads` between 0 and pi in it; fetch it again")
        return fov


@cache
def built_in() -> dict[str, dict[str, str]]:
    """Taskonomy's partitions: name -> building -> split."""
    with open(Path(__file__).with_name("taskonomy_partitions.csv"), encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: {row["building"]: row[name] for row in rows if row[name]} for name in PARTITIONS}


def read_partition(path: Path) -> dict[str, str]:
    """Building -> split, from ``id,train,val,test`` lines that end in any of the three ways (Omnidata's end in CR).

    Raises:
        UserError: another header, or a building that is not in exactly one split.
    """
    lines = read_bytes(path).decode("utf-8-sig", "replace").splitlines()
    rows = list(csv.DictReader(lines))
    if not rows or not {"id", *SPLITS} <= rows[0].keys():
        raise UserError(f"{path}: its first line must be id,train,val,test")
    found = {}
    for row in rows:
        building = row["id"].strip()
        chosen = [split for split in SPLITS if (row[split] or "").strip() == "1"]
        if len(chosen) != 1 or building in found:
            raise UserError(f"{path}: {building} must have one line with one 1 in it")
        found[building] = chosen[0]
    return found


def read_classes(path: Path) -> tuple[str, ...]:
    """Names of the semantic classes by id.

    Raises:
        UserError: no list of at most 256 names.
    """
    try:
        names = json.loads(read_bytes(path))
    except ValueError:
        names = None
    if not isinstance(names, list) or not 0 < len(names) <= 256 or not all(isinstance(name, str) for name in names):
        raise UserError(f"{path}: it must be a list of the classes' names by id, the first one void")
    return tuple(names)


def _number(name: str) -> tuple[int, int]:
    point, view = re.findall(r"\d+", name)
    return int(point), int(view)
