"""Losses, one pixel at a time."""

import numpy as np


def rotate(prediction: np.ndarray, target: np.ndarray, mask: np.ndarray) -> float:
    """Standley et al.'s rotate loss on (B, C, H, W) arrays and a (B, 1, H, W) mask."""
    images = []
    for p, t, m in zip(prediction, target, mask, strict=True):
        channels, height, width = t.shape
        offsets = []
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                total = 0.0
                for c in range(channels):
                    for y in range(1, height - 1):
                        for x in range(1, width - 1):
                            if m[0, y, x]:
                                total += abs(t[c, y, x] - p[c, y + dy, x + dx])
                offsets.append(total / (channels * (height - 2) * (width - 2)))
        images.append(min(offsets))
    return float(np.mean(images))
