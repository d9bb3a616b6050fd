"""The study's answer in plain words, made from the first tables of the ablation, of the probes and of six tasks."""

import re
from dataclasses import dataclass
from typing import Literal, get_args

from mult.errors import UserError
from mult.reports.documents import Cell, Grid, Paragraph, Table
from mult.reports.inline import plain
from mult.reports.style import signed

QUESTION = "shared over skip"  # the paper's claim against its key control; where it is missing, the first comparison
GAIN = "all tasks on "  # how the name of the column with the gain begins
Verdict = Literal["better", "worse", "no evidence"]
Gain = tuple[float, float, float] | tuple[float] | tuple[()]

USED = 1.0  # percent of a task's error, by which a map must count to be said to be used
_NUMBER = r"([+-]?\d+(?:\.\d+)?)"
_NUMBERS = re.compile(_NUMBER)
_GAIN = re.compile(rf"{_NUMBER}(?: \[{_NUMBER}, {_NUMBER}\])?")


@dataclass(frozen=True)
class Comparison:
    """One row of the table.

    Attributes:
        gain: percent, + is better for ``first``, and its 95 % interval where there is one; empty where not measured.
        p: as it stands there; empty where there is none.
        detectable: likewise, the least effect that would have been found.
    """

    question: str
    first: str
    second: str
    domain: str
    gain: Gain
    p: str
    detectable: str
    verdict: Verdict

    @property
    def headline(self) -> str:
        """The answer in a sentence of Markdown, as are those below."""
        if self.verdict == "better":
            return f"Yes: `{self.first}` is better than `{self.second}`."
        if self.verdict == "worse":
            return f"No: `{self.first}` is worse than `{self.second}`."
        if not self.gain:
            return f"Not known: `{self.first}` and `{self.second}` were not compared."
        return f"No evidence that it does: `{self.first}` and `{self.second}` cannot be told apart."

    @property
    def measured(self) -> str:
        """What was measured; empty where nothing was."""
        if not self.gain:
            return ""
        said = f"Over all tasks on `{self.domain}`, {self._difference()}"
        if len(self.gain) == 1:
            return f"{said}; from so few runs no interval can be given."
        return f"{said} (gain {self.shown}, 95 % interval over new seeds and new rooms{self._p()})."

    @property
    def caution(self) -> str:
        """What the verdict does not say; empty where there is nothing to add."""
        if self.verdict != "no evidence" or not self.gain:
            return ""
        if not self.detectable:
            return "That is not evidence of no effect."
        return (
            f"That is not evidence of no effect: so few seeds and rooms would often miss one below {self.detectable}."
        )

    @property
    def shown(self) -> str:
        """The gain with its interval, e.g. ``+0.3 % [-1.8, +2.4]``."""
        if not self.gain:
            return "not measured"
        value, *interval = (signed(of) for of in self.gain)
        return f"{value} %" + (f" [{', '.join(interval)}]" if interval else "")

    def _difference(self) -> str:
        size = f"{abs(self.gain[0]):.1f}"
        if float(size) == 0:
            return f"the errors of `{self.first}` and `{self.second}` differ by less than 0.1 % in these runs"
        sense = "lower" if self.gain[0] > 0 else "higher"
        return f"the error of `{self.first}` is {size} % {sense} than that of `{self.second}`"

    def _p(self) -> str:
        return self.p and f", Holm-adjusted p {self.p if self.p.startswith('<') else f'= {self.p}'}"


def comparisons(ablation: Table) -> list[Comparison]:
    """The rows of the first table, the study's question before the others.

    Raises:
        UserError: the table has other columns or verdicts than those that this module reads.
    """
    grid = next((block for block in ablation.blocks if isinstance(block, Grid)), None)
    if grid is None:
        return []
    gain = next((name for name in grid.columns if name.startswith(GAIN)), f"{GAIN}…")
    wanted = ["question", "comparison", gain, "p (Holm)", "least detectable", "answer"]
    if missing := [name for name in wanted if name not in grid.columns]:
        raise UserError(f"reports/tables/{ablation.name}.json: no column {missing[0]!r}; `make repro` writes it anew")
    rows = [_comparison(dict(zip(grid.columns, row, strict=True)), gain) for row in grid.rows]
    return sorted(rows, key=lambda row: f"{row.first} over {row.second}" != QUESTION)


