"""The logged model, behind MLflow's own server."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch

from mult import tracking
from mult.evaluation.predictions import predict
from mult.models import registry
from mult.tasks import TASKS
from mult.tracking import sync
from tests.models.test_mult import DECODER, TINY
from tests.outage import NOWHERE

SWIN = {
    "name": "swin_tiny_patch4_window7_224",
    "pretrained": False,
    "coordinates": True,
    "stem": "conv",
    "options": TINY,
}
CONFIG = {
    "run": "mult-shared-s0", "model": "mult", "tasks": list(TASKS), "classes": ["void", "wall", "floor"], "seed": 0,
    "image_size": 32, "encoder": SWIN, "decoder": DECODER,
}  # fmt: skip


@pytest.fixture(scope="module")
def logged(tmp_path_factory) -> tuple[str, torch.nn.Module]:
    """The URI of a model that was kept while MLflow was away and sent later, and the model."""
    folder = tmp_path_factory.mktemp("served") / "mult-shared-s0"
    registry.save_model(folder, registry.build(CONFIG), CONFIG)
    store = f"sqlite:///{folder.parent}/mlflow.db"
    mlflow.set_tracking_uri(store)
    experiment = mlflow.create_experiment("mult", artifact_location=f"file://{folder.parent}/mlruns")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder.parent)
        patch.setattr(sync, "SETTLE_S", 0.0)
        patch.setenv("MLFLOW_TRACKING_URI", NOWHERE)
        with tracking.stage_run("model mult-shared-s0", {}, {}) as run:
            assert run.model(folder, CONFIG["tasks"]) == "", "the store that will know has not answered"
        sync.sync(to=store)
    (model,) = mlflow.MlflowClient(store).search_logged_models([experiment])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", store)
        yield model.model_uri, registry.load_model(folder)[0]


@pytest.fixture(scope="module")
def address(logged) -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["mlflow", "models", "serve", "-m", logged[0], "--env-manager", "local", "-p", str(port), "-w", "1"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # where its web server is
    server = subprocess.Popen(
        [sys.executable, "-m", *command],
        env=os.environ | {"PATH": path, "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield _ready(f"http://127.0.0.1:{port}", server)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _ready(address: str, server: subprocess.Popen) -> str:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert server.poll() is None, server.stdout.read().decode()
        try:
            with urllib.request.urlopen(f"{address}/ping"):
                return address
        except OSError:
            time.sleep(0.5)
    raise AssertionError("the server does not answer")


def ask(address: str, inputs: list) -> dict:
    """What the server answers to ``inputs``."""
    body = json.dumps({"inputs": inputs}).encode()
    request = urllib.request.Request(f"{address}/invocations", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["predictions"]


@pytest.mark.slow
def test_mlflow_serves_the_maps_that_the_model_predicts(logged, address):
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 64, 3), np.uint8)
    maps = ask(address, images.tolist())
    assert set(maps) == {task.name for task in TASKS.values()}
    rgb = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    for image, wanted in enumerate(predict(logged[1], image[None])[0] for image in rgb):
        for task, codes in wanted.items():
            assert np.array_equal(np.array(maps[TASKS[task].name][image]), codes), task


@pytest.mark.slow
def test_other_input_is_refused_by_the_signature(address):
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(address, [[1, 2]])
    assert refused.value.code == 400


def test_nothing_is_pickled(logged):
    folder = Path(mlflow.artifacts.download_artifacts(logged[0]))
    kept = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert not kept & {".pkl", ".pickle", ".pt", ".pth"}, kept
    assert {".safetensors", ".py"} <= kept
