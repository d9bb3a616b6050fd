"""A prepared domain (``mult.data.store``) with the interface of a data set in place, for what looks through both."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mult.data.sources.source import SPLITS, Source, View
from mult.data.store import open_split, read_index


class Prepared(Source):
    """See ``Source``. A view's ``place`` is its number in the arrays of its split."""

    layout = "prepared arrays"

    def __init__(self, root: Path | str, partition: str | None = None):
        """Check every array against the index.

        Raises:
            UserError: no prepared data in ``root``; or an array is missing, truncated or altered.
        """
        super().__init__(root, partition)
        index = read_index(self.root)
        self.domain, self.classes = index["domain"], tuple(index["classes"])
        self.edge_sigma, self.image_size = index.get("edge_sigma", self.edge_sigma), index["image_size"]
        self._splits: dict[str, dict] = index["splits"]
        self.must_know(self._splits, (label for of in self._splits.values() for label in of["files"]))
        self._arrays = {split: open_split(self.root, split).arrays for split in self._splits}
        self.own = frozenset(label for arrays in self._arrays.values() for label in arrays)

    def groups(self) -> list[tuple[str, str]]:
        order = sorted(self._splits, key=SPLITS.index)
        return [(split, group) for split in order for group in sorted(set(self._splits[split]["groups"]))]

    def views(self, split: str, group: str) -> Iterator[View]:
        entry = self._splits[split]
        for place, (of, fov) in enumerate(zip(entry["groups"], entry["fov"], strict=True)):
            if of == group:
                files = {label: f"{split}/{label}.npy" for label in entry["files"]}
                yield View(split, group, f"image_{place}", files, fov, place)

    def load(self, view: View, label: str) -> np.ndarray:
        arrays = self._arrays.setdefault(view.split, {})
        if label not in arrays:  # in a worker process
            arrays[label] = np.load(self.root / view.files[label], mmap_mode="r", allow_pickle=False)
        return np.asarray(arrays[label][view.place])

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_arrays": {}}  # a memory map would be sent as the whole array
