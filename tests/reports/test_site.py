import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from mult.errors import UserError
from mult.files import write_json
from mult.reports import site
from mult.reports.answer import comparisons, how_trained, six_against_one, use_of_maps
from mult.reports.documents import Paragraph, Table
from mult.reports.figures.descriptions import Description
from mult.reports.inline import inline, number
from tests.conftest import ROOT
from tests.reports.parts import FACTS, ablation, describe, grid, write_gallery, write_reports


def page(folder):
    return site.page(site.read(folder / "reports", folder / "gallery", describe), FACTS)


def test_what_another_scale_has_left_is_not_shown(parts):
    (parts / "reports/figures/qualitative-doom.svg").write_text("<svg></svg>")
    of = lambda *domains: site.read(parts / "reports", parts / "gallery", describe, domains)  # noqa: E731
    every = site.read(parts / "reports", parts / "gallery", describe)
    names = {figure.name for figure in every.figures}
    assert {name for name in names if name.endswith("-doom")}
    one = of("rooms-home")
    assert {figure.name for figure in one.figures} == {name for name in names if not name.endswith("-doom")}
    assert [album.facts["domain"] for album in one.albums] == ["rooms-home"]
    assert {figure.name for figure in of().figures} == {name for name in names if "-" not in name}


@pytest.fixture
def parts(tmp_path):
    write_reports(tmp_path / "reports")
    for domain in ("doom", "rooms-home"):
        write_gallery(tmp_path / "gallery" / domain)
    return tmp_path


@pytest.mark.parametrize(
    ("row", "headline", "measured", "caution"),
    [
        (
            ("+3.2 [+1.0, +5.4]", "0.012", "2.7 %", "better"),
            "Yes: `shared` is better than `skip`.",
            "Over all tasks on `rooms-home`, the error of `shared` is 3.2 % lower than that of `skip` (gain +3.2 % "
            "[+1.0, +5.4], 95 % interval over new seeds and new rooms, Holm-adjusted p = 0.012).",
            "",
        ),
        (
            ("**−3.2 [−5.4, −1.0]**", "< 0.001", "2.7 %", "worse"),
            "No: `shared` is worse than `skip`.",
            "Over all tasks on `rooms-home`, the error of `shared` is 3.2 % higher than that of `skip` (gain -3.2 % "
            "[-5.4, -1.0], 95 % interval over new seeds and new rooms, Holm-adjusted p < 0.001).",
            "",
        ),
        (
            ("0.0 [-1.1, +1.2]", "1.000", "1.5 %", "no evidence"),
            "No evidence that it does: `shared` and `skip` cannot be told apart.",
            "Over all tasks on `rooms-home`, the errors of `shared` and `skip` differ by less than 0.1 % in these runs "
            "(gain 0.0 % [-1.1, +1.2], 95 % interval over new seeds and new rooms, Holm-adjusted p = 1.000).",
            "That is not evidence of no effect: so few seeds and rooms would often miss one below 1.5 %.",
        ),
        (
            ("+1.4", "–", "–", "no evidence"),
            "No evidence that it does: `shared` and `skip` cannot be told apart.",
            "Over all tasks on `rooms-home`, the error of `shared` is 1.4 % lower than that of `skip`; from so few "
            "runs no interval can be given.",
            "That is not evidence of no effect.",
        ),
        (("–", "–", "–", "no evidence"), "Not known: `shared` and `skip` were not compared.", "", ""),
    ],
)
def test_the_answer_is_read_from_the_table(row, headline, measured, caution):
    main, other = comparisons(Table.model_validate(ablation(*row)))
    assert (main.headline, main.measured, main.caution) == (headline, measured, caution)
    assert main.question == "does it help that the map is one for all tasks?"
    assert (other.first, other.second) == ("a", "b")


def _table(columns, *rows):
    blocks = [grid(columns, [[{"text": text} for text in row] for row in rows])]
    return Table.model_validate({"name": "t", "caption": "T", "blocks": blocks})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (("-0.1", "0", "+0.9"), "And these models hardly use their maps: .* by at most 0.9 %. So this says little"),
        (("-12.3", "–", "+0.9"), r"The maps are used: .* errors of `shared` change by at most 12.3 %\.$"),
    ],
)
def test_whether_maps_are_used_is_read_from_the_probes(changes, said):
    columns = ["variant", "probe", "semseg %", "depth %", "edges %"]
    table = _table(columns, ("skip", "uniform", "-99", "-99", "-99"), ("shared", "uniform", *changes))
    assert re.match(said, use_of_maps(table, "shared"))
    assert use_of_maps(table, "drawn") == ""


