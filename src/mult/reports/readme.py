"""The parts of README.md that are made: a picture of the pipeline, and the main tables.

Each stands between two comments, ``<!-- made: NAME -->`` and ``<!-- end: NAME -->``.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from mult.errors import UserError
from mult.reports import tables
from mult.reports.answer import comparisons, how_trained, six_against_one, use_of_maps
from mult.reports.documents import Table, load

TABLES = ("ablation", "six_task")
STUDIES = ("ablation", "affinity", "balancing", "cross_domain", "grouping", "probes")
# Boxes of the picture that stand for several kinds of stages: a box, and what their names begin with.
BOXES = {
    "train": ("train_", "constant"),
    "evaluate": ("evaluate_",),
    "fine_tune": ("fine_tune_",),
    "studies": STUDIES,
    "pictures": ("sheet", "figures", "gallery_figures"),
}
RESULTS = {  # what a box leaves that people look for
    "prepare": "data/",
    "train": "runs/",
    "collect": "reports/results.csv",
    "tables": "reports/tables/",
    "pictures": "reports/figures/",
    "site": "reports/index.html",
}


def main_tables(folder: Path = tables.FOLDER) -> str:
    """The answer in words; caption and first table of each of ``TABLES``, as Markdown."""
    ablation, probes, six_task = (load(folder / f"{name}.json", Table) for name in ("ablation", "probes", "six_task"))
    main = comparisons(ablation)[0]
    said = [main.measured, main.caution, use_of_maps(probes, main.first)]
    shown = [f"**{main.headline}** {' '.join(filter(None, said))}"]
    shown += [" ".join(filter(None, (six_against_one(six_task, main.first), how_trained(six_task, main.first))))]
    for name in TABLES:
        paragraphs = (folder / f"{name}.md").read_text(encoding="utf-8").strip().split("\n\n")
        shown += [paragraphs[0], next(text for text in paragraphs if text.startswith("|"))]
    return "\n\n".join(shown)


def picture(needs: Iterable[tuple[str, str]]) -> str:
    """The pipeline as a Mermaid flow chart, which code hosts draw.

    Args:
        needs: pairs of stages as dvc.yaml names them (a matrix's key, after an @, is left out): the second one needs
            the first.
    """
    import networkx  # DVC needs it

    graph, members = networkx.DiGraph(), {}
    for pair in needs:
        kinds = [stage.split("@")[0] for stage in pair]
        boxes = [_box(kind) for kind in kinds]
        for box, kind in zip(boxes, kinds, strict=True):
            members.setdefault(box, set()).add(kind)
        if boxes[0] != boxes[1]:
            graph.add_edge(*boxes)
    graph = networkx.transitive_reduction(graph)
    order = list(networkx.lexicographical_topological_sort(graph))
    lines = ["```mermaid", "flowchart LR"]
    lines += [f'  {box}["{_label(box, members[box])}"]' for box in order]
    lines += [f"  {box} --> {other}" for box in order for other in sorted(graph.successors(box), key=order.index)]
    return "\n".join([*lines, "```"])


def _box(kind: str) -> str:
    return next((box for box, begins in BOXES.items() if kind.startswith(begins)), kind)


def _label(box: str, kinds: set[str]) -> str:
    """The box's name, the stages in it and what they leave."""
    begins = BOXES.get(box, ())
    names = [kind.removeprefix(next((b for b in begins if b.endswith("_")), "")) for kind in sorted(kinds)]
    lines = [f"<b>{box}</b>"] + ([" · ".join(names)] if box in BOXES else [])
    return "<br/>".join(lines + ([f"<i>{RESULTS[box]}</i>"] if box in RESULTS else []))


def fill(text: str, name: str, made: str) -> str:
    """``text`` with ``made`` between the comments of ``name``.

    Raises:
        UserError: the comments are not there, once each and in order.
    """
    begin, end = f"<!-- made: {name} -->", f"<!-- end: {name} -->"
    filled, count = re.subn(
        re.escape(begin) + ".*?" + re.escape(end), lambda _: f"{begin}\n{made}\n{end}", text, flags=re.S
    )
    if count != 1:
        raise UserError(f"README.md: it must have the comments {begin} and {end} once, not {count} times")
    return filled
