import pytest
import torch

from mult.errors import UserError
from mult.models.attention import VARIANTS
from mult.models.block import FORMS
from mult.models.cost import gmacs, parameters_m
from mult.models.encoder import seeded_encoder
from mult.models.mult import MulT
from mult.tasks import TASKS, outputs

TINY = {"embed_dim": 16, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 4, 8], "window_size": 4}
DECODER = {
    "attention": "shared", "reference": "depth", "skip": "none", "t2_mlp": False, "t2_shift": False,
    "relative_bias": True, "open_padding": False, "shared_stages": [1, 2, 3, 4], "window": 4, "head_width": 16,
    "mlp_ratio": 4.0, "drop_path": 0.0, "dropout": 0.0,
}  # fmt: skip


def make(tasks=tuple(TASKS), seed=0, size=32, name="tiny", options=TINY, coordinates=True, **decoder) -> MulT:
    encoder = {
        "name": f"swin_{name}_patch4_window7_224",
        "pretrained": False,
        "coordinates": coordinates,
        "options": options,
    }
    return MulT(outputs(tasks, 18), size, encoder, DECODER | decoder, seed)


RESNET = {"name": "resnet18", "pretrained": False, "coordinates": False, "options": {}}
PLAIN, DRAWN = {"attention": "self", "t2_mlp": True}, {"attention": "shared"}


# Section 2.5 of the project's notes on the paper: parameters (M) and multiply-accumulates (G), counted by hand there.
@pytest.mark.parametrize(
    ("name", "tasks", "decoder", "size", "params", "macs"),
    [
        ("tiny", TASKS, PLAIN, 224, 143.0, 22.9),
        ("tiny", TASKS, DRAWN, 224, 97.4, 16.0),
        ("tiny", TASKS, {"attention": "skip"}, 224, 105.3, 17.3),
        ("tiny", ["depth"], PLAIN, 224, 46.8, 7.6),
        ("large", TASKS, PLAIN, 224, 656.2, 106.6),
        ("large", TASKS, DRAWN, 224, 474.2, 79.5),
        ("large", TASKS, {"attention": "skip"}, 224, 505.7, 84.4),
        ("large", TASKS, {"attention": "skip_lowrank"}, 224, 474.2, None),
        ("large", TASKS, DRAWN | {"t2_mlp": True}, 224, 624.7, 101.7),
        ("large", TASKS, {"attention": "dea1"}, 224, 593.3, 96.8),
        ("large", TASKS, {"attention": "dea4"}, 224, 643.4, 104.2),
        ("large", ["depth"], PLAIN, 224, 271.9, 46.5),
        ("large", ["depth"], DRAWN, 224, 246.8, 42.8),
        ("large", ["semseg", "depth"], PLAIN, 448, 348.7, None),
        ("large", ["semseg", "depth"], {"attention": "dea1"}, 448, 336.2, None),
        ("large", ["semseg", "depth"], {"attention": "dea4"}, 448, 361.2, None),
        ("large", ["semseg", "depth"], DRAWN, 448, 292.3, None),
    ],
)
def test_size_of_the_paper_s_forms(name, tasks, decoder, size, params, macs):
    with torch.device("meta"):
        model = make(tasks, size=size, name=name, options={}, coordinates=False, window=7, head_width=32, **decoder)
    assert parameters_m(model) == pytest.approx(params, rel=0.005)
    assert macs is None or gmacs(model, size) == pytest.approx(macs, rel=0.03)


@pytest.mark.parametrize("size", [(32, 32), (33, 70), (64, 20)])
@pytest.mark.parametrize("attention", ["self", "skip", "shared", "reference", "dea4"])
def test_any_image_size(size, attention):
    model = make(attention=attention, t2_shift=True, skip="concat").eval()
    predictions = model(torch.rand(2, 3, *size))
    assert {t: p.shape for t, p in predictions.items()} == {
        t: (2, channels, *size) for t, channels in outputs(TASKS, 18).items()
    }


def test_a_backbone_with_channels_first():
    encoder = RESNET
    model = MulT(outputs(["depth"], 18), 64, encoder, DECODER, 0).eval()
    assert model.encoder.widths == (64, 128, 256, 512)
    assert model(torch.rand(1, 3, 64, 96))["depth"].shape == (1, 1, 64, 96)


def test_runs_of_a_seed_share_the_encoder():
    single, pair, six, other = make(["depth"]), make(["depth", "normal"]), make(), make(seed=1)
    for name, weights in single.encoder.state_dict().items():
        assert torch.equal(weights, six.encoder.state_dict()[name]), name
        assert torch.equal(weights, pair.encoder.state_dict()[name]), name
    moved = [not torch.equal(a, b) for a, b in zip(six.parameters(), other.parameters(), strict=True)]
    assert sum(moved) > 50, "another seed gives other weights"


def test_shared_with_one_task_computes_what_skip_does():
    shared, skip = make(["depth"], attention="shared"), make(["depth"], attention="skip")
    skip.load_state_dict(shared.state_dict())
    image = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(shared.eval()(image), skip.eval()(image))


@pytest.mark.parametrize("shared_stages", [[1, 2, 3, 4], [1, 3], []])
@pytest.mark.parametrize("skip", ["none", "add", "concat"])
@pytest.mark.parametrize("attention", [*VARIANTS, *FORMS])
def test_a_loss_reaches_every_parameter(attention, skip, shared_stages):
    """Processes that train together wait for the gradient of each."""
    model = make(["depth", "normal"], attention=attention, skip=skip, shared_stages=shared_stages)
    sum(p.square().mean() for p in model(torch.rand(1, 3, 32, 32)).values()).backward()
    assert not [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]


def test_a_backbone_whose_maps_lie_side_by_side_says_when_some_of_it_is_idle():
    encoder = {"name": "hrnet_w18_small", "pretrained": False, "coordinates": False, "options": {}}

    def idle(attention):
        return MulT(outputs(["depth"], 18), 32, encoder, DECODER | {"attention": attention}, 0).encoder.idle

    assert idle("self")
    assert not idle("shared")
    assert not make(attention="self").encoder.idle


def test_the_encoder_learns_as_well():
    model = make(skip="concat")
    sum(p.square().mean() for p in model(torch.rand(2, 3, 32, 32)).values()).backward()
    idle = [n for n, p in model.encoder.named_parameters() if p.grad is None or not p.grad.any()]
    # Keys' biases add the same to every score of a row, so the softmax forgets them; the last window is one token.
    assert not [n for n in idle if "bias" not in n and "layers_3" not in n], idle


def test_a_conv_stem_keeps_the_tokens_and_every_run_of_a_seed_has_the_same():
    encoder = {"name": "swin_tiny_patch4_window7_224", "pretrained": False, "coordinates": True, "options": TINY}
    plain, one = (seeded_encoder(32, encoder | {"stem": stem}, 0) for stem in ("patch", "conv"))
    image = torch.rand(2, 3, 40, 32)
    assert [m.shape for m in one.eval()(image)] == [m.shape for m in plain.eval()(image)]
    other = seeded_encoder(32, encoder | {"stem": "conv"}, 0)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    with pytest.raises(UserError, match="stem: conv is for networks with patches"):
        seeded_encoder(32, RESNET | {"stem": "conv"}, 0)
