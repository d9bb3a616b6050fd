"""reports/index.html: the answer, tables, figures, galleries and attention maps, in one file that fetches nothing.

The same inputs give the same bytes. The page's own parts are the files of the folder page/.
"""

import csv
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from mult.errors import UserError
from mult.files import atomic
from mult.reports import style
from mult.reports.album import Album, album
from mult.reports.answer import Comparison, comparisons, how_trained, six_against_one, use_of_maps
from mult.reports.documents import Table, load
from mult.reports.figures.descriptions import Description
from mult.reports.inline import breakable, inline, number

PARTS = Path(__file__).parent / "page"
ANSWER = "sharing"  # the figure beside the answer


@dataclass(frozen=True)
class Figure:
    """An SVG as the page carries it; width and height are 0 where the file does not say."""

    name: str
    words: Description
    address: str
    width: float
    height: float


@dataclass(frozen=True)
class Report:
    """What a page is made from."""

    tables: list[Table]
    figures: list[Figure]
    albums: list[Album]
    runs: Mapping[str, str]


def read(
    reports: Path, galleries: Path, describe: Callable[[str], Description], domains: Collection[str] | None = None
) -> Report:
    """Whatever there is: tables/*.json, figures/*.svg and results.csv of ``reports``, and the folders of ``galleries``.

    Args:
        describe: texts of a figure by its name.
        domains: whose figures and galleries to take; what a run at another scale has left of others is passed over.
            None: all.

    Raises:
        UserError: a file is damaged. A missing one is left out, and so is a table without rows.
    """
    tables = [reports / "tables" / f"{name}.json" for name in style.SECTIONS]
    wanted = lambda domain: domains is None or domain in domains  # noqa: E731
    figures = [path for path in (reports / "figures").glob("*.svg") if wanted(_domain_of(path)) or not _domain_of(path)]
    return Report(
        [table for path in tables if path.exists() and not (table := load(path, Table)).empty],
        [_figure(path, describe(path.stem)) for path in sorted(figures, key=_figure_order)],
        _albums(path.parent for path in sorted(galleries.glob("*/gallery.json")) if wanted(path.parent.name)),
        _run_ids(reports / "results.csv"),
    )


def _albums(galleries: Iterable[Path]) -> list[Album]:
    """Side by side: pictures are packed outside the interpreter's lock."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(album, galleries))


def page(report: Report, facts: Mapping[str, object]) -> str:
    """The page; ``facts`` are what every caption says of the scale, the seeds and the training domain's name."""
    asked = [row for table in report.tables if table.name == "ablation" for row in comparisons(table)]
    albums = sorted(report.albums, key=lambda of: of.facts["domain"] != facts["domain"])  # the training domain first
    names = sorted({run for table in report.tables for run in _runs_of(table)})
    return (
        _environment({run: place for place, run in enumerate(names)})
        .get_template("page.html.j2")
        .render(
            report=report,
            facts=facts,
            asked=asked,
            use_of_maps=_said(use_of_maps, report, "probes", asked),
            six_against_one=_said(six_against_one, report, "six_task", asked),
            how_trained=_said(how_trained, report, "six_task", asked),
            albums=albums,
            attention=any(of.facts["attention"] for of in albums),
            answer_figure=next((of for of in report.figures if of.name == ANSWER), None),
            figures=[of for of in report.figures if of.name != ANSWER],
            sections=style.SECTIONS,
            models=style.MODELS,
            data={
                "runs": _json([[run, report.runs.get(run, "")] for run in names]),
                "albums": _json([of.facts for of in albums]),
                "words": _json({"models": style.MODELS, "errors": style.IMAGE_ERRORS}),
            },
        )
    )


def _said(sentence: Callable[[Table, str], str], report: Report, name: str, asked: Sequence[Comparison]) -> str:
    """A sentence on the first variant asked about, from the table called ``name`` if there is one."""
    of = next((table for table in report.tables if table.name == name), None)
    return sentence(of, asked[0].first) if of and asked else ""


def write(target: Path, report: Report, facts: Mapping[str, object]) -> str:
    """Write the page; returns a line that says what is in it."""
    text = page(report, facts)
    with atomic(target, "w") as file:
        file.write(text)
    images = sum(len(of.facts["samples"]) for of in report.albums)
    parts = (
        f"{len(report.tables)} tables, {len(report.figures)} figures, {images} images of {len(report.albums)} domains"
    )
    return f"{target}: {len(text.encode()) / 1e6:.1f} MB, {parts}"


def _environment(place: Mapping[str, int]) -> Environment:
    """``place`` says where each run stands in the page's list."""
    environment = Environment(
        loader=FileSystemLoader(PARTS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"inline": inline, "number": number, "breakable": breakable, "place": place.__getitem__}
    environment.globals["part"] = lambda name: Markup((PARTS / name).read_text(encoding="utf-8"))
    return environment


def _figure(path: Path, words: Description) -> Figure:
    svg = path.read_text(encoding="utf-8")
    box = re.search(r'\bviewBox="[\d.-]+ [\d.-]+ ([\d.]+) ([\d.]+)"', svg)
    width, height = (float(side) for side in box.groups()) if box else (0.0, 0.0)
    return Figure(path.stem, words, f"data:image/svg+xml,{quote(svg, safe=_SAFE)}", width, height)


_SAFE = " !$()*+,-./:;=?@_~"  # as they stand between an attribute's double quotes, where Jinja has nothing to escape


def _run_ids(path: Path) -> dict[str, str]:
    """MLflow ids by run; several rows of a run name the same one."""
    if not path.exists():
        return {}
    with open(path, encoding="utf-8", newline="") as file:
        try:
            return {row["run"]: row["mlflow_run_id"] for row in csv.DictReader(file)}
        except (KeyError, UnicodeDecodeError, csv.Error) as error:
            raise UserError(f"{path}: cannot be read ({error!r}); `make repro` writes it anew") from None


def _figure_order(path: Path) -> tuple[bool, str]:
    """Those of single domains come last."""
    return bool(_domain_of(path)), path.stem


def _domain_of(figure: Path) -> str:
    """``<name>-<domain>.svg``; "" for a figure of all domains."""
    return figure.stem.partition("-")[2]


def _runs_of(table: Table) -> set[str]:
    grids = (block for block in table.blocks if block.kind == "table")
    return {run for grid in grids for row in grid.rows for cell in row for run in cell.runs}


def _json(value: Any) -> Markup:
    """For a script element, which no text in it can end."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))
