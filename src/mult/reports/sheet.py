"""Contact sheets: many samples of a domain with all their labels, to be looked at."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from mult.data import labels
from mult.data.store import Split
from mult.errors import UserError
from mult.files import atomic

GAP = 4  # pixels between cells
TITLE = 22  # pixels for a line of text
CELL = 128  # least width of a cell in pixels: small images are enlarged by whole numbers
COLUMNS = ("rgb", "semseg", "depth", "normal", "reshading", "keypoints", "edges", "valid")
UNKNOWN = (60, 60, 60)
PAPER = (225, 225, 225)  # between cells: white and black are values
DEPTH_RANGE = (0.5, 10.0)  # metres, drawn from near (light) to far (dark) by their logarithm


def contact_sheet(split: Split, images: int = 24, across: int = 2, of: int | None = None) -> np.ndarray:
    """uint8 (H, W, 3): `images` samples spread over the split, one a row of all labels, `across` samples side by side.

    Depth is drawn light where it is near (0.5 m) and dark where it is far (10 m); keypoints and edges are stretched to
    the range of Taskonomy's own normalisation, 0.005 and 0.08; grey is unknown, as is a label that the split lacks.
    `of`: how many images there are, where the split holds a choice of them.
    """
    if images < 1:
        raise UserError(f"--images: {images} is below 1")
    chosen = np.unique(np.linspace(0, len(split) - 1, min(images, len(split))).round().astype(int))
    across = min(across, len(chosen))
    rows = [framed([draw_label(split, int(i), column) for column in COLUMNS]) for i in chosen]
    blank = np.full_like(rows[0], PAPER)
    lines = -(-len(rows) // across)
    rows += [blank] * (lines * across - len(rows))
    block = np.vstack([np.hstack(rows[line * across : (line + 1) * across]) for line in range(lines)])
    head = np.hstack([_head(rows[0].shape[1])] * across)
    title = text(
        f"{split.domain}, {split.split}: {len(chosen)} of {of or len(split)} images, "
        f"{split.arrays['rgb'].shape[1]} pixels",
        block.shape[1],
    )
    return np.vstack([title, head, block])


def write_picture(path: Path | str, picture: np.ndarray) -> None:
    """Write uint8 RGB as .png or .jpg, whole or not at all."""
    path = Path(path)
    if path.suffix not in (".png", ".jpg"):
        raise UserError(f"{path}: pictures are written as .png or .jpg")
    how = [cv2.IMWRITE_JPEG_QUALITY, 88] if path.suffix == ".jpg" else []
    with atomic(path) as file:
        file.write(cv2.imencode(path.suffix, picture[..., ::-1], how)[1].tobytes())


def semantic_colours(count: int) -> np.ndarray:
    """uint8 (count, 3): colours that differ in hue and lightness; class 0, void, is grey."""
    turn = np.arange(count) * 0.61803398875 % 1  # the golden ratio keeps neighbours apart
    light = 130 + 90 * (np.arange(count) % 3 / 2)
    hsv = np.stack([turn * 180, np.full(count, 150), light + 35], -1).astype(np.uint8)
    colours = cv2.cvtColor(hsv[None], cv2.COLOR_HSV2RGB)[0]
    colours[0] = UNKNOWN
    return colours


def draw(label: str, values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) for a stored label; `valid` (H, W) bool is where depth is known."""
    grey = lambda shade: np.repeat(np.rint(np.clip(shade, 0, 1) * 255).astype(np.uint8)[..., None], 3, -1)  # noqa: E731
    if label == "semseg":
        return semantic_colours(256)[values]
    if label == "depth":
        metres, known = labels.decode_depth(values)
        near, far = np.log(DEPTH_RANGE)
        shade = 1 - (np.log(np.maximum(metres, 1e-3)) - near) / (far - near)
        drawn = cv2.cvtColor(cv2.applyColorMap(grey(shade)[..., 0], cv2.COLORMAP_MAGMA), cv2.COLOR_BGR2RGB)
        return np.where(known[..., None], drawn, UNKNOWN).astype(np.uint8)
    if label == "normal":
        return np.where(labels.decode_normal(values)[1][..., None], values, UNKNOWN).astype(np.uint8)
    if label == "reshading":
        return np.where(valid[..., None], grey(values / 255), UNKNOWN).astype(np.uint8)
    if label in ("keypoints", "edges"):
        return grey(labels.decode_unit(values) / {"keypoints": 0.005, "edges": 0.08}[label])
    if label == "valid":
        return grey(valid.astype(float))
    return values


def draw_label(split: Split, image: int, column: str, classes: np.ndarray | None = None) -> np.ndarray:
    """uint8 (H, W, 3): what ``split`` has of one of ``COLUMNS`` for an image; all unknown where it has nothing.

    ``classes`` (256,): other ids for the semantic classes.
    """
    shape, label = split.arrays["rgb"].shape[1:], _STORED[column]
    if label not in split.arrays:
        return np.full(shape, UNKNOWN, np.uint8)
    values = np.asarray(split.arrays[label][image])
    masked = "mask_valid" in split.arrays
    valid = np.asarray(split.arrays["mask_valid"][image]) > 0 if masked else np.ones(shape[:2], bool)
    return draw(column, values if classes is None or column != "semseg" else classes[values], valid)


_STORED = {
    "rgb": "rgb", "semseg": "segment_semantic", "depth": "depth_zbuffer", "normal": "normal", "reshading": "reshading",
    "keypoints": "keypoints2d", "edges": "edge_texture", "valid": "mask_valid",
}  # fmt: skip


def framed(cells: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures of one size side by side, enlarged by a whole number to ``CELL`` pixels, with paper between them."""
    times = -(-CELL // cells[0].shape[1])
    cells = [np.kron(cell, np.ones((times, times, 1), np.uint8)) for cell in cells]
    framed = [cv2.copyMakeBorder(cell, 0, GAP, 0, GAP, cv2.BORDER_CONSTANT, value=PAPER) for cell in cells]
    return np.hstack([*framed, np.full((framed[0].shape[0], 2 * GAP, 3), PAPER, np.uint8)])


def _head(width: int) -> np.ndarray:
    return text(COLUMNS, width, (width - 2 * GAP) / len(COLUMNS))


def text(words: str | Sequence[str], width: int, step: float = 0) -> np.ndarray:
    """A line of text ``width`` pixels wide, or words that begin every ``step`` pixels."""
    line = np.full((TITLE, width, 3), PAPER, np.uint8)
    for place, word in enumerate([words] if isinstance(words, str) else words):
        at = (int(place * step) + 2, TITLE - 7)
        cv2.putText(line, word, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return line
