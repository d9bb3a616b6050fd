import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mult.models.windows import MASKED, Windows


@given(st.integers(1, 13), st.integers(1, 13), st.integers(1, 5), st.data())
def test_join_undoes_split(height, width, size, data):
    windows = Windows(height, width, size, data.draw(st.integers(0, size - 1)))
    x = torch.arange(2.0 * height * width * 3).view(2, height, width, 3)
    assert torch.equal(windows.join(windows.split(x)), x)


def test_windows_hold_neighbours():
    x = torch.arange(16.0).view(1, 4, 4, 1)
    assert Windows(4, 4, 2).split(x)[1].flatten().tolist() == [2, 3, 6, 7]


@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 9)])
def test_mask_separates_only_what_the_shift_brought_together(height, width):
    windows = Windows(height, width, 4, 2)
    mask = windows.mask(torch.device("cpu"))
    padded_h, padded_w = windows.padded
    assert mask.shape == (padded_h * padded_w // 16, 16, 16)
    assert not mask[0].any(), "the first window is whole"
    assert set(mask.unique().tolist()) == {0.0, MASKED}
    assert Windows(8, 8, 4).mask(torch.device("cpu")) is None


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2))
def test_nothing_real_attends_to_padding(height, width, shift):
    windows = Windows(height, width, 4, shift)
    mask = windows.mask(torch.device("cpu"))
    real = windows.split(torch.ones(1, height, width, 1))[..., 0] > 0
    if mask is None:
        assert real.all()
    else:
        crossing = real[:, :, None] & ~real[:, None, :]
        assert (mask[crossing] == MASKED).all()
