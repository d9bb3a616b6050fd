"""Taskonomy (Zamir et al., CVPR 2018) in place, in any of the layouts in which it is handed on.

A view is point_<P>_view_<V> of a building. Which buildings train, validate and test is one of the data set's own
partitions, tiny, medium, full or fullplus (StanfordVL/taskonomy, data/assets/splits_taskonomy.zip; here
taskonomy_partitions.csv), or a file of the same form: ``id,train,val,test`` with a 1 in one of three columns.
"""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
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
        # Building -> folder of the files of each kind. Listed once: a network's file system takes its time.
        self._folders = self._found()
        self.own = frozenset(kind for folders in self._folders.values() for kind in folders) & self.stored.keys()
        self._split_of = self._splits()
        if (self.root / CLASS_FILE).is_file():
            self.classes = read_classes(self.root / CLASS_FILE)

    def groups(self) -> list[tuple[str, str]]:
        found = [(self._split_of[building], building) for building in self._folders if building in self._split_of]
        found = [(split, building) for split, building in found if building not in self.left_out()]
        return sorted(found, key=lambda of: (SPLITS.index(of[0]), of[1]))

    def left_out(self) -> Mapping[str, str]:
        said = {building: reason for building, reason in self.forbidden.items() if building in self._folders}
        strangers = [building for building in self._folders if building not in self._split_of]
        return said | dict.fromkeys(strangers, f"not in the partition {self.partition or self.usual}")

    def views(self, split: str, group: str) -> Iterator[View]:
        listed = {kind: self._listed(folder) for kind, folder in sorted(self._folders[group].items())}
        for name in sorted(listed["rgb"], key=_number):
            files = {kind: names[name] for kind, names in listed.items() if name in names and kind != INFO}
            info = listed.get(INFO, {}).get(name)
            yield View(split, group, name, files, self._fov(info) if info else MEAN_FOV)

    def load(self, view: View, label: str) -> np.ndarray:
        path = self.root / view.files[label]
        values = read_picture(path, *self.stored[label], what=label)
        if label == "segment_semantic" and values.max() >= len(self.classes):
            raise UserError(f"{path}: class {values.max()}, but segment_semantic has 0 to {len(self.classes) - 1}")
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

    def _found(self) -> dict[str, dict[str, str]]:
        kinds = (*self.stored, INFO)
        pattern = FOLDERS[self._kind]
        found: dict[str, dict[str, str]] = {}
        for kind in kinds:
            for folder in sorted(self.root.glob(pattern.format(kind=kind))):
                if folder.is_dir():
                    found.setdefault(self._building(folder, kind), {})[kind] = folder.relative_to(self.root).as_posix()
        return {building: folders for building, folders in sorted(found.items()) if "rgb" in folders}

    def _building(self, folder: Path, kind: str) -> str:
        if self._kind == "flat":
            return self.root.resolve().name
        if self._kind == "pairs":
            return folder.parent.name.removesuffix(f"_{kind}")
        return folder.parent.name if self._kind == "splits" else folder.name

    def _splits(self) -> dict[str, str]:
        """Building -> split."""
        own = self.root / PARTITION_FILE
        if self.partition is None and own.is_file():
            return read_partition(own)
        if self.partition is not None and self.partition.endswith(".csv"):
            return read_partition(Path(self.partition))
        if self.partition is None and self._kind == "splits":
            return {building: folders["rgb"].split("/")[0] for building, folders in self._folders.items()}
        found = self._built_in(self.partition or self.usual)
        if self.partition is None and not found.keys() & self._folders.keys():
            return dict.fromkeys(self._folders, "test")  # some other pictures in this layout
        return found

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
