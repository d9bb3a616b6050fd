"""Materials: a texture of the library, recoloured by a palette, with gloss and glow."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mult.data.domains.rooms.library import VARIANTS, TextureLibrary
from mult.data.domains.rooms.textures import hsv, linear


@dataclass(frozen=True)
class Material:
    """How a surface answers light; colours are linear RGB."""

    texture: int  # number in the library
    palette: np.ndarray  # float32 (3, 3): what each of the texture's channels (columns) adds to red, green, blue (rows)
    scale: float  # metres that one repeat of the texture covers
    offset: np.ndarray  # float32 (2,), shift in repeats, so that equal textures do not show equal parts
    gloss: float  # share of a mirror reflection seen head on
    emission: float  # radiance of a white texel


Palette = Callable[[np.random.Generator, np.ndarray | None], Sequence[np.ndarray]]


def _pick(rng: np.random.Generator, hue: tuple, saturation: tuple, value: tuple) -> np.ndarray:
    return hsv(rng.uniform(*hue), rng.uniform(*saturation), rng.uniform(*value))


def _wood(rng: np.random.Generator, colour: np.ndarray | None) -> Sequence[np.ndarray]:
    bright = _pick(rng, (0.04, 0.1), (0.3, 0.7), (0.3, 0.85)) if colour is None else colour
    return bright, bright * linear(rng.uniform(0.45, 0.75))


def _tiles(rng: np.random.Generator, colour: np.ndarray | None) -> Sequence[np.ndarray]:
    body = _pick(rng, (0, 1), (0, 0.25), (0.4, 0.95)) if colour is None else colour
    return body, linear(np.full(3, rng.uniform(0.25, 0.85))), body * linear(rng.uniform(0.4, 0.9))


def _brick(rng: np.random.Generator, colour: np.ndarray | None) -> Sequence[np.ndarray]:
    body = _pick(rng, (0, 0.07), (0.2, 0.65), (0.35, 0.8)) if colour is None else colour
    return body, linear(np.full(3, rng.uniform(0.4, 0.75)))


def _fabric(rng: np.random.Generator, colour: np.ndarray | None) -> Sequence[np.ndarray]:
    ground = _pick(rng, (0, 1), (0.05, 0.7), (0.2, 0.85)) if colour is None else colour
    return ground, _pick(rng, (0, 1), (0.3, 0.5), (0.3, 0.9))


def _wallpaper(rng: np.random.Generator, colour: np.ndarray | None) -> Sequence[np.ndarray]:
    ground = _pick(rng, (0, 1), (0.05, 0.4), (0.5, 0.95)) if colour is None else colour
    return ground, _pick(rng, (0, 1), (0.05, 0.5), (0.3, 0.95))


def _marble(rng: np.random.Generator, colour: np.ndarray | None) -> Sequence[np.ndarray]:
    stone = _pick(rng, (0, 1), (0, 0.15), (0.3, 0.95)) if colour is None else colour
    return stone, stone * linear(rng.uniform(0.3, 0.8))


def _paint(rng: np.random.Generator, colour: np.ndarray | None) -> Sequence[np.ndarray]:
    saturation = (0, 0.12) if rng.random() < 0.65 else (0.12, 0.5)
    return (_pick(rng, (0, 1), saturation, (0.6, 0.95)) if colour is None else colour,)


def _concrete(rng: np.random.Generator, colour: np.ndarray | None) -> Sequence[np.ndarray]:
    tint = np.array([1, rng.uniform(0.97, 1), rng.uniform(0.92, 1)])
    return (linear(rng.uniform(0.35, 0.75) * tint) if colour is None else colour,)


def _single(hue: tuple, saturation: tuple, value: tuple) -> Palette:
    def palette(rng: np.random.Generator, colour: np.ndarray | None) -> Sequence[np.ndarray]:
        return (_pick(rng, hue, saturation, value) if colour is None else colour,)

    return palette


def _picture(rng: np.random.Generator, colour: np.ndarray | None) -> Sequence[np.ndarray]:
    """The picture's own colours, a little faded or tinted."""
    tint = rng.uniform(0.7, 1, 3).astype(np.float32) if colour is None else colour
    return tuple(np.diag(tint).astype(np.float32))


def _shuffled(rng: np.random.Generator, colour: np.ndarray | None) -> Sequence[np.ndarray]:
    """The picture's colours with red, green and blue exchanged and mixed, so that few pictures go a long way."""
    mixing = np.eye(3)[rng.permutation(3)] * 0.75 + rng.uniform(0, 0.16, (3, 3))
    return tuple(mixing.T.astype(np.float32))


PALETTES: dict[str, Palette] = {
    "wood": _wood,
    "planks": _wood,
    "tiles": _tiles,
    "brick": _brick,
    "fabric": _fabric,
    "wallpaper": _wallpaper,
    "marble": _marble,
    "paint": _paint,
    "concrete": _concrete,
    "metal": _single((0.05, 0.65), (0, 0.15), (0.3, 0.8)),
    "leaf": _single((0.22, 0.38), (0.4, 0.8), (0.25, 0.6)),
    "carpet": _single((0, 1), (0.05, 0.5), (0.25, 0.75)),
    "plain": _single((0, 1), (0, 0.8), (0.12, 0.95)),
    "landscape": _picture,
    "art": _picture,
    "books": _shuffled,
}


# Patterns whose parts have their places: they are not shifted.
PICTURES = {"landscape", "art", "books"}

MATT = {"brick", "carpet", "concrete", "fabric", "wallpaper"}


def make_material(
    rng: np.random.Generator,
    library: TextureLibrary,
    kinds: Sequence[str],
    scale: float,
    gloss: float = 0.0,
    emission: float = 0.0,
    colour: np.ndarray | None = None,
) -> Material:
    """A material of one of `kinds`, its variant drawn at random, its colours too unless `colour` (linear RGB) is given.

    Kinds that are MATT have no gloss, whatever is asked for.
    """
    kind = kinds[rng.integers(len(kinds))]
    texture = library.texture(kind, int(rng.integers(VARIANTS[kind])))
    palette = np.zeros((3, 3), np.float32)
    for channel, part in enumerate(PALETTES[kind](rng, colour)):
        palette[:, channel] = part
    offset = np.zeros(2, np.float32) if kind in PICTURES else rng.random(2, np.float32)
    return Material(texture, palette, scale, offset, 0.0 if kind in MATT else gloss, emission)