def test_six_tasks_against_one_are_read_from_their_table():
    table = _table(["task", "shared"], ("depth", "0.8 (+1.5)"), ("delta_m", "– (−2.3)"))
    assert "(`shared`) against one network per task" in six_against_one(table, "shared")
    assert "worse, -2.3 %" in six_against_one(table, "shared")
    assert six_against_one(table, "drawn") == ""


def test_how_far_they_are_trained_is_read_from_the_same_table():
    text = "Each model saw its 1600 training images 1.1 times. Better: `self` in 5 of 6 tasks, `shared` in 4 of 6 tasks"
    table = Table.model_validate({"name": "t", "caption": "T", "blocks": [{"kind": "text", "text": text}]})
    assert re.search("1600 training images 1.1 times, and `shared` is .* in 4 of 6 tasks", how_trained(table, "shared"))
    assert "in none" not in how_trained(table, "shared")
    table.blocks[0] = Paragraph(kind="text", text=text + ", `drawn` in 0 of 6 tasks.")
    assert how_trained(table, "shared").endswith(
        "`drawn` in none: what the tables say of that is that it has not learnt."
    )
    assert how_trained(table, "self-made") == how_trained(_table(["task"]), "shared") == ""


def test_a_table_without_rows_is_left_out(tmp_path):
    reports = write_reports(tmp_path / "reports")
    empty = {"name": "balancing", "caption": "B", "blocks": [grid(["method"], []), {"kind": "text", "text": "None."}]}
    write_json(reports / "tables" / "balancing.json", empty)
    assert 'id="balancing"' not in page(tmp_path)
    assert 'id="six_task"' in page(tmp_path)


@pytest.mark.parametrize("verdict", ["better", "worse", "no evidence"])
def test_the_page_opens_with_the_answer(tmp_path, verdict):
    write_reports(tmp_path / "reports", ablation(verdict=verdict))
    text = page(tmp_path)
    assert '<h1 id="h-answer">Does it help that the map is one for all tasks?</h1>' in text
    assert re.search(rf'<p class="verdict" data-verdict="{verdict}">(Yes|No)', text)
    assert text.index('class="verdict"') < text.index('<figure id="figure-sharing">') < text.index('id="six_task"')
    assert "−1.8, +2.4" in text


def test_the_same_files_give_the_same_bytes(parts):
    code = (
        "import json, sys; from pathlib import Path; from mult.reports import site; folder = Path(sys.argv[1]); "
        "from tests.reports.parts import describe; "
        "report = site.read(folder / 'reports', folder / 'gallery', describe); "
        "site.write(folder / 'again.html', report, json.loads(sys.argv[2]))"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", code, str(parts), json.dumps(FACTS)], check=True, env=environment, cwd=ROOT)
    assert (parts / "again.html").read_bytes() == page(parts).encode()


def test_nothing_in_the_inputs_becomes_markup(tmp_path):
    evil = "</script><img src=x onerror=alert(1)>\"'&"
    table = ablation()
    table["caption"] = table["blocks"][0]["columns"][4] = evil
    table["blocks"][0]["columns"][4] = "least detectable"
    table["blocks"][0]["rows"][0][0] = {"text": evil, "runs": [evil], "sort": 1.0}
    write_reports(tmp_path / "reports", table)
    gallery = write_gallery(tmp_path / "gallery" / "rooms-home") / "gallery.json"
    gallery.write_text(gallery.read_text().replace("room-0", evil.replace('"', '\\"')))
    seen = Tags()
    report = site.read(tmp_path / "reports", tmp_path / "gallery", lambda name: Description(evil, evil, evil))
    seen.feed(site.page(report, FACTS))
    assert [tag for tag in seen.found if tag[0] == "img" and dict(tag[1]).get("src") == "x"] == []
    assert not any(name.startswith("on") for _, attributes in seen.found for name, _ in attributes)
    alts = {dict(attributes).get("alt") for tag, attributes in seen.found if tag == "img"}
    assert evil in alts


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, attrs))


