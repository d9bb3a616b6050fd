"""Losses of (prediction, target, mask); pixels outside the mask never count.

A loss is a total and what it is divided by. What it is divided by depends on the mask alone, so a batch that is
computed in parts, or by several processes, has the same loss and the same gradient as in one piece.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mult.data.classes import VOID
from mult.tasks import TASKS


@dataclass(frozen=True)
class Loss:
    """A loss by its two halves.

    Attributes:
        total: predictions (B, C, H, W), targets of that shape (for cross-entropy ids (B, H, W)) and masks
            (B, 1, H, W) to a sum over pixels or over images.
        count: masks to the number of these pixels or images.
    """

    total: Callable[[Tensor, Tensor, Tensor], Tensor]
    count: Callable[[Tensor], Tensor]

    def __call__(self, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """The loss of a batch in one piece; zero for an empty mask."""
        return self.total(prediction, target, mask) / self.count(mask).clamp(min=1)


def _pixels(mask: Tensor) -> Tensor:
    return mask.sum()


def _images(mask: Tensor) -> Tensor:
    return mask.new_full((), len(mask), dtype=torch.long)


def _seen_images(mask: Tensor) -> Tensor:
    return mask.flatten(1).any(1).sum()


def _cross_entropy(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    return F.cross_entropy(prediction, target, ignore_index=VOID, reduction="sum")


def _l1(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Absolute error, the mean over channels, over the mask's pixels."""
    return ((prediction - target).abs().mean(1, keepdim=True) * mask).sum()


def _rotate(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """L1 that forgives a shift of the whole image by one pixel (Standley et al. 2020, there called rotate loss).

    Target and mask lose their outermost pixel. For each of the nine offsets in {-1, 0, 1}^2 the masked absolute error
    against the equally shifted prediction is averaged over channels and all inner pixels (masked ones count as 0 and
    stay in the denominator); each image takes its best offset.
    """
    height, width = target.shape[-2:]
    inner, valid = target[..., 1:-1, 1:-1], mask[..., 1:-1, 1:-1]
    errors = []
    for top in range(3):
        for left in range(3):
            shifted = prediction[..., top : top + height - 2, left : left + width - 2]
            errors.append(((shifted - inner).abs() * valid).flatten(1).mean(1))
    return torch.stack(errors).amin(0).sum()


NEAREST_M = 0.05  # below this depth a logarithm goes on as its tangent: heads are linear and may predict anything
FARTHEST_M = 10.0
OUTSIDE = 0.1  # weight of the gradient's error where no depth is known


def _silog(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """The released code's depth loss: scale-invariant logarithmic error plus a tenth of an error of gradients.

    For each image 10 sqrt(mean(g^2) - 0.85 mean(g)^2), g the difference of logarithms over its valid pixels (Eigen et
    al. 2014, with the weight 0.85 and the factor 10 of Lee et al. 2019), plus 0.1 times the absolute difference of the
    two maps' Sobel gradients in metres, a mean over both directions and all pixels, where pixels without a depth have
    a tenth of the weight and the label 0. Depths above 10 m are not valid. The released code takes the valid pixels
    of a batch together; image by image, as Eigen et al. have it, a loss does not depend on how a batch is divided.
    """
    scale = TASKS["depth"].scale
    prediction, target = prediction * scale, target * scale
    mask = mask & (target > 0) & (target <= FARTHEST_M)
    target = target.where(mask, 0)
    seen = mask.flatten(1).any(1)
    pixels = mask.flatten(1).sum(1).clamp(min=1)
    g = (_logarithm(prediction) - _logarithm(target)) * mask
    mean, square = g.flatten(1).sum(1) / pixels, g.square().flatten(1).sum(1) / pixels
    # The root has no slope at a perfect prediction, nor where nothing is seen.
    spread = (square - 0.85 * mean.square()).clamp(min=1e-8).sqrt()
    weights = torch.where(mask, 1.0, OUTSIDE)
    gradients = ((_sobel(prediction) - _sobel(target)).abs() * weights).flatten(1).mean(1)
    return ((10 * spread + 0.1 * gradients) * seen).sum()


def _logarithm(depth: Tensor) -> Tensor:
    near = depth.clamp(min=NEAREST_M)
    return near.log() + (depth - near) / NEAREST_M


def _sobel(maps: Tensor) -> Tensor:
    """(B, 1, H, W) to its derivatives along x and y, (B, 2, H, W); the border repeats the outermost pixel."""
    x = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]).to(maps, non_blocking=True) / 8
    return F.conv2d(F.pad(maps, (1, 1, 1, 1), mode="replicate"), torch.stack([x, x.T])[:, None])


def _berhu(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Reverse Huber: the absolute error up to c, (error^2 + c^2) / 2c above it (Laina et al. 2016).

    c is a fifth of the largest error of the image, over its valid pixels, and no gradient flows through it; in the
    paper it is of the batch, which would depend on how a batch is divided. The mean over channels comes last.
    """
    error = (prediction - target).abs() * mask
    c = 0.2 * error.detach().flatten(1).amax(1).clamp(min=1e-6).view(-1, 1, 1, 1)
    return error.where(error <= c, (error.square() + c.square()) / (2 * c)).mean(1, keepdim=True).sum()


cross_entropy = Loss(_cross_entropy, _pixels)
l1 = Loss(_l1, _pixels)
rotate = Loss(_rotate, _images)
silog = Loss(_silog, _seen_images)
berhu = Loss(_berhu, _pixels)

LOSSES: dict[str, Loss] = {"cross_entropy": cross_entropy, "l1": l1, "rotate": rotate, "silog": silog, "berhu": berhu}
