"""The whole pipeline on the paper's four data sets in miniature, each in the layout in which it is handed out."""

import re
import shutil

import pandas as pd
import pytest

from mult.data.store import open_split
from mult.evaluation.results import load_results
from mult.files import read_json
from mult.params import load
from mult.tasks import TASKS
from tests.data.sources.four import BUILDINGS, write_four
from tests.project import Project, copy_project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    return write_four(tmp_path_factory.mktemp("sets"))


@pytest.fixture(scope="module")
def project(tmp_path_factory, roots):
    project = copy_project(tmp_path_factory.mktemp("clone") / "mult")
    domains = "\n".join(f"      {name}: {{root: {root}}}" for name, root in roots.items())
    limited = domains.replace("taskonomy}", "taskonomy, split: fullplus, train: 16, test: 10}")
    new = f"    train_domain: taskonomy\n    domains:\n{limited}\n"
    edit_scale(project, "smoke", r"    train_domain:.*?(?=    shifts:)", new)
    # Fewer runs: what is asked here is of the domains.
    edit_scale(project, "smoke", r"six: \[0, 1\]", "six: [0]")
    edit_scale(project, "smoke", r"balancings: \[.*?\]", "balancings: []")
    edit_scale(project, "smoke", r"(?<=      runs:\n).*?(?=    training:)", "        cnn-six-s0: cnn\n")
    project.commit()
    return project


def edit_scale(project: Project, scale: str, pattern: str, new: str) -> None:
    """Replace what matches ``pattern`` first in a scale's part of params.yaml."""
    path = project.folder / "params.yaml"
    text = path.read_text()
    start = text.index(f"  {scale}: &{scale}")
    found = re.compile(pattern, re.DOTALL).search(text, start)
    assert found, pattern
    path.write_text(text[: found.start()] + new + text[found.end() :])


def choose_scale(project: Project, scale: str) -> None:
    path = project.folder / "params.yaml"
    path.write_text(re.sub(r"scale: \*\w+\n*$", f"scale: *{scale}\n", path.read_text()))


def test_they_are_trained_on_and_scored_with_the_tasks_that_each_has(project):
    project.run("mult", "repro", "--scale", "smoke")
    results = load_results(project.folder / "reports/results.csv")
    tasks = results.groupby("domain")["task"].agg(set)
    every = {task.name for task in TASKS.values()}
    assert tasks["taskonomy"] == tasks["nyuv2"] == every
    assert tasks["replica"] == tasks["cocodoom"] == every - {"segment_semantic"}, "no classes; none in common"
    images = results.groupby("domain")["n_images"].agg(set)
    assert images.to_dict() == {"taskonomy": {10}, "replica": {12}, "nyuv2": {2}, "cocodoom": {2}}
    assert set(results.loc[results["run"] == "mult-shared-s0", "train_images"]) == {16}, "of three buildings' 18"
    tuned = set(results.loc[results["study"] == "fine_tune", "domain"])
    assert tuned >= {"nyuv2", "cocodoom"}
    assert "replica" not in tuned, "only its test scenes are here"
    split = open_split(project.folder / "data/taskonomy", "test")
    assert set(split.groups) == set(BUILDINGS["test"])
    assert not list((project.folder / "data").rglob("*.npy")), "pictures are read in place"


def test_the_reports_have_the_same(project):
    reports = project.folder / "reports"
    table = pd.read_csv(reports / "tables/cross_domain.csv")
    assert set(table.loc[table["domain"] == "replica", "task"]) == set(TASKS) - {"semseg"}
    assert table.loc[table["domain"] == "nyuv2", "shared"].notna().all()
    page = (reports / "index.html").read_text()
    assert "qualitative-nyuv2" in page
    assert "rooms-home" not in page, "what another scale has left"
    for domain in ("taskonomy", "replica", "nyuv2", "cocodoom"):
        assert (reports / f"figures/domains-{domain}.jpg").stat().st_size > 10_000
        assert read_json(project.folder / f"gallery/{domain}/gallery.json")["samples"]
    assert "everything is up to date" in project.repro()


def test_at_paper_scale_dvc_would_train_on_them(tmp_path, roots):
    project = copy_project(tmp_path / "mult")
    for name, root in roots.items():
        edit_scale(project, "paper", f"/data/{name}", str(root))
    choose_scale(project, "paper")
    project.commit()
    plan = project.run("dvc", "repro", "--dry", "--force")  # without, DVC 3.67 looks for outs that are not there yet
    for command in ("prepare taskonomy", "prepare cocodoom", "train mult-shared-s0", "evaluate mult-shared-s0", "site"):
        assert f"exec python -m pipelines {command}" in plan
    assert load(project.folder / "params.yaml").scale.train_domain == "taskonomy"
    for domain in roots:
        assert "read in place" in project.run("pipelines", "prepare", domain)


def test_a_data_set_without_val_keeps_its_last_weights(project):
    edit_scale(project, "smoke", "train_domain: taskonomy", "train_domain: nyuv2")
    edit_scale(project, "smoke", "batch_size: 4", "batch_size: 2")
    choose_scale(project, "smoke")
    project.run("pipelines", "prepare", "nyuv2")
    told = project.run("pipelines", "train", "mult-shared-s0")
    assert "no val split to choose weights by; mult-shared-s0 keeps those of its last step" in told
    assert read_json(project.folder / "runs/mult-shared-s0/run.json")["best_step"] == 4


def test_a_training_domain_that_never_has_a_task_is_refused(project):
    edit_scale(project, "smoke", "train_domain: nyuv2", "train_domain: replica")
    told = project.run("pipelines", "prepare", "replica", code=1)
    assert told.startswith("error: params.yaml: scales.smoke: train_domain: 'replica' has no segment_semantic")
    edit_scale(project, "smoke", "train_domain: replica", "train_domain: taskonomy")


def test_a_training_domain_that_lacks_a_task_says_so(project, roots, tmp_path):
    shutil.copytree(roots["taskonomy"], tmp_path / "bare", ignore=shutil.ignore_patterns("*segment*semantic*"))
    edit_scale(project, "smoke", r"taskonomy: \{root: .*?,", f"taskonomy: {{root: {tmp_path / 'bare'},")
    project.run("pipelines", "prepare", "taskonomy")
    told = project.run("pipelines", "train", "mult-shared-s0", code=1)
    assert "data/taskonomy: no labels for semseg, so mult-shared-s0 cannot be trained on it" in told
    assert "Traceback" not in told


def test_a_domain_without_anything_to_test_on_says_so_at_once(project):
    edit_scale(project, "smoke", r"train: 16, test: 10", "train: 16, test: 0")
    told = project.run("pipelines", "prepare", "taskonomy", code=1)
    assert "error: " in told
    assert "test" in told
    edit_scale(project, "smoke", r"train: 16, test: 0", "train: 16, test: 10")


def test_a_root_that_is_not_there_says_so(project):
    edit_scale(project, "smoke", r"replica: \{root: .*?\}", "replica: {root: /nowhere/replica}")
    told = project.run("pipelines", "prepare", "replica", code=1)
    assert told.strip().splitlines()[-1] == (
        "error: /nowhere/replica: no such folder; replica should be there, see `root` in params.yaml"
    )
