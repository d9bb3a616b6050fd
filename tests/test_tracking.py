"""Against a real MLflow store."""

import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from mult import tracking
from mult.errors import UserError
from mult.tracking import code, telling
from tests.outage import CONTEXT, log_many, told


@pytest.fixture(autouse=True)
def _fresh_store(tmp_path, monkeypatch, made_store):
    monkeypatch.chdir(tmp_path)
    shutil.copy(made_store, tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("DVC_STAGE", "train_single@depth-0")


def stage(scale="laptop", **extra):
    tags = {"study": "single", "scale": scale}
    return tracking.stage_run("single-depth-s0", {"seed": 0, "lr": 1e-3}, tags, **extra)


@pytest.mark.slow
def test_a_stage_that_runs_again_supersedes_its_run():
    with stage() as first:
        first.log({"val/depth_rmse": 1.0, "val/bad": float("inf")}, step=1)
        first.log({"val/depth_rmse": 0.5}, step=2)
    with stage() as second:
        pass
    client, experiment = tracking.reach()
    runs = {run.info.run_id: run for run in client.search_runs([experiment])}
    assert set(runs) == {first.id, second.id}
    old, new = runs[first.id], runs[second.id]
    assert (old.data.tags["dvc.current"], new.data.tags["dvc.current"]) == ("no", "yes")
    assert old.info.run_name == "single-depth-s0"
    assert old.info.status == "FINISHED"
    assert old.data.metrics == {"val/depth_rmse": 0.5}, "infinity is left out: stores turn it into a number"
    assert [m.step for m in client.get_metric_history(first.id, "val/depth_rmse")] == [1, 2]
    assert old.data.params == {"seed": "0", "lr": "0.001"}
    assert old.data.tags["dvc.stage"] == "train_single@depth-0"
    assert "dvc repro" in old.data.tags["mlflow.note.content"]
    tracking.mark_current([first.id], "laptop")
    states = [client.get_run(run.id).data.tags["dvc.current"] for run in (first, second)]
    assert states == ["yes", "no"], "DVC has restored the first result"


@pytest.mark.slow
def test_stages_that_begin_at_once_name_the_same_new_data_sets(capsys):
    client, experiment = tracking.reach()
    runs = [client.create_run(experiment).info.run_id for _ in range(4)]
    together = threading.Barrier(len(runs))

    def log(run, turn):
        together.wait()
        telling._log_inputs(client, run, [[f"set-{turn}", f"{turn:08x}", f"data/set-{turn}"]], "training")

    for turn in range(10):
        with ThreadPoolExecutor(len(runs)) as pool:
            list(pool.map(log, runs, [turn] * len(runs)))
    for run in runs:
        names = [used.dataset.name for used in client.get_run(run).inputs.dataset_inputs]
        assert sorted(names) == sorted(f"set-{turn}" for turn in range(10))
    assert "warning" not in capsys.readouterr().err


@pytest.mark.slow
def test_scales_do_not_supersede_each_other():
    with stage() as laptop, stage(scale="smoke"):
        pass
    client, _ = tracking.reach()
    assert client.get_run(laptop.id).data.tags["dvc.current"] == "yes"


@pytest.mark.slow
def test_a_failed_stage_and_a_killed_one():
    with pytest.raises(RuntimeError), stage() as failed:
        raise RuntimeError
    client, experiment = tracking.reach()
    assert client.get_run(failed.id).info.status == "FAILED"
    tags = {"dvc.stage": "train_single@depth-0", "dvc.current": "yes", "scale": "laptop"}
    killed = client.create_run(experiment, run_name="single-depth-s0", tags=tags)
    with stage():
        assert client.get_run(killed.info.run_id).info.status == "KILLED"


@pytest.mark.slow
def test_data_of_a_run_is_named_with_its_digest(tmp_path):
    lock = {"stages": {"prepare@doom": {"outs": [{"path": "data/doom", "md5": "0123456789abcdef.dir"}]}}}
    (tmp_path / "dvc.lock").write_text(json.dumps(lock))
    with stage(inputs=["data/doom", "data/other"]) as run:
        pass
    client, _ = tracking.reach()
    (given,) = client.get_run(run.id).inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("doom", "01234567")
    assert client.get_run(run.id).data.tags["dvc.md5.data/doom"] == "0123456789abcdef.dir"


@pytest.mark.slow
def test_four_first_users_of_a_fresh_store(tmp_path):
    """2,000 figures each: none is lost, none of the four fails."""
    folder = tmp_path / "fresh"
    folder.mkdir()
    users = [CONTEXT.Process(target=log_many, args=(str(folder), 50, 40)) for _ in range(4)]
    for user in users:
        user.start()
    for user in users:
        user.join(300)
        assert user.exitcode == 0
    assert list(folder.glob(".mult/tracking/*")) == [], "nothing had to wait"
    runs = told(f"sqlite:///{folder}/mlflow.db", "many")
    assert [run["status"] for run in runs] == ["FINISHED"] * 4
    everything = {(f"val/figure_{number}", step, float(step)) for number in range(40) for step in range(50)}
    assert all(len(run["points"]) == 2000 and set(run["points"]) == everything for run in runs)


@pytest.mark.parametrize(
    ("store", "why"),
    [("http://127.0.0.1:9", "Connection refused"), ("sqlite:////proc/nowhere/mlflow.db", "No such file or directory")],
)
def test_a_store_that_cannot_be_reached_is_one_line(monkeypatch, store, why):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(UserError, match=f"^MLflow's store {store}: {why}; start it, or unset MLFLOW_TRACKING_URI$"):
        tracking.reach()


def test_a_lock_file_that_is_being_rewritten_costs_digests_not_the_stage(tmp_path, monkeypatch):
    stages = {f"s{i}": {"outs": [{"path": f"data/{i}", "md5": f"{i:032x}"}]} for i in range(20)}
    text = yaml.safe_dump({"schema": "2.0", "stages": stages})
    monkeypatch.setattr(code.time, "sleep", lambda seconds: None)
    for cut in range(0, len(text), 37):
        (tmp_path / "dvc.lock").write_text(text[:cut])
        assert tracking.dvc_digests(["data/0", "data/19"]).keys() <= {"data/0", "data/19"}
    (tmp_path / "dvc.lock").write_text(text)
    assert tracking.dvc_digests(["data/19", "data/none"]) == {"data/19": f"{19:032x}"}
