"""The pipeline on two Ray nodes of this machine, against the same pipeline without Ray."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import yaml

from mult import clones, cluster
from mult.errors import UserError
from mult.evaluation.results import load_results
from mult.params import load
from tests.conftest import ROOT
from tests.project import Project, copy_project

CNN = "src/mult/baselines/cnn.py"
NODES = ("a", "b")
ELSEWHERE = ["wall_s", "mlflow_run_id", "git_commit"]  # columns that differ from one run to the next


# --- without Ray


def test_without_ray_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"mult repro --ray needs Ray; pip install -e '\.\[ray\]'"):
        cluster.import_ray()


def test_what_is_not_committed_is_refused_but_for_what_clones_are_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = ("params.yaml", "dvc.lock", "reports/results.csv", "src/mult/code.py")
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    Project(tmp_path).commit()
    for name in (*files[:3], "notes.txt"):
        (tmp_path / name).write_text("changed")
    assert cluster.uncommitted() == []
    (tmp_path / "src/mult/new.py").touch()
    assert cluster.uncommitted() == ["src/mult/new.py"]
    (tmp_path / files[3]).write_text("changed")
    assert cluster.uncommitted() == ["src/mult/code.py", "src/mult/new.py"]


@pytest.mark.parametrize(
    ("key", "changed"),
    [
        ("domains.nyuv2.root", lambda text: text.replace("root: /data/nyuv2", "root: sets/nyuv2")),
        ("domains.taskonomy.split", lambda text: text.replace("split: fullplus", "split: mine.csv")),
        ("encoder.pretrained", lambda text: text.replace("pretrained: true", "pretrained: swin.safetensors")),
    ],
)
def test_paths_that_lead_elsewhere_from_clones_are_refused(tmp_path, key, changed):
    text = (ROOT / "params.yaml").read_text()
    path = tmp_path / "params.yaml"
    path.write_text(text)
    cluster._absolute(load(path, "paper").scale)
    path.write_text(changed(text))
    with pytest.raises(UserError, match=rf"^params.yaml: scales.paper.{key}: \S+: with --ray .*; write /"):
        cluster._absolute(load(path, "paper").scale)


def test_sqlite_serves_one_host_and_a_server_many(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert cluster.store(hosts=1) == f"sqlite:///{os.getcwd()}/mlflow.db"
    with pytest.raises(UserError, match=r"sqlite:///mlflow.db serves one host, not 2: start a server"):
        cluster.store(hosts=2)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    with pytest.raises(UserError, match=r"serves one host, not 2"):
        cluster.store(hosts=2)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://head:5000")
    assert cluster.store(hosts=2) == "http://head:5000"


@pytest.mark.parametrize(
    ("nodes", "asked", "fit"),
    [
        ([{"CPU": 4.0}, {"CPU": 3.0}], {"train": 0}, 3),
        ([{"CPU": 16.0, "GPU": 4.0}, {"CPU": 4.0, "GPU": 4.0}], {"train": 1, "prepare": 0}, 6),
        ([{"CPU": 16.0, "GPU": 4.0}, {"CPU": 64.0}], {"train": 2}, 2),
    ],
)
def test_as_many_stages_at_a_time_as_nodes_have_room_for(nodes, asked, fit):
    assert cluster.room(nodes, cpus=2, gpus=max(asked.values())) == fit


def test_a_stage_that_fits_nowhere_is_refused():
    with pytest.raises(UserError, match="no node has the 2 CPUs and 2 GPUs"):
        cluster.room([{"CPU": 8.0, "GPU": 1.0}], cpus=2, gpus=2)


def test_a_clone_is_one_process_s_and_survives_what_a_kill_leaves(tmp_path):
    head = Project(tmp_path / "head")
    for name in (".dvc/config", "params.yaml"):
        (head.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (head.folder / name).write_text("committed")
    head.commit()
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=head.folder, capture_output=True, text=True
    ).stdout.strip()
    origin = clones.Origin(str(head.folder), commit, "as it stands", "[cache]", str(tmp_path / "clones"), {})
    first, lock = clones.take(tmp_path / "clones")
    second, _ = clones.take(tmp_path / "clones")
    assert first != second
    lock.close()
    assert clones.take(tmp_path / "clones")[0] == first
    clones.update(first, origin)
    (first / ".git" / "index.lock").touch()
    (first / "params.yaml").write_text("half")
    clones.update(first, origin)
    assert (first / "params.yaml").read_text() == "as it stands"
    assert (first / ".mult" / "logs").readlink() == head.folder / ".mult" / "logs"


# --- with Ray


def shrink(project: Project) -> Project:
    """Leave every kind of stage, but few of each, and trainings of two steps; and commit."""
    project.edit("if self.pairs != wanted:", "if not self.pairs:", "src/mult/params/whole.py")
    path = project.folder / "params.yaml"
    params = yaml.safe_load(path.read_text())
    params["pairs"] = ["depth+normal"]
    params["variants"] = {name: params["variants"][name] for name in ("skip", "shared")}
    params["sets"] = params["sets"][:1]
    params["comparisons"] = [of for of in params["comparisons"] if {of["variant"], of["base"]} <= {"skip", "shared"}]
    scale = params["scale"] = params["scales"]["smoke"]
    few = {"train": 4, "test": 4, "views": 4, "edge_sigma": 3.0}
    scale["domains"] = {"rooms-home": few | {"val": 4}, "doom": few}
    scale["fine_tune"] |= {"images": 4, "steps": 1}
    scale["probe_images"] = 4
    scale["balancings"] = scale["balancings"][:1]
    scale["seeds"]["six"] = [0]
    scale["baselines"]["runs"] = {"cnn-six-s0": "cnn"}
    scale["training"]["steps"] = 2
    params["sheet"] = {"images": 2, "size": 32}
    params["gallery"] = {"images": 2, "variants": ["skip", "shared"]}
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    project.commit()
    return project


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    return shrink(copy_project(tmp_path_factory.mktemp("cluster") / "mult"))


@pytest.fixture(scope="module")
def on_ray(project, tmp_path_factory):
    """Run `mult repro` in the project on two nodes with a CPU each."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install '.[ray]'")
    cluster.import_ray()
    from ray.cluster_utils import Cluster

    nodes = Cluster()
    for name in NODES:
        variables = {"DVC_SITE_CACHE_DIR": str(project.folder.parent / name)}
        variables["PYTHONPATH"] = project.environment["PYTHONPATH"]
        nodes.add_node(num_cpus=1, include_dashboard=False, env_vars=variables)
    yield ("mult", "repro", "--ray", nodes.address)
    nodes.shutdown()


