"""The convolutional network without attention: one task, or several with all of the encoder shared."""

from collections.abc import Mapping

from torch import Tensor, nn

from mult.baselines.pyramid import maps_of
from mult.baselines.unet import UNet
from mult.models.encoder import seeded_encoder
from mult.models.initialise import seeded
from mult.models.resize import to_images


class CNN(nn.Module):
    """One encoder and a UNet decoder a task: hard parameter sharing (Caruana 1997).

    With one task it is the single-task CNN.
    """

    def __init__(self, channels: Mapping[str, int], image_size: int, encoder: Mapping, options: Mapping, seed: int):
        """``channels``: outputs a task; ``encoder``: that section of params.yaml; ``options``: width, dropout."""
        super().__init__()
        self.encoder = seeded_encoder(image_size, encoder, seed)
        widths, sizes = self.encoder.widths, (options["width"], options["dropout"])
        self.decoders = nn.ModuleDict(
            {t: seeded((seed, "unet", t), UNet, widths, n, *sizes) for t, n in channels.items()}
        )

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) in [0, 1] to (B, channels, H, W) a task."""
        maps = maps_of(self.encoder, images)
        return to_images({t: decoder(maps) for t, decoder in self.decoders.items()}, images, self.encoder.strides[-1])
