"""Galleries as a page carries them: a sprite an image and task, and attention maps as bytes, all in base64.

Attention arrays are uint8 (owners, windows, heads, N, N), round(255 * sqrt(weight)): queries on the last axis but one.
"""

import io
import math
import zipfile
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mult.errors import UserError
from mult.outs import whole
from mult.reports.documents import Gallery, load
from mult.reports.sheet import semantic_colours


@dataclass(frozen=True)
class Payload:
    """Bytes for a script element: its id and their base64. Pictures are WebP, attention maps as they are."""

    name: str
    base64: str


@dataclass(frozen=True)
class Album:
    """A domain's gallery: what the page's scripts read as JSON, and what they decode when it is first looked at."""

    facts: dict[str, Any]
    payloads: list[Payload]


def album(folder: Path) -> Album:
    """The album of gallery/<domain>.

    Raises:
        UserError: a file is missing or damaged, or pictures.npz does not hold what gallery.json promises.
    """
    gallery = load(whole(folder / "gallery.json"), Gallery)
    pictures = _Pictures(whole(folder / "pictures.npz"), gallery)
    facts = gallery.model_dump()
    facts["colours"] = [f"#{bytes(of).hex()}" for of in semantic_colours(len(gallery.classes))]
    facts["across"] = across = math.ceil(math.sqrt(len(gallery.samples)))
    payloads = [_picture(f"{gallery.domain}/rgb", _mosaic(pictures.of("rgb"), across))]
    for task in gallery.tasks:
        columns = [pictures.of(f"{by}/{task}") for by in ("label", *gallery.models)]
        for place, tiles in enumerate(zip(*columns, strict=True)):
            payloads.append(_picture(f"{gallery.domain}/{task}/{place}", np.concatenate(tiles)))
    payloads += [Payload(f"{gallery.domain}/{name}", _base64(of)) for name, of in pictures.attention()]
    return Album(facts, payloads)


class _Pictures:
    """Arrays of a pictures.npz, each checked against gallery.json."""

    def __init__(self, path: Path, gallery: Gallery):
        self.path, self.gallery = path, gallery
        try:
            with np.load(path, allow_pickle=False) as file:
                self.arrays = dict(file)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zipfile.zlib.error) as error:
            raise UserError(f"{path}: cannot be read ({' '.join(str(error).split())}); {_MEND}") from None

    def of(self, name: str) -> np.ndarray:
        """(samples, H, W, 3)"""
        size = self.gallery.image_size
        return self._checked(name, (len(self.gallery.samples), size, size, 3))

    def attention(self) -> Iterator[tuple[str, bytes]]:
        for of in self.gallery.attention:
            tokens = len(of.cells[0])
            shape = (len(of.owners), len(of.cells), of.heads, tokens, tokens)
            yield of.array, self._checked(of.array, shape).tobytes()

    def _checked(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        array = self.arrays.get(name)
        if array is None or array.shape != shape or array.dtype != np.uint8:
            found = "no such array" if array is None else f"{array.dtype} {array.shape}, not uint8 {shape}"
            raise UserError(f"{self.path}: {name}: {found}; {_MEND}")
        return array


_MEND = "`make repro` writes it anew"


def _mosaic(pictures: np.ndarray, across: int) -> np.ndarray:
    """(samples, H, W, 3) as rows of ``across`` pictures: a WebP's side is limited, so it is no strip."""
    samples, height, width, _ = pictures.shape
    down = -(-samples // across)
    padded = np.zeros((down * across, height, width, 3), np.uint8)
    padded[:samples] = pictures
    tiled = padded.reshape(down, across, height, width, 3).swapaxes(1, 2)
    return tiled.reshape(down * height, across * width, 3)


def _picture(name: str, pixels: np.ndarray) -> Payload:
    """As lossless WebP, about half of a PNG; more effort than this costs five times the time and saves a twentieth."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "webp", lossless=True, quality=75, method=4)
    return Payload(name, _base64(file.getvalue()))


def _base64(data: bytes) -> str:
    return b64encode(data).decode("ascii")
