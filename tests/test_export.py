"""ONNX files of tiny untrained runs: they compute what PyTorch does, for any batch, and carry what a user needs."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mult import export, predict
from mult.errors import UserError
from mult.export import Report, export_onnx
from mult.models import registry
from tests.models.test_mult import DECODER, TINY

TASKS = ["semseg", "depth"]
CLASSES = ["void", "wall", "floor, or rug"]
SWIN = {"name": "swin_tiny_patch4_window7_224", "pretrained": False, "coordinates": True, "options": TINY}
RESNET = {"name": "resnet18", "pretrained": False, "coordinates": False, "options": {}}


def save(folder: Path, size: int = 32, model: str = "mult", encoder: dict = SWIN, **decoder) -> dict:
    """A run as training leaves it, but untrained; returns its model.json."""
    config = {
        "run": folder.name, "model": model, "tasks": TASKS, "seed": 0, "classes": CLASSES, "train_domain": "noise",
        "image_size": size, "encoder": encoder, "decoder": DECODER | decoder,
    }  # fmt: skip
    torch.manual_seed(0)
    made = registry.build(config)
    for parameter in made.parameters():  # what starts as zero or one would hide an operator that is left out
        parameter.data += 0.1 * torch.randn_like(parameter)
    registry.save_model(folder, made, config)
    return registry.read_json(folder / "model.json")


def load(path: Path):
    return pytest.importorskip("onnxruntime").InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.fixture
def packages():
    for name in ("onnxscript", "onnxruntime"):
        pytest.importorskip(name)


def check(folder: Path, out: Path, size: int, said: int | None = None) -> Report:
    report = export_onnx(folder, out, said)
    assert report.max_difference <= 1e-4
    assert report.megabytes == pytest.approx(out.stat().st_size / 1e6)
    assert min(report.latency_ms, report.torch_latency_ms) > 0
    session, (model, _) = load(out), registry.load_model(folder)
    (given,) = session.get_inputs()
    assert (given.name, given.type, given.shape) == ("rgb", "tensor(float)", ["batch", 3, size, size])
    assert [output.name for output in session.get_outputs()] == TASKS
    for batch in (1, 3, 4):  # not all of them batches that the export itself has checked
        images = torch.rand(batch, 3, size, size) ** 2
        with torch.no_grad():
            expected = model(images)
        for task, values in zip(TASKS, session.run(None, {"rgb": images.numpy()}), strict=True):
            wanted = expected[task].numpy()
            np.testing.assert_allclose(values, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())
    return report


def test_outputs_and_metadata(packages, tmp_path):
    config = save(tmp_path / "constant-s0", model="constant")
    out = tmp_path / "made" / "model.onnx"
    report = check(tmp_path / "constant-s0", out, 64, said=64)
    assert load(out).get_modelmeta().custom_metadata_map == {
        "run": "constant-s0",
        "train_domain": "noise",
        "weights_sha256": config["weights_sha256"],
        "tasks": json.dumps(TASKS),
        "classes": json.dumps(CLASSES),
        "image_size": "64",
        "scales": '{"semseg": 1.0, "depth": 4.0}',
    }
    assert b".py" not in out.read_bytes(), "nothing of the machine it was made on"
    assert [path.name for path in out.parent.iterdir()] == ["model.onnx"]
    assert str(out) in report.lines()[0]
    assert all("\n" not in line for line in report.lines())


@pytest.mark.slow
@pytest.mark.parametrize(("attention", "size"), [("self", 32), ("skip", 64), ("shared", 32), ("shared", 64)])
def test_swin(packages, tmp_path, attention, size):
    save(tmp_path / "run", size, attention=attention, skip="concat", t2_shift=True, t2_mlp=True)
    check(tmp_path / "run", tmp_path / "model.onnx", size)
    assert b".py" not in (tmp_path / "model.onnx").read_bytes()


@pytest.mark.slow
def test_a_backbone_with_channels_first_at_another_size(packages, tmp_path):
    save(tmp_path / "run", 64, encoder=RESNET, skip="add")
    check(tmp_path / "run", tmp_path / "model.onnx", 96, said=96)


def test_no_file_where_the_outputs_differ(packages, tmp_path, monkeypatch):
    save(tmp_path / "run", model="constant")
    monkeypatch.setattr(export, "_max_difference", lambda *_: float("nan"))
    with pytest.raises(UserError, match="differs from PyTorch by nan"):
        export_onnx(tmp_path / "run", tmp_path / "out" / "model.onnx")
    assert not (tmp_path / "out").exists()


def test_a_difference_is_seen(packages, tmp_path):
    save(tmp_path / "run", model="constant")
    export_onnx(tmp_path / "run", tmp_path / "model.onnx")
    model, _ = registry.load_model(tmp_path / "run")
    with torch.no_grad():
        model.values["depth"] += 1e-2 * model.values["depth"].abs()
        assert export._max_difference(model, load(tmp_path / "model.onnx"), 32) == pytest.approx(1e-2, rel=0.05)


@pytest.mark.parametrize("size", [-32, 0, 33, 40])
def test_a_size_that_is_no_multiple_of_32(packages, tmp_path, size):
    with pytest.raises(UserError, match=f"--size: {size} is no multiple of 32"):
        export_onnx(tmp_path, tmp_path / "model.onnx", size)


def test_a_folder_for_a_file(packages, tmp_path):
    with pytest.raises(UserError, match="is a folder; name a file"):
        export_onnx(tmp_path, tmp_path)


def test_a_run_of_another_version(packages, tmp_path, monkeypatch):
    save(tmp_path / "run")
    monkeypatch.setattr(predict, "load_model", lambda folder: {}["heads.semseg"])
    with pytest.raises(UserError, match=r"its model cannot be made here: KeyError: .*; is it of another version\?"):
        export_onnx(tmp_path / "run", tmp_path / "model.onnx")


def test_no_such_run(packages, tmp_path):
    with pytest.raises(UserError, match="no trained model here"):
        export_onnx(tmp_path / "nothing", tmp_path / "model.onnx")


@pytest.mark.parametrize("name", ["onnxscript", "onnxruntime"])
def test_a_missing_package(packages, tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=rf"{name}; install it with: pip install -e '\.\[export\]'"):
        export_onnx(tmp_path, tmp_path / "model.onnx")


def test_weights_beyond_one_file(packages, tmp_path, monkeypatch):
    save(tmp_path / "run", model="constant")
    monkeypatch.setattr(export, "LIMIT", 4)
    with pytest.raises(UserError, match="an ONNX file holds 2"):
        export_onnx(tmp_path / "run", tmp_path / "model.onnx")
