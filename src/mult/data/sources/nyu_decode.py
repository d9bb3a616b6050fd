"""The files of NYUv2's copies to colours, classes, metres and unit vectors: one form for all that they come in."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from mult.data.sources.array import read_array
from mult.data.sources.picture import read_bytes, read_picture
from mult.errors import UserError

FARTHEST = 20.0  # metres: Kinect saw 10, so beyond this the unit is another
IGNORED = (-1, 255)  # ids of pixels without a class


def rgb(path: Path) -> np.ndarray:
    """uint8 (H, W, 3), from a picture, or from an array of bytes or of values from 0 to 1."""
    if path.suffix != ".npy":
        return read_picture(path, np.uint8, 3, "rgb")
    array = read_array(path, 3, "rgb")
    if array.dtype == np.uint8:
        return array
    if not (array.min() >= -0.01 and array.max() <= 1.01):  # resizing may overshoot a little
        raise UserError(f"{path}: values from {array.min():g} to {array.max():g}, but rgb has 0 to 1, or bytes")
    return np.rint(np.clip(array, 0, 1) * 255).astype(np.uint8)


def classes(path: Path, lowest: int, count: int) -> np.ndarray:
    """uint8 (H, W): 0 void, then ``count`` classes, of which the file calls the first one ``lowest``."""
    what = "segment_semantic"
    ids = read_array(path, 1, what) if path.suffix == ".npy" else _indices(path, what)
    void = np.isin(ids, IGNORED) | (ids < lowest)
    wrong = ~void & ((ids != np.rint(ids)) | (ids >= lowest + count))
    if wrong.any():
        raise UserError(
            f"{path}: class {ids[wrong][0]:g}, but {what} has {lowest} to {lowest + count - 1} here, and 255 or -1 for "
            "none; is it another set of classes?"
        )
    return np.where(void, 0, ids.astype(int) - lowest + 1).astype(np.uint8)


def metres(path: Path) -> np.ndarray:
    """Depth (H, W), float32, from an array of metres or a picture of millimetres; 0 where it is unknown."""
    if path.suffix != ".npy":
        return millimetres(path) / np.float32(1000)
    depth = read_array(path, 1, "depth_zbuffer").astype(np.float32)
    depth = np.where(np.isfinite(depth) & (depth > 0), depth, 0)
    if depth.max() > FARTHEST:
        raise UserError(f"{path}: depth up to {depth.max():g}, but it is in metres and NYUv2 has none beyond 10")
    return depth


def millimetres(path: Path) -> np.ndarray:
    """uint16 (H, W)."""
    return read_picture(path, np.uint16, 1, "depth_zbuffer")


def where_measured(depth: np.ndarray, raw: np.ndarray, nothing: tuple[float, float], path: Path) -> np.ndarray:
    """Depth where the raw one is between the two values that mean ``nothing``; 0 in the holes that were filled in.

    Filling guesses from the colours beside a hole. The guesses are good pictures and bad labels.
    """
    if raw.shape != depth.shape:
        raise UserError(f"{path}: raw depth of another size than the filled one; fetch both again")
    return np.where((raw > nothing[0]) & (raw < nothing[1]), depth, 0).astype(np.float32)


def normals(path: Path) -> np.ndarray:
    """Unit vectors (H, W, 3), float32, with the axes of the file; 0 where unknown.

    Known are pixels whose vector has about unit length: white or grey pixels of a picture and zeros of an array have
    not, and neither has what resizing made of opposite directions.
    """
    array = read_array(path, 3, "normal") if path.suffix == ".npy" else read_picture(path, np.uint8, 3, "normal")
    vectors = array / np.float32(127.5) - 1 if array.dtype == np.uint8 else array.astype(np.float32)
    vectors = np.where(np.isfinite(vectors), vectors, 0)
    if np.abs(vectors).max() > 2:
        raise UserError(f"{path}: values up to {np.abs(vectors).max():g}, but normals lie in -1 to 1, or are bytes")
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    known = (length > 0.5) & (length < 1.5)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=known)


def _indices(path: Path, what: str) -> np.ndarray:
    """A grey picture, or one with a palette, of which the numbers are wanted and not the colours."""
    data = read_bytes(path)
    try:
        picture = Image.open(io.BytesIO(data))
        picture.load()
    except (OSError, SyntaxError, ValueError):
        raise UserError(f"{path}: no whole picture in its {len(data)} bytes ({what}); fetch it again") from None
    if picture.mode not in ("L", "P"):
        raise UserError(f"{path}: not a picture of one byte a pixel ({what}); is it a coloured copy of the classes?")
    return np.array(picture)
