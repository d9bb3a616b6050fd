"""Pictures of any shape to squares."""

import numpy as np
import pytest

from mult.data import labels
from mult.data.encoding import NO_DEPTH
from mult.data.fit import MIXED, square, square_fov
from mult.data.store import LABELS


@pytest.mark.parametrize("shape", [(40, 64), (64, 40), (41, 64), (64, 41), (40, 40)])
@pytest.mark.parametrize("label", LABELS)
def test_the_middle_is_kept(shape, label):
    channels = (3,) if label in ("rgb", "normal") else ()
    values = np.random.default_rng(0).integers(0, 250, (*shape, *channels)).astype(LABELS[label])
    side = min(shape)
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    same = square(values, label, side)
    np.testing.assert_array_equal(same, values[top : top + side, left : left + side])
    assert same.flags.c_contiguous
    for size in (16, 100):
        fitted = square(values, label, size)
        assert (fitted.shape, fitted.dtype) == ((size, size, *channels), LABELS[label])
        if label not in MIXED:
            assert set(np.unique(fitted)) <= set(np.unique(values))


@pytest.mark.parametrize("label", sorted(MIXED - {"rgb"}))
def test_maps_of_the_picture_shrink_by_averaging_over_areas(label):
    values = np.random.default_rng(0).integers(0, 60000, (64, 64), np.uint16)
    mean = values.reshape(16, 4, 16, 4).mean((1, 3))
    np.testing.assert_allclose(square(values, label, 16), mean, atol=0.5)


def test_nothing_is_mixed_over_a_step_of_depth():
    depth = np.full((60, 60), 512, np.uint16)
    depth[:, 29:], depth[:, 45:] = 5120, NO_DEPTH
    for size in (16, 45, 77):
        assert set(np.unique(square(depth, "depth_zbuffer", size))) == {512, 5120, NO_DEPTH}


def test_picked_pixels_are_those_in_the_middle():
    """Labels stay where the picture's colours are: a pixel is picked at the centre of the area that it stands for."""
    ramp = np.tile(np.arange(90, dtype=np.uint16) * 100, (90, 1))
    picked, mixed = square(ramp, "depth_zbuffer", 30), square(ramp, "edge_texture", 30)
    np.testing.assert_array_equal(picked, mixed)


@pytest.mark.parametrize(("height", "width"), [(200, 320), (480, 640), (512, 512), (640, 480)])
def test_field_of_view_of_the_square(height, width):
    fov = 1.2
    side = min(height, width)
    left = (width - side) // 2
    rays = labels.pixel_rays(height, width, fov)[height // 2, left : left + side, 0]
    of_square = labels.pixel_rays(side, side, float(square_fov(fov, height / width)))[0, :, 0]
    np.testing.assert_allclose(of_square, rays, atol=1e-9)


def test_fields_of_view_of_many():
    fovs = np.array([0.5, 1.0, 2.0], np.float32)
    np.testing.assert_allclose(square_fov(fovs, 1.0), fovs, rtol=1e-6)
    assert (square_fov(fovs, 0.5) < fovs).all()
