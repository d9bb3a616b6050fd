"""One picture of a photo and its predicted maps side by side."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mult.reports.sheet import DEPTH_RANGE, PAPER, draw, semantic_colours
from mult.tasks import TASKS

CELL = 320  # pixels of a map's longer side
LEAST = 200  # a cell's width, so that its title has room
GAP = 8
TITLE = 24  # height of a line of text
INK = (30, 30, 30)


def cell_size(height: int, width: int) -> tuple[int, int]:
    """Height and width in a panel of a photo of that size: its shape, ``CELL`` pixels on the longer side."""
    scale = CELL / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def panel(photo: Image.Image, maps: Mapping[str, np.ndarray], classes: Sequence[str]) -> np.ndarray:
    """uint8 (H, W, 3): the photo and codes of its size a task, drawn as in contact sheets, each under its title.

    Below stand the names of the semantic classes that are there, largest first, as many as there is room for.
    """
    titles = ["photo", *map(_title, maps)]
    cells = [photo, *(Image.fromarray(_draw(task, codes)) for task, codes in maps.items())]
    step = max(LEAST, photo.width) + GAP
    legend = TITLE if "semseg" in maps else 0
    sheet = Image.new("RGB", (len(cells) * step + GAP, TITLE + photo.height + GAP + legend), PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for place, (title, cell) in enumerate(zip(titles, cells, strict=True)):
        pen.text((GAP + place * step, 4), title, INK, font)
        sheet.paste(cell, (GAP + place * step, TITLE))
    if legend:
        _legend(sheet, font, maps["semseg"], classes)
    return np.asarray(sheet)


def _title(task: str) -> str:
    name = TASKS[task].name
    return f"{name}, {DEPTH_RANGE[0]:g} to {DEPTH_RANGE[1]:g} m" if task == "depth" else name


def _draw(task: str, codes: np.ndarray) -> np.ndarray:
    return draw(task, codes, np.ones(codes.shape[:2], bool))


def _legend(sheet: Image.Image, font: ImageFont.FreeTypeFont, codes: np.ndarray, classes: Sequence[str]) -> None:
    pen, colours, counts = ImageDraw.Draw(sheet), semantic_colours(256), np.bincount(codes.ravel())
    left, top = GAP, sheet.height - TITLE
    for index in np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]:
        width = round(pen.textlength(classes[index], font))
        if left + 20 + width > sheet.width:
            break
        pen.rectangle((left, top + 4, left + 13, top + 17), tuple(colours[index].tolist()))
        pen.text((left + 18, top + 2), classes[index], INK, font)
        left += 18 + width + 2 * GAP
