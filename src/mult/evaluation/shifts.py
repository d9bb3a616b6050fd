"""Shifts of the picture alone: the labels stay, so the score says how much of a model's skill the shift takes."""

from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor

NONE = "none"


def blur(rgb: Tensor, strength: float) -> Tensor:
    """Gaussian blur of (B, 3, H, W); ``strength`` is its sigma as a share of the width (0.015: 1 pixel of 64)."""
    sigma = strength * rgb.shape[-1]
    pictures = rgb.permute(0, 2, 3, 1).numpy()
    blurred = [cv2.GaussianBlur(picture, (0, 0), sigma) for picture in np.ascontiguousarray(pictures)]
    return torch.from_numpy(np.stack(blurred)).permute(0, 3, 1, 2).contiguous()


SHIFTS: dict[str, Callable[[Tensor, float], Tensor]] = {"blur": blur}


def place(domain: str, shift: str = NONE) -> str:
    """How scores of a domain under a shift are called: ``rooms-home``, ``rooms-home+blur``."""
    return domain if shift == NONE else f"{domain}+{shift}"


def domain_and_shift(name: str) -> tuple[str, str]:
    """The inverse of ``place``."""
    domain, _, shift = name.partition("+")
    return domain, shift or NONE
