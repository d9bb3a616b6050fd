"""The simulated depth camera: what it takes from a frame, and that nothing else changes."""

from dataclasses import replace

import numpy as np
import pytest

from mult.data.domains import rooms
from mult.data.domains.rooms.kinect import FAR, NEAR, degrade
from mult.data.frame import Frame

SIZE = 96
FOV = 1.0


def wall(depth: float, slant: float = 0.0) -> Frame:
    """A grey wall at `depth` metres, turned by `slant` radians about the vertical axis."""
    normal = np.array([np.sin(slant), 0, -np.cos(slant)])
    focal = SIZE / 2 / np.tan(FOV / 2)
    x = (np.arange(SIZE) + 0.5 - SIZE / 2) / focal
    rays = np.stack(np.broadcast_arrays(x, x[:, None], 1.0), -1)
    return Frame(
        rgb=np.full((SIZE, SIZE, 3), 180, np.uint8),
        depth=(depth * normal[2] / (rays @ normal)).astype(np.float32),
        normal=np.broadcast_to(normal.astype(np.float32), rays.shape).copy(),
        classes=np.ones((SIZE, SIZE), np.uint8),
        instances=np.ones((SIZE, SIZE), np.uint16),
        fov=FOV,
    )


def known(frame: Frame) -> np.ndarray:
    return np.isfinite(frame.depth)


@pytest.mark.parametrize("depth", [1.0, 4.0])
def test_noise_of_depth_grows_with_the_square_of_the_distance(depth):
    seen = degrade(wall(depth), np.random.default_rng(0))
    error = seen.depth[known(seen)] - depth
    assert abs(error.mean()) < 1e-3 * depth**2
    # Noise of 1.5 mm and steps of 2.85 mm (standard deviation 0.82 mm), both at 1 m.
    assert error.std() == pytest.approx(np.hypot(1.5e-3, 2.85e-3 / 12**0.5) * depth**2, rel=0.15)


@pytest.mark.parametrize("depth", [0.3, 12.0])
def test_out_of_range_nothing_is_known(depth):
    seen = degrade(wall(depth), np.random.default_rng(0))
    assert not known(seen).any()
    assert (seen.normal == 0).all()


def test_a_grazing_surface_is_lost():
    assert known(degrade(wall(3.0, 0.3), np.random.default_rng(0))).mean() > 0.95
    frame = wall(3.0, 1.3)
    frame.depth[:] = 3.0  # within range everywhere: the angle alone decides
    facing = degrade(frame, np.random.default_rng(0))
    assert known(facing).mean() < 0.7


def test_a_shadow_lies_on_one_side_of_a_near_thing():
    frame = wall(5.0)
    frame.depth[:, 40:60] = 1.0
    holes = np.mean([~known(degrade(frame, np.random.default_rng(s))) for s in range(8)], axis=0).mean(0)
    assert holes[37:40].min() > 0.9
    assert holes[60:64].max() < 0.2


def test_only_picture_depth_and_normals_change():
    frame = wall(2.0)
    seen = degrade(frame, np.random.default_rng(0))
    assert seen.rgb.mean() < 0.8 * frame.rgb.mean()
    assert 1 < seen.rgb.astype(float).std() < 40
    assert (seen.classes == frame.classes).all()
    assert (seen.instances == frame.instances).all()
    assert seen.fov == frame.fov
    np.testing.assert_array_equal(seen.normal[known(seen)], frame.normal[known(seen)])


def test_the_domain_is_lofts_of_its_own_within_range():
    unit = rooms.units("kinect", "test", 2, 2)[0]
    seen = rooms.render(unit, 64)
    true = rooms.render(replace(unit, domain="rooms-loft"), 64)  # the same room, seen well
    for bad, good in zip(seen, true, strict=True):
        np.testing.assert_array_equal(bad.classes, good.classes)
        valid = known(bad)
        assert 0.3 < valid.mean() < 1
        assert bad.depth[valid].min() >= NEAR
        assert bad.depth[valid].max() <= FAR
        assert np.median(np.abs(bad.depth[valid] / good.depth[valid] - 1)) < 0.02
        assert bad.rgb.mean() < good.rgb.mean()
