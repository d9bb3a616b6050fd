"""A data set that ``mult data pack`` has packed into shards (``mult.data.pack``): one more layout of the same domain.

Opening it reads its index alone; a shard's shard.json is read when its views are asked for.
"""

import os
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from mult.data.sources.source import Source, View
from mult.data.store import LABELS
from mult.errors import UserError
from mult.files import read_json, sha256

KIND = "packed"  # in index.json
PACK_FILE = "pack.json"  # at the root of what `mult data pack` has begun
SHARDS, SHARD_FILE = "shards", "shard.json"
MEND = "delete its folder and run the same `mult data pack` again"
OPEN = 512  # files that are kept open at a time: there may be tens of thousands
LISTED = 8  # shards whose lists of views are kept


def shard_path(split: str, number: int) -> str:
    """Path of a shard's folder below the root."""
    return f"{SHARDS}/{split}-{number:05d}"


def is_packed(root: Path) -> bool:
    """Whether ``mult data pack`` has been at work in ``root``."""
    if (root / PACK_FILE).is_file():
        return True
    try:
        return read_json(root / "index.json")["kind"] == KIND
    except (OSError, ValueError, KeyError, TypeError):
        return False


class Packed(Source):
    """See ``Source``. A view's ``place`` is its row in the arrays of its shard."""

    def __init__(self, root: Path | str, partition: str | None = None, domain: str | None = None):
        """Read the index.

        Args:
            domain: which one it must be; None: any.

        Raises:
            UserError: the packing was not finished, its index is damaged, or it is of another domain or partition.
        """
        super().__init__(root, partition)
        index = self._index()
        self.domain = index["domain"]
        if domain not in (None, self.domain):
            raise UserError(f"{self.root}: this is {self.domain}, not {domain}")
        self.partition = index["partition"]
        if partition not in (None, self.partition):
            packed = f"partition {self.partition}" if self.partition else "the usual partition"
            raise UserError(f"{self.root}: packed from {packed}, not {partition}; pack that one into another folder")
        self.classes, self.edge_sigma = tuple(index["classes"]), index["edge_sigma"]
        self.own = frozenset(index["labels"])
        self.resized_to = index["image_size"]
        self.layout = f"packed shards of {self.resized_to} pixels"
        self._splits: dict[str, dict] = index["splits"]
        self.must_know(self._splits, self.own)
        self._of_a_shard: int = index["shard_images"]
        # Of each group: its first image's number in the split, and how many there are.
        self._places: dict[tuple[str, str], tuple[int, int]] = {}
        for split, of in self._splits.items():
            first = 0
            for group, images in of["groups"]:
                self._places[split, group] = first, images
                first += images
        self._forget()

    def groups(self) -> list[tuple[str, str]]:
        return list(self._places)

    def views(self, split: str, group: str) -> Iterator[View]:
        first, images = self._places[split, group]
        for image in range(first, first + images):
            number, row = divmod(image, self._of_a_shard)
            shard, folder = self._shard(split, number), shard_path(split, number)
            files = {label: f"{folder}/{label}.npy" for label in shard["files"] if row not in shard["lacking"][label]}
            yield View(split, group, shard["names"][row], files, shard["fovs"][row], row)

    def load(self, view: View, label: str) -> np.ndarray:
        path, size = view.files[label], self.resized_to
        values = np.empty((size, size, 3) if label in ("rgb", "normal") else (size, size), LABELS[label])
        start = _header_bytes(label, values.shape) + view.place * values.nbytes
        try:
            # Not through a memory map, which has a page fault every few rows: four times slower where a shard is new.
            read = os.preadv(self._file(path).number, [values], start)
        except OSError:
            read = 0
        if read != values.nbytes:
            raise altered(self.root / path)
        return values

    def parts(self) -> Sequence[str]:
        return [shard_path(split, number) for split, of in self._splits.items() for number in range(len(of["shards"]))]

    def verify(self, part: str) -> list[UserError]:
        split, number = part.removeprefix(f"{SHARDS}/").rsplit("-", 1)
        try:
            files = self._shard(split, int(number))["files"]
        except UserError as error:
            return [error]
        paths = {self.root / part / f"{label}.npy": facts for label, facts in files.items()}
        return [altered(path) for path, facts in paths.items() if not _is_as_written(path, facts)]

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_shard": None, "_file": None}  # a process has its own

    def __setstate__(self, state: dict) -> None:
        self.__dict__ |= state
        self._forget()

    def _forget(self) -> None:
        self._shard = lru_cache(LISTED)(self._read_shard)
        self._file = lru_cache(OPEN)(lambda path: _File(os.open(self.root / path, os.O_RDONLY)))

    def _index(self) -> dict[str, Any]:
        path = self.root / "index.json"
        if not path.is_file():
            raise UserError(f"{self.root}: the packing was not finished; run the same `mult data pack` again")
        try:
            index = read_json(path)
            index["domain"], index["splits"]
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{path}: not a whole index; run the same `mult data pack` again") from None
        return index

    def _read_shard(self, split: str, number: int) -> dict[str, Any]:
        """What shard.json says, with the rows that lack a label as a set, of every label."""
        path = self.root / shard_path(split, number) / SHARD_FILE
        if not path.is_file() or sha256(path) != self._splits[split]["shards"][number]:
            raise altered(path)
        shard = read_json(path)
        self.must_know((), shard["files"])
        return shard | {"lacking": {label: frozenset(shard["lacking"].get(label, ())) for label in shard["files"]}}


@cache
def _header_bytes(label: str, shape: tuple[int, ...]) -> int:
    """Length of the header of a .npy file of pictures, which does not depend on their number."""
    header = BytesIO()
    facts = {"descr": np.dtype(LABELS[label]).str, "fortran_order": False, "shape": (1, *shape)}
    np.lib.format.write_array_header_1_0(header, facts)
    return header.tell()


class _File:
    """A file descriptor that is closed when nobody has it any more."""

    def __init__(self, number: int):
        self.number = number

    def __del__(self) -> None:
        os.close(self.number)


def _is_as_written(path: Path, facts: dict[str, Any]) -> bool:
    return path.is_file() and path.stat().st_size == facts["bytes"] and sha256(path) == facts["sha256"]


def altered(path: Path) -> UserError:
    """What is said of a file of a shard that is not as it was written."""
    return UserError(f"{path}: missing, truncated or altered; {MEND}")
