"""Windowed attention, one image, window and head at a time."""

import math

import torch
from torch import Tensor


def windowed_attention(
    x: Tensor, qk: tuple[Tensor, Tensor], value: Tensor, heads: int, window: int, bias: Tensor, shift: int
) -> Tensor:
    """Attention within windows of a (B, H, W, C) map.

    ``qk`` are the (C, C) matrices of queries and keys, ``value`` that of the values, ``bias`` the (2w-1)^2 x heads
    table. Zeros are added at the right and bottom; padding, and tokens that the shift brought together, are kept
    apart by -10,000.
    """
    batch, height, width, channels = x.shape
    padded_h, padded_w = math.ceil(height / window) * window, math.ceil(width / window) * window
    padded = x.new_zeros(batch, padded_h, padded_w, channels)
    padded[:, :height, :width] = x
    out = torch.zeros_like(padded)
    size = channels // heads

    def region(position: int, length: int) -> int:
        return 0 if position < length - window else 1 if position < length - shift else 2

    for top in range(0, padded_h, window):
        for left in range(0, padded_w, window):
            places = [(top + i, left + j) for i in range(window) for j in range(window)]
            source = [((r + shift) % padded_h, (c + shift) % padded_w) for r, c in places]
            for image in range(batch):
                tokens = torch.stack([padded[image, r, c] for r, c in source])
                for head in range(heads):
                    part = slice(head * size, (head + 1) * size)
                    q, k, v = tokens @ qk[0].T[:, part], tokens @ qk[1].T[:, part], tokens @ value.T[:, part]
                    scores = torch.zeros(len(places), len(places))
                    for a, (ra, ca) in enumerate(places):
                        for b, (rb, cb) in enumerate(places):
                            offset = (ra - rb + window - 1) * (2 * window - 1) + (ca - cb + window - 1)
                            scores[a, b] = q[a] @ k[b] / math.sqrt(size) + bias[offset, head]
                            one = (region(ra, padded_h), region(ca, padded_w))
                            other = (region(rb, padded_h), region(cb, padded_w))
                            real = [r < height and c < width for r, c in (source[a], source[b])]
                            if (shift and one != other) or real[0] != real[1]:
                                scores[a, b] -= 1e4
                    mixed = scores.softmax(-1) @ v
                    for a, (r, c) in enumerate(source):
                        out[image, r, c, part] = mixed[a]
    return out[:, :height, :width]
