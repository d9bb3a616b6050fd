"""CocoDoom's lists: which frames a split has, and of which class the things are that can be seen in them.

A list is a JSON file in COCO's form, hundreds of megabytes of polygons. What is needed of it is some bytes a thing, and
that is kept aside, for every training and every worker process of it opens the data set anew.
"""

import csv
import hashlib
import zipfile
from array import array
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from mult.data.domains.doom import CLASSES
from mult.data.sources.elements import elements
from mult.errors import UserError
from mult.files import atomic
from mult.process import STATE

TYPES = Path(__file__).with_name("cocodoom_types.csv")
OF_A_RUN, OF_A_MAP = 10**9, 10**7  # an image's number is run * OF_A_RUN + map * OF_A_MAP + tic
OF_AN_IMAGE = 10**6  # a thing's number in the list is image * OF_AN_IMAGE + its number in the run
THING_BITS = 23  # of a thing's number in the run, as pictures have it
THING_MASK = (1 << THING_BITS) - 1


@dataclass(frozen=True)
class FrameList:
    """Attributes:
    images: int64, sorted: numbers of the frames.
    things: int64, sorted: image << THING_BITS | the number that the thing has in pictures.
    classes: uint8: position in the doom domain's CLASSES of each of ``things``.
    """

    images: np.ndarray
    things: np.ndarray
    classes: np.ndarray

    def tics(self, run: int, level: int) -> list[int]:
        """The frames of one map of one run, in time's order."""
        first = run * OF_A_RUN + level * OF_A_MAP
        start, end = np.searchsorted(self.images, [first, first + OF_A_MAP])
        return (self.images[start:end] - first).tolist()

    def things_of(self, image: int) -> dict[int, int]:
        """Number in pictures -> class of the things in one frame."""
        start, end = np.searchsorted(self.things, [image << THING_BITS, (image + 1) << THING_BITS])
        numbers = (self.things[start:end] & THING_MASK).tolist()
        return dict(zip(numbers, self.classes[start:end].tolist(), strict=True))


def open_list(path: Path, aside: Path = STATE / "lists") -> FrameList:
    """The list in ``path``: what was kept of it in ``aside``, or what ``read_list`` gives, which is then kept there."""
    there = path.stat()
    about = f"{path.resolve()} {there.st_size} {there.st_mtime_ns}".encode() + TYPES.read_bytes()
    kept = aside / f"{path.stem}-{hashlib.sha256(about).hexdigest()[:12]}.npz"
    # What is kept and cannot be read, or is no arrays of numbers, is made anew.
    with suppress(OSError, ValueError, TypeError, zipfile.BadZipFile), np.load(kept, allow_pickle=False) as file:
        return FrameList(**file)
    found = read_list(path)
    with suppress(OSError), atomic(kept) as file:  # in a folder where nothing may be written it is read each time
        np.savez(file, **vars(found))
    return found


def read_list(path: Path) -> FrameList:
    """The list in ``path``, which is read once from its beginning to its end.

    Raises:
        UserError: it cannot be read, or is no list of CocoDoom's; names what is wrong in it.
    """
    images, things, categories, names = array("q"), array("q"), array("q"), {}
    try:
        for kind, entry in elements(path):
            if kind == "images":
                images.append(_image(entry))
            elif kind == "annotations":
                image, thing = int(entry["image_id"]), int(entry["id"])
                things.append(image << THING_BITS | (thing - image * OF_AN_IMAGE) & THING_MASK)
                categories.append(int(entry["category_id"]))
            elif kind == "categories":
                names[int(entry["id"])] = class_of(int(entry["id"]), str(entry["name"]))
        classes = _classes(np.array(categories, np.int64), names)
    except KeyError as error:
        raise UserError(f"{path}: {error} is missing; is it one of CocoDoom's lists?") from None
    except (ValueError, TypeError, OverflowError) as error:
        raise UserError(f"{path}: {error}; is it one of CocoDoom's lists?") from None
    numbers = np.array(things, np.int64)
    order = np.argsort(numbers, kind="stable")
    return FrameList(np.unique(np.array(images, np.int64)), numbers[order], classes[order])


def class_of(category: int, name: str) -> int:
    """Position in the doom domain's CLASSES of a category of the lists.

    A category's number is the engine's type of a thing. Its name comes from a table of the conversion's, and in some
    of its versions that table leaves out INV, so that from there on every type has the next one's name. So the number
    decides, if the name is its own or the next one's; otherwise the name, for lists that somebody has numbered anew.

    Raises:
        ValueError: neither is known.
    """
    types = thing_types()
    name = name.removeprefix("MT_")
    if name in (list(types)[category : category + 2] if category >= 0 else ()):
        return list(types.values())[category]
    if name not in types:
        raise ValueError(f"category {category} {name!r} is no type of thing in Doom")
    return types[name]


@cache
def thing_types() -> Mapping[str, int]:
    """Name -> position in the doom domain's CLASSES of every type of thing, in the order of the engine's numbers.

    Monsters are so alive or dead, and players are among them, as in the doom domain. What flies, burns or flashes is
    void, for it is none of that domain's classes.
    """
    with open(TYPES, encoding="utf-8", newline="") as file:
        return {row["name"]: CLASSES.index(row["class"]) for row in csv.DictReader(file)}


def _classes(categories: np.ndarray, classes: Mapping[int, int]) -> np.ndarray:
    """Class of each of ``categories``, of which ``classes`` has the classes."""
    found, place = np.unique(categories, return_inverse=True)
    nameless = [str(category) for category in found if category not in classes]
    if nameless:
        raise ValueError(f"category {', '.join(nameless)} has no name")
    return np.array([classes[category] for category in found], np.uint8)[place]


def _image(entry: Mapping[str, Any]) -> int:
    number = int(entry["id"])
    name = str(entry.get("file_name") or frame_path(number, "rgb"))
    if not name.replace("\\", "/").endswith(frame_path(number, "rgb")):
        raise ValueError(f"image {number} is {name!r}, but should be {frame_path(number, 'rgb')}")
    return number


def frame_path(image: int, kind: str) -> str:
    """Path below the data set's folder of one of the files of frame ``image``; ``kind``: rgb, depth or objects."""
    run, rest = divmod(image, OF_A_RUN)
    level, tic = divmod(rest, OF_A_MAP)
    return f"run{run}/map{level:02d}/{kind}/{tic:06d}.png"
