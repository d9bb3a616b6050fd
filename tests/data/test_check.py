"""`mult data check` finds planted faults to the last one, and nothing where there is none."""

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from mult.cli import main
from mult.data import labels
from mult.data.check import check, lines
from mult.data.check.axes import agreement
from mult.data.export import export
from mult.data.sources import open_data, open_source
from mult.data.store import Writer
from mult.errors import UserError
from tests.conftest import CLASSES, sample
from tests.data.test_labels import FOV, SAMPLES, sphere_and_plane


def found(report):
    """(what, first places, number, mend) of every kind."""
    return [(kind.what, kind.first, kind.number, kind.mend) for kind in report.tally.kinds()]


def command(*arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["data", "check", *map(str, arguments)])
    return ended.value.code, capsys.readouterr().out


@pytest.fixture
def copy(exported, tmp_path) -> Path:
    shutil.copytree(exported, tmp_path / "copy")
    return tmp_path / "copy"


def rewrite(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert cv2.imwrite(str(path), change(values))


def swap(bgr: np.ndarray) -> np.ndarray:
    """x right, y down, z forward to x right, z forward, y up."""
    red, green, blue = bgr[..., 2], bgr[..., 1], bgr[..., 0]
    return np.stack([255 - green, blue, red], -1)


# Label -> what is done to its file, what is found, and a part of the mend.
CHANGES = [
    ("reshading", lambda path: path.write_bytes(path.read_bytes()[:-20]), "truncated PNG", "fetch it again"),
    ("rgb", lambda path: path.write_bytes(b"GIF89a" + bytes(40)), "cannot be read as a picture", "fetch it again"),
    ("keypoints2d", lambda path: rewrite(path, lambda v: (v // 256).astype(np.uint8)), "8 bits", "fetch the original"),
    ("depth_zbuffer", lambda path: rewrite(path, lambda v: v * 0 + 65535), "empty: no pixel", "fetch it again"),
    ("normal", lambda path: rewrite(path, swap), "the axes are (x, z, -y)", "x right, y down, z forward"),
    ("edge_texture", lambda path: rewrite(path, lambda v: v[::2, ::2]), "16 x 16 pixels, but", "of one version"),
    ("edge_texture", lambda path: rewrite(path, lambda v: v * 0 + 9), "constant", "fetch it again"),
    ("segment_semantic", lambda path: rewrite(path, lambda v: v * 0 + 200), "class 200, but", "classes.json"),
    ("segment_semantic", lambda path: rewrite(path, lambda v: v * 0), "empty: no pixel", "leave the view out"),
    ("mask_valid", lambda path: path.unlink(), "no mask_valid, which other views have", "fetch mask_valid"),
    ("rgb", lambda path: path.unlink(), "labels without a picture", "fetch the picture"),
]


def test_planted_faults_are_found_to_the_last_one(copy, capsys):
    planted = []
    for picture, (label, harm, what, mend) in zip(sorted(copy.glob("rgb/*/*.png")), CHANGES, strict=True):
        name = picture.name.removesuffix("_domain_rgb.png")
        (path,) = copy.glob(f"{label}/{picture.parent.name}/{name}_domain_*.png")
        harm(path)
        planted.append((f"{picture.parent.name}/{name}", what, mend))
    report = check(open_data("taskonomy", copy), processes=1)
    kinds = found(report)
    assert len(report.tally) == len(kinds) == len(planted), "\n".join(lines(report))
    for place, what, mend in planted:
        hits = [kind for kind in kinds if what in kind[0] and f"/{place}" in f"/{kind[1][0]}"]
        assert len(hits) == 1, (place, what, kinds)
        assert mend in hits[0][3]
    code, out = command("taskonomy", copy, capsys=capsys)
    assert code == 1
    assert "11 faults; looked at all of 10 images" in out


def test_a_rendered_domain_is_clean(prepared, capsys):
    code, out = command("rooms-home", prepared("rooms-home"), capsys=capsys)
    assert code == 0
    assert "0 faults; looked at all of 11 images" in out


def test_several_processes_find_the_same(copy):
    for path in copy.glob("normal/*/*.png"):
        rewrite(path, swap)
    one, two = (found(check(open_data("taskonomy", copy), processes=processes)) for processes in (1, 2))
    assert one == two
    assert one[0][2] == 11


@pytest.mark.parametrize(
    ("label", "tasks"), [("segment_semantic", ["semseg"]), ("depth_zbuffer", ["depth"]), ("normal", [])]
)
def test_a_missing_domain_takes_its_tasks_away(copy, label, tasks, capsys):
    shutil.rmtree(copy / label)
    code, out = command("taskonomy", copy, capsys=capsys)
    assert code == bool(tasks)
    assert out.count("falls away") == len(tasks)
    for task in tasks:
        assert f"no view has {label}, nor what it is computed from: the task {task} falls away" in out
    if not tasks:
        assert "computed" in next(line for line in out.splitlines() if line.startswith(label))


def test_what_hangs_on_depth_falls_away_with_it(copy, capsys):
    for label in ("depth_zbuffer", "normal", "reshading", "mask_valid"):
        shutil.rmtree(copy / label)
    code, out = command("taskonomy", copy, capsys=capsys)
    assert code == 1
    assert [task for task in ("depth", "normal", "reshading") if f"the task {task} falls away" in out] == [
        "depth",
        "normal",
        "reshading",
    ]


def test_a_building_in_two_splits(copy, tmp_path, capsys):
    """In the layout <split>/<building>/<domain>, where nothing but the folders says what is in which split."""
    root = tmp_path / "splits"
    source = open_data("taskonomy", copy)
    groups = source.groups()
    for split, group in groups:
        for kind in copy.glob(f"*/{group}"):
            shutil.copytree(kind, root / split / group / kind.parent.name)
    shutil.copy(copy / "classes.json", root)
    assert not len(check(open_data("taskonomy", root), processes=1).tally)
    group = next(group for split, group in groups if split == "train")
    shutil.copytree(root / "train" / group, root / "test" / group)
    report = check(open_data("taskonomy", root), processes=1)
    assert [(what, first, number) for what, first, number, _ in found(report)] == [
        ("one group in several splits", [f"{group} (train, test)"], 1)
    ]
    code, out = command("taskonomy", root, capsys=capsys)
    assert code == 1
    assert "keep it in one split" in out
    with pytest.raises(UserError, match=f"{group} is in train and in test; keep it in one"):
        open_source("taskonomy", root)
    with pytest.raises(UserError, match=f"{group}: in train and in test"):
        export(open_data("taskonomy", root), tmp_path / "never")


def test_a_building_in_another_split_elsewhere(exported, copy, capsys):
    splits = (copy / "splits.csv").read_text().splitlines()
    assert splits[1].endswith(",1,,")
    (copy / "splits.csv").write_text("\n".join([splits[0], splits[1].replace(",1,,", ",,,1"), *splits[2:]]))
    assert command("taskonomy", copy, capsys=capsys)[0] == 0
    code, out = command("taskonomy", copy, "--against", "taskonomy", exported, capsys=capsys)
    assert code == 1
    assert f"{splits[1].split(',')[0]} (test here, train there)" in out


def test_so_many_images_evenly_spread(copy, capsys):
    for path in copy.glob("normal/*/*.png"):
        path.write_bytes(b"")
    code, out = command("taskonomy", copy, "--images", 4, capsys=capsys)
    assert code == 1
    assert "4 faults; looked at 4, evenly spread, of 11 images" in out
    code, out = command("taskonomy", copy, capsys=capsys)
    assert "11  cannot be read as a picture (normal)" in out
    assert "and 6 more" in out


def test_kinds_that_differ_in_a_number_are_one(copy):
    paths = sorted(copy.glob("reshading/*/*.png"))[:3]
    for cut, path in enumerate(paths, 20):
        path.write_bytes(path.read_bytes()[:-cut])
    ((what, first, number, _),) = found(check(open_data("taskonomy", copy), processes=1))
    assert what == "truncated PNG of … bytes (reshading)"
    assert number == 3
    assert first == [path.relative_to(copy).as_posix() for path in paths]


def test_prepared_data_that_were_altered(prepared, tmp_path):
    shutil.copytree(prepared("rooms-home"), tmp_path / "rooms")
    (tmp_path / "rooms" / "test" / "normal.npy").unlink()
    with pytest.raises(SystemExit, match=r"normal\.npy: missing, truncated or altered"):
        main(["data", "check", "rooms-home", str(tmp_path / "rooms")])


def test_arrays_are_looked_at_as_files_are(tmp_path):
    rng = np.random.default_rng(0)
    images = [sample(rng, 32) for _ in range(3)]
    images[1]["depth_zbuffer"][:] = 65535
    images[2]["segment_semantic"][5, 5] = len(CLASSES)
    writer = Writer(tmp_path / "noise", "noise", CLASSES, 32)
    writer.add("test", 3, ((image, "room", 1.0) for image in images))
    writer.close()
    assert [(what, first) for what, first, *_ in found(check(open_data("noise", tmp_path / "noise")))] == [
        ("empty: no pixel has a value (depth_zbuffer)", ["test/depth_zbuffer.npy [1]"]),
        ("class 4, but there are 0 to 3 (segment_semantic)", ["test/segment_semantic.npy [2]"]),
    ]


def test_a_bare_wall_is_no_fault(tmp_path):
    """Before it normals have one value, reshading is white, and a black picture's edges are 0."""
    depth = np.full((32, 32), 0.5)
    normal = np.broadcast_to(np.array([0, 0, -1.0], np.float32), (32, 32, 3))
    wall = sample(np.random.default_rng(0), 32) | {
        "depth_zbuffer": labels.encode_depth(depth),
        "normal": labels.encode_normal(normal),
        "reshading": labels.reshading(depth, normal, FOV),
        "mask_valid": np.full((32, 32), 255),
    }
    black = wall | {label: wall[label] * 0 for label in ("rgb", "keypoints2d", "edge_texture")}
    assert len(np.unique(wall["reshading"])) == len(np.unique(wall["normal"][..., 2])) == 1
    writer = Writer(tmp_path / "noise", "noise", CLASSES, 32)
    writer.add("test", 2, ((image, "room", FOV) for image in (wall, black)))
    writer.close()
    assert [(what, first) for what, first, *_ in found(check(open_data("noise", tmp_path / "noise")))] == [
        ("constant: one value all over the picture (rgb)", ["test/rgb.npy [1]"])
    ]


def test_left_out_buildings_are_no_fault(exported, tmp_path, capsys):
    """Under names of Taskonomy's, one of which its loaders forbid."""
    groups = [path.name for path in sorted((exported / "rgb").iterdir())]
    for name, group in zip(("allensville", "mosquito", "nobody"), groups, strict=False):
        for kind in exported.glob(f"*/{group}"):
            shutil.copytree(kind, tmp_path / kind.parent.name / name)
    shutil.copy(exported / "classes.json", tmp_path)
    code, out = command("taskonomy", tmp_path, capsys=capsys)
    assert code == 0
    assert "left out: mosquito (forbidden by Omnidata's loaders)" in out
    assert "left out: nobody (not in the partition fullplus)" in out


@pytest.mark.parametrize(("name", "faults"), [("taskonomy", 1), ("replica", 0)])
def test_real_samples(name, faults, capsys):
    if not (SAMPLES / name).is_dir():
        pytest.skip(f"no real sample files in {SAMPLES} (set MULT_SAMPLES)")
    code, out = command(name, SAMPLES / name, capsys=capsys)
    assert code == bool(faults)
    if faults:
        assert "1  no view has segment_semantic, nor what it is computed from: the task semseg falls away" in out
    else:
        assert "no semantic classes: no task semseg" in out


@pytest.mark.parametrize(("order", "sign", "name"), [
    ((0, 1, 2), (1, 1, 1), "(x, y, z)"), ((0, 2, 1), (1, 1, -1), "(x, z, -y)"), ((0, 1, 2), (1, -1, -1), "(x, -y, -z)"),
    ((2, 0, 1), (1, 1, 1), "(z, x, y)"),
])  # fmt: skip
def test_every_order_of_axes_is_told(order, sign, name):
    depth, normal, _ = sphere_and_plane()
    stored = labels.encode_normal(normal[..., list(order)] * np.array(sign))
    found = agreement(stored, labels.encode_depth(depth), FOV)
    assert found.axes == name
    assert found.swapped == (name != "(x, y, z)")
    assert found.best > 0.99


def test_nothing_is_said_of_axes_without_depth():
    depth, normal, _ = sphere_and_plane()
    assert agreement(labels.encode_normal(normal), np.full_like(labels.encode_depth(depth), 65535), FOV) is None
