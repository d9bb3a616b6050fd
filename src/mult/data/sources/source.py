"""What a reader of a data set in place has to say, and what all of them have in common.

A reader gives every label in Taskonomy's encoding (``mult.data.labels``, ``mult.data.encoding``), in pictures of one
size and with OpenCV's camera axes. What the files lack and the recipes allow is computed.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mult.data import labels
from mult.data.encoding import NO_DEPTH, NO_NORMAL, NO_SHADE
from mult.data.store import LABELS
from mult.errors import UserError

SPLITS = ("train", "val", "test")
# Label -> the labels that it can be computed from; mask_valid from depth and the others by the recipes of labels.py.
DERIVED = {
    "mask_valid": ("depth_zbuffer",),
    "normal": ("depth_zbuffer",),
    "reshading": ("depth_zbuffer", "normal"),
    "keypoints2d": ("rgb",),
    "edge_texture": ("rgb",),
}
UNKNOWN = {"depth_zbuffer": NO_DEPTH, "normal": NO_NORMAL, "reshading": NO_SHADE}  # the others: 0


@dataclass(frozen=True)
class View:
    """One image of a data set and where its files are.

    Attributes:
        split: train, val or test.
        group: the building, scene or map, by which splits are made. A name is one place: where two splits have it, what
            is tested has been trained on.
        name: the view's own within its group, such as ``point_3_view_5``.
        files: path below the root, with /, of each file of the view; ``rgb`` is always there. Keys are labels, or
            names of the reader's own for files that labels are made from.
        fov: horizontal field of view in radians of the pictures that the reader gives.
        place: where in its files the view is, for files of many views; -1 otherwise.
    """

    split: str
    group: str
    name: str
    files: Mapping[str, str]
    fov: float
    place: int = -1


class Source(ABC):
    """A data set in place. The class attributes are the reader's; instances know their root.

    Attributes:
        domain: its name, as in params.yaml.
        classes: semantic classes by id, the first one void; () where it has no classes.
        edge_sigma: of edges that are computed, in pixels of a picture 512 wide.
        aspect: height / width of the pictures that the reader gives, which are all alike.
        resized_to: pixels of the squares that the pictures are already; None: they are the data set's own.
        layout: the layout that was recognised, in words, for the log.
        own: labels that this layout has in files.
    """

    domain: str
    classes: tuple[str, ...] = ()
    edge_sigma: float = 3.0
    aspect: float = 1.0
    resized_to: int | None = None
    layout: str
    own: frozenset[str]

    def __init__(self, root: Path | str, partition: str | None = None):
        """Recognise the layout below ``root``.

        Raises:
            UserError: the folder has none of the layouts, or there is no such partition; names what was looked for.
        """
        self.root, self.partition = Path(root), partition

    @abstractmethod
    def groups(self) -> Sequence[tuple[str, str]]:
        """(split, group) of all that belongs to the partition and is there, sorted; cheap: nothing is opened."""

    @abstractmethod
    def views(self, split: str, group: str) -> Iterator[View]:
        """The views of one group, in an order that does not depend on the file system."""

    @abstractmethod
    def load(self, view: View, label: str) -> np.ndarray:
        """One label of ``own`` or ``rgb``, decoded from the view's files to Taskonomy's encoding: (H, W[, 3]).

        Raises:
            UserError: the file cannot be read, or is not what it should be; names the file, the fault and the mend.
        """

    def must_know(self, splits: Iterable[str], labels: Iterable[str]) -> None:
        """See that an index, which may be somebody else's, names nothing but splits and labels: they name files.

        Raises:
            UserError: it names something else.
        """
        if strange := sorted({*splits} - {*SPLITS} | {*labels} - {*LABELS}):
            raise UserError(f"{self.root}: {strange[0]!r} in its index is no split and no label; make it anew")

    def left_out(self) -> Mapping[str, str]:
        """Groups that are on the disk or in the partition and are not used by default, with the reason of each."""
        return {}

    def strays(self) -> Iterator[str]:
        """Of each view in use that has labels but no picture, and so is none of ``views``: one file, below the root."""
        return iter(())

    def parts(self) -> Sequence[str]:
        """What ``verify`` can be asked about: names of groups of files whose digests are known."""
        return ()

    def verify(self, part: str) -> list[UserError]:
        """The files of ``part`` that are not as they were written; reads all of them."""
        return []

    def check_size(self, size: int) -> None:
        """See that squares of ``size`` pixels are made of pictures that were not resized before.

        Raises:
            UserError: they were, to another size.
        """
        if self.resized_to not in (None, size):
            raise UserError(
                f"{self.root}: packed in {self.resized_to} pixels, not {size}; pack the data set with --size {size} "
                "into another folder"
            )

    def has(self, view: View, label: str) -> bool:
        """Whether ``view`` has a file for ``label``; False for what is computed."""
        return (label in self.own or label == "rgb") and self._has(view, label)

    def available(self, view: View, label: str) -> bool:
        """Whether ``view`` has a file for ``label`` or for what it is computed from."""
        if label in self.own or label == "rgb":
            return self._has(view, label)
        return label in DERIVED and all(self.available(view, needed) for needed in DERIVED[label])

    @property
    def labels(self) -> tuple[str, ...]:
        """What a view of this data set can have, in the order of the store: ``own`` and what can be computed."""
        found = set(self.own) | {"rgb"}
        for label, needed in DERIVED.items():  # in an order in which each can build on those before
            if found.issuperset(needed):
                found.add(label)
        return tuple(label for label in LABELS if label in found)

    def read(self, view: View, label: str) -> np.ndarray:
        """Label ``label`` of ``view`` (H, W[, 3]) with the array type that the store has for it.

        A label that the view lacks and that is not computed for this data set is unknown at every pixel.

        Raises:
            UserError: as ``load``; or the data set cannot have this label.
        """
        if label in self.own or label == "rgb":
            return self.load(view, label) if self._has(view, label) else self._unknown(view, label)
        if label not in self.labels:
            raise UserError(f"{self.root}: {self.domain} ({self.layout}) has no {label} and nothing to compute it from")
        return self._derived(view, label)

    def _has(self, view: View, label: str) -> bool:
        """Whether ``view`` has what ``label`` is decoded from; for readers whose files are not called like labels."""
        return label in view.files

    def _unknown(self, view: View, label: str) -> np.ndarray:
        shape = self.read(view, "rgb").shape
        shape = shape if label == "normal" else shape[:2]
        return np.full(shape, UNKNOWN.get(label, 0), LABELS[label])

    def _derived(self, view: View, label: str) -> np.ndarray:
        if label in ("keypoints2d", "edge_texture"):
            return labels.texture_maps(self.read(view, "rgb"), self.edge_sigma)[label]
        depth = self.read(view, "depth_zbuffer")
        if label == "mask_valid":
            return np.where((depth != NO_DEPTH) & (depth > 0), 255, 0).astype(np.uint8)
        metres = labels.decode_depth(depth)[0]
        if label == "normal":
            return labels.encode_normal(labels.normal_from_depth(metres, view.fov))
        return labels.reshading(metres, labels.decode_normal(self.read(view, "normal"))[0], view.fov)
