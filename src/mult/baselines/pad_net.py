"""PAD-Net: predict every task, exchange, predict again."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mult.baselines.layers import Fuse, double_conv, head
from mult.baselines.pyramid import maps_of
from mult.models.encoder import seeded_encoder
from mult.models.initialise import seeded
from mult.models.resize import to_images

Predictions = dict[str, Tensor]
SHARED = 4  # the shared map is this many times as wide as a task's


class Distillation(nn.Module):
    """A task's features plus messages from the other tasks, which its own features gate."""

    def __init__(self, width: int, others: int):
        super().__init__()
        self.messages = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(others))
        # A task that is alone has nothing to gate, and so no idle weights.
        self.gate = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.Sigmoid()) if others else None

    def forward(self, own: Tensor, others: Sequence[Tensor]) -> Tensor:
        """The task's features and the other tasks', (B, C, H, W) each, to features of the same shape."""
        if self.gate is None:
            return own
        messages = [message(x) for message, x in zip(self.messages, others, strict=True)]
        return own + self.gate(own) * torch.stack(messages).sum(0)


class PADNet(nn.Module):
    """Initial features and predictions a task, refined by what the other tasks found (Xu et al. 2018).

    Of the paper's three ways to exchange it is the third: messages between features, each pixel and channel gated by
    the receiver. The paper's intermediate tasks are many and its final tasks two; here every task is both. The loss of
    the initial predictions ties the features that pass messages to their tasks.
    """

    def __init__(self, channels: Mapping[str, int], image_size: int, encoder: Mapping, options: Mapping, seed: int):
        """``channels``: outputs a task; ``encoder``: that section of params.yaml; ``options``: width, dropout."""
        super().__init__()
        self.encoder = seeded_encoder(image_size, encoder, seed)
        width, dropout = options["width"], options["dropout"]

        def each(part: str, build, *arguments) -> nn.ModuleDict:
            return nn.ModuleDict({t: seeded((seed, "pad_net", part, t), build, *arguments) for t in channels})

        def heads(part: str) -> nn.ModuleDict:
            names = (seed, "pad_net", part)
            return nn.ModuleDict({t: seeded((*names, t), head, width, n, dropout) for t, n in channels.items()})

        self.fuse = seeded((seed, "pad_net", "fuse"), Fuse, self.encoder.widths, SHARED * width)
        self.features = each("features", double_conv, SHARED * width, width)
        self.initial_heads = heads("initial")
        self.distillation = each("distillation", Distillation, width, len(channels) - 1)
        self.refinement = each("refinement", double_conv, width, width)
        self.heads = heads("final")

    def forward(self, images: Tensor) -> Predictions:
        """(B, 3, H, W) in [0, 1] to the final predictions, (B, channels, H, W) a task."""
        return self.supervised(images)[1]

    def supervised(self, images: Tensor) -> tuple[Predictions, Predictions]:
        """The initial and the final predictions: the loss sees both, as in the paper."""
        shared = self.fuse(maps_of(self.encoder, images))
        features = {t: block(shared) for t, block in self.features.items()}
        initial = {t: predict(features[t]) for t, predict in self.initial_heads.items()}
        final = {}
        for t, predict in self.heads.items():
            others = [x for other, x in features.items() if other != t]
            final[t] = predict(self.refinement[t](self.distillation[t](features[t], others)))
        stride = self.encoder.strides[-1]
        return to_images(initial, images, stride), to_images(final, images, stride)
