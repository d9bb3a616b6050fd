"""Nothing from outside is run, and nothing leads out of its folder: weights, lists, indexes, names, servers."""

import ast
import ipaddress
import json
import os
import pickle
import re
import socket
import subprocess
import sys
import time

import h5py
import numpy as np
import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mult import stage
from mult.cli import main
from mult.data.export import export
from mult.data.index import build
from mult.data.lazy import open_index
from mult.data.sources import open_data, open_source
from mult.data.sources.array import read_array
from mult.data.sources.cocodoom_list import open_list
from mult.errors import UserError
from mult.files import read_json, sha256, write_json
from mult.models.pretrained import load_weights
from mult.paths import below, no_way_out, one_name
from mult.predict import load_predictor
from mult.training.checkpoint import Checkpoints
from tests.conftest import ROOT, write_domain
from tests.data.sources import nyu_miniature as miniature
from tests.data.sources.miniature import write_taskonomy
from tests.stores import free_port
from tests.test_predict import save

SOURCES = sorted(path for folder in ("src", "pipelines") for path in (ROOT / folder).rglob("*.py"))


ITS_OWN = "src/mult/bench/data.py:"  # unpickles what it has pickled a line before


class Bomb:
    """What unpickles by making the file ``went-off`` in the current folder."""

    def __reduce__(self):
        return open, ("went-off", "w")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder; no test may set a bomb off in it."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not (tmp_path / "went-off").exists()


def refused(call, *arguments) -> str:
    with pytest.raises(UserError) as error:
        call(*arguments)
    said = str(error.value)
    assert "\n" not in said
    return said


# --- what is loaded


def calls() -> list[tuple[str, str, ast.Call]]:
    """Place, dotted name and node of every call in the code."""
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                found.append((f"{path.relative_to(ROOT)}:{node.lineno}", ast.unparse(node.func), node))
    return found


def test_nothing_is_unpickled_evaluated_or_given_to_a_shell():
    said = {place: name for place, name, _ in calls()}
    never = (
        r"(c?pickle|dill|joblib|shelve|marshal|cloudpickle)\.loads?|pd\.read_pickle|eval|exec|os\.(system|popen)|"
        r"yaml\.(load_all|full_load|unsafe_load\w*)|(tarfile|zipfile)\..*|shutil\.unpack_archive|.*\.extractall"
    )
    found = {place for place, name in said.items() if re.fullmatch(never, name)}
    assert not {place for place in found if not place.startswith(ITS_OWN)}
    for place, name, node in calls():
        options = {of.arg: ast.unparse(of.value) for of in node.keywords}
        assert options.get("shell", "False") == "False", place
        assert options.get("allow_pickle", "False") == "False", place  # NumPy's default
        assert options.get("weights_only", "True") == "True", place
        if name == "torch.load":
            assert "weights_only" in options, place
        if name == "yaml.load":
            assert ast.unparse(node.args[1]) in ("yaml.CSafeLoader", "yaml.SafeLoader"), place
        if name == "YAML":
            assert options.get("typ") == "'safe'", place


def test_weights_are_tensors_and_nothing_else(folder):
    for name, content in {"a.pth": {"weight": Bomb()}, "b.pt": Bomb()}.items():
        torch.save(content, folder / name)
        assert "no weights can be read" in refused(load_weights, nn.Linear(2, 2), folder / name)
    (folder / "c.pth").write_bytes(pickle.dumps(Bomb()))
    assert "no weights can be read" in refused(load_weights, nn.Linear(2, 2), folder / "c.pth")
    (folder / "d.safetensors").write_bytes(pickle.dumps(Bomb()))
    assert "no weights can be read" in refused(load_weights, nn.Linear(2, 2), folder / "d.safetensors")


