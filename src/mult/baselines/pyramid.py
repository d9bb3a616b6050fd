"""From images to the encoder's maps, as convolutions want them."""

import torch.nn.functional as F
from torch import Tensor

from mult.models.encoder import Encoder


def maps_of(encoder: Encoder, images: Tensor) -> list[Tensor]:
    """(B, 3, H, W) to the encoder's four maps (B, C, H/s, W/s), finest first, as convolutions want them."""
    return [m.permute(0, 3, 1, 2) for m in encoder(images)]


def resize(x: Tensor, like: Tensor) -> Tensor:
    """(B, C, h, w) to the height and width of ``like``, bilinear."""
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)
