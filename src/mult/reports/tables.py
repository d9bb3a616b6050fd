"""Tables as CSV and Markdown; byte-identical when the results are."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from mult.files import atomic
from mult.params import Scale
from mult.reports.style import FIGURES

FOLDER = Path("reports/tables")
PUBLISHED = Path("reports/published.csv")


def write_table(
    name: str, table: pd.DataFrame, caption: str, notes: Sequence[str] = (), shown: pd.DataFrame | None = None
) -> None:
    """Write reports/tables/<name>.csv (all digits) and <name>.md (for reading: ``shown``, if it is given)."""
    write_csv(name, table)
    shown = table if shown is None else shown
    if "metric" in shown:
        shown = shown.assign(metric=shown["task"].map(FIGURES))
    lines = [f"**{caption}**", "", markdown(shown), *(f"\n{note}" for note in notes)]
    with atomic(FOLDER / f"{name}.md", "w") as file:
        file.write("\n".join(lines) + "\n")


def write_csv(name: str, table: pd.DataFrame) -> None:
    """Write reports/tables/<name>.csv alone."""
    with atomic(FOLDER / f"{name}.csv", "w") as file:
        table.to_csv(file, index=False, float_format="%.6g")


def markdown(table: pd.DataFrame) -> str:
    """A Markdown table: gains and drops with a sign and one decimal, other numbers with three digits."""
    head = f"| {' | '.join(map(str, table.columns))} |\n|{'|'.join(_rule(table[c]) for c in table)}|"
    cells = {column: [_cell(column, value) for value in table[column]] for column in table}
    body = [f"| {' | '.join(row)} |" for row in zip(*cells.values(), strict=True)]
    return "\n".join([head, *body])


def value_and_gain(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The columns ``name`` and ``name gain`` as one, e.g. ``0.0527 (-2.5)``; other columns of ``names`` are dropped."""
    shown = table.copy()
    for name in names:
        pairs = zip(table[name], table[f"{name} gain"], strict=True)
        shown[name] = [f"{_cell('', value)} ({_cell('gain', gain)})" for value, gain in pairs]
    return shown.drop(columns=[c for c in table for name in names if c.startswith(f"{name} ")])


def caption(title: str, facts: Mapping[str, object]) -> str:
    """A caption that says at what scale the numbers were made."""
    return f"{title} ({', '.join(f'{k} {v}' for k, v in facts.items())})"


def facts(scale: Scale) -> dict[str, object]:
    """What every caption says of a scale."""
    return {
        "scale": scale.name,
        "images of": f"{scale.image_size} pixels",
        "steps": scale.training.steps,
        "batch": scale.training.batch_size,
    }


def published(table: str) -> pd.DataFrame:
    """Numbers from papers for one of our tables; see the columns source and status."""
    rows = pd.read_csv(PUBLISHED, keep_default_na=False)
    return rows[rows["table"] == table]


def _rule(column: pd.Series) -> str:
    return "---:" if pd.api.types.is_numeric_dtype(column) else "---"


def _cell(column: object, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, float):
        return str(value)
    if pd.isna(value):
        return "–"
    signed = any(word in str(column) for word in ("gain", "drop", "least", "greatest", "%"))
    return f"{value:+.1f}" if signed else f"{value:.3g}"
