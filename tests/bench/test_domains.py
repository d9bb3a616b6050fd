import pandas as pd
import pytest

from mult.bench import domains
from mult.data.domains import EMBEDDED


@pytest.mark.slow
def test_every_domain_is_timed_and_the_table_is_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    domains.bench(32, 4)
    table = pd.read_csv(tmp_path / "reports" / "bench" / "domains.csv")
    assert list(table["domain"]) == list(EMBEDDED)
    assert table[["ms_an_image", "linear", "speedup"]].notna().all(axis=None)
    assert "cores of" in capsys.readouterr().out
