"""What params.yaml asks for and cannot be made is told before the first stage."""

import os
import re
import subprocess
import sys

import pytest

from mult import preflight
from mult.errors import UserError
from mult.params import load
from mult.runs import resolve
from tests.conftest import ROOT
from tests.mutations import DOOM, TEXT

# A single kind of model, quick to make.
SMALL = re.sub(r"      runs:\n(?:        \S.*\n)+", "      runs: {}\n", TEXT)


def settings(tmp_path, *changes):
    text = SMALL
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    path = tmp_path / "params.yaml"
    path.write_text(text)
    return load(path)


def whole(found) -> None:
    """What ``ready`` looks at, in this process."""
    preflight._folders(found.scale, found.scale.domains)
    preflight.check(found)


RESNET = [("name: swin_tiny_patch4_window7_224", "name: resnet18"), ("options: {embed_dim", "options: {} # {embed_dim")]
NOWHERE = [
    ("pretrained: false   #", "pretrained: nowhere.pth #"), ("coordinates: true  ", "coordinates: false "),
    ("stem: conv ", "stem: patch "),
]  # fmt: skip
CNN = ("runs: {}", "runs: {cnn-six-s0: cnn}")
HUGE = [("embed_dim: 16", "embed_dim: 4096"), ("head_width: 16", "head_width: 4096"), ("device: auto", "device: cpu")]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            [("name: swin_tiny_patch4", "name: swin_teeny_patch4")],
            r"encoder: timm cannot make 'swin_teeny_patch4_window7",
        ),
        ([("embed_dim: 16,", "embed_dimm: 16,")], r"encoder: timm cannot make .*embed_dimm"),
        ([("depths: [1, 1, 1, 1]", "depths: []")], r"encoder: .*'depths': \[\]"),
        ([("num_heads: [1, 2, 4, 8]", "num_heads: [0, 2, 4, 8]")], r"encoder: .*'num_heads': \[0, 2, 4, 8\]"),
        ([("head_width: 16", "head_width: 5")], r"scale\.decoder\.head_width: 5 does not divide the width 16"),
        (RESNET, r"stem: conv is for networks with"),
        (NOWHERE, r"encoder\.pretrained: nowhere\.pth: no such file"),
        ([(DOOM, "nyuv2: {root: nowhere}")], r"scale\.domains\.nyuv2\.root: nowhere: no such folder"),
        ([(DOOM, "doom: {root: .}")], r"domains\.doom\.root: \.: no packed copy; leave out `root`"),
        (HUGE, r"^scale\.encoder: \d+ GiB for the weights of .*, but this machine has"),
        ([*HUGE[:2], ("device: auto", "device: auto ")], r"GiB for the weights"),
        ([("device: auto", "device: cuda")], r"hardware\.device: cuda: no GPU"),
        ([("name: test_resnet", "name: test_resnest"), CNN], r"^scale\.baselines\.encoder: timm cannot make"),
        # xtc is of the same model, and trained in one process: it must not hide the other one.
        ([("processes: 1 ", "processes: 4 "), ("runs: {}", "runs: {cnn-six-s0: cnn, xtc-six-s0: xtc}")], "more than 1"),
    ],
)
def test_what_cannot_be_made(tmp_path, changes, said):
    with pytest.raises(UserError) as error:
        whole(settings(tmp_path, *changes))
    assert re.search(said, str(error.value)), error.value
    assert "\n" not in str(error.value)


def test_a_batch_norm_that_would_see_one_value(tmp_path):
    """A ResNet's coarsest map of 32 pixels is one cell; a batch of one image has then nothing to norm by."""
    one = [("batch_size: 4", "batch_size: 1"), ("runs: {}", "runs: {cnn-single-depth-s0: cnn}")]
    with pytest.raises(
        UserError, match=r"baselines\.encoder: 'test_resnet' .*cannot be trained in cnn-.*: .*more than 1 value"
    ):
        preflight.check(settings(tmp_path, *one))