def use_of_maps(probes: Table, variant: str) -> str:
    """Whether a trained variant uses its maps at all; empty where it was not probed.

    Where it does not, a comparison of maps says nothing of models that do.
    """
    for row in _rows(probes):
        if (row["variant"], row["probe"]) == (variant, "uniform"):
            changes = [abs(float(row[name])) for name in row if name.endswith(" %") and _NUMBERS.fullmatch(row[name])]
            most = max(changes, default=0.0)
            said = f"if every token weighs the same instead, errors of `{variant}` change by at most {most:.1f} %"
            if most < USED:
                return (
                    f"And these models hardly use their maps: {said}. So this says little of models whose maps matter."
                )
            return f"The maps are used: {said}."
    return ""


def six_against_one(six_task: Table, variant: str) -> str:
    """What all tasks in one network gain over one network a task; empty where it was not measured."""
    for row in _rows(six_task):
        if row["task"] == "delta_m" and (found := re.search(rf"\({_NUMBER}\)", row.get(variant, ""))):
            mean = float(found[1])
            sense = "better" if mean > 0 else "worse" if mean < 0 else "alike"
            return (
                f"Six tasks in one network (`{variant}`) against one network per task of the same encoder and "
                f"schedule: {sense}, {signed(mean)} % on average over the tasks."
            )
    return ""


def how_trained(six_task: Table, variant: str) -> str:
    """How long it was trained and whether it has learnt to look at the image; empty where the table does not say."""
    text = " ".join(plain(block.text) for block in six_task.blocks if isinstance(block, Paragraph))
    seen = re.search(rf"saw its (\d+) training images {_NUMBER} times", text)
    beats = re.search(rf"(?<![\w-]){re.escape(variant)} in (\d+) of (\d+) tasks", text)
    if not seen or not beats:
        return ""
    said = (
        f"How far they are trained: each model saw its {seen[1]} training images {seen[2]} times, and `{variant}` is "
        f"better than the best predictor that does not look at the image in {beats[1]} of {beats[2]} tasks."
    )
    blind = [f"`{name}`" for name in re.findall(r"([\w+-]+) in 0 of \d+ tasks", text)]
    return said + (
        f" {' and '.join(blind)} in none: what the tables say of that is that it has not learnt." if blind else ""
    )


def _rows(table: Table) -> list[dict[str, str]]:
    """The texts of the first table's rows by column."""
    grid = next((block for block in table.blocks if isinstance(block, Grid)), None)
    texts = lambda row: [plain(cell.text).replace("−", "-") for cell in row]  # noqa: E731
    return [dict(zip(grid.columns, texts(row), strict=True)) for row in grid.rows] if grid else []


def _comparison(row: dict[str, Cell], gain: str) -> Comparison:
    text = {name: plain(cell.text) for name, cell in row.items()}
    text |= {name: text[name].replace("–", "").replace("−", "-") for name in (gain, "p (Holm)", "least detectable")}
    verdict, (first, _, second) = text["answer"], text["comparison"].partition(" over ")
    found = _GAIN.fullmatch(text[gain])
    if verdict not in get_args(Verdict) or not second or (text[gain] and not found):
        raise UserError(
            f"reports/tables/ablation.json: {text['comparison']!r}: cannot read the gain {text[gain]!r} and the answer "
            f"{verdict!r}; `make repro` writes it anew"
        )
    return Comparison(
        question=text["question"],
        first=first,
        second=second,
        domain=gain.removeprefix(GAIN).partition(",")[0],
        gain=tuple(float(of) for of in found.groups() if of) if found else (),
        p=text["p (Holm)"],
        detectable=text["least detectable"],
        verdict=verdict,
    )
