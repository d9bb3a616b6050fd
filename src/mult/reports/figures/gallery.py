"""Reading a domain's gallery: drawn pictures of some test images, and attention maps of one of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mult.errors import UserError
from mult.files import read_json
from mult.outs import whole


@dataclass(frozen=True)
class Gallery:
    """What gallery/<domain>/ holds; ``about`` is its gallery.json, ``pictures`` its arrays by name."""

    about: dict[str, Any]
    pictures: dict[str, np.ndarray]

    def role(self, role: str) -> int | None:
        """Index of the first sample in that role (``best``, ``median``, ``worst``); None: there is none."""
        roles = [sample["role"] for sample in self.about["samples"]]
        return roles.index(role) if role in roles else None


@dataclass(frozen=True)
class StageMaps:
    """Attention weights of a variant at one decoder stage for one sample.

    Attributes:
        owners: whose maps these are: ``all``, or the tasks.
        shape: rows and columns of the stage's grid of tokens.
        cells: (windows, N) place of each token in the grid, row by row; -1 is padding.
        weights: (owners, windows, N, N), means over the heads; each query's weights (last axis) sum to one.
    """

    owners: list[str]
    shape: tuple[int, int]
    cells: np.ndarray
    weights: np.ndarray

    def ratio(self, owner: str, row: int, column: int) -> np.ndarray:
        """(rows, columns) weights of the query at a place, over what each of its window's tokens had if all were equal.

        NaN where the query does not look: outside its window.
        """
        window, query = np.argwhere(self.cells == row * self.shape[1] + column)[0]
        real = self.cells[window] >= 0
        weights = self.weights[self.owners.index(owner), window, query]
        ratio = np.full(self.shape, np.nan)
        ratio.ravel()[self.cells[window][real]] = weights[real] * real.sum()
        return ratio


def load_gallery(folder: Path | str) -> Gallery:
    """The gallery that a stage has written into ``folder``.

    Raises:
        UserError: one of its two files is missing, or was altered.
    """
    folder = Path(folder)
    for name in ("gallery.json", "pictures.npz"):
        if not (folder / name).is_file():
            raise UserError(f"{folder / name} is missing; `make repro` makes every domain's gallery")
    with np.load(whole(folder / "pictures.npz"), allow_pickle=False) as arrays:
        return Gallery(read_json(whole(folder / "gallery.json")), dict(arrays))


def stage_maps(gallery: Gallery, variant: str) -> dict[int, StageMaps]:
    """The maps of ``variant`` by decoder stage, coarse to fine, for the sample that the gallery has them of."""
    return {
        entry["stage"]: StageMaps(
            owners=entry["owners"],
            shape=(entry["height"], entry["width"]),
            cells=np.array(entry["cells"]),
            weights=_mean_of_heads(gallery.pictures[entry["array"]]),
        )
        for entry in sorted(gallery.about["attention"], key=lambda entry: entry["stage"])
        if entry["variant"] == variant
    }


def _mean_of_heads(stored: np.ndarray) -> np.ndarray:
    """uint8 (owners, windows, heads, N, N), roots of the weights, to (owners, windows, N, N)."""
    weights = (stored / 255.0) ** 2
    return np.mean(weights / np.maximum(weights.sum(-1, keepdims=True), 1e-12), axis=2)