@pytest.mark.parametrize(
    ("name", "batch", "processes", "part", "tuned", "least"),
    [
        ("mult-shared-s0", 4, 1, 0, 8, 4),
        ("mult-shared-s0", 64, 1, 0, 64, 8),  # as many as the other domains have
        ("mult-shared-s0", 4, 2, 0, 8, 2),
        ("mult-shared-s0", 4, 1, 3, 8, 1),
        ("mult-shared-s0", 8, 1, 4, 6, 2),
        ("mult-shared-s0", 8, 1, 4, 1, 1),
        ("mult-shared-s0", 8, 1, 16, 8, 8),
        ("mult-shared-s0", 9, 3, 2, 9, 1),
        ("cnn-six-s0", 8, 2, 0, 1, 4),  # a baseline is not tuned
        ("xtc-six-s0", 8, 8, 0, 1, 8),  # and this one is trained in one process
    ],
)
def test_the_fewest_images_at_once(tmp_path, name, batch, processes, part, tuned, least):
    (tmp_path / "params.yaml").write_text(TEXT)
    found = load(tmp_path / "params.yaml")
    scale = found.scale
    training = scale.training.model_copy(update={"batch_size": batch})
    hardware = scale.hardware.model_copy(update={"processes": processes, "part": part})
    fine_tune = scale.fine_tune.model_copy(update={"images": tuned})
    update = {"training": training, "hardware": hardware, "fine_tune": fine_tune}
    assert preflight.smallest_batch(resolve(found, name), scale.model_copy(update=update)) == least


def test_it_is_asked_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found, asked = settings(tmp_path), []

    class Done:
        returncode, stderr = 0, ""

    monkeypatch.setattr(preflight.subprocess, "run", lambda *of, **options: asked.append(of) or Done)
    for _ in range(2):
        preflight.ready(found, {}, [], False)
    assert len(asked) == 1
    preflight.ready(found, {}, [], True)
    assert len(asked) == 2, "another machine is another question"
    preflight.ready(settings(tmp_path, ("window: 4\n", "window: 3\n")), {}, [], False)
    assert len(asked) == 3
    Done.returncode, Done.stderr = 1, "a warning\nerror: encoder: no\nand more\n"
    other = settings(tmp_path, ("window: 4\n", "window: 2\n"))
    with pytest.raises(UserError, match=r"^encoder: no$"):
        preflight.ready(other, {}, [], False)
    Done.returncode, Done.stderr = -9, "a warning\n"
    with pytest.raises(UserError, match=r"^looking at what params\.yaml asks for ended with code -9: a warning$"):
        preflight.ready(other, {}, [], False)


def test_only_the_folders_that_are_read_are_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(preflight.subprocess, "run", lambda *of, **options: type("Done", (), {"returncode": 0}))
    found = settings(tmp_path, (DOOM, "nyuv2: {root: nowhere}"))
    preflight.ready(found, {}, ["prepare@rooms-home", "train_six@shared-0"], False)
    with pytest.raises(UserError, match="nowhere: no such folder"):
        preflight.ready(found, {}, ["prepare@nyuv2"], False)


def test_a_compiler_that_is_not_there(tmp_path):
    """In a process of its own: PyTorch remembers what its compiler was like."""
    settings(tmp_path, ("compile: false", "compile: true "))
    code = "from mult import preflight, stage; from mult.params import load\n"
    code += "raise SystemExit(stage.exit_code(lambda: preflight.check(load())))"
    own = {"CXX": "/nowhere/c++", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | own, cwd=tmp_path, capture_output=True, text=True
    )
    assert "error: scale.hardware.compile: true: it does not work here; write false: " in done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_repro_says_it_before_anything_is_rendered(tmp_path):
    from tests.project import copy_project

    project = copy_project(tmp_path / "mult")
    project.edit("options: {embed_dim: 16,", "options: {embed_dimm: 16,")
    project.commit()
    said = project.run("mult", "repro", "--scale", "smoke", code=1)
    assert "error: scale.encoder: timm cannot make" in said
    assert said.count("\n") <= 3
    assert not (project.folder / "data").exists()


def test_every_scale_can_be_made_but_for_what_is_fetched(tmp_path, monkeypatch):
    (tmp_path / "params.yaml").write_text(
        re.sub(r"pretrained: true", "pretrained: false", (ROOT / "params.yaml").read_text())
    )
    preflight.check(load(tmp_path / "params.yaml", "laptop"))
