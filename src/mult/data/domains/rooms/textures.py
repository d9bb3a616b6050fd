"""Procedural textures that tile: each pattern says how much of up to three colours goes into every texel.

A pattern is a float32 array (SIZE, SIZE, 3) in linear light; rows run along v, columns along u. Its three channels are
weights of the three colours of a material's palette, so that one pattern serves rooms of any colour. The pictures
(`art`, `landscape`, `books`) hold red, green and blue themselves. All patterns tile because their noise comes from an
inverse Fourier transform and their motifs repeat a whole number of times.
"""

import colorsys
from collections.abc import Callable
from functools import cache
from itertools import pairwise

import numpy as np
from scipy import fft

SIZE = 256
SPINES = 8  # of books in one repeat of a texture
GAMMA = 2.2

Pattern = Callable[[np.random.Generator], np.ndarray]


def linear(colour: np.ndarray | float) -> np.ndarray:
    """Display values in 0..1 as linear light, by a plain power law."""
    return np.asarray(colour, np.float32) ** np.float32(GAMMA)


def hsv(hue: float, saturation: float, value: float) -> np.ndarray:
    """Linear RGB, float32 (3,), of a display colour; the hue wraps around at 1."""
    return linear(colorsys.hsv_to_rgb(hue % 1, saturation, value))


@cache
def _grid() -> tuple[np.ndarray, np.ndarray]:
    steps = np.arange(SIZE, dtype=np.float32) / SIZE
    v, u = np.meshgrid(steps, steps, indexing="ij")
    return u, v


@cache
def _spectrum(slope: float, along_u: float, along_v: float) -> np.ndarray:
    frequency_v = np.fft.fftfreq(SIZE)[:, None] * SIZE
    frequency_u = np.fft.rfftfreq(SIZE)[None, :] * SIZE
    radius = np.hypot(frequency_u * along_u, frequency_v * along_v)
    radius[0, 0] = np.inf
    return (radius ** (-slope / 2)).astype(np.float32)


def noise(rng: np.random.Generator, slope: float, along_u: float = 1.0, along_v: float = 1.0) -> np.ndarray:
    """Noise of power law 1/f**slope, mean 0 and deviation 1, float32 (SIZE, SIZE); `along_*` > 1 draws it out."""
    white = fft.rfft2(rng.standard_normal((SIZE, SIZE), dtype=np.float32))
    field = fft.irfft2(white * _spectrum(slope, along_u, along_v), s=(SIZE, SIZE))
    return field / field.std()


def _shade(variation: np.ndarray) -> np.ndarray:
    """Variation of display brightness around 0 as a factor in linear light."""
    return linear(np.clip(1 + variation, 0.05, 1.2))


def _weights(first: np.ndarray, second: np.ndarray | float = 0.0, third: np.ndarray | float = 0.0) -> np.ndarray:
    return np.stack(np.broadcast_arrays(first, np.float32(second), np.float32(third)), axis=-1).astype(np.float32)


def _mix(share: np.ndarray, shade: np.ndarray) -> np.ndarray:
    """Weights of two colours of which the second takes `share` (0..1) of each texel."""
    return _weights((1 - share) * shade, share * shade)


