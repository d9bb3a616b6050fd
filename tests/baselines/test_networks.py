import pytest
import torch
from safetensors.torch import load, save

from mult.baselines import BASELINES
from mult.baselines.stages import split
from mult.errors import UserError
from mult.models.cost import gmacs, parameters_m
from mult.models.encoder import Encoder
from mult.seeding import torch_seed
from mult.tasks import TASKS, outputs

ENCODER = {"name": "test_resnet", "pretrained": False, "coordinates": True, "options": {}}
SWIN = ENCODER | {
    "name": "swin_tiny_patch4_window7_224",
    "options": {"embed_dim": 16, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 4, 8], "window_size": 4},
}
BACKBONES = [
    ENCODER | {"name": "resnet18"},
    ENCODER | {"name": "tf_efficientnet_lite0", "coordinates": False},
    ENCODER | {"name": "mobilenetv3_small_100"},
    ENCODER | {"name": "convnext_atto"},
    SWIN,
]
each_baseline = pytest.mark.parametrize("name", BASELINES)


def groups_of(tasks):
    """The first task alone, so that a one-task model is a part of every other."""
    return [group for group in (list(tasks[:1]), list(tasks[1:3]), list(tasks[3:])) if group]


def make(name, tasks=tuple(TASKS), seed=0, encoder=ENCODER, classes=18, **options):
    options = {"width": 8, "dropout": 0.0, "groups": groups_of(list(tasks))} | options
    return BASELINES[name](outputs(list(tasks), classes), 32, encoder, options, seed)


@pytest.mark.parametrize("tasks", [list(TASKS), ["depth"], ["semseg", "edges"]], ids="+".join)
@each_baseline
def test_any_image_size(name, tasks):
    model = make(name, tasks).eval()
    for size in ((33, 70), (32, 32), (64, 20)):
        predictions = model(torch.rand(2, 3, *size))
        expected = {t: (2, channels, *size) for t, channels in outputs(tasks, 18).items()}
        assert {t: p.shape for t, p in predictions.items()} == expected
        assert list(predictions) == tasks


@pytest.mark.parametrize("encoder", BACKBONES, ids=lambda e: e["name"])
def test_stages_one_after_the_other_are_the_encoder(encoder):
    model = Encoder(encoder["name"], 64, False, encoder["coordinates"], **encoder["options"]).eval()
    images = torch.rand(2, 3, 50, 70)
    x, stages = model.prepare(images), split(model)
    for level, (stage, expected) in enumerate(zip(stages, model(images), strict=True)):
        x = stage(x)
        assert torch.equal(model.finish(level, x), expected)
    used = sum(p.numel() for stage in stages for p in stage.parameters())
    assert used == sum(p.numel() for p in model.body.parameters())
    assert make("cross_stitch", ["depth", "edges"], encoder=encoder).eval()(images)["edges"].shape == (2, 1, 50, 70)


def test_a_backbone_that_does_not_run_by_stages():
    with pytest.raises(UserError, match=r"encoder\.name: timm's HighRes\w+ does not run stage by stage"):
        make("cross_stitch", ["depth"], encoder=ENCODER | {"name": "hrnet_w18_small"})


@each_baseline
def test_every_parameter_learns(name):
    model, images = make(name), torch.rand(2, 3, 64, 64)
    for weights in model.parameters():
        if not weights.any():  # timm lets a residual branch start from zero, which holds up its gradient for a step
            torch.nn.init.normal_(weights)
    predictions = model.supervised(images) if name == "pad_net" else [model(images)]
    sum(p.square().mean() for some in predictions for p in some.values()).backward()
    assert not [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]


@each_baseline
def test_models_of_a_seed_share_their_parts(name):
    one, six, other = (
        make(name, tasks, seed).state_dict() for tasks, seed in ((["semseg"], 0), (TASKS, 0), (TASKS, 1))
    )
    for key, weights in one.items():
        if not key.startswith("stitches"):  # they have a weight for each pair of tasks
            assert torch.equal(weights, six[key]), key
    moved = [key for key in six if six[key].is_floating_point() and not torch.equal(six[key], other[key])]
    assert any("encoder" in key for key in moved)
    assert any("semseg" in key and "encoder" not in key for key in moved)


@each_baseline
def test_the_encoder_is_that_of_every_model_of_the_seed(name):
    with torch_seed(5, "encoder"):
        expected = Encoder("test_resnet", 32, False, True).state_dict()
    encoders = [m for m in make(name, seed=5).modules() if isinstance(m, Encoder)]
    assert len(encoders) == {"cross_stitch": 6, "grouped": 3}.get(name, 1)
    for encoder in encoders:
        assert all(torch.equal(weights, expected[key]) for key, weights in encoder.state_dict().items())


@each_baseline
def test_weights_survive_the_file(name):
    model, again = make(name), make(name, seed=1)
    with torch.no_grad():
        model(torch.rand(4, 3, 32, 32))  # running statistics are weights too
    again.load_state_dict(load(save({k: v.contiguous() for k, v in model.state_dict().items()})))
    image = torch.rand(1, 3, 32, 32)
    before, after = model.eval()(image), again.eval()(image)
    assert all(torch.equal(before[t], after[t]) for t in TASKS)


