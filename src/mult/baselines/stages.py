"""An encoder taken apart, to run it one stage at a time: ``prepare``, these and ``finish`` do what its
``forward`` does."""

from torch import nn

from mult.errors import UserError
from mult.models.encoder import Encoder


def split(encoder: Encoder) -> list[nn.Sequential]:
    """The encoder's four stages: the first takes what ``Encoder.prepare`` gives, each other one the map before.

    timm has two kinds of pyramid that can be cut: a chain of modules of which some are tapped (ResNet, RegNet,
    ConvNeXt, Swin), and a stem with a list of blocks (EfficientNet, MobileNet).

    Raises:
        UserError: the backbone is of neither kind (HRNet's resolutions run side by side).
    """
    body, count = encoder.body, len(encoder.widths)
    if hasattr(body, "return_layers"):
        modules = dict(body.items())
        ends = [list(modules).index(name) + 1 for name in list(body.return_layers)[-count:]]
    elif hasattr(body, "blocks") and getattr(body, "feature_hooks", body) is None:  # hooks tap the inside of a block
        stem = {name: module for name, module in body.named_children() if name != "blocks"}
        modules = stem | dict(body.blocks.named_children())
        ends = [len(stem) + tap["stage"] for tap in body.feature_info.get_dicts()[-count:]]
    else:
        raise UserError(
            f"encoder.name: timm's {type(body).__name__} does not run stage by stage, as cross_stitch needs; "
            "take a ResNet, EfficientNet, ConvNeXt or Swin"
        )
    chain = list(modules.values())
    return [nn.Sequential(*chain[start:end]) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
