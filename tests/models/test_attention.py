import pytest
import torch

from mult.models.attention import AttentionMap, DropPath, MapSource, apply_map
from mult.models.windows import Windows
from tests.reference.attention import windowed_attention


@pytest.mark.parametrize(("height", "width", "shift"), [(4, 4, 0), (5, 3, 0), (6, 6, 1), (5, 7, 1)])
def test_agrees_with_the_loop(height, width, shift):
    torch.manual_seed(0)
    channels, heads, window = 8, 2, 3
    attention = AttentionMap(channels, channels, heads, window)
    torch.nn.init.normal_(attention.bias.table)
    torch.nn.init.zeros_(attention.qk.bias)
    value = torch.nn.Linear(channels, channels, bias=False)
    x = torch.randn(2, height, width, channels)
    windows = Windows(height, width, window, shift)
    tokens = windows.split(x)
    (mixed,) = apply_map(attention(tokens, windows.mask(x.device)), [value(tokens)])
    expected = windowed_attention(
        x, attention.qk.weight.chunk(2), value.weight, heads, window, attention.bias.table, shift
    )
    torch.testing.assert_close(windows.join(mixed), expected, atol=1e-5, rtol=1e-5)


def test_rows_of_a_map_sum_to_one():
    attention = AttentionMap(8, 8, 2, 3)(torch.randn(4, 9, 8), None)
    torch.testing.assert_close(attention.sum(-1), torch.ones(4, 2, 9))


def test_one_map_serves_several_tasks_as_it_serves_each():
    attention = AttentionMap(8, 8, 2, 3)(torch.randn(4, 9, 8), None)
    values = [torch.randn(4, 9, 8) for _ in range(3)]
    for together, value in zip(apply_map(attention, values), values, strict=True):
        torch.testing.assert_close(together, apply_map(attention, [value])[0])


@pytest.mark.parametrize(("kind", "owners"), [("self", 3), ("skip", 3), ("shared", 1)])
def test_who_owns_the_map(kind, owners):
    tasks = ["a", "b", "c"]
    source = MapSource(kind, tasks, 8, 2, 3, True, (0,))
    skip = torch.randn(1, 6, 6, 8)
    windows = Windows(6, 6, 3)
    streams = {t: torch.randn(4, 9, 8) for t in tasks}
    maps = source(streams, skip, windows)
    assert len(maps) == owners
    assert [t for _, served in maps for t in served] == tasks
    moved = source(streams | {"a": streams["a"] + 1}, skip, windows)
    changed = [not torch.equal(one, other) for (one, _), (other, _) in zip(maps, moved, strict=True)]
    assert any(changed) == (kind == "self"), "only `self` reads the streams"


def test_drop_path_keeps_the_mean_and_drops_whole_images():
    torch.manual_seed(0)
    drop = DropPath(0.25).train()
    out = drop(torch.ones(4000, 2, 3))
    assert torch.equal(out.amin((1, 2)), out.amax((1, 2)))
    assert out.unique().tolist() == pytest.approx([0, 4 / 3])
    assert out.mean().item() == pytest.approx(1, abs=0.05)
    assert torch.equal(drop.eval()(torch.ones(2, 3)), torch.ones(2, 3))