@each_baseline
def test_cost(name):
    one, six = make(name, ["semseg"]), make(name)
    assert 0 < parameters_m(one) < parameters_m(six)
    assert 0 < gmacs(one, 64) < gmacs(six, 64)


def test_where_the_parameters_are():
    """A network a task costs six times one; a shared encoder is paid for once."""
    cnn, stitched, grouped = (parameters_m(make(name)) for name in ("cnn", "cross_stitch", "grouped"))
    singles = sum(parameters_m(make("cnn", [task])) for task in TASKS)
    assert cnn < grouped < singles < stitched < 1.02 * singles


def test_cross_stitch_starts_near_the_identity():
    weight = make("cross_stitch").stitches[2].weight
    assert weight.shape == (6, 6, 192), "a weight a channel"
    expected = 0.02 + 0.88 * torch.eye(6)
    torch.testing.assert_close(weight.data, expected.unsqueeze(-1).expand(6, 6, 192))


def test_cross_stitch_starts_as_single_task_networks():
    stitched, images = make("cross_stitch").eval(), torch.rand(2, 3, 32, 32)
    predictions = stitched(images)
    for task in TASKS:
        torch.testing.assert_close(predictions[task], make("cnn", [task]).eval()(images)[task])


@torch.no_grad()
def test_cross_stitch_mixes_between_the_stages():
    model, images = make("cross_stitch", ["depth", "normal"]).eval(), torch.rand(2, 3, 64, 64)
    own = torch.eye(2).unsqueeze(-1)
    for stitch in model.stitches[1:]:
        stitch.weight.copy_(own.expand_as(stitch.weight))

    def moved():
        """What another first stage of normal's encoder does to depth's four maps."""
        first = next(model.encoders["normal"].body["conv1"].parameters())
        before = model._encode(images)["depth"]
        first.neg_()
        after = model._encode(images)["depth"]
        first.neg_()
        return [not torch.allclose(a, b) for a, b in zip(before, after, strict=True)]

    assert moved() == [True] * 4, "what is mixed after the first stage goes through all the others"
    model.stitches[0].weight.copy_(own.expand_as(model.stitches[0].weight))
    assert moved() == [False] * 4


def test_grouped_is_its_networks_side_by_side():
    model = make("grouped", groups=[["edges", "semseg"], ["depth", "normal", "reshading"], ["keypoints"]])
    images = torch.rand(2, 3, 32, 32)
    pair = make("cnn", ["edges", "semseg"]).eval()(images)
    predictions = model.eval()(images)
    assert list(predictions) == list(TASKS)
    assert all(torch.equal(predictions[t], pair[t]) for t in pair)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": [["depth"], ["normal", "depth"]]}, "options.groups: 'depth' stands 2 times; keep it in one group"),
        ({"groups": [["depth"]]}, "options.groups: 'normal' is in no group; add it to one, or as a group of its own"),
        ({"groups": []}, "options.groups: 'depth' is in no group"),
        ({"groups": [["depth", "normal"], ["edges"]]}, "'edges' is no task of this model; write one of depth, normal"),
        ({"groups": [["depth", "normal"], []]}, "options.groups: a group is empty"),
        ({"groups": [["depth", "normal"]], "base": "vgg"}, "options.base: 'vgg' is no model; write one of cnn, cross"),
    ],
)
def test_wrong_groups(options, message):
    with pytest.raises(UserError) as error:
        make("grouped", ["depth", "normal"], **options)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_groups_of_any_base():
    model = make("grouped", base="mtan")
    assert {type(network).__name__ for network in model.networks.values()} == {"MTAN"}


def test_groups_of_pad_nets_are_supervised_twice():
    model, images = make("grouped", base="pad_net"), torch.rand(2, 3, 32, 32)
    sets = model.supervised(images)
    assert [list(predictions) for predictions in sets] == [list(TASKS)] * 2
    sum(p.square().mean() for p in sets[0].values()).backward()
    assert all(n.initial_heads[t][-1].weight.grad.any() for n in model.networks.values() for t in n.initial_heads)


def test_pad_net_predicts_twice():
    model, images = make("pad_net").eval(), torch.rand(2, 3, 40, 32)
    initial, final = model.supervised(images)
    assert all(torch.equal(model(images)[t], final[t]) for t in TASKS)
    assert all(initial[t].shape == final[t].shape and not torch.equal(initial[t], final[t]) for t in TASKS)


def test_pad_net_s_tasks_hear_each_other():
    model = make("pad_net", ["depth", "normal"])
    model(torch.rand(2, 3, 32, 32))["depth"].square().sum().backward()
    assert model.features["normal"][0][0].weight.grad.any()
    assert not any(p.grad is not None for p in model.heads["normal"].parameters())


def test_mtan_s_masks_pick_from_the_shared_map():
    attention = make("mtan", ["depth"]).tasks["depth"].attention[0]
    shared = torch.rand(2, 32, 4, 4)
    picked = attention(shared, [])
    assert ((picked > 0) & (picked < shared)).all()
