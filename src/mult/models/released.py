"""Weights of the released two-task heads, DEA1 to DEA4 of IVRL/MulT, as weights of ``mult.models.decoder.Decoders``.

Build ``Decoders({"semseg": K, "depth": 1}, widths, heads, 7, RELEASED | {"attention": "dea1"}, seed)`` and load what
``from_released`` makes of a head's state dict. Of the stacked weights ``se`` is task 0, semseg,
and ``de`` is task 1, depth:

=========================================  ==========================================
released, in ``layers.L.blocks.B``         here, in ``stages.L.blocks.B``
=========================================  ==========================================
``norm1_se, norm1_de``                     ``norm1``
``attn.qk``, or rows 0..2C of ``qkv_de``   ``maps.qk``
``attn.relative_position_bias_table``      ``maps.bias.table``
``attn.v_se``, ``attn.v_de``               ``value`` (or the last C rows of ``qkv_de``)
``attn.proj_se, attn.proj_de``             ``out``
``norm2_se, norm2_de``, ``mlp_se, mlp_de`` ``mlp.norm``, ``mlp``
``layers.L.upsample_se.norm, .reduction``  ``upsamples.L.norm``, ``.reduce``
``conv_seg``, ``conv_de``                  ``heads.semseg``, ``heads.depth``
=========================================  ==========================================
"""

from collections.abc import Mapping

import torch
from torch import Tensor

STREAMS = ("se", "de")
# The decoder's settings under which it computes what the released heads do.
RELEASED = {
    "reference": "depth",
    "skip": "none",
    "t2_mlp": True,
    "t2_shift": True,
    "relative_bias": True,
    "open_padding": True,
    "shared_stages": [1, 2, 3, 4],
    "mlp_ratio": 4.0,
    "drop_path": 0.3,
    "dropout": 0.1,
}


def from_released(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State dict of ``Decoders`` for tasks semseg and depth, from a released head's own (keys without prefix)."""
    out = {}
    layers = sorted({int(key.split(".")[1]) for key in state if key.startswith("layers.")})
    for layer in layers:
        for block in (0, 1):
            out |= _block(state, f"layers.{layer}.blocks.{block}.", f"stages.{layer}.blocks.{block}.")
        if f"layers.{layer}.upsample_se.norm.weight" in state:
            source, target = f"layers.{layer}.upsample_", f"upsamples.{layer}."
            for kind in ("weight", "bias"):
                out[f"{target}norm.{kind}"] = _both(state, source + "{}.norm." + kind)
            out[f"{target}reduce.weight"] = _both(state, source + "{}.reduction.weight")
    for name, task in (("conv_seg", "semseg"), ("conv_de", "depth")):
        out[f"heads.{task}.weight"] = state[f"{name}.weight"].flatten(1)
        out[f"heads.{task}.bias"] = state[f"{name}.bias"]
    return out


def _both(state: Mapping[str, Tensor], pattern: str) -> Tensor:
    return torch.stack([state[pattern.format(stream)] for stream in STREAMS])


def _block(state: Mapping[str, Tensor], source: str, target: str) -> dict[str, Tensor]:
    width = len(state[f"{source}norm1_se.weight"])
    out = {f"{target}maps.bias.table": state[f"{source}attn.relative_position_bias_table"][None]}
    for kind in ("weight", "bias"):
        for name, ours in (("norm1", "norm1"), ("norm2", "mlp.norm")):
            out[f"{target}{ours}.{kind}"] = _both(state, f"{source}{name}_{{}}.{kind}")
        for name in ("fc1", "fc2"):
            out[f"{target}mlp.{name}.{kind}"] = _both(state, f"{source}mlp_{{}}.{name}.{kind}")
        out[f"{target}out.{kind}"] = _both(state, f"{source}attn.proj_{{}}.{kind}")
        own, common = f"{source}attn.v_se.{kind}", f"{source}attn.qk.{kind}"
        if common in state:
            out[f"{target}maps.qk.{kind}"] = state[common][None]
            out[f"{target}value.{kind}"] = _both(state, f"{source}attn.v_{{}}.{kind}")
        else:
            led = state[f"{source}attn.qkv_de.{kind}"]
            out[f"{target}maps.qk.{kind}"] = led[None, : 2 * width]
            out[f"{target}value.{kind}"] = torch.stack([state[own], led[2 * width :]])
    return out
