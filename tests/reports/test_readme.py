import re
from pathlib import Path

import pytest

from mult.errors import UserError
from mult.reports.readme import fill, main_tables, picture
from pipelines.readme import needs
from tests.conftest import ROOT


def test_made_parts_of_the_readme_are_what_the_pipeline_and_the_reports_are():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    made = fill(text, "pipeline", picture(needs(ROOT)))
    assert fill(made, "tables", main_tables(ROOT / "reports/tables")) == text, "run `python -m pipelines readme`"


def test_every_kind_of_stage_is_in_the_picture_and_the_arrows_lead_on():
    drawn = picture(
        [("prepare@home", "train_six@a-0"), ("train_six@a-0", "evaluate_six@a-0"), ("train_six@a-0", "collect"),
         ("evaluate_six@a-0", "collect"), ("prepare@home", "evaluate_six@a-0"), ("collect", "ablation"),
         ("ablation", "tables"), ("collect", "tables")]
    )  # fmt: skip
    arrows = re.findall(r"(\w+) --> (\w+)", drawn)
    assert arrows == [
        ("prepare", "train"), ("train", "evaluate"), ("evaluate", "collect"), ("collect", "studies"),
        ("studies", "tables"),
    ], "what an arrow by another way says is left out"  # fmt: skip
    assert 'studies["<b>studies</b><br/>ablation"]' in drawn
    assert 'train["<b>train</b><br/>six<br/><i>runs/</i>"]' in drawn


def test_a_readme_without_the_comments_is_one_line():
    with pytest.raises(UserError, match=r"README.md: it must have the comments <!-- made: tables -->"):
        fill("nothing", "tables", "| a |")


def test_links_and_pictures_of_the_readmes_exist():
    for page in (ROOT / "README.md", ROOT / "reports/README.md"):
        links = re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
        assert links
        assert [link for link in links if not (page.parent / Path(link)).exists()] == []
