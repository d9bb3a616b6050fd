import pytest
import torch

from mult.models.cost import gmacs, parameters_m
from mult.models.mult import MulT
from mult.tasks import TASKS, outputs

TINY = {"embed_dim": 16, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 4, 8], "window_size": 4}
DECODER = {
    "attention": "shared", "skip": "none", "t2_mlp": False, "t2_shift": False, "relative_bias": True, "window": 4,
    "head_width": 16, "mlp_ratio": 4.0, "drop_path": 0.0, "dropout": 0.0,
}  # fmt: skip


def make(tasks=tuple(TASKS), seed=0, size=32, options=TINY, coordinates=True, **decoder) -> MulT:
    encoder = {
        "name": "swin_tiny_patch4_window7_224",
        "pretrained": False,
        "coordinates": coordinates,
        "options": options,
    }
    return MulT(outputs(tasks, 18), size, encoder, DECODER | decoder, seed)


# Section 2.5 of the project's notes on the paper: parameters and multiply-accumulates of Swin-T at 224 pixels.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("tasks", "decoder", "params", "macs"),
    [
        (TASKS, {"attention": "self", "t2_mlp": True}, 143.0, 22.9),
        (TASKS, {"attention": "shared"}, 97.4, 16.0),
        (TASKS, {"attention": "skip"}, 105.3, 17.3),
        (["depth"], {"attention": "self", "t2_mlp": True}, 46.8, 7.6),
    ],
)
def test_size_of_the_paper_s_forms(tasks, decoder, params, macs):
    model = make(tasks, size=224, options={}, coordinates=False, window=7, head_width=32, **decoder)
    assert parameters_m(model) == pytest.approx(params, rel=0.005)
    assert gmacs(model, 224) == pytest.approx(macs, rel=0.03)


@pytest.mark.parametrize("size", [(32, 32), (33, 70), (64, 20)])
@pytest.mark.parametrize("attention", ["self", "skip", "shared"])
def test_any_image_size(size, attention):
    model = make(attention=attention, t2_shift=True, skip="concat").eval()
    predictions = model(torch.rand(2, 3, *size))
    assert {t: p.shape for t, p in predictions.items()} == {
        t: (2, channels, *size) for t, channels in outputs(TASKS, 18).items()
    }


def test_a_backbone_with_channels_first():
    encoder = {"name": "resnet18", "pretrained": False, "coordinates": False, "options": {}}
    model = MulT(outputs(["depth"], 18), 64, encoder, DECODER, 0).eval()
    assert model.encoder.widths == (64, 128, 256, 512)
    assert model(torch.rand(1, 3, 64, 96))["depth"].shape == (1, 1, 64, 96)


def test_runs_of_a_seed_share_the_encoder_and_each_task_s_decoder():
    single, pair, six = make(["depth"]), make(["depth", "normal"]), make()
    other = make(seed=1)
    for name, weights in single.state_dict().items():
        if "source" in name:
            continue
        assert torch.equal(weights, six.state_dict()[name]), name
        assert torch.equal(weights, pair.state_dict()[name]), name
    moved = [not torch.equal(a, b) for a, b in zip(six.parameters(), other.parameters(), strict=True)]
    assert sum(moved) > 50, "another seed gives other weights"


def test_shared_with_one_task_computes_what_skip_does():
    shared, skip = make(["depth"], attention="shared"), make(["depth"], attention="skip")
    weights = {name.replace("maps.all", "maps.depth").replace("norms.all", "norms.depth"): value
               for name, value in shared.state_dict().items()}  # fmt: skip
    skip.load_state_dict(weights)
    image = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(shared.eval()(image), skip.eval()(image))


def test_every_parameter_of_every_variant_learns():
    for attention in ("self", "skip", "shared"):
        model = make(attention=attention, skip="concat", t2_mlp=True)
        torch.nn.init.normal_(model.decoders.heads["depth"].weight)
        sum(p.square().mean() for p in model(torch.rand(2, 3, 32, 32)).values()).backward()
        idle = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
        # Keys' biases add the same to every score of a row, so the softmax forgets them; the first window is 1 token.
        assert not [n for n in idle if "bias" not in n and "stages.0" not in n and "table" not in n], (attention, idle)
