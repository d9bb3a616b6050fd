"""The convolutional layers of which every baseline is made."""

from collections.abc import Sequence

from torch import Tensor, nn

from mult.baselines.pyramid import resize


def conv(width: int, width_out: int, kernel: int) -> nn.Sequential:
    """Convolution, batch norm, ReLU; (B, C, H, W) to (B, C_out, H, W)."""
    # The norm has a bias of its own.
    layer = nn.Conv2d(width, width_out, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(width_out), nn.ReLU())


def double_conv(width: int, width_out: int) -> nn.Sequential:
    """The UNet's block: two 3x3 convolutions, each with norm and ReLU."""
    return nn.Sequential(conv(width, width_out, 3), conv(width_out, width_out, 3))


def head(width: int, channels: int, dropout: float) -> nn.Sequential:
    """Features (B, width, H, W) to a prediction (B, channels, H, W)."""
    return nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(width, channels, 1))


class Fuse(nn.Module):
    """Four maps to one of the finest's size, as if all were enlarged, concatenated and convolved 1x1.

    A 1x1 convolution of a concatenation is a sum of 1x1 convolutions, and each commutes with bilinear enlarging: done
    before it, the coarse maps cost next to nothing.
    """

    def __init__(self, widths: Sequence[int], width_out: int):
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(width, width_out, 1, bias=False) for width in widths)
        self.finish = nn.Sequential(nn.BatchNorm2d(width_out), nn.ReLU())

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """``maps``: (B, C, H, W), finest first. Returns (B, width_out, H, W) of the finest."""
        finest, *coarser = [lateral(m) for lateral, m in zip(self.laterals, maps, strict=True)]
        return self.finish(sum((resize(m, finest) for m in coarser), finest))
