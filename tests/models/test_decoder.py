"""The decoders of every variant: against the plain loop, and what each claims about gradients."""

import pytest
import torch

from mult.models.attention import VARIANTS
from mult.models.block import FORMS
from mult.models.decoder import Decoders
from tests.reference.decoder import LoopDecoders

TASKS = {"semseg": 5, "depth": 1, "normal": 3}
WIDTHS, HEADS, WINDOW = [8, 16, 16, 32], [1, 2, 2, 4], 4
OPTIONS = {
    "attention": "shared", "reference": None, "skip": "none", "t2_mlp": False, "t2_shift": False, "relative_bias": True,
    "open_padding": False, "shared_stages": [1, 2, 3, 4], "mlp_ratio": 2.0, "drop_path": 0.0, "dropout": 0.0,
}  # fmt: skip
EVERY = [*VARIANTS, *FORMS]


def make(seed=0, spread=0.2, **options) -> Decoders:
    options = OPTIONS | {"reference": "depth"} | options
    model = Decoders(TASKS, WIDTHS, HEADS, WINDOW, options, seed)
    draw = torch.Generator().manual_seed(1)
    for parameter in model.parameters():  # far from the small first values, so that everything shows
        parameter.data += spread * torch.randn(parameter.shape, generator=draw)
    return model


def some_maps(sizes=((10, 13), (5, 7), (3, 4), (2, 2))) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(2)
    return [torch.randn(2, *size, width, generator=draw) for size, width in zip(sizes, WIDTHS, strict=True)]


