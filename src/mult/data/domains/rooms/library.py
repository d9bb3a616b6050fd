"""The textures that all rooms of a process share, drawn once each and kept with their smaller copies (mip maps)."""

from functools import cache

import numpy as np

from mult.data.domains.rooms.textures import PATTERNS, SIZE

# Enough variants of each pattern that rooms, which recolour and shift them, do not look alike.
VARIANTS = {
    "wood": 8,
    "planks": 8,
    "tiles": 8,
    "brick": 6,
    "fabric": 12,
    "wallpaper": 10,
    "marble": 5,
    "metal": 2,
    "leaf": 2,
    "carpet": 2,
    "paint": 2,
    "concrete": 4,
    "plain": 2,
    "landscape": 8,
    "art": 16,
    "books": 4,
}
LEVELS = 7  # 256 texels a side down to 4
_SEED = 20240501

_LEVEL_SIZES = np.array([SIZE >> level for level in range(LEVELS)], np.int32)
_LEVEL_STARTS = np.concatenate([[0], np.cumsum(_LEVEL_SIZES[:-1] ** 2)]).astype(np.int32)
_TEXELS = int((_LEVEL_SIZES**2).sum())


class TextureLibrary:
    """Textures by number; a texture is drawn when it is first asked for, from a seed of its own.

    So a texture's content depends neither on the room that asks for it nor on what was asked for before.
    """

    def __init__(self) -> None:
        self._first = dict(zip(VARIANTS, np.cumsum([0, *VARIANTS.values()]).tolist(), strict=False))
        self._drawn: set[int] = set()
        count = sum(VARIANTS.values())
        # One flat table, so that texels of many textures and levels are fetched by a single index; the system gives
        # memory to the parts that are written only.
        self._texels = np.zeros((count * _TEXELS, 3), np.float32)
        self.means = np.zeros((count, 3), np.float32)

    def texture(self, kind: str, variant: int) -> int:
        """Number of a variant of a pattern, 0 <= variant < VARIANTS[kind]."""
        number = self._first[kind] + variant
        if number not in self._drawn:
            seed = np.random.SeedSequence([_SEED, number])
            self._store(number, PATTERNS[kind](np.random.default_rng(seed)))
            self._drawn.add(number)
        return number

    def _store(self, number: int, image: np.ndarray) -> None:
        for level, size in enumerate(_LEVEL_SIZES):
            if level:
                rows = image[::2] + image[1::2]
                image = (rows[:, ::2] + rows[:, 1::2]) / 4
            start = number * _TEXELS + _LEVEL_STARTS[level]
            self._texels[start : start + size * size] = image.reshape(-1, 3)
        self.means[number] = image.mean((0, 1))

    def sample(self, texture: np.ndarray, uv: np.ndarray, texels_across: np.ndarray) -> np.ndarray:
        """Bilinear samples of the level at which a sample's footprint is about one texel wide.

        texture: int (n,), uv: (2, n) with one repeat of the texture per unit, texels_across: (n,) width of the
        footprint in texels of the largest level. Returns (3, n) float32.
        """
        level = np.log2(np.maximum(texels_across, 1)) + np.float32(0.3)
        level = np.minimum(level, LEVELS - 1).astype(np.int32)
        size = _LEVEL_SIZES[level]
        start = texture.astype(np.int32) * np.int32(_TEXELS) + _LEVEL_STARTS[level]
        place = uv * size - np.float32(0.5)
        corner = np.floor(place)
        part = place - corner
        # Sizes are powers of two, so the bit mask wraps negative numbers as well.
        near = corner.astype(np.int32) & (size - 1)
        far = (near + 1) & (size - 1)
        near_row, far_row = start + near[1] * size, start + far[1] * size
        rest = 1 - part
        return (
            self._texels.take(near_row + near[0], axis=0).T * (rest[0] * rest[1])
            + self._texels.take(near_row + far[0], axis=0).T * (part[0] * rest[1])
            + self._texels.take(far_row + near[0], axis=0).T * (rest[0] * part[1])
            + self._texels.take(far_row + far[0], axis=0).T * (part[0] * part[1])
        )


@cache
def shared_library() -> TextureLibrary:
    """The library of this process."""
    return TextureLibrary()
