"""Which way stored normals point is found by the depth."""

from itertools import permutations, product

import numpy as np
import pytest

from mult.data.sources.nyu_axes import EIGEN, find_axes, to_camera
from mult.errors import UserError
from tests.data.sources import nyu_miniature as miniature


def test_all_orders_and_signs_of_axes_are_told_apart():
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(40, 50, 3)) - [0, 0, 2]
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    noisy = normal + 0.2 * rng.normal(size=normal.shape)
    noisy /= np.linalg.norm(noisy, axis=-1, keepdims=True)
    for order, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        matrix = np.eye(3)[list(order)] * signs
        stored = normal @ matrix.T
        axes = find_axes([(stored, noisy)], "here")
        assert axes == miniature.axes_of(matrix)
        assert np.allclose(to_camera(stored, axes), normal)


def test_normals_of_other_frames_are_refused(tmp_path):
    rng = np.random.default_rng(0)
    normal, other = rng.normal(size=(2, 40, 50, 3))
    with pytest.raises(UserError, match="here: the normals do not fit the depth"):
        find_axes([(normal / 2, other / 2)], "here")
    assert find_axes([(normal, np.zeros_like(other))], "here") == EIGEN
