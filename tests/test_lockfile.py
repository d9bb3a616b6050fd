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
    with pytest.raises(Exception, match="represent"), lockfile.modify(path) as data:
        data["stages"] = {"a": object()}
    assert path.read_text() == "schema: '2.0'\n"
    assert [p.name for p in tmp_path.iterdir()] == ["dvc.lock"]
