"""A convolutional stem for a Swin that is trained from scratch.

A Swin cuts the image into patches of 4 x 4 pixels by one linear map. Trained from scratch on few images it then hardly
learns what an edge is; a few 3 x 3 convolutions with batch norms in its place make it learn much faster (Xiao et al.
2021, "Early Convolutions Help Transformers See Better"). The tokens keep their number and their width.
"""

from torch import nn

from mult.errors import UserError


def conv_stem(channels: int, width: int) -> nn.Sequential:
    """(B, channels, H, W) to (B, width, H/4, W/4): four 3 x 3 convolutions, two of them of stride 2, and a 1 x 1."""

    def layer(width_in: int, width_out: int, stride: int = 1) -> list[nn.Module]:
        return [nn.Conv2d(width_in, width_out, 3, stride, 1, bias=False), nn.BatchNorm2d(width_out), nn.GELU()]

    wide = 2 * width
    layers = [*layer(channels, width, 2), *layer(width, wide, 2), *layer(wide, wide), *layer(wide, wide)]
    return nn.Sequential(*layers, nn.Conv2d(wide, width, 1))


def put_stem(body: nn.Module, name: str) -> None:
    """Put a ``conv_stem`` in the place of the patches' linear map of ``body``, timm's model called ``name``.

    Raises:
        UserError: it has no patches of 4 x 4 pixels.
    """
    patches = getattr(body, "patch_embed", None)
    if not hasattr(patches, "proj") or tuple(patches.proj.stride) != (4, 4):
        raise UserError(
            f"encoder: stem: conv is for networks with patches of 4 x 4 pixels, such as Swin; {name} has none"
        )
    patches.proj = conv_stem(patches.proj.in_channels, patches.proj.out_channels)
