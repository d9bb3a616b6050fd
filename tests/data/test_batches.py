from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mult.data.batches import decode, gather, order_of_step, read, tasks_of
from mult.data.encoding import NO_DEPTH, NO_NORMAL, NO_SHADE
from mult.data.store import open_split
from mult.tasks import TASKS
from mult.training.losses import LOSSES


@pytest.fixture(scope="module")
def split(domain):
    return open_split(domain, "train")


def test_targets_are_in_training_units(split):
    batch = read(split, list(TASKS), [0, 3])
    stored = {label: np.asarray(array[[0, 3]]) for label, array in split.arrays.items()}
    assert batch.rgb.shape == (2, 3, 32, 32)
    assert 0 <= batch.rgb.min() < batch.rgb.max() <= 1
    depth = batch.targets["depth"][batch.masks["depth"]] * TASKS["depth"].scale
    np.testing.assert_allclose(depth, stored["depth_zbuffer"][stored["mask_valid"] > 0] / 512, rtol=1e-6)
    torch.testing.assert_close(batch.targets["normal"].norm(dim=1), torch.ones(2, 32, 32))
    np.testing.assert_allclose(batch.targets["edges"][:, 0] * 0.08, stored["edge_texture"] / 65535, rtol=1e-5)
    np.testing.assert_allclose(batch.targets["keypoints"][:, 0] * 0.005, stored["keypoints2d"] / 65535, rtol=1e-5)
    np.testing.assert_allclose(batch.targets["reshading"][:, 0], stored["reshading"] / 255, rtol=1e-6)
    np.testing.assert_array_equal(batch.targets["semseg"], stored["segment_semantic"])


def test_what_has_no_value_is_masked(split):
    batch = read(split, list(TASKS), [0])
    for task in ("depth", "normal", "reshading"):
        assert not batch.masks[task][..., :2, :2].any(), task
        assert batch.masks[task].sum() == 32 * 32 - 4, task
    assert batch.masks["edges"].all()


def test_what_an_image_has_no_file_of_is_masked(split):
    codes = gather(split, list(TASKS), [0, 1])
    unknown = {"segment_semantic": 0, "depth_zbuffer": NO_DEPTH, "normal": NO_NORMAL, "reshading": NO_SHADE}
    for label, code in (unknown | {"keypoints2d": 0, "edge_texture": 0}).items():
        codes[label][1] = code - (1 << 16) if code > 255 else code
    masks = decode(codes, list(TASKS)).masks
    for task, mask in masks.items():
        assert mask[0].any(), task
        assert not mask[1].any(), task


def test_a_depth_of_zero_is_unknown(split):
    """As copies of data sets write it; a loss of it would teach that things touch the camera."""
    codes = gather(split, ["depth"], [0, 1])
    codes["depth_zbuffer"][1, :16] = 0
    batch = decode(codes, ["depth"])
    assert not batch.masks["depth"][1, :, :16].any()
    assert batch.masks["depth"][1, :, 16:].any()
    right = {key: of.clone() for key, of in batch.targets.items()}
    right["depth"][1, :, :16] = 0.5  # another prediction there costs nothing
    for name in ("l1", "berhu"):
        assert LOSSES[name].total(right["depth"], batch.targets["depth"], batch.masks["depth"]) == 0


def test_a_domain_without_a_mask_and_without_some_tasks(split):
    arrays = {label: split.arrays[label] for label in ("rgb", "normal", "reshading", "edge_texture")}
    bare = replace(split, arrays=arrays)
    assert tasks_of(split) == list(TASKS)
    assert tasks_of(bare) == ["normal", "reshading", "edges"]
    batch = read(bare, tasks_of(bare), [0])
    assert batch.masks["normal"].sum() == 32 * 32 - 4  # by its own code
    assert batch.masks["reshading"].all()


def test_bytes_are_gathered_for_the_tasks_alone(split):
    codes = gather(split, ["depth", "normal"], [2, 0])
    assert list(codes) == ["rgb", "depth_zbuffer", "normal", "mask_valid"]
    assert codes["depth_zbuffer"].dtype == torch.int16
    assert sum(tensor.nbytes for tensor in codes.values()) == 2 * 32 * 32 * (3 + 2 + 3 + 1)
    whole, cut = read(split, list(TASKS), [2, 0]), read(split, list(TASKS), [5, 2, 0])[1:]
    assert torch.equal(whole.rgb, cut.rgb)
    assert torch.equal(whole.only(["depth"]).targets["depth"], cut.targets["depth"])


@given(st.integers(1, 50), st.integers(1, 12), st.integers(0, 2**31))
def test_every_pass_shows_each_image_once(images, batch_size, seed):
    if batch_size > images:
        return
    steps = images // batch_size
    for this_pass in (0, 3):
        seen = np.concatenate([order_of_step(images, batch_size, this_pass * steps + i, seed) for i in range(steps)])
        assert len(set(seen.tolist())) == len(seen) == steps * batch_size


def test_order_depends_on_seed_and_step_alone():
    first = order_of_step(100, 10, 17, 5)
    order_of_step(100, 10, 3, 1)
    np.testing.assert_array_equal(first, order_of_step(100, 10, 17, 5))
    assert not np.array_equal(first, order_of_step(100, 10, 17, 6))
