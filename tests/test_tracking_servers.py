"""The same tracking with a server over HTTP and with PostgreSQL, as labs and clusters have them."""

import importlib.util
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mult import tracking
from tests.stores import mlflow_server, postgresql, postgresql_tools

pytestmark = pytest.mark.slow


@pytest.fixture(params=["mlflow server", "postgresql"])
def _store(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_STAGE", "train_six@shared-0")
    if request.param == "mlflow server":
        with mlflow_server(tmp_path) as address:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
            yield
        return
    if not postgresql_tools() or not importlib.util.find_spec("psycopg"):
        pytest.skip("PostgreSQL's initdb or the package psycopg is not installed here")
    with postgresql() as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        yield


@pytest.mark.usefixtures("_store")
def test_runs_are_kept_superseded_and_written_by_several_at_once(tmp_path):
    (tmp_path / "dvc.lock").write_text("stages: {prepare: {outs: [{path: data/home, md5: 0123456789abcdef}]}}\n")

    def stage(name, steps=20):
        with tracking.stage_run(name, {"seed": 0}, {"scale": "smoke", "stage": "train"}, ["data/home"]) as run:
            for step in range(1, steps + 1):
                run.log({f"val/figure_{number}": number / step for number in range(20)}, step)
            run.show("predictions/home.png", np.full((8, 8, 3), 200, np.uint8))
        return run.id

    first = stage("mult-shared-s0")
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(stage, [f"mult-shared-s{seed}" for seed in range(1, 5)]))
    second = stage("mult-shared-s0")
    client, experiment = tracking.connect()
    runs = {run.info.run_id: run for run in client.search_runs([experiment])}
    assert set(runs) == {first, second, *together}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert [runs[run].data.tags["dvc.current"] for run in (first, second, *together)] == ["no", *["yes"] * 5]
    for run in (second, *together):
        assert len(client.get_metric_history(run, "val/figure_19")) == 20
        assert runs[run].inputs.dataset_inputs[0].dataset.digest == "01234567"
        assert client.download_artifacts(run, "predictions/home.png", str(tmp_path))
    tracking.mark_current([first], "smoke")
    assert client.get_run(first).data.tags["dvc.current"] == "yes"
    assert client.get_run(second).data.tags["dvc.current"] == "no"
