"""`mult annotate` as a user calls it: real files where they are there, made-up ones elsewhere."""

import subprocess
import sys

import cv2
import numpy as np
import pytest

from mult.data import labels
from tests.data.test_labels import FOV, SAMPLES, VIEWS, blocks, correlation, read, read_fov, sphere_and_plane


def annotate(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "mult", "annotate", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def made(folder, out):
    return {path.stem: cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in (folder / out).glob("*.png")}


@pytest.fixture
def view(tmp_path):
    """A picture with the depth and the normals of a ball before a wall."""
    depth, normal, _ = sphere_and_plane(192)
    cv2.imwrite(str(tmp_path / "rgb.png"), blocks(192, 192))
    cv2.imwrite(str(tmp_path / "z.png"), labels.encode_depth(depth))
    cv2.imwrite(str(tmp_path / "euclid.png"), labels.encode_depth(labels.euclidean_from_zbuffer(depth, FOV)))
    cv2.imwrite(str(tmp_path / "normal.png"), labels.encode_normal(normal)[..., ::-1])
    return tmp_path


def test_a_picture_alone_has_edges_and_keypoints(view):
    done = annotate("--rgb", view / "rgb.png", "--out", view / "out")
    assert done.returncode == 0, done.stderr
    maps = made(view, "out")
    assert maps.keys() == {"keypoints2d", "edge_texture"}
    expected = labels.texture_maps(cv2.imread(str(view / "rgb.png"))[..., ::-1])
    for name, values in maps.items():
        np.testing.assert_array_equal(values, expected[name])
    assert "--depth-zbuffer" in done.stderr


@pytest.mark.parametrize(("given", "other"), [("zbuffer", "euclidean"), ("euclidean", "zbuffer")])
def test_depth_and_angle_give_the_rest(view, given, other):
    path = {"zbuffer": view / "z.png", "euclidean": view / "euclid.png"}
    done = annotate(
        "--rgb", view / "rgb.png", f"--depth-{given}", path[given], "--fov-deg", np.rad2deg(FOV), "--out", view / "out"
    )
    assert done.returncode == 0, done.stderr
    maps = made(view, "out")
    assert maps.keys() == {"keypoints2d", "edge_texture", f"depth_{other}", "normal", "reshading"}
    known = cv2.imread(str(path[other]), cv2.IMREAD_UNCHANGED)
    assert np.abs(maps[f"depth_{other}"].astype(int) - known).max() <= 1
    true = cv2.imread(str(view / "normal.png"))
    cosine = (labels.decode_normal(maps["normal"][..., ::-1])[0] * labels.decode_normal(true[..., ::-1])[0]).sum(-1)
    assert np.median(cosine) > 0.999


def test_normals_stand_in_for_the_field_of_view(view):
    sources = ("--rgb", view / "rgb.png", "--depth-zbuffer", view / "z.png", "--normal", view / "normal.png")
    done = annotate(*sources, "--out", view / "guessed")
    assert done.returncode == 0, done.stderr
    assert float(done.stderr.split("normals: ")[1].split()[0]) == pytest.approx(np.rad2deg(FOV), abs=0.5)
    annotate(*sources, "--fov-deg", np.rad2deg(FOV), "--out", view / "told")
    guessed, told = made(view, "guessed"), made(view, "told")
    assert guessed.keys() == told.keys() == {"keypoints2d", "edge_texture", "depth_euclidean", "normal", "reshading"}
    np.testing.assert_array_equal(told["normal"], cv2.imread(str(view / "normal.png")))
    assert np.abs(guessed["reshading"].astype(int) - told["reshading"]).max() <= 2


@pytest.mark.skipif(not VIEWS, reason=f"no real sample files in {SAMPLES}")
@pytest.mark.parametrize("sample", VIEWS, ids="-".join)
def test_real_views(sample, tmp_path):
    kind = "zbuffer" if sample[0] == "taskonomy" else "euclidean"
    (rgb,), depths = (
        list(SAMPLES.glob(f"{sample[0]}/{d}/*/{sample[1]}_domain_{d}.png")) for d in ("rgb", f"depth_{kind}")
    )
    if not depths:
        pytest.skip(f"{sample[1]} has no depth_{kind}")
    fov = np.rad2deg(read_fov(sample))
    done = annotate("--rgb", rgb, f"--depth-{kind}", depths[0], "--fov-deg", fov, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    maps = made(tmp_path, "out")
    assert np.abs(maps["edge_texture"].astype(int) - read(sample, "edge_texture")).max() <= 32
    assert correlation(maps["keypoints2d"], read(sample, "keypoints2d")) >= 0.9999
    assert correlation(maps["reshading"], read(sample, "reshading")[..., 0]) >= 0.97  # normals from coarse depth


def test_mistakes_are_one_line(view):
    rgb, z = view / "rgb.png", view / "z.png"
    cv2.imwrite(str(view / "small.png"), np.zeros((8, 8), np.uint16))
    (view / "cut.png").write_bytes(rgb.read_bytes()[:100])
    wrong = {
        "nowhere.png: no such file": ("--rgb", view / "nowhere.png"),
        "cut.png: truncated PNG": ("--rgb", view / "cut.png"),
        "16 bits a channel, but the picture has 8": ("--rgb", z),
        "give one of them": ("--rgb", rgb, "--depth-zbuffer", z, "--depth-euclidean", z),
        "between 0 and 180": ("--rgb", rgb, "--fov-deg", 200),
        "8 x 8 pixels": ("--rgb", rgb, "--depth-zbuffer", view / "small.png", "--fov-deg", 60),
        "8 bits a channel, but the depth map": ("--rgb", rgb, "--depth-zbuffer", rgb, "--fov-deg", 60),
        "16 bits a channel, but the normal map has 8": ("--rgb", rgb, "--depth-zbuffer", z, "--normal", z),
        "edge sigma is 0": ("--rgb", rgb, "--edge-sigma", 0),
        "edge sigma is 1e+06": ("--rgb", rgb, "--edge-sigma", 1e6),
        "edge sigma is inf": ("--rgb", rgb, "--edge-sigma", "inf"),
    }
    for words, arguments in wrong.items():
        done = annotate(*arguments, "--out", view / "out")
        assert done.returncode == 1, words
        assert words in done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
    assert not (view / "out").exists()
