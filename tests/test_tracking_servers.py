"""The same tracking with a server over HTTP and with PostgreSQL, as labs and clusters have them and as they fail."""

import importlib.util
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mult import tracking
from mult.tracking import box, sync
from tests.outage import Proxy, Stage, home, told
from tests.stores import mlflow_server, postgresql, postgresql_tools

pytestmark = pytest.mark.slow

BOUNDS = {"WAIT_S": 1.0, "BUDGET_S": 1.0, "PAUSE_S": 0.5}
SLACK_S = 2.0  # for two cores that others use as well
DELAY_S = 0.5  # half of WAIT_S, as 5 s are of 10


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with mlflow_server(tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.fixture(params=["mlflow server", "postgresql"])
def _store(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_STAGE", "train_six@shared-0")
    if request.param == "mlflow server":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", request.getfixturevalue("server"))
        yield
        return
    if not postgresql_tools() or not importlib.util.find_spec("psycopg"):
        pytest.skip("PostgreSQL's initdb or the package psycopg is not installed here")
    with postgresql() as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        yield


@pytest.mark.usefixtures("_store")
def test_runs_are_kept_superseded_and_written_by_several_at_once(tmp_path):
    home(tmp_path)

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
    client, experiment = tracking.reach()
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
    assert sync.reminder() == ""


@pytest.fixture(scope="module")
def undisturbed(server, tmp_path_factory):
    """What a store has of a stage that logs six steps."""
    folder = tmp_path_factory.mktemp("undisturbed")
    home(folder)
    stage = Stage(folder, server, "undisturbed", {})
    stage.log(1, 2, 3)
    stage.log(4, 5, 6)
    stage.end()
    (run,) = told(server, "undisturbed")
    assert run["points"] == sorted(
        (f"val/figure_{number}", step, number / step) for number in range(3) for step in range(1, 7)
    )
    return run


@pytest.fixture
def proxy(request, server, tmp_path, monkeypatch):
    home(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sync, "SETTLE_S", 0.5)
    made = Proxy(server, getattr(request, "param", "pass"))
    yield made
    made.close()


@pytest.mark.parametrize(
    ("proxy", "how", "steps"),
    [
        ("absent", "absent", 0),
        ("pass", "mute", 0),
        ("pass", "slow", 0),
        ("pass", "forget", 0),
        ("pass", "slow", 3),
        ("pass", "mute", 3),
        ("pass", "dead", 3),
    ],
    indirect=["proxy"],
)
def test_a_stage_neither_fails_nor_waits_long_and_what_it_said_is_sent(
    proxy, how, steps, undisturbed, tmp_path, capsys
):
    """``how`` the server fails after so many ``steps`` of six."""
    name = f"{how}-{steps}"
    if not steps:
        proxy.fail(how, DELAY_S)
    stage = Stage(tmp_path, proxy.address, name, BOUNDS)
    stage.log(1, 2, 3)
    proxy.fail(how, DELAY_S)
    stage.log(4, 5, 6)
    stage.end()
    assert stage.waited < BOUNDS["BUDGET_S"] + 2 * BOUNDS["WAIT_S"] + SLACK_S
    assert "`mult track sync` sends it" in sync.reminder()
    proxy.recover()
    sync.sync()
    sync.sync()
    (run,) = told(proxy.address, name)
    assert run == undisturbed
    assert "nothing waits" in capsys.readouterr().out
    assert sync.reminder() == ""


def test_a_server_that_comes_back_is_told_within_the_stage(proxy, undisturbed, tmp_path):
    stage = Stage(tmp_path, proxy.address, "comes-back", {"PAUSE_S": 0.0})
    stage.log(1, 2)
    proxy.die()
    stage.log(3, 4)
    proxy.recover()
    stage.log(5, 6)
    (run,) = told(proxy.address, "comes-back")
    assert run["points"] == undisturbed["points"]
    stage.end()
    (run,) = told(proxy.address, "comes-back")
    assert run == undisturbed
    assert box.boxes() == []


@pytest.mark.parametrize("proxy", ["absent", "pass"], indirect=True)
def test_a_training_that_is_killed_in_an_outage_goes_on_in_the_same_run(proxy, undisturbed, tmp_path):
    """It tells its past again, from its checkpoint on; the first life's steps are in the store, on disk, or in both."""
    name = f"killed-{proxy.mode}"
    first = Stage(tmp_path, proxy.address, name, BOUNDS)
    first.log(1, 2)
    if proxy.mode != "absent":
        proxy.die()
    first.log(3)
    first.kill()
    second = Stage(tmp_path, proxy.address, name, BOUNDS, resume=first.id)
    second.log(1, 2, 3, 4)
    second.kill()
    proxy.recover()
    third = Stage(tmp_path, proxy.address, name, {"PAUSE_S": 0.0}, resume=second.id)
    third.log(1, 2, 3, 4, 5, 6)
    third.end()
    (run,) = told(proxy.address, name)
    assert run == undisturbed
    assert box.boxes() == []
