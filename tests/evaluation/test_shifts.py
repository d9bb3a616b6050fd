import pytest
import torch

from mult.evaluation.shifts import blur, domain_and_shift, place


def test_blur_keeps_the_mean_and_widens_a_point_to_its_sigma():
    picture = torch.zeros(2, 3, 64, 64)
    picture[:, :, 32, 32] = 1
    seen = blur(picture, 2 / 64)
    assert seen.shape == picture.shape
    assert seen.sum(dim=(2, 3)).flatten().tolist() == pytest.approx([1] * 6, rel=1e-3)
    at = torch.arange(64.0) - 32
    assert float((seen[0, 0].sum(0) * at**2).sum()) == pytest.approx(4, rel=0.05)


def test_blur_is_as_strong_at_every_size():
    small = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    large = torch.nn.functional.interpolate(small, scale_factor=4, mode="nearest")
    shrunk = torch.nn.functional.avg_pool2d(blur(large, 0.05), 4)
    assert (shrunk - blur(small, 0.05))[..., 4:-4, 4:-4].abs().max() < 0.03


@pytest.mark.parametrize(("domain", "shift"), [("rooms-home", "none"), ("rooms-home", "blur")])
def test_places_have_names_both_ways(domain, shift):
    assert domain_and_shift(place(domain, shift)) == (domain, shift)
