import torch
from hypothesis import given
from hypothesis import strategies as st

from mult.seeding import seed_of, torch_seed


@given(st.lists(st.one_of(st.integers(), st.text(max_size=5)), max_size=4))
def test_seeds_are_in_range_and_repeat(parts):
    assert 0 <= seed_of(*parts) < 2**63
    assert seed_of(*parts) == seed_of(*parts)


def test_names_give_different_streams_and_leave_the_global_one_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with torch_seed(0, "a"):
        one = torch.rand(3)
    with torch_seed(0, "b"):
        two = torch.rand(3)
    assert not torch.equal(one, two)
    assert torch.equal(torch.rand(3), expected)
