"""Trainings of the pipeline at smoke scale that are killed, paused or shared, with real DVC and a real MLflow store."""

import signal
import subprocess
import sys
import time

import pandas as pd
import psutil
import pytest

from mult.files import read_json, sha256
from tests.project import Project, copy_project

pytestmark = pytest.mark.slow

TRAININGS = ("train_single@depth-0", "train_single@edges-0", "train_single@normal-0", "train_pair@depth+normal-0")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = copy_project(tmp_path_factory.mktemp("clone") / "mult")
    project.commit()
    project.run("mult", "repro", "--scale", "smoke", *TRAININGS)
    return project


@pytest.mark.parametrize(("victim", "processes"), [("mult", 1), ("dvc", 1), ("dvc", 2)])
def test_a_killed_pipeline_leaves_no_trainer(project, victim, processes):
    path = project.folder / "params.yaml"
    text = path.read_text()
    longer = text.replace("      steps: 4\n", "      steps: 4000\n", 1)
    path.write_text(longer.replace("processes: 1 ", f"processes: {processes} ", 1))
    stage = (
        ("mult", "repro", *TRAININGS) if victim == "mult" else ("dvc", "repro", "--single-item", "train_single@depth-0")
    )
    process = project.start(*stage, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    project.wait_for_trainer()
    if processes > 1:
        project.wait_for(lambda: sum("pipelines.train" in command for command in project.processes()) == processes)
        time.sleep(5)  # they have been started: let them get to work
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(2)
    assert project.processes() == []
    path.write_text(text)
    project.run("mult", "repro", *TRAININGS)
    assert "everything is up to date" in project.run("mult", "repro", *TRAININGS)


def test_a_dvc_that_is_killed_below_a_pipeline_is_named(project):
    """As the kernel does it when memory is short."""
    path = project.folder / "params.yaml"
    text = path.read_text()
    path.write_text(text.replace("      steps: 4\n", "      steps: 4000\n", 1))
    process = project.start("mult", "repro", "train_single@depth-0", stdout=subprocess.PIPE)
    project.wait_for_trainer()
    commands = [of for of in psutil.Process(process.pid).children(recursive=True) if "pipelines" in of.cmdline()]
    assert len(commands) == 1
    commands[0].parent().kill()
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "error: train_single@depth-0: its process was ended by SIGKILL; the same command goes on" in said
    assert project.processes() == []
    path.write_text(text)
    project.run("mult", "repro", "train_single@depth-0")


def test_a_killed_training_goes_on_and_ends_as_if_nothing_had_been(project):
    path = project.folder / "params.yaml"
    text = path.read_text()
    longer = text.replace("      steps: 4\n", "      steps: 60\n", 1)
    path.write_text(longer.replace("checkpoint_s: 300", "checkpoint_s: 0", 1))
    stage = ("dvc", "repro", "--quiet", "--single-item", "train_single@depth-0")
    checkpoints = project.folder / ".mult" / "checkpoints"
    before = {run.info.run_id for run in runs_of(project, "train_single@depth-0")[1]}

    def reached(step):
        found = checkpoints.glob("smoke-single-depth-s0/*/*.json")
        return any(path.stem == "ended" or int(path.stem[5:]) >= step for path in found)

    for step in (7, 31, 60):  # the last time while DVC hashes what was made: it was all trained, but dvc.lock lacks it
        process = project.start(*stage)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not reached(step):
            time.sleep(0.01)
        process.kill()
        process.wait()
        time.sleep(2)
        assert project.processes() == []
    assert "going on after step 59 of 60" in project.run(*stage)
    project.run("mult", "repro", "train_single@depth-0")
    assert list(checkpoints.glob("*/*")) == [], "what dvc.lock has needs none"
    folder = project.folder / "runs" / "single-depth-s0"
    client, runs = runs_of(project, "train_single@depth-0")
    (run,) = [run for run in runs if run.info.run_id not in before]
    assert run.info.status == "FINISHED"
    assert run.info.run_id == read_json(folder / "run.json")["mlflow_run_id"]
    steps = [point.step for point in client.get_metric_history(run.info.run_id, "val/loss")]
    assert steps == list(range(2, 61, 2)), "no point is missing and none is there twice"
    resumed = {name: sha256(folder / name) for name in ("model.safetensors", "history.csv")}
    project.run(*stage, "--force")
    assert {name: sha256(folder / name) for name in resumed} == resumed
    path.write_text(text)
    project.run("mult", "repro", *TRAININGS)


def test_in_pieces_it_ends_as_in_one(project):
    path = project.folder / "params.yaml"
    text = path.read_text()
    path.write_text(text.replace("      steps: 4\n", "      steps: 1000\n", 1))
    command = ("mult", "repro", "--jobs", "1", "train_single@edges-0", "train_single@normal-0")
    output = project.run(*command, "--minutes", "0.5", code=75)
    assert "paused train_single@edges-0" in output
    assert "2 stages to go; the same command goes on where this one ended" in output
    assert list((project.folder / ".mult" / "checkpoints").glob("smoke-single-edges-s0/*/step-*.pt"))
    project.run("mult", "repro", "train_single@edges-0")
    weights = project.folder / "runs" / "single-edges-s0" / "model.safetensors"
    in_pieces = sha256(weights)
    project.run("dvc", "repro", "--force", "--quiet", "--single-item", "train_single@edges-0")
    assert sha256(weights) == in_pieces
    path.write_text(text)
    project.run("mult", "repro", *TRAININGS)


def test_two_processes_of_one_training_leave_one_result(project):
    path = project.folder / "params.yaml"
    text = path.read_text()
    path.write_text(text.replace("processes: 1 ", "processes: 2 ", 1))
    folder = project.folder / "runs" / "pair-depth+normal-s0"
    before = pd.read_csv(folder / "history.csv")
    project.run("dvc", "repro", "--force", "--quiet", "--single-item", "train_pair@depth+normal-0")
    after = pd.read_csv(folder / "history.csv")
    assert list(after["step"]) == list(before["step"])
    assert after["val/loss"].to_numpy() == pytest.approx(before["val/loss"].to_numpy(), rel=0.01)
    _, (newest, *_) = runs_of(project, "train_pair@depth+normal-0")
    assert newest.info.run_id == read_json(folder / "run.json")["mlflow_run_id"]
    environment = project.environment | {"WORLD_SIZE": "3", "RANK": "0", "LOCAL_RANK": "0"}
    command = [sys.executable, "-m", "pipelines", "train", "pair-depth+normal-s0"]
    done = subprocess.run(command, cwd=project.folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.strip() == (
        "error: hardware.processes: 2 in params.yaml, but 3 were started; make the two equal"
    )
    path.write_text(text)
    project.run("mult", "repro", *TRAININGS)


def runs_of(project: Project, stage: str):
    """MLflow's client and its runs of a stage, the newest first."""
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{project.folder}/mlflow.db")
    experiment = client.get_experiment_by_name("mult").experiment_id
    query = f"tags.`dvc.stage` = '{stage}'"
    return client, list(client.search_runs([experiment], query, order_by=["attributes.start_time DESC"]))
