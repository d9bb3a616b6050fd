from collections import OrderedDict

import pytest
from dvc.dvcfile import Lockfile
from dvc.utils.serialize import dump_yaml, load_yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mult import lockfile
from tests.conftest import ROOT

# Texts as they stand in lock files, and such as YAML could take for something else.
ODD = ["yes", "off", "null", "~", "1e10", "12e4567", "0x1f", "1_000", "010", "2026-11-22", "*a", "- b", "a: b", ""]
TEXTS = st.one_of(
    st.sampled_from(ODD),
    st.from_regex(r"[0-9a-f]{32}(\.dir)?", fullmatch=True),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20),
)
VALUES = st.recursive(
    st.one_of(TEXTS, st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from("abc"), VALUES, min_size=1))
def test_dvc_reads_what_was_written(tmp_path_factory, stages):
    path = tmp_path_factory.mktemp("lock") / "dvc.lock"
    with lockfile.modify(path) as data:
        data["stages"] = OrderedDict(stages)
    assert load_yaml(path) == {"stages": stages}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("abc"), VALUES), min_size=2, max_size=4))
def test_entries_that_stay_are_not_written_anew_and_the_text_is_the_same(tmp_path_factory, versions):
    folder = tmp_path_factory.mktemp("lock")
    for number, stages in enumerate(versions):
        for name in ("dvc.lock", f"whole-{number}.lock"):  # nothing is kept of the second
            with lockfile.modify(folder / name) as data:
                data |= {"schema": "2.0", "stages": stages}
        assert (folder / "dvc.lock").read_text() == (folder / f"whole-{number}.lock").read_text()


def test_a_number_that_becomes_true_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for value in (1, True, 1.0):
        with lockfile.modify() as data:
            data["stages"] = {"a": {"params": value}}
        assert load_yaml("dvc.lock")["stages"]["a"]["params"] is value or value == 1.0
    assert "1.0" in (tmp_path / "dvc.lock").read_text()


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"sha256": "0"}'])
def test_what_others_have_written_is_read_from_the_file(tmp_path, monkeypatch, damage):
    monkeypatch.chdir(tmp_path)
    with lockfile.modify() as data:
        data["stages"] = {"a": {"cmd": "x"}, "b": {"cmd": "y"}}
    if damage:
        lockfile.kept_beside(tmp_path / "dvc.lock").write_text(damage)
    else:
        (tmp_path / "dvc.lock").write_text("stages:\n  a: {cmd: z}\n")
    with lockfile.modify() as data:
        data["stages"]["c"] = {"cmd": "w"}
    wanted = {"a": {"cmd": "x"}, "b": {"cmd": "y"}} if damage else {"a": {"cmd": "z"}}
    assert load_yaml("dvc.lock") == {"stages": wanted | {"c": {"cmd": "w"}}}


def test_the_text_is_dvc_s_own(tmp_path):
    """But for its line breaks within long commands."""
    content = load_yaml(ROOT / "dvc.lock")
    dump_yaml(tmp_path / "usual.lock", content)
    with lockfile.modify(tmp_path / "dvc.lock") as data:
        data.update(content)
    usual, ours = ((tmp_path / name).read_text() for name in ("usual.lock", "dvc.lock"))
    assert " ".join(ours.split()) == " ".join(usual.split())
    Lockfile.validate(load_yaml(tmp_path / "dvc.lock"))


def test_a_failure_in_between_leaves_the_old_file(tmp_path):
    path = tmp_path / "dvc.lock"
    path.write_text("schema: '2.0'\n")
    with pytest.raises(Exception, match="not JSON serializable"), lockfile.modify(path) as data:
        data["stages"] = {"a": object()}
    assert path.read_text() == "schema: '2.0'\n"
    assert [p.name for p in tmp_path.iterdir()] == ["dvc.lock"]
