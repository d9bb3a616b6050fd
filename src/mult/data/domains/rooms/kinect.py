"""A frame as a depth camera of the first Kinect's kind would have taken it: *simulated Kinect*, no real data.

The picture is darker, blurred and noisier. Depth is known from 0.5 to 10 m only, in steps of the sensor's disparity and
with noise that grows with the square of the distance (Khoshelham and Elberink 2012: 1.5 mm at 1 m, 4 cm at 5 m), and
has holes: beside silhouettes, where the projector's light falls into shadow, on surfaces seen at a grazing angle, and
in spots where its light is lost. Normals stay the true ones, as a data set's are averaged from many depths, and are
unknown where depth is; what stands where, classes and instances, is known everywhere.
"""

from dataclasses import replace

import cv2
import numpy as np

from mult.data.frame import Frame
from mult.data.labels import pixel_rays

NEAR, FAR = 0.5, 10.0  # metres
DEPTH_NOISE = 1.5e-3  # standard deviation at 1 m, in metres; times z^2 elsewhere
DISPARITY_STEP = (
    2.85e-3  # of inverse depth, 1/m: the sensor's eighth of a pixel at 7.5 cm base and 580 pixels focal length
)
GRAZING = 0.17  # cosine between ray and normal below which no light comes back: 80 degrees
BASE = 0.075  # metres between projector and camera, the projector to the right
LOST = 0.015  # share of the picture in spots where the light is lost
GAMMA = 2.2


def degrade(frame: Frame, rng: np.random.Generator) -> Frame:
    """`frame` as a depth camera would give it; what is random comes from `rng`."""
    rgb = _dim(frame.rgb, rng)
    depth = _measured(frame.depth, rng)
    depth[_holes(frame, rng)] = np.inf
    normal = np.where(np.isfinite(depth)[..., None], frame.normal, 0).astype(np.float32)
    return replace(frame, rgb=rgb, depth=depth, normal=normal)


def _dim(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Less light, a soft lens or a moving hand, and the noise of a gain turned up; warm or cold by a wrong balance."""
    width = rgb.shape[1]
    light = (rgb.astype(np.float32) / 255) ** GAMMA
    light *= np.float32(rng.uniform(0.2, 0.6)) * rng.uniform(0.85, 1.15, 3).astype(np.float32)
    sigma = rng.uniform(0.003, 0.007) * width
    light = cv2.GaussianBlur(light, (0, 0), sigma)
    shot = rng.uniform(0.006, 0.015)
    light += rng.standard_normal(light.shape, np.float32) * np.sqrt(shot**2 * light + (0.3 * shot) ** 2)
    return (np.clip(light, 0, 1) ** (1 / GAMMA) * 255 + 0.5).astype(np.uint8)


def _measured(depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Depth as the sensor would say it: noise, steps of disparity, nothing outside its range."""
    with np.errstate(invalid="ignore", divide="ignore"):
        noisy = depth + rng.standard_normal(depth.shape, np.float32) * np.float32(DEPTH_NOISE) * depth**2
        stepped = 1 / (np.maximum(np.rint(1 / noisy / DISPARITY_STEP), 1) * DISPARITY_STEP)
        return np.where((stepped >= NEAR) & (stepped <= FAR), stepped, np.inf).astype(np.float32)


def _holes(frame: Frame, rng: np.random.Generator) -> np.ndarray:
    """Where there is no depth, bool (H, W)."""
    height, width = frame.depth.shape
    focal = width / 2 / np.tan(frame.fov / 2)
    rays = pixel_rays(height, width, frame.fov)
    cosine = -(frame.normal * rays).sum(-1) / np.linalg.norm(rays, axis=-1)
    grazing = (np.abs(frame.normal).max(-1) > 0) & (cosine < GRAZING)

    # A surface is in shadow where something nearer, further right in the projector's view, keeps its light away.
    disparity = np.where(np.isfinite(frame.depth) & (frame.depth > 0), BASE * focal / frame.depth, 0)
    seen_at = np.arange(width) - disparity  # column in the projector's picture
    nearest = np.minimum.accumulate(seen_at[:, ::-1], axis=1)[:, ::-1]
    shadow = seen_at > nearest + 0.5

    cells = rng.random((max(1, height // 8), max(1, width // 8)), np.float32)
    spots = cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC)
    lost = spots > np.quantile(spots, 1 - LOST)
    return grazing | shadow | lost
