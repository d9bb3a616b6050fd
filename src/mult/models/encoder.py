"""The encoder: any timm backbone with a pyramid of features."""

from collections.abc import Collection, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mult.errors import UserError, in_one_line
from mult.models.pretrained import check_loaded, load_weights
from mult.models.stem import put_stem
from mult.models.torchvision_ops import declare_missing
from mult.seeding import torch_seed

# Channel statistics of ImageNet in [0, 1], which timm's pretrained backbones expect.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Encoder(nn.Module):
    """Images to four maps of growing width, each through its own LayerNorm.

    A Swin transformer has no absolute position: pretraining on many images makes up for it, training from scratch on
    few does not (on rendered rooms, normals then stay near the constant predictor). ``coordinates`` therefore appends
    each pixel's x and y in [-1, 1] to its colours (CoordConv, Liu et al. 2018).

    Attributes:
        widths: channels of the four maps, finest first.
        strides: image pixels a map's cell, finest first (4, 8, 16, 32 for Swin).
        idle: whether the backbone has weights that no loss reaches.
    """

    def __init__(
        self, name: str, image_size: int, pretrained: bool | str, coordinates: bool, stem: str = "patch", **options
    ):
        """
        Args:
            pretrained: True for the weights that timm fetches for ``name``, or the path of a local file.
            stem: ``conv`` for the convolutions of mult.models.stem in the place of a Swin's patches.

        Raises:
            UserError: timm cannot make it, or less than 95 % of the pretrained weights came to be loaded.
        """
        super().__init__()
        self.coordinates = coordinates
        if coordinates:
            options |= {"in_chans": 5}

        if name.startswith("swin_"):  # otherwise it insists on one image size
            options |= {"img_size": image_size, "strict_img_size": False}
        random = torch.get_rng_state()
        self.body = _create(name, pretrained is True, options)
        if pretrained is True:
            torch.set_rng_state(random)
            check_loaded(self.body, _create(name, False, options), name)
        elif pretrained:
            load_weights(self.body, pretrained)
        if stem == "conv":
            put_stem(self.body, name)
        self.channels_last = getattr(self.body, "output_fmt", "NCHW") == "NHWC"
        # A backbone with a stem of stride 2 gives five maps; the decoder has four stages.
        self.widths = tuple(self.body.feature_info.channels()[-4:])
        self.strides = tuple(self.body.feature_info.reduction()[-4:])
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in self.widths)
        self.idle = False
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) in [0, 1] to four maps (B, H/s, W/s, C), finest first. Any H and W: padded up to a stride."""
        return [self.finish(level, x) for level, x in enumerate(self.body(self.prepare(images))[-4:])]

    def leave_out(self, levels: Collection[int]) -> None:
        """Have no norm for maps of which nothing but the size is read, finest 0: no loss would reach it."""
        for level in levels:
            self.norms[level] = nn.Identity()
        # HRNet makes its maps side by side, each by weights of its own; elsewhere a map is made from the finer one.
        self.idle = bool(levels) and hasattr(self.body, "incre_modules")

    def prepare(self, images: Tensor) -> Tensor:
        """What the backbone sees: normalised, padded up to a stride, with coordinates if they are asked for."""
        x = (images - self.mean) / self.std
        stride = self.strides[-1]
        height, width = x.shape[-2:]
        x = F.pad(x, (0, -width % stride, 0, -height % stride))
        return torch.cat([x, _coordinates(x)], 1) if self.coordinates else x

    def finish(self, level: int, x: Tensor) -> Tensor:
        """What the backbone gave at ``level``, finest 0, in its own layout, to (B, H, W, C) through the norm."""
        return self.norms[level](x if self.channels_last else x.permute(0, 2, 3, 1))


def _create(name: str, pretrained: bool, options: Mapping) -> nn.Module:
    declare_missing()
    import timm

    try:
        return timm.create_model(name, features_only=True, pretrained=pretrained, **options)
    except Exception as error:  # timm's models raise nearly anything over options that do not fit
        offline = "; without a network, name a local file as `pretrained`" if pretrained else ""
        said = f"encoder: timm cannot make {name!r} with {dict(options)}: {in_one_line(error)}"
        raise UserError(said + offline) from None


def seeded_encoder(image_size: int, settings: Mapping, seed: int) -> Encoder:
    """First weights from ``seed`` alone, where they are not pretrained: the same in every run of a seed."""
    with torch_seed(seed, "encoder"):
        chosen = (settings["pretrained"], settings["coordinates"], settings.get("stem", "patch"))
        return Encoder(settings["name"], image_size, *chosen, **settings["options"])


def _coordinates(x: Tensor) -> Tensor:
    """(B, 2, H, W): each pixel's x and y, -1 at the left and top edge, 1 at the right and bottom edge."""
    rows, columns = (torch.linspace(-1, 1, side, device=x.device, dtype=x.dtype) for side in x.shape[-2:])
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy")).expand(x.shape[0], -1, -1, -1)
