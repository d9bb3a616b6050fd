"""The real pipeline at smoke scale, with real DVC and a real MLflow store, in a copy of the project."""

import re
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from mult.evaluation.results import COLUMNS, load_results
from mult.files import read_json, sha256
from mult.params import load
from mult.runs import names, probed
from mult.tasks import TASKS
from pipelines.tables import SECTIONS
from tests.project import Project, copy_project, cpu_seconds

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = copy_project(tmp_path_factory.mktemp("clone") / "mult")
    project.commit()
    project.run("mult", "repro", "--scale", "smoke")
    return project


def test_every_run_domain_and_task_is_in_the_results(project):
    results = load_results(project.folder / "reports" / "results.csv")
    assert list(results.columns) == COLUMNS
    settings = load(project.folder / "params.yaml")
    assert list(dict.fromkeys(results["run"])) == names(settings)
    assert set(results["scale"]) == {"smoke"}
    assert results["value"].notna().all()
    for run, rows in results.groupby("run"):
        tasks = {TASKS[t].name for t in rows["tasks"].iloc[0].split("+")}
        assert set(rows["task"]) == tasks, run
        places = set(zip(rows["domain"], rows["shift"], strict=True))
        scored = {(domain, "none") for domain in settings.scale.domains} | {("rooms-home", "blur")}
        assert places == scored - ({("rooms-home", "none")} if run.startswith("tuned-") else set()), run
        assert set(rows["mlflow_run_id"].str.len()) == {32}, run


def test_the_tables_are_filled(project):
    tables = project.folder / "reports" / "tables"
    affinity = pd.read_csv(tables / "affinity.csv", index_col="on")
    assert affinity.shape == (6, 6)
    cheap = pd.read_csv(tables / "affinity_cheap.csv").groupby(["measure", "variant"])
    assert dict(cheap.size()) == {("gain", "pair"): 30} | {
        (measure, variant): 36
        for measure in ("cosine", "tag")
        for variant in load(project.folder / "params.yaml").variants
    }
    assert set(pd.read_csv(tables / "affinity_agreement.csv")["matrix"]) == {"Pair gains", "cosine", "tag"}
    six = pd.read_csv(tables / "six_task.csv")
    assert list(six["task"]) == [*TASKS, "delta_m"]
    settings = load(project.folder / "params.yaml")
    assert six.loc[:5, ["trivial", "single", *settings.variants]].notna().all(axis=None)
    assert six[[f"{name} gain" for name in settings.variants]].notna().all(axis=None)
    cross = pd.read_csv(tables / "cross_domain.csv")
    scale = settings.scale
    assert len(cross) == (len(scale.domains) + len(scale.shifts)) * 6
    ablation = pd.read_csv(tables / "ablation.csv")
    assert list(dict.fromkeys(ablation["comparison"])) == [f"{c.variant} over {c.base}" for c in settings.comparisons]
    assert len(ablation) == len(settings.comparisons) * (len(scale.domains) + len(scale.shifts)) * 7
    assert set(ablation["seeds"]) == {2}
    assert ablation[["gain", "low", "high", "p", "detectable", "figure_gain"]].notna().all(axis=None)
    assert "figures is 0.\n" in (tables / "ablation.md").read_text()  # of a run and its control
    tuned = pd.read_csv(tables / "fine_tuned.csv")
    assert len(tuned) == (len(scale.domains) - 1 + len(scale.shifts)) * 6
    assert tuned[["single", *settings.variants]].notna().all(axis=None)
    assert list(pd.read_csv(tables / "task_count.csv")["tasks"]) == [4, 5, 6]
    assert pd.read_csv(tables / "cost.csv")["params_m"].gt(0).all()
    assert pd.read_csv(tables / "trivial.csv").notna().all(axis=None)
    probes = pd.read_csv(tables / "probes.csv")
    assert list(dict.fromkeys(probes["variant"])) == list(settings.variants)
    taken = probes[probes["probe"] == "without depth"].set_index("variant")
    assert taken.loc[["self", "skip", "shared", "drawn"], ["normal same", "edges same"]].all(axis=None)
    assert not taken["depth same"].any()
    page = (project.folder / "reports" / "README.md").read_text()
    for name in SECTIONS:
        assert (tables / f"{name}.md").read_text().strip() in page
    figures = re.findall(r"]\((figures/.*?\.png)\)", page)
    assert len(figures) > len(settings.scale.domains)
    assert [name for name in figures if not (project.folder / "reports" / name).is_file()] == []


def test_numbers_name_the_runs_that_they_come_from(project):
    names_of_cells = {"task", "metric", "budget", "tasks", "domain", "question", "choice"}
    for name in SECTIONS:
        for block in read_json(project.folder / "reports" / "tables" / f"{name}.json")["blocks"]:
            text = str(block.get("text", ""))
            if "Standley et al." in text or "### Published" in text:
                break  # what comes after is from papers
            if block["kind"] == "table":
                for row in block["rows"]:
                    for column, cell in zip(block["columns"], row, strict=True):
                        if "sort" in cell and column not in names_of_cells and "published" not in column:
                            assert cell.get("runs"), f"{name}, {column}: {cell['text']}"


def test_six_task_trainings_record_affinities(project):
    found = {path.parent.name for path in project.folder.glob("runs/*/affinity.csv")}
    assert found == {name for name in names(load(project.folder / "params.yaml")) if name.startswith("mult-")}
    records = pd.read_csv(project.folder / "runs" / "mult-shared-s0" / "affinity.csv")
    assert set(records["step"]) == {1, 3}
    assert len(records) == 2 * 2 * 36


