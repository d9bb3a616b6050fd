"""Writing figures so that the same data give the same bytes."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from mult.files import atomic
from mult.params import Params
from mult.reports.figures.style import styled

FOLDER = Path("reports/figures")
# Without these a file would say when, and with which version of matplotlib, it was made.
_SILENT = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}


def settle(figure: Figure) -> None:
    """Give everything its final place, so that both files have the same ones, and are not laid out anew each time."""
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()
        figure.set_layout_engine(None)


@styled
def write(figure: Figure, name: str) -> None:
    """Write reports/figures/<name>.svg and .png (at the figure's own dpi), each whole or not at all."""
    settle(figure)
    for form, metadata in _SILENT.items():
        with atomic(FOLDER / f"{name}.{form}") as file:
            figure.savefig(file, format=form, dpi=figure.dpi, metadata=metadata)


def footnote(settings: Params, seeds: Sequence[int] = ()) -> str:
    """The scale in words, as every figure has it at its foot."""
    scale = settings.scale
    words = [f"Scale {scale.name}", f"{scale.image_size} px", f"{scale.training.steps} steps"]
    words += [f"batch {scale.training.batch_size}"]
    return ", ".join([*words, *([f"{len(seeds)} seed{'s'[: len(seeds) > 1]}"] if seeds else [])])
