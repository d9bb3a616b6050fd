"""The real pipeline at smoke scale, with real DVC and a real MLflow store, in a copy of the project."""

import re
import shutil

import pandas as pd
import pytest

from mult.evaluation.results import COLUMNS, load_results
from mult.files import read_json, sha256
from mult.params import load
from mult.runs import names, probed
from mult.tasks import TASKS
from pipelines.tables import SECTIONS
from tests.project import copy_project, cpu_seconds

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


def test_a_report_that_was_deleted_comes_back_to_the_byte_without_training(project):
    def content():
        files = [path for path in sorted((project.folder / "reports").rglob("*")) if path.is_file()]
        return {str(path.relative_to(project.folder)): sha256(path) for path in files}

    project.commit()  # contact sheets come from git, and what was drawn on another kind of CPU differs
    before, runs = content(), project.mlflow_ids()
    shutil.rmtree(project.folder / "reports")
    with cpu_seconds() as spent:
        project.run("pipelines", "report")
    assert content() == before
    assert spent() < 90
    assert project.mlflow_ids() == runs
    assert "everything is up to date" in project.repro()


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
    compared = [f"{of.variant} over {of.base}" for of in settings.comparisons]
    assert sorted(r.info.run_name for r in runs) == sorted([*wanted, *scored, *told, *kept, *compared])
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
    assert spent() < 15


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
