"""Cutting a feature map into attention windows and putting it together again."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

# Added to the score of two tokens that are no neighbours in the image. Swin takes -100, whose exponential is a
# denormal number, on which a CPU is many times slower than on the zero that this one's is.
MASKED = -1e4


@dataclass(frozen=True)
class Windows:
    """Windows of ``size`` x ``size`` tokens over a map of ``height`` x ``width``, moved by ``shift`` (0: not moved).

    The map is padded with zeros at its right and bottom edge up to a multiple of ``size``; the mask keeps real tokens
    from attending to the padding, which would take most of the attention where a map is smaller than a window. A map
    that is narrower than a window gets a narrower one, which is the same without the work on padding. With
    ``open_padding`` tokens do attend to the padding, as in the released code.
    """

    height: int
    width: int
    size: int
    shift: int = 0
    open_padding: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of a window."""
        if self.shift or self.open_padding:
            return self.size, self.size
        return min(self.size, self.height), min(self.size, self.width)

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width after padding."""
        rows, columns = self.shape
        return -(-self.height // rows) * rows, -(-self.width // columns) * columns

    def split(self, x: Tensor) -> Tensor:
        """(..., B, H, W, C) to (..., B * windows, tokens, C)."""
        (height, width), (rows, columns) = self.padded, self.shape
        if (height, width) != (self.height, self.width):
            x = F.pad(x, (0, 0, 0, width - self.width, 0, height - self.height))
        if self.shift:
            x = torch.roll(x, (-self.shift, -self.shift), dims=(-3, -2))
        *leading, images, _, _, channels = x.shape
        x = x.reshape(*leading, images, height // rows, rows, width // columns, columns, channels)
        return x.transpose(-4, -3).reshape(*leading, -1, rows * columns, channels)

    def join(self, windows: Tensor) -> Tensor:
        """(..., B * windows, tokens, C) back to (..., B, H, W, C); the padding is cut off."""
        (height, width), (rows, columns) = self.padded, self.shape
        *leading, _, _, channels = windows.shape
        x = windows.reshape(*leading, -1, height // rows, width // columns, rows, columns, channels)
        x = x.transpose(-4, -3).reshape(*leading, -1, height, width, channels)
        if self.shift:
            x = torch.roll(x, (self.shift, self.shift), dims=(-3, -2))
        return x[..., : self.height, : self.width, :].contiguous()

    def mask(self, device: torch.device) -> Tensor | None:
        """(windows, tokens, tokens), 0 or MASKED: keeps padding apart, and what the shift has brought together."""
        height, width = self.padded
        hidden = (height, width) != (self.height, self.width) and not self.open_padding
        if not self.shift and not hidden:
            return None
        region = torch.zeros(height, width, device=device)
        if hidden:
            region[self.height :], region[:, self.width :] = -1, -1
        if self.shift:
            region = torch.roll(region, (-self.shift, -self.shift), (0, 1))
            cuts = (slice(0, -self.size), slice(-self.size, -self.shift), slice(-self.shift, None))
            for i, rows in enumerate(cuts):
                for j, columns in enumerate(cuts):
                    region[rows, columns] += 10 * (3 * i + j)
        tokens = self._tokens(region)
        return (tokens[:, :, None] != tokens[:, None, :]) * MASKED

    def real(self, device: torch.device, images: int) -> Tensor | None:
        """(images * windows, tokens, 1): 1 for tokens of the map, 0 for padding; None where there is no padding."""
        height, width = self.padded
        if (height, width) == (self.height, self.width):
            return None
        here = torch.zeros(height, width, device=device)
        here[: self.height, : self.width] = 1
        if self.shift:
            here = torch.roll(here, (-self.shift, -self.shift), (0, 1))
        return self._tokens(here).repeat(images, 1)[..., None]

    def _tokens(self, plane: Tensor) -> Tensor:
        """(padded height, padded width) to (windows, tokens)."""
        (height, width), (rows, columns) = self.padded, self.shape
        split = plane.view(height // rows, rows, width // columns, columns)
        return split.transpose(1, 2).reshape(-1, rows * columns)
