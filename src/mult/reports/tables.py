"""Tables as CSV, Markdown, LaTeX and JSON; byte-identical when the results are.

The CSV has every column and digit. The others have what is read: the JSON of the web page also names the runs that a
cell's number comes from.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mult.evaluation.compare import without_seed
from mult.files import atomic, write_json
from mult.params import Scale
from mult.reports import latex, style
from mult.tasks import TASKS

FOLDER = Path("reports/tables")
PUBLISHED = Path("reports/published.csv")
TRIVIAL = ("constant", "constant-mean", "constant-pixel")  # runs of predictors that do not look at the image
NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")

Sources = Callable[[Mapping[str, Any], str], Iterable[str]]


@dataclass(frozen=True)
class Shown:
    """A table as it is read.

    Attributes:
        table: numbers, and texts of inline Markdown.
        sources: names of the runs behind the cell of (row, column).
        compared: columns of which the best is set in bold: in each row, or with ``down`` in each column.
    """

    table: pd.DataFrame
    sources: Sources | None = None
    compared: Sequence[str] = ()
    down: bool = False


@dataclass(frozen=True)
class Cell:
    """What is read, the number to sort by, the runs that it comes from, and whether it is the best of some."""

    text: str
    sort: float | None = None
    runs: tuple[str, ...] = ()
    best: bool = False

    @property
    def markdown(self) -> str:
        return f"**{self.text}**" if self.best else self.text

    def as_json(self) -> dict[str, Any]:
        """Without what does not apply."""
        facts = {"text": self.text, "sort": self.sort, "runs": list(self.runs), "best": self.best}
        return {key: value for key, value in facts.items() if value is not None and value != [] and value is not False}


def write_table(
    name: str,
    table: pd.DataFrame,
    caption: str,
    notes: Sequence[str | Shown] = (),
    shown: Shown | None = None,
) -> None:
    """Write reports/tables/<name>.csv from ``table``; .md, .tex and .json from ``shown``, if given, and ``notes``."""
    write_csv(name, table)
    blocks: list[str | Shown] = [shown or Shown(table), *notes]
    for about, word in ((False, "row"), (True, "column")):
        if any(isinstance(of, Shown) and of.compared and of.down == about for of in blocks):
            blocks.insert(1, f"In bold: the best of a {word}.")
    parts = [(list(of.table), cells(of)) if isinstance(of, Shown) else of for of in blocks]
    text = [of if isinstance(of, str) else _markdown(*of) for of in parts]
    with atomic(FOLDER / f"{name}.md", "w") as file:
        file.write(f"**{caption}**\n\n" + "\n\n".join(text) + "\n")
    with atomic(FOLDER / f"{name}.tex", "w") as file:
        file.write(latex.table(name, caption, parts))
    told = [{"kind": "text", "text": of} if isinstance(of, str) else _json(*of) for of in parts]
    write_json(FOLDER / f"{name}.json", {"name": name, "caption": caption, "blocks": told})


def write_csv(name: str, table: pd.DataFrame) -> None:
    """Write reports/tables/<name>.csv alone."""
    with atomic(FOLDER / f"{name}.csv", "w") as file:
        table.to_csv(file, index=False, float_format="%.6g")


def cells(shown: Shown) -> list[list[Cell]]:
    """The table's cells: gains and drops with a sign and one decimal, other numbers with three digits."""
    table = shown.table
    if "metric" in table:
        table = table.assign(metric=table["task"].map(style.FIGURES).fillna("–"))
    best = _best(shown)
    return [
        [
            Cell(
                text := _text(column, row[column]),
                _sort(text, row[column]),
                tuple(shown.sources(row, column)) if shown.sources else (),
                (place, column) in best,
            )
            for column in table
        ]
        for place, row in enumerate(table.to_dict("records"))
    ]


def value_and_gain(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The columns ``name`` and ``name gain`` as one, e.g. ``0.0527 (-2.5)``; other columns of ``names`` are dropped."""
    shown = table.copy()
    for name in names:
        pairs = zip(table[name], table[f"{name} gain"], strict=True)
        shown[name] = [f"{_text('', value)} ({_text('gain', gain)})" for value, gain in pairs]
    return shown.drop(columns=[c for c in table for name in names if c.startswith(f"{name} ")])


def runs_of(results: pd.DataFrame) -> Callable[..., list[str]]:
    """A function from runs' names less their seeds, e.g. ``mult-shared``, to those of all seeds that there are."""
    names = results["run"].drop_duplicates()
    by_stem = names.groupby(without_seed(names.to_frame("run"))).agg(list)
    return lambda *stems: [run for stem in stems for run in by_stem.get(stem, [])]


def model_sources(results: pd.DataFrame, models: Mapping[str, str], prefix: str = "") -> Sources:
    """Of tables with columns ``trivial``, ``single`` and one a model: figures, and gains over one-task models.

    Args:
        models: column -> the runs' names less their seeds.
        prefix: of all runs' names but the trivial predictors'.
    """
    runs = runs_of(results)

    def sources(row: Mapping[str, Any], column: str) -> list[str]:
        if column == "trivial":
            return runs(*TRIVIAL)
        tasks = [row["task"]] if row["task"] in TASKS else list(TASKS)
        single = [f"{prefix}single-{task}" for task in tasks]
        if column == "single":
            return runs(*single)
        return runs(prefix + models[column], *single) if column in models else []

    return sources


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


def _best(shown: Shown) -> set[tuple[int, str]]:
    """Places of the best cells: by the task's own sense for its figures, the greatest for gains."""
    rows = shown.table.to_dict("records")
    sorts = {(n, c): _sort(_text(c, row[c]), row[c]) for n, row in enumerate(rows) for c in shown.compared}
    groups = [[(n, c) for n in range(len(rows))] for c in shown.compared]
    if not shown.down:
        groups = [[(n, c) for c in shown.compared] for n in range(len(rows))]
    best = set()
    for group in groups:
        known = [place for place in group if sorts[place] is not None]
        if len(known) > 1:
            task = None if shown.down or "metric" not in shown.table else TASKS.get(rows[known[0][0]]["task"])
            most = max if task is None or task.higher_is_better else min
            value = most(sorts[place] for place in known)
            best |= {place for place in known if sorts[place] == value}
    return best


def _sort(text: str, value: object) -> float | None:
    """The number itself, or the first one that a text shows."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return None if pd.isna(value) else float(value)
    found = NUMBER.search(text)
    return float(found[0]) if found and re.match(r"[*–\s(<]*[-+]?\d", text) else None


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    if not rows:
        return "*(nothing of this at this scale)*"
    rules = [_rule([row[place] for row in rows]) for place in range(len(columns))]
    head = f"| {' | '.join(map(str, columns))} |\n|{'|'.join(rules)}|"
    return "\n".join([head, *(f"| {' | '.join(cell.markdown for cell in row)} |" for row in rows)])


def _rule(column: Sequence[Cell]) -> str:
    return "---:" if latex.is_numeric(cell.text for cell in column) else "---"


def _json(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> dict[str, Any]:
    told = [[cell.as_json() for cell in row] for row in rows]
    return {"kind": "table", "columns": [str(column) for column in columns], "rows": told}


def _text(column: object, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, float):
        return str(value)
    if pd.isna(value):
        return "–"
    signed = any(word in str(column) for word in ("gain", "drop", "least", "greatest", "%"))
    return style.signed(value) if signed else f"{value:.3g}"
