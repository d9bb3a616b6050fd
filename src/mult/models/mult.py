"""MulT: one encoder, a decoder a task, attention maps as ``model.attention`` says."""

from collections.abc import Mapping

from torch import Tensor, nn

from mult.errors import UserError
from mult.models.decoder import Decoders
from mult.models.encoder import seeded_encoder
from mult.models.resize import to_images


class MulT(nn.Module):
    """The model of the paper in all its readings; see ``mult.models.attention.VARIANTS``."""

    def __init__(self, channels: Mapping[str, int], image_size: int, encoder: Mapping, decoder: Mapping, seed: int):
        """``channels``: output channels a task; ``encoder`` and ``decoder``: those sections of params.yaml."""
        super().__init__()
        self.encoder = seeded_encoder(image_size, encoder, seed)
        if bad := [width for width in self.encoder.widths if width % decoder["head_width"]]:
            raise UserError(f"scale.decoder.head_width: {decoder['head_width']} does not divide the width {bad[0]}")
        heads = [width // decoder["head_width"] for width in self.encoder.widths]
        self.decoders = Decoders(channels, self.encoder.widths, heads, decoder["window"], decoder, seed)
        self.encoder.leave_out(self.decoders.unread)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) in [0, 1] to (B, channels, H, W) a task."""
        return to_images(self.decoders(self.encoder(images)), images, self.encoder.strides[-1])
