"""MulT: one encoder, a decoder a task, attention maps as ``model.attention`` says."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mult.errors import UserError
from mult.models.decoder import Decoders
from mult.models.encoder import Encoder
from mult.seeding import torch_seed


class MulT(nn.Module):
    """The model of the paper in all its readings; see ``mult.models.attention.VARIANTS``."""

    def __init__(self, channels: Mapping[str, int], image_size: int, encoder: Mapping, decoder: Mapping, seed: int):
        """``channels``: output channels a task; ``encoder`` and ``decoder``: those sections of params.yaml."""
        super().__init__()
        self.encoder = _seeded_encoder(image_size, encoder, seed)
        if bad := [width for width in self.encoder.widths if width % decoder["head_width"]]:
            raise UserError(f"scale.decoder.head_width: {decoder['head_width']} does not divide the width {bad[0]}")
        heads = [width // decoder["head_width"] for width in self.encoder.widths]
        self.decoders = Decoders(channels, self.encoder.widths, heads, decoder["window"], decoder, seed)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) in [0, 1] to (B, channels, H, W) a task."""
        height, width = images.shape[-2:]
        predictions = self.decoders(self.encoder(images))
        return {t: self._resize(p, height, width) for t, p in predictions.items()}

    def _resize(self, prediction: Tensor, height: int, width: int) -> Tensor:
        """To image pixels; what the encoder's padding added is cut off."""
        stride, coarsest = self.encoder.strides[0], self.encoder.strides[-1]
        padded = [-(-side // coarsest) * coarsest for side in (height, width)]
        if prediction.shape[-2:] != (padded[0] // stride, padded[1] // stride):
            raise RuntimeError(f"prediction of {tuple(prediction.shape[-2:])} for an image of {height}x{width}")
        return _enlarge(prediction, padded)[..., :height, :width]


def _enlarge(x: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear resize of (B, C, H, W), as two matrix products: for few channels several times faster on a CPU."""
    rows, columns = (
        F.interpolate(torch.eye(old, device=x.device)[None, None], (new, old), mode="bilinear")[0, 0].to(x.dtype)
        for old, new in zip(x.shape[-2:], size, strict=True)
    )
    return rows @ (x @ columns.mT)


def _seeded_encoder(image_size: int, settings: Mapping, seed: int) -> Encoder:
    """First weights from ``seed`` alone, where they are not pretrained: the same in every run of a seed."""
    with torch_seed(seed, "encoder"):
        chosen = (settings["pretrained"], settings["coordinates"])
        return Encoder(settings["name"], image_size, *chosen, **settings["options"])