def test_a_checkpoint_is_tensors_and_plain_values(folder):
    """Also one whose digest is right: whoever can write the one can write the other."""
    path = folder / "step-00000003.pt"
    torch.save({"state": Bomb()}, path)
    write_json(path.with_suffix(".json"), {"sha256": sha256(path)})
    try:
        found = Checkpoints(folder, 1.0).newest()
    except pickle.UnpicklingError:
        return  # refused; the reader does not yet turn it into a warning
    assert found is None


def test_arrays_are_numbers(folder):
    np.save(folder / "a.npy", np.array([Bomb()], object), allow_pickle=True)
    assert "no whole .npy array" in refused(read_array, folder / "a.npy", 1, "depth_zbuffer")
    lists = folder / "run-train.json"
    lists.write_text(json.dumps({"images": [], "annotations": [], "categories": []}))
    open_list(lists, folder / "aside")
    kept = next((folder / "aside").glob("*.npz"))
    np.savez(kept, images=np.array([Bomb()], object), things=np.zeros(0, int), classes=np.zeros(0, np.uint8))
    assert len(open_list(lists, folder / "aside").images) == 0  # read anew


def test_somebody_else_s_run_describes_a_model_of_ours(folder):
    run = save(folder / "theirs")
    load_predictor(str(run))
    good = read_json(run / "model.json")
    for change, words in (
        ({"options": {"checkpoint_path": "bomb.pth"}}, "'checkpoint_path' is no option"),
        ({"options": {"pretrained_cfg_overlay": {"file": "bomb.pth"}}}, "'pretrained_cfg_overlay' is no option"),
        ({"name": "hf-hub:some/model"}, "'hf-hub:some/model': write the name of a timm model"),
        ({"name": "local-dir:/tmp"}, "write the name of a timm model"),
    ):
        write_json(run / "model.json", good | {"encoder": good["encoder"] | change})
        said = refused(load_predictor, str(run))
        assert said.startswith(f"{run / 'model.json'}: encoder.")
        assert words in said
    for wrong in ({}, [], good | {"tasks": ["depth", "../x"]}, good | {"classes": 3}, good | {"image_size": 10**9}):
        write_json(run / "model.json", wrong)
        assert "no description of one of" in refused(load_predictor, str(run))


# --- where paths lead

OUT = st.sampled_from(["..", "/", "\0", "\n", "/etc", "a", ".", "...", "b c", "\\", "é"])


@given(st.lists(OUT, min_size=1, max_size=5).map("/".join) | st.text(max_size=20))
def test_a_path_stays_below_its_folder_or_is_refused(path):
    for check in (below, one_name):
        try:
            check(path, "list")
        except UserError:
            continue
        where = os.path.normpath(os.path.join("/root/folder", path))
        assert where.startswith("/root/folder/")
        assert check is below or os.path.dirname(where) == "/root/folder"


@pytest.mark.parametrize("path", [None, 3, ["a"], b"a"])
def test_a_path_is_text(path):
    assert "take it out" in refused(below, path, "list")
    assert "take it out" in refused(one_name, path, "list")


@pytest.mark.parametrize("name", ["../../0003", "/etc/passwd", "..", "a/b", "0003\x00", "0003\x1b"])
def test_names_in_nyu_s_lists_stay_in_their_folder(folder, name):
    miniature.mtl_pytorch(folder / "a")
    (folder / "a/gt_sets/train.txt").write_text(f"0003\n{name}\n")
    said = refused(open_source, "nyuv2", folder / "a")
    assert said.startswith(f"{folder / 'a/gt_sets/train.txt'}: ")
    assert "is no name of one file" in said


def test_adashare_s_lists_stay_in_their_folders(folder):
    miniature.adashare(folder / "a")
    miniature.adashare_lists(folder / "a", train=["0002"], test=["../../0000", "/etc/0003"])
    names = {view.name for view in miniature.views(open_source("nyuv2", folder / "a"))}
    assert names == {"0002", "0000", "0003"}  # a file's name is taken and its folder is not
    for name in ("0002\0", "x/.."):
        (folder / "a/nyu_v2_3task.json").write_text(json.dumps({"train": [[name]]}))
        assert "is no name of one file" in refused(open_source, "nyuv2", folder / "a")


