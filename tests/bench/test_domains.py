import pytest

from mult.bench import domains
from mult.data.domains import EMBEDDED
from tests.bench import read_bench


@pytest.mark.slow
def test_every_domain_is_timed_and_the_table_is_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    domains.bench(32, 4)
    table = read_bench(tmp_path, "domains")
    assert list(table["domain"]) == list(EMBEDDED)
    assert table[["ms_an_image", "linear", "speedup"]].notna().all(axis=None)
    assert "cores of" in capsys.readouterr().out