def gradients(model, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    found = torch.autograd.grad(loss, list(named.values()), allow_unused=True, retain_graph=True)
    return {name: torch.zeros_like(p) if g is None else g for (name, p), g in zip(named.items(), found, strict=True)}


@pytest.mark.parametrize("attention", EVERY)
@pytest.mark.parametrize(
    "options",
    [{}, {"skip": "concat", "t2_mlp": True, "t2_shift": True}, {"skip": "add", "open_padding": True, "t2_shift": True}],
    ids=["plain", "concat shift mlp", "add open"],
)
def test_agrees_with_the_loop_in_value_and_gradient(attention, options):
    model, maps = make(attention=attention, **options), some_maps()
    for m in maps:
        m.requires_grad_()
    loop = LoopDecoders(model)
    fast, slow = model(maps), loop(maps)
    for task in TASKS:
        torch.testing.assert_close(fast[task], slow[task], atol=1e-5, rtol=1e-5)
    weights = {task: torch.randn(p.shape, generator=torch.Generator().manual_seed(3)) for task, p in fast.items()}
    of_maps = []
    for out in (fast, slow):
        sum((weights[t] * out[t]).sum() for t in TASKS).backward()
        of_maps.append([torch.zeros_like(m) if m.grad is None else m.grad for m in maps])
        for m in maps:
            m.grad = None
    for level in range(len(maps)):
        close(f"map {level}", of_maps[0][level], of_maps[1][level])
    for stage, plain in zip(model.stages, loop.stages, strict=True):
        for block, one in zip(stage.blocks, plain.blocks, strict=True):
            close("value", block.value.weight.grad, torch.stack([layer.weight.grad for layer in one.value]))
            close("out", block.out.bias.grad, torch.stack([layer.bias.grad for layer in one.out]))
            close("norm", block.norm1.weight.grad, torch.stack([norm.weight.grad for norm in one.norm1]))
            if (qk := getattr(block.maps, "qk", None)) and qk.weight.requires_grad:
                close("qk", qk.weight.grad, torch.stack([m.qk.weight.grad for m in one.maps]))


def close(what: str, one: torch.Tensor, other: torch.Tensor) -> None:
    """Equal to a thousandth of the largest; sums of float32 in another order differ by less."""
    assert (one - other).abs().max() <= 1e-3 * other.abs().max() + 1e-6, what


@pytest.mark.parametrize("attention", ["self", "shared", "reference_skip"])
def test_agrees_with_the_loop_in_bfloat16(attention):
    model = make(spread=0.05, attention=attention, skip="concat")
    loop, maps = LoopDecoders(model), some_maps()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        fast, slow = model(maps), loop(maps)
    for task in TASKS:
        scale = slow[task].float().abs().mean()
        assert (fast[task].float() - slow[task].float()).abs().mean() / scale < 1e-2


def test_shared_does_not_know_its_reference():
    """A finding about the paper: whose matrices make the shared map is a name and nothing else."""
    one, other = (make(attention="shared", reference=task) for task in ("depth", "normal"))
    maps = some_maps()
    first, second = one(maps), other(maps)
    for task in TASKS:
        assert torch.equal(first[task], second[task])
        a, b = (gradients(m, out[task].square().mean()) for m, out in ((one, first), (other, second)))
        assert all(torch.equal(a[name], b[name]) for name in a)


def of_map(found: dict[str, torch.Tensor]) -> float:
    return sum(float(g.abs().sum()) for name, g in found.items() if ".blocks.1.maps." in name)


@pytest.mark.parametrize("reference", list(TASKS))
def test_in_shared_detached_only_the_reference_s_loss_reaches_the_map(reference):
    model = make(attention="shared_detached", reference=reference)
    out = model(some_maps())
    for task in TASKS:
        assert (of_map(gradients(model, out[task].square().mean())) > 0) == (task == reference)
    plain = make(attention="shared")(some_maps())
    for task in TASKS:  # some CPUs round a product of another shape otherwise
        torch.testing.assert_close(out[task], plain[task], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("attention", ["reference", "reference_skip"])
def test_with_a_reference_the_prediction_depends_on_whose_it_is(attention):
    maps = some_maps()
    outs = {task: make(attention=attention, reference=task)(maps) for task in TASKS}
    for task in TASKS:
        assert not torch.allclose(outs["depth"][task], outs["normal"][task])


def own_gradient(model: Decoders, loss: torch.Tensor, task: int) -> float:
    """Gradient that reaches what a task has of its own."""
    found = gradients(model, loss)
    stacked = {name: g for name, g in found.items() if ".maps." not in name and not name.startswith("heads.")}
    return sum(float(g[task].abs().sum()) for g in stacked.values())


@pytest.mark.parametrize(
    ("attention", "leads"), [("shared", set()), ("skip", set()), ("reference", {"depth"}), ("joint", set(TASKS))]
)
def test_between_whose_streams_information_flows(attention, leads):
    """In the literal model nothing flows between the streams; with a reference it flows one way."""
    model = make(attention=attention, reference="depth")
    out = model(some_maps())
    for place, other in enumerate(TASKS):
        for task in TASKS:
            reached = own_gradient(model, out[task].square().mean(), place) > 0
            assert reached == (other == task or other in leads), (task, other)


def test_stages_left_out_make_their_own_maps():
    model = make(attention="shared", shared_stages=[1, 3])
    assert [len(stage.blocks[1].maps.qk.weight) for stage in model.stages] == [1, 3, 1, 3]


def test_a_task_starts_alike_alone_and_in_company():
    alone = Decoders({"depth": 1}, WIDTHS, HEADS, WINDOW, OPTIONS, 0).state_dict()
    together = Decoders(TASKS, WIDTHS, HEADS, WINDOW, OPTIONS, 0).state_dict()
    for name, weights in alone.items():
        if name.startswith("heads") or len(together[name]) == 1:
            assert torch.equal(weights, together[name]), name
        else:
            assert torch.equal(weights[0], together[name][list(TASKS).index("depth")]), name


def test_every_parameter_of_every_variant_learns():
    for attention in EVERY:
        model = make(attention=attention, skip="concat")
        found = gradients(model, sum(out.square().mean() for out in model(some_maps()).values()))
        for name, gradient in found.items():
            assert gradient.abs().flatten(1).sum(1).gt(0).all() if gradient.ndim > 1 else gradient.any(), (
                attention,
                name,
            )
