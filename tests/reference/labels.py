"""Slow, obvious label recipes, written with scikit-image and SciPy as the annotator of the real data sets was."""

import numpy as np
from scipy.ndimage import gaussian_filter
from skimage.feature import hessian_matrix_det
from skimage.filters import sobel


def luma(rgb: np.ndarray) -> np.ndarray:
    """BT.601 luma in [0, 1]."""
    return rgb @ np.array([0.299, 0.587, 0.114]) / 255


def edges(rgb: np.ndarray, sigma: float) -> np.ndarray:
    """Sobel magnitude of the blurred luma, the blur normalised by what of it lies inside; float64."""
    smooth = gaussian_filter(luma(rgb), sigma, mode="constant")
    inside = gaussian_filter(np.ones(rgb.shape[:2]), sigma, mode="constant")
    magnitude = sobel(smooth / inside)
    magnitude[[0, -1]] = 0
    magnitude[:, [0, -1]] = 0
    return magnitude


def interest(rgb: np.ndarray) -> np.ndarray:
    """Largest approximate Hessian determinant over ten scales, not below 0; float64."""
    scales = [hessian_matrix_det(luma(rgb), sigma) for sigma in np.linspace(1, 30, 10)]
    return np.maximum(0, np.max(scales, axis=0))


def normals(depth: np.ndarray, fov: float) -> np.ndarray:
    """Cross product of the differences between neighbouring points; wrong across depth steps."""
    height, width = depth.shape
    focal = width / 2 / np.tan(fov / 2)
    x, y = np.meshgrid(np.arange(width) + 0.5 - width / 2, np.arange(height) + 0.5 - height / 2)
    points = np.stack([x / focal * depth, y / focal * depth, depth], axis=-1)
    normal = np.cross(np.gradient(points, axis=0), np.gradient(points, axis=1))
    return normal / np.linalg.norm(normal, axis=-1, keepdims=True)
