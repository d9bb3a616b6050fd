"""Tables for a paper: LaTeX with booktabs, which the reader's preamble has to load."""

import re
from collections.abc import Iterable, Sequence
from typing import Protocol

SPECIAL = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "–": "--", "±": r"$\pm$", "×": r"$\times$", "…": r"\ldots{}", "≥": r"$\geq$", "≤": r"$\leq$",
    "<": "$<$", ">": "$>$",
}  # fmt: skip
INLINE = re.compile(r"`(?P<code>[^`]+)`|\*\*(?P<bold>.+?)\*\*|\*(?P<emphasis>[^*]+)\*")
COMMANDS = {"code": "texttt", "bold": "textbf", "emphasis": "emph"}


class CellLike(Protocol):
    """A table's cell, see mult.reports.tables."""

    text: str
    best: bool


Part = str | tuple[Sequence[str], Sequence[Sequence[CellLike]]]


def table(name: str, caption: str, parts: Sequence[Part]) -> str:
    """A table environment: the caption, each of ``parts`` that is a table as a tabular, and the notes below it."""
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table}[t]",
        r"\centering",
        rf"\caption{{{inline(caption)}}}",
        rf"\label{{tab:{name}}}",
    ]
    for part in parts:
        lines += [_note(part)] if isinstance(part, str) else _tabular(*part)
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def inline(text: str) -> str:
    """Inline Markdown (code, bold, emphasis) as LaTeX; every character that LaTeX reads as its own is escaped."""
    parts, end = [], 0
    for found in INLINE.finditer(text):
        kind = found.lastgroup
        inner = escape(found[kind]) if kind == "code" else inline(found[kind])
        parts += [escape(text[end : found.start()]), rf"\{COMMANDS[kind]}{{{inner}}}"]
        end = found.end()
    return "".join([*parts, escape(text[end:])])


def escape(text: str) -> str:
    """Plain text as LaTeX."""
    return "".join(SPECIAL.get(character, character) for character in text)


def is_numeric(column: Iterable[str]) -> bool:
    """Whether all that stands in a column are single numbers, or dashes for none."""
    return all(re.fullmatch(r"(\*\*)?([-+]?[\d.]+(e[-+]?\d+)?|–)(\*\*)?", text) for text in column)


def _tabular(columns: Sequence[str], rows: Sequence[Sequence[CellLike]]) -> list[str]:
    kinds = ["r" if is_numeric(row[place].text for row in rows) else "l" for place in range(len(columns))]
    body = [" & ".join(rf"\textbf{{{inline(c.text)}}}" if c.best else inline(c.text) for c in row) for row in rows]
    return [
        rf"\begin{{tabular}}{{{''.join(kinds)}}}",
        r"\toprule",
        " & ".join(inline(str(column)) for column in columns) + r" \\",
        r"\midrule",
        *(rf"{row} \\" for row in body),
        r"\bottomrule",
        r"\end{tabular}",
    ]


def _note(text: str) -> str:
    heading = text.removeprefix("### ")
    return (
        rf"\par\smallskip\textbf{{{inline(heading)}}}"
        if heading != text
        else (rf"\par\smallskip\parbox{{\linewidth}}{{\footnotesize {inline(text)}}}")
    )
