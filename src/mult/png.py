"""PNG files: labels and predictions in Taskonomy's encoding, and pictures."""

from pathlib import Path

import cv2
import numpy as np

from mult.errors import UserError
from mult.files import atomic


def write_png(path: Path, values: np.ndarray) -> None:
    """Write uint8 or uint16, (H, W) or RGB (H, W, 3), whole or not at all.

    Raises:
        UserError: the file cannot be written.
    """
    encoded = cv2.imencode(".png", values if values.ndim == 2 else values[..., ::-1])[1]
    try:
        with atomic(path) as file:
            file.write(encoded.tobytes())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; nothing is left half-written") from None
