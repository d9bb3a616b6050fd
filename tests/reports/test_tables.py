import pandas as pd
import pytest

from mult.reports import tables
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
        "|---|---|---:|---:|---:|",
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
