import re

import pandas as pd
import pytest

from mult.files import read_json
from mult.reports import latex, tables
from mult.reports.style import signed
from tests.conftest import ROOT


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "FOLDER", tmp_path)


def test_csv_has_the_digits_and_markdown_is_for_reading(tmp_path):
    table = pd.DataFrame(
        {"task": ["depth"], "metric": ["rmse"], "single": [0.123456789], "shared gain": [12.34], "ok": [True]}
    )
    tables.write_table("t", table, "Caption", ["A note."])
    assert (tmp_path / "t.csv").read_text() == "task,metric,single,shared gain,ok\ndepth,rmse,0.123457,12.34,True\n"
    assert (tmp_path / "t.md").read_text().splitlines() == [
        "**Caption**",
        "",
        "| task | metric | single | shared gain | ok |",
        "|---|---|---:|---:|---|",
        "| depth | RMSE, m | 0.123 | +12.3 | yes |",
        "",
        "A note.",
    ]


def test_the_same_results_give_the_same_bytes(tmp_path):
    table = pd.DataFrame({"task": ["depth", "edges"], "gain": [1 / 3, float("nan")]})
    tables.write_table("a", table, "C")
    tables.write_table("b", table.copy(), "C")
    assert (tmp_path / "a.md").read_bytes() == (tmp_path / "b.md").read_bytes()
    assert "| edges | – |" in (tmp_path / "a.md").read_text()


def test_published_numbers_name_their_source_and_status(monkeypatch):
    monkeypatch.chdir(ROOT)
    rows = pd.read_csv(tables.PUBLISHED)
    assert rows["source"].notna().all()
    assert set(rows["status"]) == {"second-hand", "read in the source"}
    cells = tables.published("affinity")
    paper = cells[cells["source"].str.startswith("MulT")]
    assert dict(zip(paper["row"], paper["value"], strict=True)) == {"keypoints": 91.2, "edges": 77.1}
    assert len(cells) == 2 + 3 * 20


def test_value_and_gain_in_one_cell():
    table = pd.DataFrame({"task": ["depth"], "a": [0.52], "a gain": [-2.51], "a drop": [1.0], "ab": [1.0]})
    shown = tables.value_and_gain(table, ["a"])
    assert shown.to_dict("list") == {"task": ["depth"], "a": ["0.52 (-2.5)"], "ab": [1.0]}


def test_every_format_has_the_best_and_the_page_the_runs(tmp_path):
    table = pd.DataFrame({"task": ["depth", "semseg", "delta_m"], "metric": ["rmse", "miou", None]})
    table = table.assign(a=[0.5, 0.1, None], b=[0.7, 0.3, None])
    table[["a gain", "b gain"]] = [[1.0, -2.0], [3.0, 4.0], [2.0, 1.0]]
    shown = tables.Shown(
        tables.value_and_gain(table, ["a", "b"]), lambda row, column: [f"{column}-s0"] * (column in "ab"), ["a", "b"]
    )
    tables.write_table("t", table, "A *caption* & more", ["A `note`."], shown)
    assert (tmp_path / "t.md").read_text().splitlines()[2:] == [
        "| task | metric | a | b |",
        "|---|---|---|---|",
        "| depth | RMSE, m | **0.5 (+1.0)** | 0.7 (-2.0) |",
        "| semseg | mIoU | 0.1 (+3.0) | **0.3 (+4.0)** |",
        "| delta_m | – | **– (+2.0)** | – (+1.0) |",
        "",
        "In bold: the best of a row.",
        "",
        "A `note`.",
    ]
    tex = (tmp_path / "t.tex").read_text()
    assert r"\caption{A \emph{caption} \& more}" in tex
    assert r"depth & RMSE, m & \textbf{0.5 (+1.0)} & 0.7 (-2.0) \\" in tex
    assert r"delta\_m" in tex
    told = read_json(tmp_path / "t.json")
    assert [block["kind"] for block in told["blocks"]] == ["table", "text", "text"]
    first = told["blocks"][0]["rows"][0]
    assert first[2] == {"text": "0.5 (+1.0)", "sort": 0.5, "runs": ["a-s0"], "best": True}
    assert first[3] == {"text": "0.7 (-2.0)", "sort": 0.7, "runs": ["b-s0"]}


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.04, "0.0"), (-0.04, "0.0"), (0.0, "0.0"), (-0.06, "-0.1"), (15.36, "+15.4"), (float("nan"), "–")],
)
def test_what_rounds_to_zero_has_no_sign(value, text):
    assert signed(value) == text


def test_a_cell_of_zero_is_sorted_as_zero(tmp_path):
    tables.write_table("t", pd.DataFrame({"a gain": [0.0, 1.0]}), "C")
    assert [row[0]["sort"] for row in read_json(tmp_path / "t.json")["blocks"][0]["rows"]] == [0.0, 1.0]


def test_the_best_of_a_column_and_ties(tmp_path):
    table = pd.DataFrame({"balancing": ["x", "y", "z"], "depth gain": [1.0, 3.0, 3.0], "edges gain": [None, 2.0, None]})
    tables.write_table("t", table, "C", shown=tables.Shown(table, compared=["depth gain", "edges gain"], down=True))
    assert (tmp_path / "t.md").read_text().count("**+3.0**") == 2
    assert "**+2.0**" not in (tmp_path / "t.md").read_text(), "one alone is no best"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("50 % of a_b & {c} #1 $x", r"50 \% of a\_b \& \{c\} \#1 \$x"),
        ("`skip_lowrank` **is *so* bold**", r"\texttt{skip\_lowrank} \textbf{is \emph{so} bold}"),
        ("a \\ b ~ ^", r"a \textbackslash{} b \textasciitilde{} \textasciicircum{}"),
        ("+0.3 ± 0.1, p < 0.001", r"+0.3 $\pm$ 0.1, p $<$ 0.001"),
    ],
)
def test_markdown_as_latex(text, wanted):
    assert latex.inline(text) == wanted


def test_the_committed_tables_are_latex_without_loose_ends():
    for path in sorted((ROOT / "reports" / "tables").glob("*.tex")):
        text = re.sub(r"\\[{}$&%#_]", "", path.read_text())
        assert text.count("{") == text.count("}"), path
        assert text.count("$") % 2 == 0, path
        assert text.isascii() or not re.search(r"[^\x00-\xff’“”é]", text), path
        for kinds, body in re.findall(r"begin{tabular}{(\w+)}(.*?)\\end{tabular}", text, re.S):
            for row in body.split("\\\\")[:-1]:
                assert row.count("&") == len(kinds) - 1, (path, row)


def test_runs_by_their_name_without_a_seed():
    runs = tables.runs_of(pd.DataFrame({"run": ["a-s0", "b-s0", "a-s0", "a-s1"]}))
    assert runs("a", "c", "b") == ["a-s0", "a-s1", "b-s0"]
