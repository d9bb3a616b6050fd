"""CocoDoom (Mahendran et al. 2016, arXiv 1610.02431) in place: recorded games of Doom II, 320 x 200 pixels.

Depth is known in Doom's map units only: there is no metric scale. Metres are those of the doom domain, of which
UNITS_PER_METRE make one, so that the two domains agree; scores on other data should be of depth up to its scale.
Beyond 1,024 units (32 m) and in the sky depth is unknown.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mult.data import labels
from mult.data.domains.doom import CLASSES
from mult.data.domains.doom.cast import CEILING, FLOOR, SKY, WALL
from mult.data.domains.doom.game import UNITS_PER_METRE
from mult.data.sources.cocodoom_list import OF_A_MAP, OF_A_RUN, THING_BITS, FrameList, frame_path, open_list
from mult.data.sources.picture import read_picture
from mult.data.sources.source import SPLITS, Source, View
from mult.errors import UserError

PARTITIONS = ("run", "map", "run-full", "map-full")
FOLDER = "cocodoom"  # as the archives have it
HEIGHT, WIDTH = 200, 320
FOV = float(np.pi / 2)
DEPTH_STEPS = 64  # codes per map unit
TOO_FAR = 65535
# Numbers in the pictures of objects; the smaller ones are things.
SKY_NUMBER = 1 << THING_BITS
HORIZONTAL, VERTICAL = SKY_NUMBER + 1, SKY_NUMBER + 2
# Kind of file -> folder, bits and channels.
FILES = {"rgb": ("rgb", np.uint8, 3), "depth_zbuffer": ("depth", np.uint16, 1), "objects": ("objects", np.uint8, 3)}
_RUN, _MAP = re.compile(r"run([123])"), re.compile(r"map(\d\d)")


class CocoDoom(Source):
    """See ``Source``. A group is a map of a run; the partitions are CocoDoom's own, by run or by map.

    The camera never tilts, so what is horizontal is floor below the middle of the picture and ceiling above it. Doors
    are walls here, for the pictures do not tell them apart, and things that the lists leave out are void: those of
    fewer than 30 pixels, and the rare types.
    """

    domain = "cocodoom"
    classes = CLASSES
    aspect = HEIGHT / WIDTH

    def __init__(self, root: Path | str, partition: str | None = None):
        super().__init__(root, partition)
        chosen = partition or PARTITIONS[0]
        if chosen not in PARTITIONS:
            raise UserError(f"{self.domain}: no partition {chosen!r}; there are {', '.join(PARTITIONS)}")
        if (self.root / FOLDER).is_dir():
            self.root = self.root / FOLDER
        self._by_map = chosen.startswith("map")
        # Group -> run and map.
        self._groups = dict(self._found())
        if not self._groups:
            raise UserError(f"{root}: no {FOLDER}/run{{1,2,3}}/map{{01..32}}/rgb/NNNNNN.png, as {self.domain} has it")
        has = {kind for kind, (name, *_) in FILES.items() if any(self._folder(g, name).is_dir() for g in self._groups)}
        self.own = frozenset({"rgb", "depth_zbuffer"} & has | ({"segment_semantic"} if "objects" in has else set()))
        self._lists = self._read_lists(chosen)
        of = f"the frames in {chosen}-*.json" if self._lists else f"every frame, for there is no {chosen}-*.json"
        self.layout = f"run<R>/map<MM>/{{rgb,depth,objects}}/<tic>.png, {of}"

    def groups(self) -> list[tuple[str, str]]:
        found = [(self._split_of(*of), group) for group, of in self._groups.items()]
        return sorted(found, key=lambda of: (SPLITS.index(of[0]), of[1]))

    def views(self, split: str, group: str) -> Iterator[View]:
        run, level = self._groups[group]
        names = {kind: _names(self._folder(group, folder)) for kind, (folder, *_) in FILES.items()}
        tics = self._lists[split].tics(run, level) if self._lists else sorted(int(name[:-4]) for name in names["rgb"])
        for tic in tics:
            image = run * OF_A_RUN + level * OF_A_MAP + tic
            paths = {kind: frame_path(image, folder) for kind, (folder, *_) in FILES.items()}
            there = {kind: path for kind, path in paths.items() if kind == "rgb" or path[-10:] in names[kind]}
            yield View(split, group, f"{tic:06d}", there, FOV)

    def load(self, view: View, label: str) -> np.ndarray:
        if label == "segment_semantic":
            return self._classes(view)
        values = self._picture(view, label)
        if label == "rgb":
            return values
        return labels.encode_depth(np.where(values == TOO_FAR, np.inf, values / (DEPTH_STEPS * UNITS_PER_METRE)))

    def _has(self, view: View, label: str) -> bool:
        return ("objects" if label == "segment_semantic" else label) in view.files

    def _classes(self, view: View) -> np.ndarray:
        numbers = self._picture(view, "objects").astype(np.int32) @ np.array([1, 1 << 8, 1 << 16], np.int32)
        surfaces = np.full((HEIGHT, 1), CEILING, np.uint8)
        surfaces[HEIGHT // 2 :] = FLOOR
        classes = np.where(numbers == HORIZONTAL, surfaces, 0).astype(np.uint8)
        classes[numbers == VERTICAL] = WALL
        classes[numbers == SKY_NUMBER] = SKY
        if self._lists:
            run, level = self._groups[view.group]
            things = self._lists[view.split].things_of(run * OF_A_RUN + level * OF_A_MAP + int(view.name))
            for number, class_ in things.items():
                classes[numbers == number] = class_
        return classes

    def _picture(self, view: View, kind: str) -> np.ndarray:
        path = self.root / view.files[kind]
        values = read_picture(path, *FILES[kind][1:], what=kind)
        if values.shape[:2] != (HEIGHT, WIDTH):
            size = f"{values.shape[1]} x {values.shape[0]}"
            raise UserError(f"{path}: {size} pixels, but {self.domain} has {WIDTH} x {HEIGHT}; fetch the original")
        return values

    def _found(self) -> Iterator[tuple[str, tuple[int, int]]]:
        for folder in sorted(self.root.glob("run?/map??/rgb")):
            run, level = _RUN.fullmatch(folder.parts[-3]), _MAP.fullmatch(folder.parts[-2])
            if run and level:
                yield f"run{run[1]}-map{level[1]}", (int(run[1]), int(level[1]))

    def _folder(self, group: str, name: str) -> Path:
        return self.root / group.replace("-", "/") / name

    def _split_of(self, run: int, level: int) -> str:
        return SPLITS[max(0, (level - 1) % 4 - 1)] if self._by_map else SPLITS[run - 1]

    def _read_lists(self, partition: str) -> dict[str, FrameList]:
        """Split -> its list; none where the data set came without any."""
        paths = {split: self.root / f"{partition}-{split}.json" for split in SPLITS}
        missing = [path.name for path in paths.values() if not path.is_file()]
        if len(missing) == len(paths):
            return {}
        if missing:
            raise UserError(f"{self.root}: {', '.join(missing)} is missing beside the other lists; fetch it")
        return {split: open_list(path) for split, path in paths.items()}


def _names(folder: Path) -> set[str]:
    """Names of the frames in ``folder``, which may be missing."""
    found = (path.name for path in folder.iterdir()) if folder.is_dir() else ()
    return {name for name in found if re.fullmatch(r"\d{6}\.png", name)}
