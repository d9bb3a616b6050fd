"""Cross-stitch networks."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mult.baselines.stages import split
from mult.baselines.unet import UNet
from mult.models.encoder import seeded_encoder
from mult.models.initialise import seeded
from mult.models.resize import to_images

OWN = 0.9  # a network's first weight for its own map; the others share the rest


class Stitch(nn.Module):
    """What each network goes on with: a weighted sum of the maps of all, a weight a channel."""

    def __init__(self, networks: int, width: int, channels_last: bool):
        super().__init__()
        layout = "hwc" if channels_last else "chw"
        self.equation = f"stc,tb{layout}->sb{layout}"
        others = (1 - OWN) / (networks - 1) if networks > 1 else 0.0
        weight = torch.full((networks, networks), others).fill_diagonal_(OWN if networks > 1 else 1.0)
        self.weight = nn.Parameter(weight.unsqueeze(-1).repeat(1, 1, width))

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """A map a network to as many of the same shape, (B, H, W, C) if ``channels_last``, else (B, C, H, W)."""
        return torch.einsum(self.equation, self.weight, torch.stack(list(maps))).unbind()


class CrossStitch(nn.Module):
    """A network a task, joined by a learned mixing of their maps after each encoder stage (Misra et al. 2016).

    The mixed map is what the next stage goes on with, as in the paper, and what the decoder gets. All encoders start
    from the same weights (in the paper, from trained single-task networks), so an untrained model predicts what the
    untrained single-task CNNs do.
    """

    def __init__(self, channels: Mapping[str, int], image_size: int, encoder: Mapping, options: Mapping, seed: int):
        """``channels``: outputs a task; ``encoder``: that section of params.yaml; ``options``: width, dropout.

        Raises:
            UserError: the backbone does not run stage by stage.
        """
        super().__init__()
        self.encoders = nn.ModuleDict({t: seeded_encoder(image_size, encoder, seed) for t in channels})
        model = next(iter(self.encoders.values()))
        split(model)  # so that a backbone of the wrong kind is refused here, not in the first step
        sizes = (options["width"], options["dropout"])
        self.stitches = nn.ModuleList(Stitch(len(channels), width, model.channels_last) for width in model.widths)
        self.decoders = nn.ModuleDict(
            {t: seeded((seed, "unet", t), UNet, model.widths, count, *sizes) for t, count in channels.items()}
        )

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) in [0, 1] to (B, channels, H, W) a task."""
        maps = self._encode(images)
        predictions = {t: decoder(maps[t]) for t, decoder in self.decoders.items()}
        return to_images(predictions, images, next(iter(self.encoders.values())).strides[-1])

    def _encode(self, images: Tensor) -> dict[str, list[Tensor]]:
        """Four maps (B, C, H/s, W/s) a task, finest first."""
        encoders = self.encoders.values()
        maps: dict[str, list[Tensor]] = {t: [] for t in self.encoders}
        streams = [encoder.prepare(images) for encoder in encoders]
        for level, stages in enumerate(zip(*map(split, encoders), strict=True)):
            streams = self.stitches[level]([stage(x) for stage, x in zip(stages, streams, strict=True)])
            for (task, encoder), x in zip(self.encoders.items(), streams, strict=True):
                maps[task].append(encoder.finish(level, x).permute(0, 3, 1, 2))
        return maps
