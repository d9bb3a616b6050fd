"""The released heads: their own outputs where the files are, and their written-out form for all four."""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mult.models.block import FORMS
from mult.models.decoder import Decoders
from mult.models.released import RELEASED, from_released
from tests.reference.released import released_head

ORACLE = Path(os.environ.get("MULT_ORACLE", Path(__file__).parents[2] / "../shared/oracle")).resolve()
WIDTHS, HEADS = [8, 16, 32, 64], [1, 2, 4, 8]
SIZES = [(40, 30), (20, 15), (10, 8), (5, 4)]  # no multiples of the window: padding matters


def decoders(head: str) -> Decoders:
    return Decoders({"semseg": 5, "depth": 1}, WIDTHS, HEADS, 7, RELEASED | {"attention": head}, 0).eval()


@pytest.mark.parametrize("head", ["dea1", "dea4"])
def test_outputs_of_the_released_code(head):
    path = ORACLE / f"{head}.safetensors"
    if not path.is_file():
        pytest.skip(f"no {path} (set MULT_ORACLE)")
    stored = load_file(path)
    state = {key.removeprefix("weight."): value for key, value in stored.items() if key.startswith("weight.")}
    maps = [stored[f"input.{level}"].permute(0, 2, 3, 1) for level in range(4)]
    model = decoders(head)
    model.load_state_dict(from_released(state))
    with torch.no_grad():
        predictions = model(maps)
        seg, depth = released_head(state, head, maps, HEADS[::-1])
    for ours, written, theirs in (
        (predictions["semseg"], seg, stored["output.segmentation"]),
        (predictions["depth"], depth, stored["output.depth"]),
    ):
        torch.testing.assert_close(written, theirs, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def random_state(head: str) -> dict[str, torch.Tensor]:
    """A state dict with the names and shapes of the released head."""
    draw = torch.Generator().manual_seed(0)
    state = {}

    def add(name: str, *shape: int) -> None:
        state[f"{name}.weight"] = torch.randn(*shape, generator=draw) / shape[-1] ** 0.5
        state[f"{name}.bias"] = torch.randn(shape[0], generator=draw) / 10

    for layer, width in enumerate(WIDTHS[::-1]):
        for block in (0, 1):
            name = f"layers.{layer}.blocks.{block}."
            wide = (head in ("dea2", "dea3") and block == 0) or head == "dea4"
            inputs = 2 * width if wide else width
            state[f"{name}attn.relative_position_bias_table"] = torch.randn(169, HEADS[::-1][layer], generator=draw)
            if head in ("dea1", "dea2") and block == 0:
                add(f"{name}attn.qk", 2 * width, width)
                add(f"{name}attn.v_de", width, inputs)
            else:
                add(f"{name}attn.qkv_de", 3 * width, inputs)
            add(f"{name}attn.v_se", width, inputs)
            for stream in ("se", "de"):
                add(f"{name}attn.proj_{stream}", width, width)
                add(f"{name}norm1_{stream}", width)
                add(f"{name}norm2_{stream}", width)
                add(f"{name}mlp_{stream}.fc1", 4 * width, width)
                add(f"{name}mlp_{stream}.fc2", width, 4 * width)
        for stream in ("se", "de") if layer < 3 else ():
            add(f"layers.{layer}.upsample_{stream}.norm", width)
            add(f"layers.{layer}.upsample_{stream}.reduction", width // 2, width)
            del state[f"layers.{layer}.upsample_{stream}.reduction.bias"]
    add("conv_seg", 5, WIDTHS[0], 1, 1)
    add("conv_de", 1, WIDTHS[0], 1, 1)
    return state


@pytest.mark.parametrize("head", FORMS)
def test_all_four_as_they_are_written_out(head):
    state = random_state(head)
    draw = torch.Generator().manual_seed(1)
    maps = [torch.randn(2, *size, width, generator=draw) for size, width in zip(SIZES, WIDTHS, strict=True)]
    model = decoders(head)
    model.load_state_dict(from_released(state))
    with torch.no_grad():
        predictions = model(maps)
        seg, depth = released_head(state, head, maps, HEADS[::-1])
    torch.testing.assert_close(predictions["semseg"], seg, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(predictions["depth"], depth, atol=1e-5, rtol=1e-5)
