"""Domain doom: the caster against brute force on a small level, and the game's frames against what they promise."""

import os
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mult.data import labels
from mult.data.domains import doom
from mult.data.domains.doom import wad
from mult.data.domains.doom.cast import CEILING, DOOR, FLOOR, SKY, WALL, Camera, cast
from mult.data.frame import Unit
from mult.errors import UserError

FOV = 1.1
# Sectors of the small level as nested squares: half side, floor, ceiling, flat above, tag. The innermost is a door that
# line special 1 opens; the ring around it has the sky above; a fence stands on the ring's outer edge.
SQUARES = [(400, 0, 256, "CEIL", 0), (200, 24, 200, "F_SKY1", 0), (64, 24, 104, "CEIL", 0)]
FENCE = 40


def lump(*rows: bytes) -> bytes:
    return b"".join(rows)


def small_wad() -> bytes:
    """A WAD file with the level MAP01 that SQUARES describe, around the origin."""
    corners, lines, sides, sectors = [], [], [], []
    for ring, (half, floor, ceiling, flat, tag) in enumerate(SQUARES):
        first = len(corners)
        corners += [(-half, -half), (-half, half), (half, half), (half, -half)]  # clockwise: the inside is to the right
        sectors.append(struct.pack("<hh8s8shHH", floor, ceiling, b"FLAT", flat.encode(), 160, 0, tag))
        middle = b"FENCE" if ring == 1 else b"-"
        inner = len(sides)
        sides.append(struct.pack("<hh8s8s8sH", 0, 0, b"-", b"-", middle, ring))
        outer = len(sides) if ring else wad.NOTHING
        if ring:
            sides.append(struct.pack("<hh8s8s8sH", 0, 0, b"-", b"-", middle, ring - 1))
        for side in range(4):
            ends = (first + side, first + (side + 1) % 4)
            if ring == 2:  # turned round, so that the door is behind its lines
                lines.append(struct.pack("<7H", *ends[::-1], 4, 1, 0, outer, inner))
            else:
                flags = 4 | wad.LOWER_UNPEGGED if ring else 1
                lines.append(struct.pack("<7H", *ends, flags, 0, 0, inner, outer))
    textures = struct.pack("<ii", 1, 8) + struct.pack("<8sIhhIh", b"FENCE", 0, 64, FENCE, 0, 0)
    lumps = [
        ("TEXTURE1", textures),
        ("MAP01", b""),
        ("THINGS", struct.pack("<hhHHH", -300, 10, 0, 1, 7)),
        ("LINEDEFS", lump(*lines)),
        ("SIDEDEFS", lump(*sides)),
        ("VERTEXES", lump(*(struct.pack("<hh", *corner) for corner in corners))),
        *((name, b"") for name in ("SEGS", "SSECTORS", "NODES")),
        ("SECTORS", lump(*sectors)),
        *((name, b"") for name in ("REJECT", "BLOCKMAP")),
    ]
    body, directory = b"", b""
    for name, content in lumps:
        directory += struct.pack("<ii8s", 12 + len(body), len(content), name.encode())
        body += content
    return struct.pack("<4sii", b"PWAD", len(lumps), 12 + len(body)) + body + directory


@pytest.fixture(scope="module")
def level(tmp_path_factory) -> wad.Level:
    path = tmp_path_factory.mktemp("wad") / "small.wad"
    path.write_bytes(small_wad())
    return wad.read_level(path, "MAP01")


