"""Reading one .npy file, and saying what is wrong with it."""

import io
from pathlib import Path

import numpy as np

from mult.data.sources.picture import read_bytes
from mult.errors import UserError


def read_array(path: Path, channels: int, what: str) -> np.ndarray:
    """The array (H, W) or, with three channels, (H, W, 3); (H, W, 1) is taken as (H, W).

    Args:
        channels: 1 or 3.
        what: what the file is for, in messages.

    Raises:
        UserError: the file is missing, truncated, not an array of numbers, or of another shape.
    """
    data = read_bytes(path)
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError):
        raise UserError(f"{path}: no whole .npy array in its {len(data)} bytes ({what}); fetch it again") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise UserError(f"{path}: not an array of numbers ({what}); fetch it again")
    if channels == 1 and array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.shape[2:] != ((3,) if channels == 3 else ()) or array.ndim < 2:
        raise UserError(
            f"{path}: an array of {' x '.join(map(str, array.shape)) or 'one number'}, but {what} has "
            f"{'three channels' if channels == 3 else 'one channel'}; is it another kind of label?"
        )
    return array
