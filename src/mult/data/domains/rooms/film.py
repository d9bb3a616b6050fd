"""From radiance to the picture: exposure, tone curve, and the small faults of a camera."""

import numpy as np

from mult.data.domains.rooms.textures import GAMMA


def exposure(radiance: np.ndarray, surfaces: np.ndarray, brightness: float) -> float:
    """Factor that brings the geometric mean of surfaces to 0.25 * brightness and keeps most of them from burning out.

    radiance: (3, n) linear; surfaces: bool (n,), pixels that show no sky.
    """
    luminance = radiance.mean(0)[surfaces]
    if not len(luminance):
        return 1.0
    wanted = 0.25 * brightness / float(np.exp(np.log(luminance + 1e-4).mean()))
    bearable = 1.6 / max(1e-4, float(np.percentile(luminance, 92)))
    # Half of what the dark parts ask for is always given: no picture is near black for the sake of a lamp in it.
    return max(min(wanted, bearable), 0.5 * wanted)


def tone(radiance: np.ndarray, factor: float) -> np.ndarray:
    """Display values 0..1 of radiance, by an exponential film curve and a power law."""
    return (1 - np.exp(radiance * np.float32(-factor))) ** np.float32(1 / GAMMA)


def develop(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """uint8 (h, w, 3) of display values (h, w, 3), with white balance, vignette and noise of a random camera."""
    height, width, _ = picture.shape
    balance = (rng.uniform(0.9, 1.1, 3) * rng.uniform(0.9, 1.05)).astype(np.float32)
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
    vignette = (1 - rng.uniform(0, 0.15) * (x * x + y * y) / 2).astype(np.float32)
    picture = picture * balance * vignette[..., None]
    grain = rng.standard_normal(picture.shape, np.float32) * np.float32(rng.uniform(0.003, 0.015))
    picture = picture + grain * (np.float32(0.4) + np.sqrt(np.clip(picture, 0, 1)))
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
