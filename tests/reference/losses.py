"""Losses, one pixel at a time."""

import math

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


def silog(prediction, target, mask):
    """Scale-invariant logarithmic error and a tenth of a Sobel gradient's error, image by image; depths in 4 metres."""
    errors = []
    for p, t, m in zip(4 * prediction[:, 0], 4 * target[:, 0], mask[:, 0], strict=True):
        if not m.any():
            continue
        m = m & (t > 0) & (t <= 10)
        differences = [logarithm(p[at]) - logarithm(t[at]) for at in zip(*np.nonzero(m), strict=True)]
        count = len(differences)
        if not count:  # all its depths are too far: it counts as an image, and has no error
            errors.append(0.0)
            continue
        mean, square = sum(differences) / count, sum(d * d for d in differences) / count
        sobel = 0.0
        gp, gt = derivatives(p), derivatives(np.where(m, t, 0.0))
        for at in np.ndindex(p.shape):
            weight = 1.0 if m[at] else 0.1
            sobel += weight * sum(abs(a[at] - b[at]) for a, b in zip(gp, gt, strict=True))
        errors.append(10 * math.sqrt(max(square - 0.85 * mean**2, 1e-8)) + 0.1 * sobel / (2 * p.size))
    return sum(errors) / max(1, len(errors))


def logarithm(depth):
    """The logarithm, and below 5 cm its tangent there."""
    return math.log(depth) if depth >= 0.05 else math.log(0.05) + (depth - 0.05) / 0.05


def derivatives(image):
    """Sobel's, along x and along y, a pixel at a time; the border repeats itself."""
    height, width = image.shape
    along_x, along_y = np.zeros_like(image), np.zeros_like(image)
    smooth, slope = (1, 2, 1), (-1, 0, 1)
    for row, column in np.ndindex(image.shape):
        for i in range(3):
            for j in range(3):
                value = image[min(max(row + i - 1, 0), height - 1), min(max(column + j - 1, 0), width - 1)]
                along_x[row, column] += smooth[i] * slope[j] * value / 8
                along_y[row, column] += slope[i] * smooth[j] * value / 8
    return along_x, along_y


def berhu(prediction, target, mask):
    """Reverse Huber, its threshold a fifth of each image's largest error."""
    total, pixels = 0.0, 0
    for p, t, m in zip(prediction, target, mask[:, 0], strict=True):
        errors = np.abs(p - t)[:, m]
        pixels += m.sum()
        if not errors.size:
            continue
        c = max(0.2 * errors.max(), 1e-6)
        for error in errors.ravel():
            total += (error if error <= c else (error**2 + c**2) / (2 * c)) / len(p)
    return total / max(1, pixels)
