"""Reading one picture file, and saying what is wrong with it."""

from pathlib import Path

import cv2
import numpy as np

from mult.errors import UserError

# How files begin, how whole ones end, and their name: what is missing of them OpenCV fills with grey without a word.
_KINDS = ((b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82", "PNG"), (b"\xff\xd8\xff", b"\xff\xd9", "JPEG"))


def read_picture(path: Path, dtype: type, channels: int, what: str) -> np.ndarray:
    """The picture (H, W) or, with three channels, (H, W, 3) in the order R, G, B; a fourth channel is left out.

    Args:
        dtype: np.uint8 or np.uint16, as it must be.
        channels: 1 or 3. Three equal channels are taken as one, one as three equal ones.
        what: what the file is for, in messages.

    Raises:
        UserError: the file is missing, truncated, damaged, or of other bits or channels.
    """
    data = read_bytes(path)
    for head, end, kind in _KINDS:
        if data.startswith(head) and not data.rstrip(b"\0").endswith(end):
            raise UserError(f"{path}: truncated {kind} of {len(data)} bytes ({what}); fetch it again")
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if picture is None:
        raise UserError(f"{path}: cannot be read as a picture ({what}); fetch it again")
    if picture.dtype != dtype:
        bits, wanted = 8 * picture.dtype.itemsize, 8 * np.dtype(dtype).itemsize
        raise UserError(
            f"{path}: {bits} bits a channel, but {what} has {wanted}; a copy that a picture program has saved anew has "
            "lost its values: fetch the original"
        )
    if picture.ndim == 2:
        return picture if channels == 1 else np.repeat(picture[..., None], 3, -1)
    picture = picture[..., 2::-1] if picture.shape[2] >= 3 else np.repeat(picture[..., :1], 3, -1)
    if channels == 3:
        return np.ascontiguousarray(picture)
    if not (picture == picture[..., :1]).all():
        raise UserError(f"{path}: colours, but {what} is grey; is it another kind of label?")
    return np.ascontiguousarray(picture[..., 0])


def read_bytes(path: Path) -> bytes:
    """Raises: UserError: the file is missing or cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; fetch it, or run the prepare stage anew if it was taken away") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