def _smooth_step(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def wood(rng: np.random.Generator) -> np.ndarray:
    """Grain along u: bright wood and dark rings."""
    v = _grid()[1]
    warp = noise(rng, 2.8, along_u=2.0)
    rings = 0.5 + 0.5 * np.sin(2 * np.pi * (rng.integers(3, 9) * v + 0.22 * warp))
    streaks = _smooth_step(1.5 * noise(rng, 1.6, along_u=14.0))
    bright = np.clip(0.55 * rings + 0.35 * streaks + 0.08, 0, 1)
    return _mix(1 - bright, _shade(0.03 * noise(rng, 0.8, along_u=20.0)))


def planks(rng: np.random.Generator) -> np.ndarray:
    """Boards along u, cut at random places, with dark gaps."""
    base = wood(rng)
    boards = np.empty_like(base)
    edges = np.linspace(0, SIZE, rng.integers(4, 9) + 1).astype(int)
    for top, bottom in pairwise(edges):
        board = np.roll(base, rng.integers(0, SIZE, 2), axis=(0, 1))[top:bottom]
        cuts = np.sort(rng.choice(SIZE, size=rng.integers(1, 3), replace=False))
        tone = _shade(rng.uniform(-0.25, 0.12, len(cuts)))
        board *= tone[np.searchsorted(cuts, np.arange(SIZE), side="right") % len(cuts)][:, None]
        board[:, cuts] *= 0.25
        board[0] *= 0.2
        boards[top:bottom] = board
    return boards


def tiles(rng: np.random.Generator) -> np.ndarray:
    """Square tiles, grout in the second colour, every other tile in the third on some."""
    u, v = _grid()
    count = int(rng.integers(2, 7))
    column, row = (u * count).astype(int), (v * count).astype(int)
    tone = rng.normal(0, 0.04, count * count)[row * count + column]
    body = _shade(tone + rng.uniform(0, 0.045) * noise(rng, 2.0))
    width = rng.uniform(0.01, 0.04)
    grout = ((u * count) % 1 < width) | ((v * count) % 1 < width)
    chequered = count % 2 == 0 and rng.random() < 0.5
    other = ((row + column) % 2 == 1) & chequered
    return _weights(body * ~(grout | other), grout, body * (other & ~grout))


def brick(rng: np.random.Generator) -> np.ndarray:
    """Bricks in running bond, mortar in the second colour."""
    u, v = _grid()
    rows, columns = int(rng.choice([8, 10, 12])), int(rng.choice([3, 4, 5]))
    row = (v * rows).astype(int)
    across = u * columns + 0.5 * (row % 2)
    tone = rng.normal(0, 0.13, rows * columns)[row * columns + across.astype(int) % columns]
    mortar = ((v * rows) % 1 < 0.12) | (across % 1 < 0.05)
    body = _shade(tone + 0.08 * noise(rng, 1.2))
    return _weights(body * ~mortar, mortar * _shade(0.06 * noise(rng, 1.0)))


def _motif(rng: np.random.Generator) -> np.ndarray:
    """Share (0..1) of a second colour: stripes, checks, dots, or none."""
    u, v = _grid()
    kind, repeats = rng.random(), int(rng.integers(2, 9))
    if kind < 0.25:
        return 0.6 * (np.floor(u * 2 * repeats) % 2)
    if kind < 0.4:
        return 0.35 * (((u * repeats) % 1 < 0.3).astype(np.float32) + ((v * repeats) % 1 < 0.3))
    if kind < 0.5:
        return (np.hypot((u * repeats) % 1 - 0.5, (v * repeats) % 1 - 0.5) < rng.uniform(0.15, 0.35)).astype(np.float32)
    return np.zeros_like(u)


def fabric(rng: np.random.Generator) -> np.ndarray:
    """Woven cloth, with a motif on every other piece."""
    u, v = _grid()
    threads = rng.choice([32, 48, 64])
    weave = np.sin(2 * np.pi * threads * u) * np.sin(2 * np.pi * threads * v)
    return _mix(_motif(rng), _shade(0.06 * weave + 0.05 * noise(rng, 0.6) + 0.05 * noise(rng, 2.4)))


def wallpaper(rng: np.random.Generator) -> np.ndarray:
    """Stripes or rows of flowers in the second colour."""
    u, v = _grid()
    repeats = int(rng.integers(2, 8))
    if rng.random() < 0.4:
        motif = np.floor(u * 2 * repeats) % 2
    else:
        x = (u * repeats) % 1 - 0.5
        y = (v * repeats + 0.5 * (np.floor(u * repeats) % 2)) % 1 - 0.5
        motif = np.hypot(x, y) < 0.28 + 0.1 * np.cos(rng.integers(3, 8) * np.arctan2(y, x))
    return _mix(0.6 * motif.astype(np.float32), _shade(0.02 * noise(rng, 2.0)))


def marble(rng: np.random.Generator) -> np.ndarray:
    """Veins in the second colour."""
    u, v = _grid()
    folds = np.abs(np.sin(2 * np.pi * (2 * u + v) + 1.8 * noise(rng, 2.6)))
    return _mix(1 - folds**0.4, _shade(0.02 * noise(rng, 1.0)))


def _speckled(*layers: tuple[float, float]) -> Pattern:
    """A pattern of one colour with layers of noise, each an amplitude and a slope."""

    def pattern(rng: np.random.Generator) -> np.ndarray:
        return _weights(_shade(sum(amplitude * noise(rng, slope) for amplitude, slope in layers)))

    return pattern


def metal(rng: np.random.Generator) -> np.ndarray:
    """Brushed along u."""
    return _weights(_shade(0.06 * noise(rng, 1.0, along_u=30.0)))


def leaf(rng: np.random.Generator) -> np.ndarray:
    """Mottled, lighter near the rib."""
    return _weights(_shade(0.12 * noise(rng, 1.5) + 0.15 * np.cos(2 * np.pi * _grid()[0])))


def landscape(rng: np.random.Generator) -> np.ndarray:
    """Sky with clouds over four ranges of hills, in linear RGB; the horizon is near the middle row."""
    v = _grid()[1]
    horizon = rng.uniform(0.35, 0.55)
    height = np.clip(v / horizon, 0, 1)[..., None]
    picture = hsv(rng.uniform(0.54, 0.62), rng.uniform(0.2, 0.5), 0.95) * (1 - height) + hsv(0.1, 0.2, 0.97) * height
    clouds = _smooth_step(2 * noise(rng, 2.4)) * rng.uniform(0.2, 0.8)
    picture = picture + (1 - picture) * clouds[..., None]
    for distance in range(4):
        ridge = horizon + 0.1 * distance + 0.05 * noise(rng, 2.5)[0]
        hill = hsv(rng.uniform(0.15, 0.4), rng.uniform(0.2, 0.5), rng.uniform(0.25, 0.6))
        covered = (v > ridge)[..., None]
        picture = np.where(covered, hill * _shade(0.1 * noise(rng, 1.2))[..., None], picture)
    return np.clip(picture, 0, 1).astype(np.float32)


def art(rng: np.random.Generator) -> np.ndarray:
    """A landscape, or rectangles and ellipses, in linear RGB."""
    if rng.random() < 0.4:
        return landscape(rng)
    u, v = _grid()
    picture = np.broadcast_to(hsv(rng.random(), 0.3, rng.uniform(0.2, 0.95)), (SIZE, SIZE, 3))
    for _ in range(rng.integers(4, 14)):
        x, y = np.abs(u - rng.random()), np.abs(v - rng.random())
        half_width, half_height = rng.uniform(0.05, 0.4, 2)
        power = 2 if rng.random() < 0.5 else 16
        inside = (x / half_width) ** power + (y / half_height) ** power < 1
        colour = hsv(rng.random(), rng.uniform(0.2, 0.9), rng.uniform(0.1, 1))
        picture = np.where(inside[..., None], colour, picture)
    return np.clip(picture * _shade(0.05 * noise(rng, 1.0))[..., None], 0, 1).astype(np.float32)


def books(rng: np.random.Generator) -> np.ndarray:
    """SPINES spines of equal width, each along u with a title bar, in linear RGB."""
    width = SIZE // SPINES
    picture = np.zeros((SPINES, width, SIZE, 3), np.float32)
    for spine in picture:
        spine[:] = hsv(rng.random(), rng.uniform(0.1, 0.8), rng.uniform(0.15, 0.9))
        start, stop = np.sort(rng.integers(20, 230, 2))
        title = spine[width // 4 : -width // 4, start:stop]
        title[:] = 0.4 * title + 0.6 * linear(rng.random())
        spine[[0, -1]] *= 0.2
    return picture.reshape(SIZE, SIZE, 3)


PATTERNS: dict[str, Pattern] = {
    "wood": wood,
    "planks": planks,
    "tiles": tiles,
    "brick": brick,
    "fabric": fabric,
    "wallpaper": wallpaper,
    "marble": marble,
    "metal": metal,
    "leaf": leaf,
    "carpet": _speckled((0.12, 0.2), (0.05, 2.5)),
    "paint": _speckled((0.015, 2.5), (0.01, 0.5)),
    "concrete": _speckled((0.07, 2.2), (0.05, 0.4)),
    "plain": _speckled((0.02, 2.0)),
    "landscape": landscape,
    "art": art,
    "books": books,
}
