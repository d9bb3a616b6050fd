"""The multi-task attention network."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mult.baselines.layers import Fuse, conv, head
from mult.baselines.pyramid import maps_of
from mult.models.encoder import seeded_encoder
from mult.models.initialise import seeded
from mult.models.resize import to_images

SQUEEZE = 4  # an attention module is this much narrower inside


class SoftAttention(nn.Module):
    """A mask in (0, 1), a value a pixel and channel, with which a task picks from a shared map."""

    def __init__(self, width: int, width_in: int):
        super().__init__()
        inner = width // SQUEEZE
        self.mask = nn.Sequential(
            conv(width_in, inner, 1), nn.Conv2d(inner, width, 1, bias=False), nn.BatchNorm2d(width), nn.Sigmoid()
        )

    def forward(self, shared: Tensor, passed: Sequence[Tensor]) -> Tensor:
        """The shared map (B, C, H, W) and what the finer level passed on, if any, to the task's map of its shape."""
        return self.mask(torch.cat([shared, *passed], 1)) * shared


class TaskAttention(nn.Module):
    """What one task owns: an attention module a level, and a light decoder of the maps that they let through."""

    def __init__(self, widths: Sequence[int], channels: int, width: int, dropout: float):
        super().__init__()
        passed = [0, *widths[1:]]
        self.attention = nn.ModuleList(SoftAttention(w, w + p) for w, p in zip(widths, passed, strict=True))
        self.decoder = nn.Sequential(Fuse(widths, width), conv(width, width, 3), head(width, channels, dropout))

    def forward(self, maps: Sequence[Tensor], down: Sequence[nn.Module]) -> Tensor:
        """Shared maps (B, C, H, W), finest first, and the shared convolutions between levels to a prediction."""
        chosen = [self.attention[0](maps[0], [])]
        for attention, shared, step in zip(self.attention[1:], maps[1:], down, strict=True):
            passed = F.adaptive_max_pool2d(step(chosen[-1]), shared.shape[-2:])
            chosen.append(attention(shared, [passed]))
        return self.decoder(chosen)


class MTAN(nn.Module):
    """A shared encoder from whose maps each task picks by soft attention, fine to coarse (Liu et al. 2019).

    A level's mask is made from the shared map and the finer level's picked map, which a 3x3 convolution that all tasks
    share and a pooling bring to its size. The paper makes the mask from a block's first and applies it to its last
    features; timm gives one map a level, which serves as both. The paper's attention in the decoder of SegNet is left
    out, as in its form for residual networks.
    """

    def __init__(self, channels: Mapping[str, int], image_size: int, encoder: Mapping, options: Mapping, seed: int):
        """``channels``: outputs a task; ``encoder``: that section of params.yaml; ``options``: width, dropout."""
        super().__init__()
        self.encoder = seeded_encoder(image_size, encoder, seed)
        widths, sizes = self.encoder.widths, (options["width"], options["dropout"])
        self.down = nn.ModuleList(seeded((seed, "mtan", "down", w), conv, w, w_out, 3) for w, w_out in pairwise(widths))
        self.tasks = nn.ModuleDict(
            {t: seeded((seed, "mtan", t), TaskAttention, widths, count, *sizes) for t, count in channels.items()}
        )

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) in [0, 1] to (B, channels, H, W) a task."""
        maps = maps_of(self.encoder, images)
        return to_images({t: task(maps, self.down) for t, task in self.tasks.items()}, images, self.encoder.strides[-1])
