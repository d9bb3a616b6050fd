"""How every figure looks: its page, its fonts, and one colour and marker a model, the same in all figures."""

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mult.reports.style import signed as _signed

WIDTH = 10.0  # inches: 1000 screen pixels at 100 an inch, and a printed page's width at two thirds
SMALL = 8.0  # points: the least size of a text that has to be read
INK, GREY, BAND = "#000000", "#595959", "#DCDCDC"
BETTER, WORSE = "#0072B2", "#D55E00"
SIGNED = "RdBu"  # colour map: red is worse, blue is better

_RC = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same shapes on every machine
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "axes.titleweight": "bold",
    "axes.labelsize": 9.0,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "figure.dpi": 150.0,
    "svg.fonttype": "path",
    "svg.hashsalt": "mult",
}

# Every figure is made and written under these settings, whatever the user's own matplotlibrc says.
styled = style.context(["default", _RC])


@dataclass(frozen=True)
class Look:
    """How a model is drawn."""

    colour: str
    marker: str


# Okabe and Ito (Color Universal Design, 2008) less their yellow, which is lost on white, and three dark colours more.
LOOKS = {
    "single": Look("#000000", "h"),
    "self": Look("#009E73", "^"),
    "skip": Look("#0072B2", "s"),
    "skip_lowrank": Look("#56B4E9", "D"),
    "shared": Look("#D55E00", "o"),
    "reference-normal": Look("#CC79A7", "v"),
    "reference-depth": Look("#3B0F70", "<"),
    "uniform": Look("#E69F00", "X"),
    "drawn": Look("#6B3D00", "P"),
    "cnn": Look("#004D40", "*"),
}
_OTHERS = (">", "p", "d", "8", "H", "$+$", "$x$", "$y$", "$z$")  # in grey, for models that have no look of their own


def looks(names: Iterable[str]) -> dict[str, Look]:
    """A look for each of ``names``; those that are not in ``LOOKS`` are grey and differ by their markers."""
    names = list(dict.fromkeys(names))
    others = [name for name in names if name not in LOOKS]
    grey = {name: Look("#7F7F7F", _OTHERS[place % len(_OTHERS)]) for place, name in enumerate(others)}
    return {name: LOOKS.get(name) or grey[name] for name in names}


def page(title: str, note: str, height: float, layout: str | None = "constrained") -> Figure:
    """An empty figure of ``height`` inches with a title at its top and a note at its foot, both wrapped.

    With ``layout=None`` whoever draws on it places everything; title and note then stand at the very edges.
    """
    figure = Figure(figsize=(WIDTH, height), layout=layout)
    FigureCanvasAgg(figure)
    heading = {"x": 0.01, "ha": "left", "fontsize": 11.0, "fontweight": "bold"}
    footing = {"x": 0.01, "ha": "left", "fontsize": SMALL, "color": GREY}
    title, note = textwrap.fill(title, 105), textwrap.fill(note, 150)
    if layout is None:
        figure.text(y=1 - 0.08 / height, s=title, va="top", **heading)
        figure.text(y=0.06 / height, s=note, va="bottom", **footing)
    else:
        figure.get_layout_engine().set(w_pad=0.06, h_pad=0.06)
        figure.suptitle(title, **heading)
        figure.supxlabel(note, **footing)
    return figure


def empty(figure: Figure, words: str) -> Figure:
    """The figure with ``words`` where the data would be: a report with a gap is better than none."""
    axes = figure.add_subplot()
    axes.axis("off")
    axes.text(0.5, 0.5, words, ha="center", va="center", color=GREY, transform=axes.transAxes)
    return figure


def signed(value: float, digits: int = 1) -> str:
    """As mult.reports.style.signed, with a true minus sign."""
    return _signed(value, digits).replace("-", "−")


def interval(value: float, low: float, high: float) -> str:
    """A number with its interval, e.g. ``+0.0 [−1.1, +1.2]``."""
    return signed(value) if low != low else f"{signed(value)} [{signed(low)}, {signed(high)}]"
