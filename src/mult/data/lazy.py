"""A split of a data set in place, with the interface of one that is stored: labels are decoded when they are asked for.

``LazyLabel`` stands where a store has a memory-mapped array, so what reads splits knows nothing of files.
"""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from mult.data.damage import Damage, allowed
from mult.data.encoding import NO_DEPTH
from mult.data.fit import square, square_fov
from mult.data.index import TABLES, is_of_a_view, view_of
from mult.data.sources import Source, View, open_source
from mult.data.sources.prepared import Prepared
from mult.data.sources.source import SPLITS, UNKNOWN
from mult.data.store import LABELS, Split
from mult.data.survey import spread, survey
from mult.errors import UserError
from mult.files import intact, sha256
from mult.outs import MEND

SHOWN = 128  # pixels, at most, of views that are to be looked at
REMEMBERED = 512  # squares of labels, of which others are made: of 224 pixels some 50 MB; and rows


class LazyLabel:
    """Label ``label`` of images by number: ``of[3]`` is (H, W[, 3]), ``of[[3, 5]]`` and ``of[2:4]`` are stacked.

    As with a store's arrays, which are read-only, what is given must not be written into.
    """

    def __init__(self, pictures: "Pictures", label: str):
        self._pictures, self._label = pictures, label
        size = pictures.size
        channels = (3,) if label in ("rgb", "normal") else ()
        self.shape, self.dtype = (len(pictures), size, size, *channels), np.dtype(LABELS[label])

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, which: int | slice | Sequence[int] | np.ndarray) -> np.ndarray:
        images = range(len(self))  # knows negative and wrong indices, and takes no room for millions of images
        if isinstance(which, slice):
            chosen = images[which]
        elif np.ndim(which) == 0:
            return self._pictures.read(images[which], self._label)
        else:
            chosen = [images[image] for image in which]
        stacked = np.empty((len(chosen), *self.shape[1:]), self.dtype)
        for place, image in enumerate(chosen):
            stacked[place] = self._pictures.read(image, self._label)
        return stacked

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[image] for image in range(len(self)))


class Pictures:
    """Squares of ``size`` pixels of the views that ``view`` gives by number, of which there are ``count``."""

    def __init__(
        self, source: Source, view: Callable[[int], View], count: int, size: int, damage: Damage | None = None
    ):
        """``damage``: passes over damaged files; a label of one is unknown. None: such a file is an error."""
        self.source, self.view, self.count, self.size, self.damage = source, view, count, size, damage
        self._seen: OrderedDict[tuple[int, str], np.ndarray] = OrderedDict()

    def __len__(self) -> int:
        return self.count

    def read(self, image: int, label: str) -> np.ndarray:
        """Label ``label`` of image ``image``, (size, size[, 3]).

        Raises:
            UserError: as ``Source.read``; or more files are damaged than may be.
        """
        if label == "mask_valid" and label not in self.source.own:  # as the depth that is picked for each pixel
            depth = self.read(image, "depth_zbuffer")
            return np.where((depth != NO_DEPTH) & (depth > 0), np.uint8(255), np.uint8(0))
        if (image, label) in self._seen:
            return self._seen[image, label]
        values = self._read(self.view(image), label)
        values.setflags(write=False)  # it is given again
        if self.source.resized_to is None:  # else it is read again as quickly as it is kept
            self._seen[image, label] = values
            if len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
        return values

    def _read(self, view: View, label: str) -> np.ndarray:
        if self.damage is None:
            return square(self.source.read(view, label), label, self.size)
        try:  # the picture first, as batches do: without it there is nothing that a label could be of
            if not self.damage.blind(view):
                return square(self.source.read(view, label), label, self.size)
        except UserError as fault:
            self.damage.note(view, label, fault)
        channels = (3,) if label in ("rgb", "normal") else ()
        return np.full((self.size, self.size, *channels), UNKNOWN.get(label, 0), LABELS[label])

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_seen": OrderedDict()}  # a worker process has enough of its own


