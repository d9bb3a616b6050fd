"""The UNet decoder."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mult.baselines.layers import double_conv, head
from mult.baselines.pyramid import resize


class UNet(nn.Module):
    """Coarse to fine: enlarge, concatenate the encoder's map, two 3x3 convolutions (Ronneberger et al. 2015).

    It ends at the finest map's size, a quarter of the image's for the usual encoders, as MulT's decoders do.
    """

    def __init__(self, widths: Sequence[int], channels: int, width: int, dropout: float):
        """``widths``: of the encoder's maps, finest first; ``width``: at the finest level, doubled a level below."""
        super().__init__()
        self.blocks, below = nn.ModuleList(), widths[-1]
        for level in reversed(range(len(widths) - 1)):
            self.blocks.append(double_conv(below + widths[level], width << level))
            below = width << level
        self.head = head(below, channels, dropout)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """``maps``: (B, C, H, W), finest first. Returns (B, channels, H, W) of the finest."""
        *skips, x = maps
        for block, skip in zip(self.blocks, reversed(skips), strict=True):
            x = block(torch.cat([resize(x, skip), skip], 1))
        return self.head(x)
