"""Many small pictures as one, with strips for words below them: fast to draw, and crisp at any size."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

PAPER = 255


@dataclass(frozen=True)
class Mosaic:
    """A grid of square pictures of ``size`` pixels; every length here is in these pixels.

    Attributes:
        picture: uint8 (H, W, 3), paper between the pictures.
        strip: height of the strip for words below each picture; the first row's is ``head`` higher.
        gap: distance of two columns.
    """

    picture: np.ndarray
    size: int
    strip: int
    head: int
    gap: int

    def corner(self, row: int, column: int) -> tuple[int, int]:
        """x and y of a cell's upper left corner."""
        return column * (self.size + self.gap), row * (self.size + self.strip) + (self.head if row else 0)

    def draw(self, axes: Axes) -> None:
        """Fill the axes, one picture pixel a data unit."""
        axes.imshow(self.picture, interpolation="none", aspect="auto")
        axes.set_xlim(-0.5, self.picture.shape[1] - 0.5)
        axes.set_ylim(self.picture.shape[0] - 0.5, -0.5)
        axes.axis("off")

    def write(self, axes: Axes, row: int, column: int, words: str, **kind) -> Text:
        """Words in the strip below a cell."""
        x, y = self.corner(row, column)
        at = (x + self.size / 2 - 0.5, y + self.size + 0.45 * self.strip)
        return axes.text(*at, words, ha="center", va="center", **kind)


def mosaic(cells: Sequence[Sequence[np.ndarray | None]], head: float) -> Mosaic:
    """Pictures (uint8, S x S x 3) in rows of equal length; None leaves a place empty.

    ``head``: what the first row's strip is higher than the others, for the columns' names, as a share of S.
    """
    size = next(len(cell) for row in cells for cell in row if cell is not None)
    strip, head, gap = round(0.25 * size), round(head * size), max(1, round(0.05 * size))
    rows, columns = len(cells), len(cells[0])
    shape = (rows * (size + strip) + head, columns * (size + gap) - gap, 3)
    whole = Mosaic(np.full(shape, PAPER, np.uint8), size, strip, head, gap)
    for row, line in enumerate(cells):
        for column, cell in enumerate(line):
            if cell is not None:
                x, y = whole.corner(row, column)
                whole.picture[y : y + size, x : x + size] = cell
    return whole


def pixel_axes(figure: Figure, left: float, top: float, width: float, picture: np.ndarray) -> Axes:
    """Axes ``width`` inches wide for ``picture``, from the figure's upper left corner.

    The figure's dpi becomes one at which each of its pixels is a whole number of the file's, and the axes are moved to
    where the file's pixels begin.
    """
    height, columns = picture.shape[:2]
    pitch = width / columns
    figure.dpi = -(-150 * pitch // 1) / pitch  # at least 150
    page_width, page_height = figure.get_size_inches()
    tall = height * pitch
    left, bottom = (round(of * figure.dpi) / figure.dpi for of in (left, page_height - top - tall))
    return figure.add_axes((left / page_width, bottom / page_height, width / page_width, tall / page_height))
