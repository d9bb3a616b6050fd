"""Losses: (prediction, target, mask) to a scalar; pixels outside the mask never count."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from mult.data.classes import VOID

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def cross_entropy(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean over labelled pixels; (B, classes, H, W), ids (B, H, W). Zero where no pixel has a label."""
    total = F.cross_entropy(prediction, target, ignore_index=VOID, reduction="sum")
    return total / mask.sum().clamp(min=1)


def l1(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute error over channels and the mask's pixels; zero for an empty mask."""
    error = (prediction - target).abs().mean(1, keepdim=True)
    return (error * mask).sum() / mask.sum().clamp(min=1)


def rotate(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """L1 that forgives a shift of the whole image by one pixel (Standley et al. 2020, there called rotate loss).

    Target and mask lose their outermost pixel. For each of the nine offsets in {-1, 0, 1}^2 the masked absolute error
    against the equally shifted prediction is averaged over channels and all inner pixels (masked ones count as 0 and
    stay in the denominator); each image takes its best offset; the batch takes the mean.
    """
    height, width = target.shape[-2:]
    inner, valid = target[..., 1:-1, 1:-1], mask[..., 1:-1, 1:-1]
    errors = []
    for top in range(3):
        for left in range(3):
            shifted = prediction[..., top : top + height - 2, left : left + width - 2]
            errors.append(((shifted - inner).abs() * valid).flatten(1).mean(1))
    return torch.stack(errors).amin(0).mean()


LOSSES: dict[str, Loss] = {"cross_entropy": cross_entropy, "l1": l1, "rotate": rotate}