def test_inline_markdown_is_emphasis_and_code_only():
    assert inline("*a* **b** `c<d`") == "<em>a</em> <strong>b</strong> <code>c&lt;d</code>"
    assert inline("skip_lowrank _x_ 2 * 3") == "skip_lowrank <em>x</em> 2 * 3"
    for text in ("![a](http://x/y.png)", "[a](javascript:b)", "<b>", "http://x"):
        assert "<" not in inline(text)
    assert number("-2.5 [-1.0, +3] mult-s-0 (-1) 1e-5") == "−2.5 [−1.0, +3] mult-s-0 (−1) 1e-5"


def test_what_is_missing_is_left_out(parts):
    whole = page(parts)
    sections = {"ablation", "six_task", "figures", "gallery", "attention"}
    assert sections <= set(re.findall(r'<section id="(\w+)"', whole))
    for path, gone in (
        ("gallery/doom/gallery.json", set()),
        ("gallery/rooms-home/gallery.json", {"gallery", "attention"}),
        ("reports/figures/affinity.svg", {"figures"}),
        ("reports/figures/sharing.svg", set()),
        ("reports/tables/ablation.json", {"ablation"}),
        ("reports/results.csv", set()),
        ("reports/tables/six_task.json", {"six_task"}),
    ):
        (parts / path).unlink()
        sections -= gone
        text = page(parts)
        assert set(re.findall(r'<section id="(\w+)"', text)) == sections | {"answer"}
        targets = set(re.findall(r'href="#(\w+)"', text))
        assert targets <= set(re.findall(r' id="(\w+)"', text))
    assert "<h1" in text
    assert "Results at scale laptop" in text


def test_a_gallery_without_attention_maps(parts):
    for path in parts.glob("gallery/*/gallery.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"attention": []}))
    text = page(parts)
    assert 'id="gallery"' in text
    assert 'id="attention"' not in text


@pytest.mark.parametrize(
    ("path", "content", "complaint"),
    [
        ("reports/tables/six_task.json", '{"name": "six', r"six_task\.json: the file: .*JSON"),
        ("reports/tables/six_task.json", '{"name": "six_task", "caption": 3}', r"six_task\.json: caption: "),
        ("reports/tables/ablation.json", json.dumps(ablation(verdict="maybe")), "cannot read the gain .* 'maybe'"),
        ("reports/tables/ablation.json", json.dumps(ablation(gain="much")), "cannot read the gain 'much'"),
        ("reports/tables/ablation.json", json.dumps(ablation()).replace("least det", "x"), "no column 'least detect"),
        ("reports/results.csv", "a,b\n1,2\n", r"results\.csv: cannot be read"),
        ("gallery/doom/gallery.json", "{}", r"gallery\.json: domain: "),
        ("gallery/doom/pictures.npz", "PK\x03\x04 no archive", r"pictures\.npz: cannot be read"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_one_line(parts, path, content, complaint):
    (parts / path).write_text(content)
    with pytest.raises(UserError, match=complaint) as raised:
        page(parts)
    assert "\n" not in str(raised.value)


def test_a_gallery_that_lacks_what_it_promises(parts):
    path = parts / "gallery/doom/pictures.npz"
    arrays = dict(np.load(path))
    for name, change in (
        ("rgb", lambda of: of[1:]),
        ("self/depth", lambda of: of.astype(float)),
        ("attention/shared/1/3", lambda of: of[..., 1:]),
    ):
        np.savez(path, **(arrays | {name: change(arrays[name])}))
        with pytest.raises(UserError, match=f"{name}: .*not uint8"):
            page(parts)
    np.savez(path, **{name: of for name, of in arrays.items() if name != "label/edges"})
    with pytest.raises(UserError, match="label/edges: no such array"):
        page(parts)


def test_the_page_asks_for_nothing_from_elsewhere(parts):
    seen = Tags()
    seen.feed(page(parts))
    for tag, attributes in seen.found:
        for name, value in attributes:
            if name in ("src", "href", "action", "srcset"):
                assert value.startswith(("#", "data:")), (tag, name, value)
    assert "url(" not in page(parts)
    assert "@import" not in page(parts)


def test_the_stage_writes_the_page(parts, monkeypatch, capsys):
    from pipelines import site as stage

    (parts / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    monkeypatch.chdir(parts)
    stage.main()
    said = capsys.readouterr().out
    assert re.fullmatch(r"reports/index\.html: \d\.\d MB, 2 tables, 2 figures, 6 images of 2 domains\n", said)
    text = (parts / "reports/index.html").read_text()
    assert text.startswith("<!doctype html>")
    assert text.index('"domain":"rooms-home"') < text.index('"domain":"doom"')