def brute_force(camera: Camera, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Depth and class of every pixel in the small level: the nearest of all surfaces that the pixel's ray meets."""
    forward, right = ((np.cos(camera.angle - turn), np.sin(camera.angle - turn)) for turn in (0, np.pi / 2))
    depth, classes = np.full((size, size), np.inf), np.zeros((size, size), np.uint8)
    rays = labels.pixel_rays(size, size, FOV)
    for row, column in np.ndindex(size, size):
        across, down, _ = rays[row, column]
        direction = np.array([forward[0] + across * right[0], forward[1] + across * right[1], -down])
        depth[row, column], classes[row, column] = nearest(np.array([camera.x, camera.y, camera.z]), direction)
    return depth, classes


def nearest(origin: np.ndarray, direction: np.ndarray) -> tuple[float, int]:
    found = []
    for ring, (half, floor, ceiling, flat, _) in enumerate(SQUARES):
        inner = SQUARES[ring + 1][0] if ring + 1 < len(SQUARES) else -1
        for height, class_ in ((floor, FLOOR), (ceiling, SKY if flat == "F_SKY1" else CEILING)):
            t = (height - origin[2]) / direction[2]
            if t > 0 and inner <= np.abs((origin + t * direction)[:2]).max() <= half:
                found.append((t, class_))
        for axis, sign in ((0, 1), (0, -1), (1, 1), (1, -1)):
            t = (sign * half - origin[axis]) / direction[axis]
            at = origin + t * direction
            if t <= 0 or abs(at[1 - axis]) > half:
                continue
            if ring == 0:
                found.append((t, WALL))
                continue
            outside = SQUARES[ring - 1]
            if at[2] < max(floor, outside[1]):
                found.append((t, WALL))
            elif at[2] > min(ceiling, outside[2]):
                found.append((t, DOOR if ring == 2 else WALL))
    depth, class_ = min(found)
    return (np.inf if class_ == SKY else depth), class_


CAMERAS = [
    Camera(-320.3, 30.1, 60.2, 0.2),
    Camera(150.7, -140.2, 70.1, 2.3),
    Camera(11.3, 5.2, 65, -1),
    Camera(-210, 310, 230, -0.9),
]


@pytest.mark.parametrize("camera", CAMERAS)
def test_cast_equals_brute_force(level, camera):
    view = cast(level, level.floors, level.ceilings, camera, 40, FOV)
    depth, classes = brute_force(camera, 40)
    assert np.array_equal(view.classes, classes)
    assert np.allclose(view.depth, depth, rtol=1e-9)
    assert len(np.unique(classes)) >= 3


@pytest.mark.parametrize("camera", CAMERAS)
def test_cast_normals_fit_its_depth(level, camera):
    view = cast(level, level.floors, level.ceilings, camera, 128, FOV)
    known = np.isfinite(view.depth)
    length = np.linalg.norm(view.normal, axis=-1)
    assert np.allclose(length[known], 1)
    assert (length[~known] == 0).all()
    assert ((view.normal * labels.pixel_rays(128, 128, FOV)).sum(-1)[known] < 0).all()
    assert np.median((labels.normal_from_depth(view.depth, FOV) * view.normal).sum(-1)[known]) > 0.999999


def test_cast_follows_moving_sectors(level):
    closed = level.ceilings.copy()
    closed[2] = level.floors[2]
    view = cast(level, level.floors, closed, CAMERAS[1], 64, FOV)
    assert (view.classes == DOOR).sum() > (
        cast(level, level.floors, level.ceilings, CAMERAS[1], 64, FOV).classes == DOOR
    ).sum()


def test_cast_tells_what_is_behind_a_fence(level):
    camera = Camera(-320, 10, 60, 0)  # looks along x at the fence, 120 units away, which stands on a step of 24
    view = cast(level, level.floors, level.ceilings, camera, 101, FOV)
    fenced = np.isfinite(view.screen)
    assert view.screen[fenced].min() == pytest.approx(120)
    heights = 60 - labels.pixel_rays(101, 101, FOV)[:, 50, 1] * 120
    assert np.array_equal(fenced[:, 50], (heights > 24) & (heights < 24 + FENCE))


def test_cast_of_nothing_is_void(level):
    view = cast(level, level.floors, level.ceilings, Camera(5000, 0, 50, 0), 16, FOV)
    assert (view.classes == 0).all()
    assert np.isinf(view.depth).all()
    assert (view.normal == 0).all()


def test_levels_of_a_wad(level):
    assert level.starts.shape == level.ends.shape == (12, 2)
    assert (level.back < 0).sum() == 4
    assert level.door.tolist() == [False, False, True]
    assert level.sky_ceiling.tolist() == [False, True, False]
    assert level.things.tolist() == [[-300, 10]]
    assert level.ceilings.tolist() == [256, 200, 104]


def test_splits_share_no_level():
    sets = [set(levels) for levels in doom.MAPS.values()]
    assert set(doom.MAPS) == {"train", "val", "test"}
    assert all(len(levels) >= 12 for levels in sets)
    assert len(set.union(*sets)) == sum(len(levels) for levels in sets)
    groups = {split: {unit.group for unit in doom.units(split, 600, 5)} for split in doom.MAPS}
    assert not groups["train"] & (groups["val"] | groups["test"])
    assert not groups["val"] & groups["test"]


def test_units_take_turns_and_the_last_has_the_rest():
    units = doom.units("val", 103, 4)
    assert [unit.index for unit in units] == list(range(26))
    assert sum(unit.views for unit in units) == 103
    assert units[-1].views == 3
    assert {unit.views for unit in units[:-1]} == {4}
    turns = Counter(unit.group for unit in units)
    assert max(turns.values()) - min(turns.values()) <= 1
    assert len(turns) == len(doom.MAPS["val"])
    assert units[0] == doom.units("val", 1000, 4)[0]
    assert all(unit.domain == "doom" and unit.split == "val" for unit in units)


def one_line(call) -> str:
    with pytest.raises(UserError) as mistake:
        call()
    assert "\n" not in str(mistake.value)
    return str(mistake.value)


def test_mistakes_are_named_in_one_line(tmp_path, monkeypatch):
    assert "train" in one_line(lambda: doom.units("training", 10, 2))
    assert "images" in one_line(lambda: doom.units("train", 0, 2))
    assert "views" in one_line(lambda: doom.units("train", 10, 0))
    unit = Unit("doom", "train", "freedoom2/MAP01", 0, 1)
    assert "size" in one_line(lambda: doom.render(unit, 0))
    assert "units()" in one_line(lambda: doom.render(Unit("doom", "train", "MAP01", 0, 1), 64))
    assert "reinstall" in one_line(lambda: wad.read_level(tmp_path / "none.wad", "MAP01"))
    (tmp_path / "bad.wad").write_bytes(b"no wad")
    assert "no WAD" in one_line(lambda: wad.read_level(tmp_path / "bad.wad", "MAP01"))
    (tmp_path / "small.wad").write_bytes(small_wad())
    assert "MAP09" in one_line(lambda: wad.read_level(tmp_path / "small.wad", "MAP09"))
    monkeypatch.setitem(sys.modules, "vizdoom", None)
    assert "pip install vizdoom" in one_line(lambda: doom.render(unit, 64))


def python(code: str, folder: Path) -> str:
    source = Path(doom.__file__).parents[4]
    settings = os.environ | {"PYTHONPATH": str(source)}
    return subprocess.check_output([sys.executable, "-c", code], cwd=folder, env=settings, text=True)


def test_importing_is_light(tmp_path):
    code = "import sys; from mult.data.domains import doom; doom.units('train', 9, 2)"
    code += "; print([name for name in ('cv2', 'vizdoom', 'torch') if name in sys.modules])"
    assert python(code, tmp_path).strip() == "[]"


DIGEST = """
import hashlib
from mult.data.domains import doom
digest = hashlib.sha256()
for frame in doom.render(doom.units("test", 4, 2)[1], 64):
    for array in (frame.rgb, frame.depth, frame.normal, frame.classes, frame.instances):
        digest.update(array.tobytes())
print(digest.hexdigest())
"""


def test_a_unit_is_the_same_in_any_process_and_leaves_nothing_behind(tmp_path):
    pytest.importorskip("vizdoom")
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    first, second = (python(DIGEST, folder) for folder in folders)
    assert first == second
    assert not any(path for folder in folders for path in folder.iterdir())


@pytest.fixture(scope="module")
def frames():
    pytest.importorskip("vizdoom")
    done = []
    result = [frame for unit in doom.units("val", 12, 3) for frame in doom.render(unit, 128, done.append)]
    assert len(result) == 12
    assert done == [1, 2, 3] * 4
    return result


def test_frames_keep_the_contract(frames):
    for frame in frames:
        assert frame.rgb.shape == frame.normal.shape == (128, 128, 3)
        assert frame.depth.shape == frame.classes.shape == frame.instances.shape == (128, 128)
        kinds = [array.dtype.name for array in (frame.rgb, frame.depth, frame.normal, frame.classes, frame.instances)]
        assert kinds == ["uint8", "float32", "float32", "uint8", "uint16"]
        assert frame.fov == pytest.approx(2 * np.arctan(5 / 8))
        known = np.isfinite(frame.depth)
        assert np.array_equal(~known, np.isin(frame.classes, (0, SKY)))
        assert frame.depth[known].min() > 0
        length = np.linalg.norm(frame.normal, axis=-1)
        assert np.allclose(length[known], 1, atol=1e-6)
        assert (length[~known] == 0).all()
        assert ((frame.normal * labels.pixel_rays(128, 128, frame.fov)).sum(-1)[known] <= 1e-6).mean() == 1
        assert np.array_equal(frame.instances > 0, frame.classes > SKY)
        assert frame.classes.max() < len(doom.CLASSES)
    assert len({frame.rgb.tobytes() for frame in frames}) == len(frames)
    shares = np.bincount(np.concatenate([frame.classes.ravel() for frame in frames]), minlength=len(doom.CLASSES))
    assert (shares[1:4] > 0.03 * shares.sum()).all()
    assert shares[0] < 0.05 * shares.sum()


def test_normals_of_frames_fit_their_depth(frames):
    cosines = []
    for frame in frames:
        flat = np.isin(frame.classes, (WALL, FLOOR, CEILING))
        cosines.append((labels.normal_from_depth(frame.depth, frame.fov) * frame.normal).sum(-1)[flat])
    assert np.median(np.concatenate(cosines)) >= 0.999
    assert min(np.median(cosine) for cosine in cosines) >= 0.999


def test_cast_agrees_with_what_the_engine_drew():
    pytest.importorskip("vizdoom")
    from mult.data.domains.doom.game import Tally, play

    tally = Tally()
    play(doom.units("test", 4, 4)[0], 128, tally=tally)
    good = [agreement for agreement in tally.agreement if agreement >= 0.97]
    assert len(good) >= 0.6 * len(tally.agreement)
    assert np.mean(good) >= 0.995


def test_frames_can_be_annotated(frames):
    maps = labels.annotate(frames[0])
    sky = frames[0].classes == SKY
    assert (maps["mask_valid"][sky] == 0).all()
    assert maps["edge_texture"].max() > 0