def test_a_listed_file_is_no_link_out_of_its_folder(folder):
    miniature.mtl_pytorch(folder / "a")
    picture = folder / "a/images/0003.jpg"
    picture.rename(folder / "elsewhere.jpg")
    picture.symlink_to(folder / "elsewhere.jpg")
    assert refused(open_source, "nyuv2", folder / "a").startswith(f"{picture}: a link to {folder / 'elsewhere.jpg'}")
    picture.unlink()
    (folder / "elsewhere.jpg").rename(folder / "a/images/kept.jpg")
    picture.symlink_to("kept.jpg")
    open_source("nyuv2", folder / "a")
    (folder / "a/images").rename(folder / "disk")  # the owner's own link
    (folder / "a/images").symlink_to(folder / "disk")
    open_source("nyuv2", folder / "a")
    no_way_out(folder / "a/images/0004.jpg")


def test_hdf5_leads_to_no_other_file(folder):
    """HDF5 opens linked files, and takes the bytes of any file for a data set's, without a word."""
    secret = folder / "secret"
    secret.write_bytes(bytes(4 * 480 * 640 * 2))
    for kind in ("link", "external", "virtual", "scene"):
        root = folder / kind
        miniature.labelled(root)
        with h5py.File(root / "nyu_depth_v2_labeled.mat", "a") as file:
            shape = file["labels"].shape
            if kind == "scene":
                text = file.create_dataset("text", (7, 1), np.uint8, external=[(str(secret), 0, h5py.h5f.UNLIMITED)])
                file["scenes"][0, 1] = text.ref
            else:
                del file["labels"]
            if kind == "link":
                miniature.labelled(folder / "other")
                file["labels"] = h5py.ExternalLink(str(folder / "other/nyu_depth_v2_labeled.mat"), "/labels")
            elif kind == "external":
                file.create_dataset("labels", shape, np.uint16, external=[(str(secret), 0, h5py.h5f.UNLIMITED)])
            elif kind == "virtual":
                layout = h5py.VirtualLayout(shape, np.uint16)
                layout[:] = h5py.VirtualSource(str(folder / "link/nyu_depth_v2_labeled.mat"), "labels", shape)
                file.create_virtual_dataset("labels", layout)
        assert "is no array in this file" in refused(open_source, "nyuv2", root), kind


def test_an_index_leads_out_of_no_data_set(folder):
    root = write_taskonomy(folder / "taskonomy", "buildings", {"beechwood": ""})
    source = open_source("taskonomy", root)
    views = [view for group in source.groups() for view in source.views(*group)]
    index = folder / "index"
    for path in ("../secret.png", "/etc/passwd", "rgb/../../secret.png"):
        source.views = lambda split, group, of=path: iter([views[0].__class__(split, group, "x", {"rgb": of}, 1.0)])
        (folder / "secret.png").write_bytes(b"")
        try:
            build(source, index, 8, folder / "aside")
        except (UserError, OSError):
            continue  # refused already
        about = read_json(index / "index.json")
        split = next(iter(about["splits"]))
        assert "leads out" in refused(lambda of=about, s=split: open_index(index, of, s).arrays["rgb"][0])


def test_prepared_data_of_somebody_else_lead_nowhere(folder):
    root = write_domain(folder / "noise")
    open_data("noise", root)
    good = read_json(root / "index.json")
    train = good["splits"]["train"]
    outside = {"../../elsewhere": train["files"]["rgb"]}
    for splits in ({"../train": train}, {"train": train | {"files": outside}}):
        write_json(root / "index.json", good | {"splits": splits})
        assert "in its index is no split and no label" in refused(open_data, "noise", root)
    for elsewhere in (3, None, ["/etc"]):
        write_json(root / "index.json", {**good, "domain": "taskonomy", "root": elsewhere, "partition": None})
        assert "is no folder's name" in refused(open_data, "taskonomy", root)


