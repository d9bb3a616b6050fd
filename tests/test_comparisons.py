"""Against a real MLflow store."""

import shutil

import pandas as pd
import pytest

from mult import comparisons, tracking
from mult.tracking import sync
from tests.outage import NOWHERE

ASKS = {"shared over skip": "does sharing help", "drawn over shared": "can the skip go"}


@pytest.fixture(autouse=True)
def _fresh_store(tmp_path, monkeypatch, made_store):
    monkeypatch.chdir(tmp_path)
    shutil.copy(made_store, tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("DVC_STAGE", "ablation")


def table(gain=0.5):
    rows = [
        {"comparison": name, "domain": domain, "task": task, "gain": gain, "low": gain - 1, "high": gain + 1}
        for name in ASKS
        for domain in ("home", "home+blur")
        for task in ("all tasks", "depth")
    ]
    return (
        pd.DataFrame(rows)
        .assign(seeds=3, verdict="no evidence", detectable=2.0)
        .assign(
            detectable=lambda of: of["detectable"].where(of["domain"] == "home")  # where there are too few rooms, none
        )
    )


def current():
    client, experiment = tracking.reach()
    return client.search_runs([experiment], "tags.`dvc.current` = 'yes'"), client.search_runs([experiment])


@pytest.mark.slow
def test_each_comparison_is_a_run_that_is_found_again_and_superseded():
    comparisons.log(table(), ASKS, "home", "laptop")
    first, _ = current()
    assert {run.info.run_name for run in first} == set(ASKS)
    shared = next(run for run in first if run.info.run_name == "shared over skip")
    assert shared.data.metrics == {
        "gain_pct/all": 0.5,
        "gain_pct/depth": 0.5,
        "gain_pct/home-blur": 0.5,
        "gain_in_detectable/all": 0.25,
        "gain_in_detectable/depth": 0.25,
        "gain_interval/low": -0.5,
        "gain_interval/high": 1.5,
    }
    assert "Does sharing help? **no evidence**: +0.5 %" in shared.data.tags["mlflow.note.content"]
    comparisons.log(table(), ASKS, "home", "laptop")
    again, everything = current()
    ids = {run.info.run_id for run in first}
    assert {run.info.run_id for run in again} == ids == {run.info.run_id for run in everything}, "not doubled"
    tracking.mark_current([], "laptop", besides=comparisons.STAGE)
    assert {run.info.run_id for run in current()[0]} == ids
    comparisons.log(table(gain=2.0), ASKS, "home", "laptop")
    newer, _ = current()
    assert len(newer) == 2
    assert not ids & {run.info.run_id for run in newer}
    comparisons.log(table(), ASKS, "home", "laptop")
    assert {run.info.run_id for run in current()[0]} == ids, "the earlier outcome has come back"


@pytest.mark.slow
def test_comparisons_of_an_outage_are_sent_once(monkeypatch, capsys):
    comparisons.log(table(), ASKS, "home", "laptop")
    first = {run.info.run_id for run in current()[0]}
    with monkeypatch.context() as away:
        away.setenv("MLFLOW_TRACKING_URI", NOWHERE)
        for gain in (2.0, 0.5, 2.0, 0.5):
            comparisons.log(table(gain), ASKS, "home", "laptop")
    monkeypatch.setattr(sync, "SETTLE_S", 0.0)
    sync.sync(to=tracking.store_uri())
    now, everything = current()
    assert {run.info.run_id for run in now} == first
    assert len(everything) == 4
    assert "8 runs sent" in capsys.readouterr().out
