"""The released two-task heads DEA1 to DEA4, written out on their own state dict, block by block (spec of IVRL/MulT).

``se`` is the segmentation stream, ``de`` depth, ``co`` the encoder's map of the level.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.reference.decoder import cut, mask_of, paste

WINDOW = 7


def released_head(
    state: Mapping[str, Tensor], head: str, maps: list[Tensor], heads: list[int]
) -> tuple[Tensor, Tensor]:
    """Segmentation and depth (B, K, H, W) of one head (``dea1`` …) from maps (B, H, W, C), finest first.

    ``heads`` counts attention heads a stage, coarsest first.
    """
    maps = list(reversed(maps))
    se = de = maps[0]
    for layer, co in enumerate(maps):
        if layer:
            se, de = (_upsample(state, f"layers.{layer - 1}.upsample_{s}", x, co) for s, x in (("se", se), ("de", de)))
        for block in (0, 1):
            se, de = _block(state, head, layer, block, se, de, co, heads[layer])
    seg, depth = (
        F.conv2d(x.permute(0, 3, 1, 2), state[f"{name}.weight"], state[f"{name}.bias"])
        for name, x in (("conv_seg", se), ("conv_de", de))
    )
    return seg, depth


def _upsample(state, name: str, x: Tensor, co: Tensor) -> Tensor:
    x = F.interpolate(x.permute(0, 3, 1, 2), tuple(co.shape[1:3]), mode="bilinear", align_corners=False)
    x = _norm(state, f"{name}.norm", x.permute(0, 2, 3, 1))
    return F.linear(x, state[f"{name}.reduction.weight"])


def _norm(state, name: str, x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"])


def _linear(state, name: str, x: Tensor) -> Tensor:
    return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])


def _block(state, head: str, layer: int, block: int, se: Tensor, de: Tensor, co: Tensor, heads: int):
    name, shift = f"layers.{layer}.blocks.{block}.", block * (WINDOW // 2)
    batch, height, width, channels = co.shape
    se_in, de_in = (cut(_norm(state, f"{name}norm1_{s}", x), WINDOW, shift) for s, x in (("se", se), ("de", de)))
    skip = cut(co, WINDOW, shift)
    first = block == 0
    if (head in ("dea2", "dea3") and first) or head == "dea4":
        se_in, de_values = torch.cat([se_in, skip], -1), torch.cat([de_in, skip], -1)
    else:
        de_values = de_in
    if head in ("dea1", "dea2") and first:
        q, k = _linear(state, f"{name}attn.qk", skip).chunk(2, -1)
        v_de = _linear(state, f"{name}attn.v_de", de_values)
    else:
        q, k, v_de = _linear(state, f"{name}attn.qkv_de", de_values).chunk(3, -1)
    v_se = _linear(state, f"{name}attn.v_se", se_in)

    def split(x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], heads, channels // heads).transpose(1, 2)

    place = torch.arange(WINDOW**2)
    row, column = place // WINDOW, place % WINDOW
    offset = (row[:, None] - row + WINDOW - 1) * (2 * WINDOW - 1) + column[:, None] - column + WINDOW - 1
    bias = state[f"{name}attn.relative_position_bias_table"][offset].permute(2, 0, 1)
    scores = split(q) * (channels // heads) ** -0.5 @ split(k).transpose(-2, -1) + bias
    mask = mask_of(height, width, WINDOW, shift, open_padding=True)
    if mask is not None:
        scores = scores + mask.repeat(batch, 1, 1)[:, None]
    attention = scores.softmax(-1)
    out = []
    for s, x, v in (("se", se, v_se), ("de", de, v_de)):
        mixed = (attention @ split(v)).transpose(1, 2).flatten(2)
        x = x + paste(_linear(state, f"{name}attn.proj_{s}", mixed), WINDOW, shift, co.shape[:3])
        hidden = F.gelu(_linear(state, f"{name}mlp_{s}.fc1", _norm(state, f"{name}norm2_{s}", x)))
        out.append(x + _linear(state, f"{name}mlp_{s}.fc2", hidden))
    return out
