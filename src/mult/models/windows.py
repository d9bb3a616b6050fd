"""Cutting a feature map into attention windows and putting it together again."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

MASKED = -100.0  # Swin's own constant: added to the score of two tokens that are no neighbours in the image


@dataclass(frozen=True)
class Windows:
    """Windows of ``size`` x ``size`` tokens over a map of ``height`` x ``width``, moved by ``shift`` (0: not moved).

    The map is padded with zeros at its right and bottom edge up to a multiple of ``size``; the mask keeps real tokens
    from attending to the padding, which would take most of the attention where a map is smaller than a window.
    """

    height: int
    width: int
    size: int
    shift: int = 0

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width after padding."""
        return -(-self.height // self.size) * self.size, -(-self.width // self.size) * self.size

    def split(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to (B * windows, size * size, C)."""
        (height, width), s = self.padded, self.size
        if (height, width) != (self.height, self.width):
            x = F.pad(x, (0, 0, 0, width - self.width, 0, height - self.height))
        if self.shift:
            x = torch.roll(x, (-self.shift, -self.shift), dims=(1, 2))
        x = x.view(x.shape[0], height // s, s, width // s, s, x.shape[-1])
        return x.transpose(2, 3).reshape(-1, s * s, x.shape[-1])

    def join(self, windows: Tensor) -> Tensor:
        """(B * windows, size * size, C) back to (B, H, W, C); the padding is cut off."""
        (height, width), s = self.padded, self.size
        x = windows.view(-1, height // s, width // s, s, s, windows.shape[-1])
        x = x.transpose(2, 3).reshape(-1, height, width, windows.shape[-1])
        if self.shift:
            x = torch.roll(x, (self.shift, self.shift), dims=(1, 2))
        return x[:, : self.height, : self.width].contiguous()

    def mask(self, device: torch.device) -> Tensor | None:
        """(windows, tokens, tokens), 0 or MASKED: keeps padding apart, and what the shift has brought together."""
        height, width = self.padded
        if not self.shift and (height, width) == (self.height, self.width):
            return None
        region = torch.zeros(height, width, device=device)
        region[self.height :], region[:, self.width :] = -1, -1
        if self.shift:
            region = torch.roll(region, (-self.shift, -self.shift), (0, 1))
            cuts = (slice(0, -self.size), slice(-self.size, -self.shift), slice(-self.shift, None))
            for i, rows in enumerate(cuts):
                for j, columns in enumerate(cuts):
                    region[rows, columns] += 10 * (3 * i + j)
        s = self.size
        tokens = region.view(height // s, s, width // s, s).transpose(1, 2).reshape(-1, s * s)
        return (tokens[:, :, None] != tokens[:, None, :]) * MASKED