class Rows:
    """The views of a split by number, from the memory-mapped index."""

    def __init__(self, path: Path, first: int, lengths: Sequence[int]):
        """``first``: number of the split's first batch; ``lengths``: of its batches."""
        self._path, self._first = path, first
        self.starts = [0, *np.cumsum(lengths).tolist()]
        self._reader: pa.ipc.RecordBatchFileReader | None = None
        self._batches: dict[int, pa.RecordBatch] = {}
        self._views: dict[int, View] = {}  # a batch asks for each of its views once a label

    def batch(self, number: int) -> pa.RecordBatch:
        """The views of the split's ``number``-th group."""
        if self._reader is None:  # late: so that worker processes open it for themselves
            file = pa.memory_map(str(self._path))
            needed = [place for place, name in enumerate(pa.ipc.open_file(file).schema.names) if is_of_a_view(name)]
            self._reader = pa.ipc.open_file(file, options=pa.ipc.IpcReadOptions(included_fields=needed))
        if number not in self._batches:
            _make_room(self._batches)
            self._batches[number] = self._reader.get_batch(self._first + number)
        return self._batches[number]

    def __call__(self, image: int) -> View:
        if image not in self._views:
            _make_room(self._views)
            number = bisect_right(self.starts, image) - 1
            batch, place = self.batch(number), image - self.starts[number]
            row = {name: of[place].as_py() for name, of in zip(batch.schema.names, batch.columns, strict=True)}
            self._views[image] = view_of(row)
        return self._views[image]

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_reader": None, "_batches": {}, "_views": {}}


def _make_room(kept: dict) -> None:
    if len(kept) == REMEMBERED:
        kept.clear()


def open_index(folder: Path, index: Mapping, split: str) -> Split:
    """Split ``split``, which it has, of the data set whose index is ``folder``; ``index``: its index.json.

    Raises:
        UserError: the index is damaged, or the data set is no longer where or as it was.
    """
    for name in TABLES:
        facts = index["tables"].get(name, {})
        if not intact(folder / name, facts.get("sha256"), facts.get("bytes")):
            raise UserError(f"{folder / name}: missing or altered; {MEND}")
    source = open_source(index["domain"], index["root"], index["partition"])
    if source.layout != index["layout"]:
        raise UserError(
            f"{index['root']}: {source.layout}, but it was {index['layout']} when it was indexed; delete {folder} and "
            "run `dvc repro`"
        )
    splits = index["splits"]
    before = list(splits)[: list(splits).index(split)]
    names, lengths = zip(*splits[split]["groups"], strict=True)
    rows = Rows(folder / "views.arrow", sum(len(splits[name]["groups"]) for name in before), lengths)
    fovs = np.concatenate([rows.batch(number)["fov"].to_numpy() for number in range(len(lengths))])
    damage = Damage(index["domain"], allowed(index["domain"]))
    pictures = Pictures(source, rows, splits[split]["images"], index["image_size"], damage)
    groups = tuple(name for name, length in zip(names, lengths, strict=True) for _ in range(length))
    return _split(pictures, split, groups, fovs, sha256(folder / "index.json")[:12])


def open_views(source: Source, views: Sequence[View], size: int) -> Split:
    """Some views of a data set as a split, without an index."""
    pictures = Pictures(source, views.__getitem__, len(views), size)
    fovs = np.array([view.fov for view in views], np.float32)
    split = views[0].split if views else ""
    return _split(pictures, split, tuple(view.group for view in views), fovs, "")


def open_some(source: Source, images: int, split: str | None = None) -> tuple[Split, int]:
    """``images`` views of ``split``, evenly spread, as a split to be looked at, and how many views there are in all.

    Args:
        split: None: the test split of prepared data, all splits of a data set in place.

    Raises:
        UserError: there is no image.
    """
    prepared = isinstance(source, Prepared)
    split = split or ("test" if prepared else None)
    found = survey(source, split)
    views = list(spread(source, found, images))
    if not views:
        there = ", ".join(sorted({of for of, _ in source.groups()}, key=SPLITS.index)) or "none"
        raise UserError(f"{source.root}: no images in {split or 'any split'}; splits that have some: {there}")
    size = source.image_size if prepared else min(SHOWN, *source.read(views[0], "rgb").shape[:2])
    some = open_views(source, views, size)
    return replace(some, split=", ".join(found.splits)), found.images()


def _split(pictures: Pictures, split: str, groups: tuple[str, ...], fovs: np.ndarray, digest: str) -> Split:
    source = pictures.source
    return Split(
        domain=source.domain,
        split=split,
        classes=source.classes,
        groups=groups,
        fov=square_fov(fovs, source.aspect).astype(np.float32),
        arrays={label: LazyLabel(pictures, label) for label in source.labels},
        digest=digest,
    )
