import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mult.training.losses import LOSSES, cross_entropy, l1, rotate
from tests.reference import losses as reference


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), st.integers(1, 2), st.integers(3, 7), st.integers(3, 7), st.integers(0, 9999))
def test_rotate_agrees_with_the_loop(batch, channels, height, width, seed):
    rng = np.random.default_rng(seed)
    prediction, target = rng.normal(size=(2, batch, channels, height, width))
    mask = rng.random((batch, 1, height, width)) < 0.7
    got = rotate(torch.tensor(prediction), torch.tensor(target), torch.tensor(mask))
    assert float(got) == pytest.approx(reference.rotate(prediction, target, mask), abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["silog", "berhu"]), st.integers(1, 3), st.integers(2, 6), st.integers(2, 6), st.integers(0, 9999)
)
def test_depth_losses_agree_with_the_loop(name, batch, height, width, seed):
    rng = np.random.default_rng(seed)
    prediction, target = rng.normal(1, 1, (batch, 1, height, width)), rng.uniform(0, 4, (batch, 1, height, width))
    mask = rng.random((batch, 1, height, width)) < rng.choice([0.0, 0.7])
    got = LOSSES[name](torch.tensor(prediction), torch.tensor(target), torch.tensor(mask))
    assert float(got) == pytest.approx(getattr(reference, name)(prediction, target, mask), rel=1e-9, abs=1e-12)


def test_silog_forgives_most_of_a_common_factor():
    target, mask = 0.5 + torch.rand(2, 1, 8, 8), torch.ones(2, 1, 8, 8, dtype=torch.bool)
    noise = 2 ** torch.randn(target.shape)
    assert LOSSES["silog"](1.5 * target, target, mask) < 0.5 * LOSSES["silog"](target * noise, target, mask)
    assert LOSSES["silog"](target, target, mask) < 2e-3


@pytest.mark.parametrize("name", ["silog", "berhu"])
def test_depth_losses_lead_to_the_label(name):
    target, mask = 0.5 + torch.rand(2, 1, 6, 6), torch.ones(2, 1, 6, 6, dtype=torch.bool)
    prediction = torch.full_like(target, -0.2, requires_grad=True)  # linear heads may start below zero
    optimiser = torch.optim.Adam([prediction], 0.02)
    for _ in range(400):
        optimiser.zero_grad()
        LOSSES[name](prediction, target, mask).backward()
        optimiser.step()
    assert (prediction - target).abs().mean() < 0.2  # of 1.2; a common factor hardly matters to silog


@pytest.mark.parametrize("name", LOSSES)
def test_parts_add_up_to_the_whole(name):
    shape = (5, 3, 6, 6)
    prediction, mask = torch.rand(shape, dtype=torch.double), torch.rand(5, 1, 6, 6) < 0.6
    mask[1] = False
    target = torch.randint(1, 3, (5, 6, 6)) if name == "cross_entropy" else torch.rand(shape, dtype=torch.double)
    if name == "cross_entropy":
        target = target * mask[:, 0]
    if name == "silog":
        prediction, target = prediction[:, :1], target[:, :1]
    loss = LOSSES[name]
    parts = [slice(0, 2), slice(2, 5)]
    total = sum(loss.total(prediction[p], target[p], mask[p]) for p in parts)
    count = sum(loss.count(mask[p]) for p in parts)
    torch.testing.assert_close(total / count, loss(prediction, target, mask))


def test_rotate_forgives_one_pixel():
    target = torch.rand(2, 1, 8, 8)
    moved = torch.roll(target, (1, -1), (2, 3))
    mask = torch.ones(2, 1, 8, 8, dtype=torch.bool)
    assert rotate(moved, target, mask) == 0
    assert l1(moved, target, mask) > 0.1
    assert rotate(torch.roll(target, 2, 3), target, mask) > 0.1


def test_masked_pixels_do_not_count():
    prediction, target = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)
    mask = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    mask[..., 0] = True
    target[..., 1:] = 1e6
    assert l1(prediction, target, mask) == 1
    ids = torch.tensor([[[0, 2], [0, 0]]])
    logits = torch.randn(1, 3, 2, 2)
    expected = torch.nn.functional.cross_entropy(logits[..., 0, 1], torch.tensor([2]))
    torch.testing.assert_close(cross_entropy(logits, ids, (ids != 0)[:, None]), expected)


@pytest.mark.parametrize("name", LOSSES)
def test_an_empty_mask_gives_zero_and_no_gradient(name):
    shape = (1, 1 if name == "silog" else 4, 5, 5)
    prediction = torch.randn(shape, requires_grad=True)
    target = torch.zeros(1, 5, 5, dtype=torch.long) if name == "cross_entropy" else torch.randn(shape)
    loss = LOSSES[name](prediction, target, torch.zeros(1, 1, 5, 5, dtype=torch.bool))
    loss.backward()
    assert loss == 0
    assert not prediction.grad.any()
