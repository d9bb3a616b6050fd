"""What dvc.yaml promises: read from DVC's own index."""

import json
import subprocess
import sys

import pytest
from dvc.repo import Repo

from mult.params import load
from mult.runs import names, probed
from tests.conftest import ROOT

# Seen from the side: they decide nothing about a result, or read params.yaml, which DVC tracks by key.
ASIDE = {
    "memory", "__init__", "errors", "failures", "files", "launch", "leftovers", "lockfile", "outs", "params", "paths",
    "process", "progress", "stage", "word",
}  # fmt: skip

# Pictures for MLflow: no out holds anything of them.
SHOWN_BY = {
    f"src/mult/{name}.py"
    for name in ("data/frame", "data/labels", "evaluation/predictions", "reports/panel", "reports/sheet")
}
TRAINED_BY = {f"src/mult/{name}" for name in ("seeding.py", "data/store.py", "data/encoding.py", "training")}


@pytest.fixture(scope="module")
def stages():
    with Repo(str(ROOT)) as repo:
        return {stage.addressing: stage for stage in repo.index.stages}


def test_every_out_is_cached_but_the_tables(stages):
    for name, stage in stages.items():
        for out in stage.outs:
            in_git = str(out).startswith("reports") and not str(out).endswith("index.html")
            assert out.use_cache != in_git, f"{name}: {out} (one uncached out switches the run cache off)"
            assert not out.persist, f"{name}: {out} would resume with other parameters' weights"
        assert not stage.frozen
        assert not stage.always_changed


def test_no_two_stages_share_an_out(stages):
    outs = [str(out) for stage in stages.values() for out in stage.outs]
    assert len(outs) == len(set(outs))


def test_every_run_is_trained_and_scored(stages):
    outs = {str(out) for stage in stages.values() for out in stage.outs}
    for run in names(load(ROOT / "params.yaml")):
        files = ["run.json", "scores.json"] if run.startswith("tuned-") else ["model.safetensors", "scores.json"]
        assert {f"runs/{run}/{file}" for file in ("model.json", "errors.csv", *files)} <= outs
    for run in probed(load(ROOT / "params.yaml")):
        assert {f"runs/{run}/probes.csv", f"runs/{run}/probe.json"} <= outs


def test_six_task_trainings_alone_record_affinities_and_depend_on_how_often(stages):
    for name, stage in stages.items():
        kept = any(str(out).startswith("runs") and str(out).endswith("affinity.csv") for out in stage.outs)
        read = any("scale.affinity_every" in getattr(dep, "params", ()) for dep in stage.deps)
        assert kept == read == name.startswith("train_six@"), name


def imported(module: str) -> set[str]:
    """Files of the project that importing ``module`` and what it imports late brings in."""
    late = "mult.models.constant, mult.models.cost, mult.models.registry, mult.training.trainer"
    code = (
        f"import sys, json, {module}" + (f", {late}" if module == "pipelines.train" else "") + ";"
        "print(json.dumps([m.__file__ for n, m in sys.modules.items() if n.startswith(('mult.', 'pipelines.'))]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    return {str(path).removeprefix(f"{ROOT}/") for path in json.loads(done.stdout)}


@pytest.mark.parametrize(
    ("module", "stage", "exempt"),
    [
        ("pipelines.train", "train_single@depth-0", set()),
        # What trained it reaches the scores through the weights: with other batches or first weights there are others.
        ("pipelines.evaluate", "evaluate_single@depth-0", TRAINED_BY | SHOWN_BY),
        ("pipelines.fine_tune", "fine_tune_six@shared-0", set()),
        ("pipelines.ablation", "ablation", {"src/mult/tasks.py", "src/mult/evaluation/results.py"}),
        ("pipelines.tables", "tables", {"src/mult/tasks.py", "src/mult/evaluation/results.py"}),
        ("pipelines.probe", "probe@shared-0", TRAINED_BY),
        ("pipelines.prepare", "prepare@doom", {"src/mult/tasks.py"}),  # mult.params reads their names
        ("pipelines.sheet", "sheet@doom", {"src/mult/tasks.py"}),
        ("pipelines.gallery", "gallery@doom", TRAINED_BY | {"src/mult/data/frame.py"}),
        ("pipelines.figures", "figures", {"src/mult/runs.py"}),
        ("pipelines.gallery_figures", "gallery_figures@doom", set()),
        ("pipelines.site", "site", set()),
        ("pipelines.affinity", "affinity", {"src/mult/tasks.py", "src/mult/evaluation/results.py"}),
        ("pipelines.probes", "probes", {"src/mult/runs.py"}),
        ("pipelines.grouping", "grouping", {"src/mult/tasks.py", "src/mult/evaluation/results.py"}),
    ],
)
def test_a_stage_depends_on_the_code_that_it_runs(stages, module, stage, exempt):
    deps = {str(dep) for dep in stages[stage].deps} | exempt
    for path in sorted(imported(module)):
        if path.split("/")[-1].removesuffix(".py") in ASIDE and path.count("/") == 2:
            continue
        if path.endswith("__init__.py") or path.startswith(("src/mult/tracking/", "src/mult/params/")):
            continue
        assert any(path == dep or path.startswith(f"{dep}/") for dep in deps), f"{stage} lacks {path}"


def test_a_plot_or_a_table_never_retrains(stages):
    for name, stage in stages.items():
        if name.startswith(("prepare", "train", "constant")):
            deps = " ".join(str(dep) for dep in stage.deps)
            assert "reports" not in deps
            assert "evaluation" not in deps
