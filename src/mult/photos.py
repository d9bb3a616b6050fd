"""Photos as users have them: a file, a folder or a list of them, and any kind of picture as upright RGB."""

import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from mult.errors import UserError

# What is taken from a folder. Pillow reads more kinds, of which some are no pictures, and .heic only with a plug-in:
# it is here so that such a photo is named as unreadable and not passed over.
SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".avif", ".heic", ".heif", ".bmp", ".gif", ".jfif", ".jpe"),
    *(".jp2", ".j2k", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".qoi", ".apng"),
)
LARGEST = 400_000_000  # pixels; Pillow holds four bytes of each

Image.MAX_IMAGE_PIXELS = LARGEST // 2  # it warns beyond that and refuses twice as many; its own limit is 179 million


def find_photos(inputs: Sequence[Path]) -> list[Path]:
    """The photos that ``inputs`` name, each once: files, folders (their pictures by name), lists (.txt, a path a line).

    A path in a list is relative to the current folder. Whether a file can be read is not looked at here.

    Raises:
        UserError: a folder or a list without a picture, or a list that is not there or no text.
    """
    found = (photo for given in inputs for photo in _photos_of(Path(given)))
    return list(dict.fromkeys(found))


def _photos_of(given: Path) -> list[Path]:
    if given.is_dir():
        inside = (path for path in given.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != ".")
        photos = sorted(path for path in inside if path.is_file())
        missing = f"no picture in this folder; name one that has files such as {', '.join(SUFFIXES[:5])}"
    elif given.suffix.lower() == ".txt":
        photos = [Path(line) for line in _lines(given) if line]
        missing = "no path in this list; write one a line"
    else:
        return [given]
    if not photos:
        raise UserError(f"{given}: {missing}")
    return photos


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError:
        raise UserError(f"{path}: no text in UTF-8; write one path a line") from None


def folder_names(photos: Sequence[Path]) -> list[str]:
    """A folder's name for each photo, all different: its stem, and -2, -3, … behind it where that is taken."""
    taken: dict[str, None] = {}
    for photo in photos:
        # "...jpg" has the stem "..", which would lead out of the folder.
        stem = photo.stem if photo.stem.strip(".") else photo.name
        name, number = stem, 1
        while name in taken:
            number += 1
            name = f"{stem}-{number}"
        taken[name] = None
    return list(taken)


def read_photo(path: Path) -> Image.Image:
    """The picture of a file as 8-bit RGB, turned as its EXIF says, on white where it is transparent.

    Of several pictures in a file it is the first; of 16 bits the upper ones are kept; a colour profile is not used.

    Raises:
        UserError: the file is not there, no picture, damaged, of floating-point numbers, or above ``LARGEST``.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged metadata
            with Image.open(path) as picture:
                picture.load()
                with suppress(Exception):  # damaged EXIF leaves the picture as it lies
                    ImageOps.exif_transpose(picture, in_place=True)
                return _rgb(picture)
    except UnidentifiedImageError:
        raise UserError(f"{path}: no picture, or of a kind that cannot be read here; save it as .png or .jpg") from None
    except Image.DecompressionBombError:
        raise UserError(f"{path}: more than {LARGEST // 10**6} million pixels; make it smaller") from None
    except Exception as error:  # decoders raise nearly anything at a damaged file
        said = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: cannot be read, fetch or save it again: {said}") from None


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode == "F":
        raise ValueError("floating-point numbers have no agreed white; 8 or 16 bits have")
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        # Pillow's own conversion would cut at 255.
        picture = Image.fromarray((np.clip(np.asarray(picture), 0, 65535) // 256).astype(np.uint8))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        paper.alpha_composite(picture)
        picture = paper
    return picture if picture.mode == "RGB" else picture.convert("RGB")  # which would copy a large one
