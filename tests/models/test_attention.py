from typing import get_args

import pytest
import torch

from mult import params
from mult.errors import UserError
from mult.models.attention import VARIANTS, AttentionMaps, apply_detached, apply_maps
from mult.models.block import FORMS, DropPath
from mult.models.windows import Windows
from tests.reference.attention import windowed_attention

TASKS, WIDTH, HEADS, WINDOW = ("a", "b", "c"), 8, 2, 3


def maps_of(kind: str, tasks=TASKS, seed=0, **options) -> AttentionMaps:
    reference = "b" if VARIANTS[kind].needs_reference else None
    return AttentionMaps(VARIANTS[kind], tasks, reference, WIDTH, HEADS, WINDOW, True, True, (seed,), **options)


@pytest.mark.parametrize(("height", "width", "shift"), [(4, 4, 0), (5, 3, 0), (2, 7, 0), (6, 6, 1), (5, 7, 1)])
def test_agrees_with_the_loop(height, width, shift):
    torch.manual_seed(0)
    maps = maps_of("self", TASKS[:2])
    torch.nn.init.normal_(maps.bias.table)
    torch.nn.init.normal_(maps.qk.weight)
    value = torch.randn(2, WIDTH, WIDTH)
    x = torch.randn(2, 2, height, width, WIDTH)
    windows = Windows(height, width, WINDOW, shift)
    tokens = windows.split(x)
    attention = maps(tokens, None, tokens[0], windows.shape, windows.mask(x.device))
    mixed = windows.join(apply_maps(attention, torch.einsum("tmnc,tdc->tmnd", tokens, value)))
    for t in range(2):
        qk = maps.qk.weight[t].chunk(2)
        expected = windowed_attention(x[t], qk, value[t], HEADS, WINDOW, maps.bias.table[t], shift)
        torch.testing.assert_close(mixed[t], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", VARIANTS)
def test_rows_of_every_map_sum_to_one(kind):
    windows = Windows(5, 4, WINDOW)
    skip, streams = torch.randn(2, 5, 4, WIDTH), torch.randn(3, 2, 5, 4, WIDTH)
    attention = maps_of(kind)(
        windows.split(streams), None, windows.split(skip), windows.shape, windows.mask(skip.device)
    )
    assert attention.shape == (3 if VARIANTS[kind].owner == "task" else 1, 2 * 4, HEADS, 9, 9)
    torch.testing.assert_close(attention.sum(-1), torch.ones(attention.shape[:-1]))


def test_one_map_serves_several_tasks_as_it_serves_each():
    attention, values = torch.rand(1, 4, HEADS, 9, 9), torch.randn(3, 4, 9, WIDTH)
    together = apply_maps(attention, values)
    for t in range(3):
        torch.testing.assert_close(together[t], apply_maps(attention, values[t : t + 1])[0])
        torch.testing.assert_close(together[t], apply_maps(attention.expand(3, -1, -1, -1, -1), values)[t])


# What each kind of map reads: the tasks whose stream changes which tasks' maps, and whether the skip does.
READS = {
    "self": ({"a": "a", "b": "b", "c": "c"}, False),
    "skip": ({}, True),
    "skip_lowrank": ({}, True),
    "shared": ({}, True),
    "shared_detached": ({}, True),
    "frozen": ({}, True),
    "reference": ({"b": "abc"}, False),
    "reference_skip": ({"b": "abc"}, True),
    "joint": ({"a": "abc", "b": "abc", "c": "abc"}, False),
    "mixture": ({"a": "abc", "b": "abc", "c": "abc"}, False),
    "uniform": ({}, False),
    "bias_only": ({}, False),
}


@pytest.mark.parametrize("kind", VARIANTS)
def test_what_each_map_reads(kind):
    torch.manual_seed(0)
    maps = maps_of(kind)
    for name in ("qk", "query", "key", "down"):  # their first values would hardly show
        if layer := getattr(maps, name, None):
            torch.nn.init.normal_(layer.weight)
    skip, streams = torch.randn(4, 9, WIDTH), torch.randn(3, 4, 9, WIDTH)

    def made(streams, skip):
        return maps(streams, None, skip, (3, 3), None).expand(3, -1, -1, -1, -1)

    before = made(streams, skip)
    changed_by_stream, changed_by_skip = READS[kind]
    for place, task in enumerate(TASKS):
        moved = streams.clone()
        moved[place] += torch.randn(4, 9, WIDTH)
        after = made(moved, skip)
        changed = "".join(t for i, t in enumerate(TASKS) if not torch.equal(before[i], after[i]))
        assert changed == changed_by_stream.get(task, ""), task
    assert (not torch.equal(before, made(streams, torch.randn(4, 9, WIDTH)))) == changed_by_skip


def test_uniform_attends_alike_to_every_real_token():
    windows = Windows(3, 4, WINDOW)
    skip = windows.split(torch.randn(1, 3, 4, WIDTH))
    attention = maps_of("uniform")(skip.expand(3, -1, -1, -1), None, skip, windows.shape, windows.mask(skip.device))
    real = windows.split(torch.ones(1, 3, 4, 1))[..., 0]
    for window in range(2):
        row = attention[0, window, 0, 0]
        torch.testing.assert_close(row, real[window] / real[window].sum())


def test_a_mixture_starts_with_its_own_map_and_stays_convex():
    shares = maps_of("mixture").mixture.softmax(-1)
    torch.testing.assert_close(shares.diag(), torch.full((3,), 0.9))
    torch.testing.assert_close(shares.sum(-1), torch.ones(3))


def test_detached_gives_the_same_values_and_the_reference_s_gradient():
    attention = torch.rand(1, 4, HEADS, 9, 9, requires_grad=True)
    values = torch.randn(3, 4, 9, WIDTH)
    mixed = apply_detached(attention, values, 1)
    torch.testing.assert_close(mixed, apply_maps(attention, values))
    (found,) = torch.autograd.grad(mixed.sum(), attention)
    (wanted,) = torch.autograd.grad(apply_maps(attention, values)[1].sum(), attention)
    torch.testing.assert_close(found, wanted)


def test_a_low_rank_pair_a_task_is_as_large_as_one_shared_pair():
    def size(kind: str) -> int:
        maps = AttentionMaps(VARIANTS[kind], list("abcdef"), None, 96, 3, 7, False, False, (0,))
        return sum(p.numel() for name, p in maps.named_parameters() if "weight" in name)

    assert size("skip_lowrank") == size("shared") == 2 * 96 * 96


def test_params_know_every_kind():
    assert set(get_args(params.Attention)) == VARIANTS.keys() | FORMS.keys()
    led = {k for k, v in VARIANTS.items() if v.needs_reference}
    led |= {k for k, blocks in FORMS.items() if any(b.attention in led for b in blocks)}
    assert set(params.LED) == led


def test_drop_path_keeps_the_mean_and_drops_whole_images_of_a_task():
    torch.manual_seed(0)
    drop = DropPath(0.25).train()
    out = drop(torch.ones(2, 4000, 2, 3), images=2000)
    by_image = out.view(2, 2000, -1)
    assert torch.equal(by_image.amin(-1), by_image.amax(-1))
    assert not torch.equal(by_image[0], by_image[1])
    assert out.unique().tolist() == pytest.approx([0, 4 / 3])
    assert out.mean().item() == pytest.approx(1, abs=0.05)
    assert torch.equal(drop.eval()(torch.ones(1, 2, 3, 4), 2), torch.ones(1, 2, 3, 4))


@pytest.mark.parametrize("kind", [name for name, variant in VARIANTS.items() if variant.needs_reference])
def test_a_reference_that_is_no_task_is_named(kind):
    with pytest.raises(UserError, match=r"^reference: b is none of the tasks a, c; name one of these$"):
        maps_of(kind, ("a", "c"))