@pytest.mark.slow
def test_two_nodes_make_what_one_machine_makes(project, on_ray, tmp_path):
    alone = Project(tmp_path / "alone")
    shutil.copytree(project.folder, alone.folder)
    alone.repro()
    project.run(*on_ray)
    results = [load_results(p.folder / "reports" / "results.csv").drop(columns=ELSEWHERE) for p in (alone, project)]
    pd.testing.assert_frame_equal(*results)
    for name in NODES:
        assert list((project.folder.parent / name / "repo").iterdir()), f"node {name} has run no stage"
    assert set(project.current_runs()) >= set(project.mlflow_ids().values())
    assert "everything is up to date" in project.repro()


@pytest.mark.slow
def test_a_failing_stage_takes_down_what_needs_it_and_nothing_is_made_twice(project, on_ray):
    before = project.mlflow_ids()
    text = (project.folder / "params.yaml").read_text()
    whole = "        maps = maps_of(self.encoder, images)\n"
    broken = f"        assert images.is_meta, 'a broken network'\n{whole}"  # which only a training finds out
    project.edit(whole, broken, CNN)
    project.commit()
    project.edit("  skip:\n    attention: skip\n", "  skip:\n    attention: skip\n    t2_mlp: true\n")
    said = project.run(*on_ray, code=1)
    assert "failed: train_baseline@cnn-six-s0; not tried because of it: ablation, affinity, balancing, coll" in said
    assert "a broken network" in said, "the end of the log"
    assert {run for run, made in project.mlflow_ids().items() if made != before[run]} == {
        "mult-skip-s0",
        "tuned-mult-skip-s0",
    }
    (project.folder / "params.yaml").write_text(text)
    project.edit(broken, whole, CNN)
    project.commit()
    project.run(*on_ray)
    assert project.mlflow_ids() == before, "restored from the run cache"


@pytest.mark.slow
def test_killing_the_head_leaves_no_trainer(project, on_ray):
    project.edit("steps: 2\n", "steps: 4000\n")
    process = project.start(*on_ray, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    project.wait_for_trainer(".mult/clones/*/.mult/locks")
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 5
    while project.processes() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert project.processes() == []