def test_an_export_stays_in_its_folder(folder):
    root = write_domain(folder / "noise")
    index = read_json(root / "index.json")
    for split in index["splits"].values():
        split["groups"] = [f"../{split['images']}/.."] * split["images"]
    index["splits"]["train"]["groups"] = [".."] * index["splits"]["train"]["images"]
    write_json(root / "index.json", index)
    before = {path for path in folder.rglob("*") if "out" not in path.parts}
    index["splits"] = {"train": index["splits"]["train"]}
    write_json(root / "index.json", index)
    export(open_data("noise", root), folder / "out", processes=1)
    assert {path for path in folder.rglob("*") if folder / "out" not in (path, *path.parents)} == before
    assert {path.name for path in (folder / "out/rgb").iterdir()} == {"-"}


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../b", "..", "", "x\x00y", "x\ny"])
def test_a_run_s_name_is_no_path(folder, name, capsys):
    (folder / "pipelines").symlink_to(ROOT / "pipelines")
    for script in ("evaluate", "fine_tune", "probe", "train", "prepare", "log_model"):
        assert stage.run(script, [name]) == 1
        said = capsys.readouterr().err
        assert said.startswith("error: ")
        assert said.count("\n") == 1
    with pytest.raises(SystemExit) as ended:
        main(["export", "--run", name])
    assert str(ended.value.code).startswith("error: --run: ")
    assert not any(folder.rglob("*.lock"))


# --- who is listened to


def listening(process: psutil.Process) -> set[str]:
    """Addresses that ``process`` and its descendants listen on."""
    found = set()
    for of in (process, *process.children(recursive=True)):
        found |= {c.laddr.ip for c in of.net_connections("inet") if c.status == psutil.CONN_LISTEN}
    return found


def wait_for_listeners(process: psutil.Process, count: int = 1) -> set[str]:
    deadline = time.monotonic() + 90
    while len(found := listening(process)) < count:
        assert time.monotonic() < deadline, "nobody listens"
        assert process.is_running()
        time.sleep(0.2)
    return found


@pytest.mark.slow
def test_the_ui_listens_to_this_machine_alone(folder):
    (folder / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    command = [sys.executable, "-c", "from mult.cli import main; main()", "ui", "--port", str(free_port())]
    ui = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert all(ipaddress.ip_address(of).is_loopback for of in wait_for_listeners(psutil.Process(ui.pid)))
    finally:
        ui.terminate()
        ui.wait()


WORKER = """
import os, sys, time
import torch.distributed as dist

dist.init_process_group("gloo")
dist.barrier()
with open(f"here-{os.environ['RANK']}", "w") as file:
    file.write(os.environ.get("GLOO_SOCKET_IFNAME", ""))
time.sleep(60)
"""
LAUNCH = "import sys; from mult.launch import launch; launch('worker', [], 2)"


def test_the_processes_of_a_training_listen_to_this_machine_alone(folder):
    (folder / "worker.py").write_text(WORKER)
    parent = subprocess.Popen([sys.executable, "-c", LAUNCH])
    try:
        deadline = time.monotonic() + 90
        while len(list(folder.glob("here-*"))) < 2:
            assert parent.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        found = listening(psutil.Process(parent.pid))
        assert found
        assert all(ipaddress.ip_address(of).is_loopback for of in found), found
        if "lo" in (name for _, name in socket.if_nameindex()):  # elsewhere a host's name may lead gloo to another
            assert {path.read_text() for path in folder.glob("here-*")} == {"lo"}
    finally:
        for process in psutil.Process(parent.pid).children(recursive=True):
            process.kill()
        parent.wait()


def test_the_code_asks_for_no_other_address():
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"0\.0\.0\.0|INADDR_ANY|\[::\]", text), path
        assert re.findall(r'"--host", (.*?),', text) in ([], ['"127.0.0.1"']), path
