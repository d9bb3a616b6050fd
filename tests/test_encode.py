"""Codes of predictions against the plain way: resize everything at once, then encode."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mult import encode as module
from mult.data import labels
from mult.encode import encode
from mult.tasks import TASKS

TYPES = {"semseg": np.uint8, "normal": np.uint8, "reshading": np.uint8}


def prediction(task: str, height: int = 12, width: int = 9) -> torch.Tensor:
    """Values about the range in which labels lie, some beyond it."""
    torch.manual_seed(0)
    values = torch.rand(TASKS[task].channels or 5, height, width) * 1.2 - 0.1
    return values * 2 - 1 if task == "normal" else values


def resized(values: torch.Tensor, height: int, width: int) -> np.ndarray:
    return F.interpolate(values[None].double(), (height, width), mode="bilinear", antialias=True)[0].numpy()


@pytest.mark.parametrize("size", [(12, 9), (40, 31), (31, 200), (5, 9), (1, 1), (300, 2)])
@pytest.mark.parametrize("task", TASKS)
def test_values_come_back_from_the_codes(task, size, monkeypatch):
    monkeypatch.setattr(module, "STRIP", 100)  # so that there are several strips, the last one of less rows
    codes = encode(task, prediction(task), *size)
    assert codes.dtype == TYPES.get(task, np.uint16)
    assert codes.shape == (*size, 3)[: 3 if task == "normal" else 2]
    values = resized(prediction(task), *size)
    if task == "semseg":
        np.testing.assert_array_equal(codes, values[1:].argmax(0) + 1)
    elif task == "depth":
        metres, known = labels.decode_depth(codes)
        assert known.all()
        np.testing.assert_allclose(metres, np.maximum(values[0] * 4, 1 / 512), atol=0.51 / 512)
    elif task == "normal":
        expected = (values / np.linalg.norm(values, axis=0)).transpose(1, 2, 0)
        np.testing.assert_allclose(codes / 127.5 - 1, expected, atol=0.51 / 127.5)
    elif task == "reshading":
        np.testing.assert_allclose(labels.decode_unit(codes), values[0].clip(0, 1), atol=0.51 / 255)
    else:
        np.testing.assert_allclose(labels.decode_unit(codes), values[0].clip(0) * TASKS[task].scale, atol=0.51 / 65535)


def test_enlarging_is_bilinear_between_pixel_centres():
    ramp = torch.tensor([0.0, 1.0]).expand(1, 1, 2)
    np.testing.assert_array_equal(encode("reshading", ramp, 1, 8)[0], [0, 0, 32, 96, 159, 223, 255, 255])


def test_shrinking_takes_a_mean():
    checks = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(20, 20)[None]
    np.testing.assert_allclose(encode("edges", checks, 10, 10), 0.04 * 65535, rtol=0.01)


def test_void_is_never_chosen_and_scores_are_resized_before_the_choice():
    scores = torch.tensor([[9.0, 9.0], [3.0, -9.0], [-9.0, 3.0], [2.1, 2.1]])[:, None]
    np.testing.assert_array_equal(encode("semseg", scores, 1, 12)[0], [1, 1, 1, 3, 3, 3, 3, 3, 3, 2, 2, 2])


def test_depth_stays_within_what_can_be_coded():
    depth = torch.tensor([[[-1.0, 0.0, 1e-5, 31.9, 32.0, 1e9]]])
    np.testing.assert_array_equal(encode("depth", depth, 1, 6)[0], [1, 1, 1, 65331, 65534, 65534])


def test_a_normal_of_no_length_is_unknown():
    assert (encode("normal", torch.zeros(3, 2, 2), 2, 2) == 128).all()