def test_mlflow_knows_every_training_and_every_score(project):
    runs = project.current_runs().values()
    settings = load(project.folder / "params.yaml")
    wanted = names(settings)
    scored = [f"score {name}" for name in wanted if not name.startswith("tuned-")]  # the tuned are scored as they end
    told = [f"probe {name}" for name in probed(settings)]
    kept = [f"model mult-{settings.served}-s0"]
    assert sorted(r.info.run_name for r in runs) == sorted([*wanted, *scored, *told, *kept])
    assert {r.info.status for r in runs} == {"FINISHED"}
    by_name = {r.info.run_name: r for r in runs}
    trained = by_name["mult-shared-s0"]
    assert trained.info.run_id == project.mlflow_ids()["mult-shared-s0"]
    assert {"study", "tasks", "attention", "reference", "seed", "dvc.stage"} <= set(trained.data.tags)
    for run in (trained, by_name["score mult-shared-s0"], by_name["probe mult-shared-s0"]):
        for key in run.data.metrics:
            assert key.count("/") == 1, key
    assert "val/depth_rmse" in trained.data.metrics
    assert "doom/normal_mean_deg" in by_name["score mult-shared-s0"].data.metrics
    assert by_name["probe mult-shared-s0"].data.metrics["without-depth/normal_percent"] == 0
    assert trained.inputs.dataset_inputs[0].dataset.name == "rooms-home"


def test_a_second_run_does_nothing_and_takes_seconds(project):
    with cpu_seconds() as spent:
        assert "everything is up to date" in project.repro()
    assert spent() < 8


def test_one_variant_s_setting_trains_that_variant_and_back_trains_nothing(project):
    before = project.mlflow_ids()
    results = (project.folder / "reports" / "results.csv").read_bytes()
    project.edit("drawn: {attention: shared, skip: none}", "drawn: {attention: shared, skip: add}")
    project.repro()
    changed = project.mlflow_ids()
    trained = {run for run in before if changed[run] != before[run]}
    assert trained == {"mult-drawn-s0", "mult-drawn-s1", "tuned-mult-drawn-s0"}
    project.edit("drawn: {attention: shared, skip: add}", "drawn: {attention: shared, skip: none}")
    project.repro()
    assert project.mlflow_ids() == before, "restored from DVC's run cache, with the link to the run that made them"
    assert (project.folder / "reports" / "results.csv").read_bytes() == results
    assert set(before.values()) <= project.current_runs().keys(), "and MLflow shows that run as the current one again"


def test_plain_dvc_gives_the_same_weights_and_scores(project):
    folder = project.folder / "runs" / "pair-depth+normal-s0"
    before = {name: sha256(folder / name) for name in ("model.safetensors", "history.csv", "scores.json", "errors.csv")}
    for stage in ("train_pair@depth+normal-0", "evaluate_pair@depth+normal-0"):
        project.run("dvc", "repro", "--force", "--single-item", "--quiet", stage)
    assert {name: sha256(folder / name) for name in before} == before


@pytest.mark.parametrize(("victim", "processes"), [("mult", 1), ("dvc", 1), ("dvc", 2)])
def test_a_killed_pipeline_leaves_no_trainer(project, victim, processes):
    path = project.folder / "params.yaml"
    text = path.read_text()
    longer = text.replace("      steps: 4\n", "      steps: 4000\n", 1)
    path.write_text(longer.replace("processes: 1 ", f"processes: {processes} ", 1))
    stage = ("mult", "repro") if victim == "mult" else ("dvc", "repro", "--single-item", "train_single@depth-0")
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
    project.repro()
    assert "everything is up to date" in project.repro()


def test_a_killed_training_goes_on_and_ends_as_if_nothing_had_been(project):
    path = project.folder / "params.yaml"
    text = path.read_text()
    longer = text.replace("      steps: 4\n", "      steps: 60\n", 1)
    path.write_text(longer.replace("checkpoint_s: 300", "checkpoint_s: 0", 1))
    stage = ("dvc", "repro", "--quiet", "--single-item", "train_single@depth-0")
    checkpoints = project.folder / ".mult" / "checkpoints"
    before = {run.info.run_id for run in runs_of(project, "train_single@depth-0")[1]}
    for step in (7, 31):
        process = project.start(*stage)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not any(
            int(p.stem[5:]) >= step for p in checkpoints.glob("smoke-single-depth-s0/*/step-*.json")
        ):
            time.sleep(0.01)
        process.kill()
        process.wait()
        time.sleep(2)
        assert project.processes() == []
    project.run(*stage)
    assert list(checkpoints.glob("*")) == [], "what is trained needs none"
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
    project.repro()


def test_in_pieces_it_ends_as_in_one(project):
    path = project.folder / "params.yaml"
    text = path.read_text()
    path.write_text(text.replace("      steps: 4\n", "      steps: 1500\n", 1))
    command = ("mult", "repro", "train_single@edges-0", "train_single@normal-0")
    output = project.run(*command, "--minutes", "0.5", code=75)
    assert "paused train_single@edges-0" in output
    assert "2 stages to go; the same command goes on where this one ended" in output
    assert list((project.folder / ".mult" / "checkpoints").glob("smoke-single-edges-s0/*/step-*.pt"))
    project.run(*command)
    weights = project.folder / "runs" / "single-edges-s0" / "model.safetensors"
    in_pieces = sha256(weights)
    project.run("dvc", "repro", "--force", "--quiet", "--single-item", "train_single@edges-0")
    assert sha256(weights) == in_pieces
    path.write_text(text)
    project.repro()


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
    project.repro()


def runs_of(project: Project, stage: str):
    """MLflow's client and its runs of a stage, the newest first."""
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{project.folder}/mlflow.db")
    experiment = client.get_experiment_by_name("mult").experiment_id
    query = f"tags.`dvc.stage` = '{stage}'"
    return client, list(client.search_runs([experiment], query, order_by=["attributes.start_time DESC"]))
