"""Views of Doom levels: the pictures are ViZDoom's, the geometry behind them is cast exactly from the level's plan.

The levels are Freedoom's, which come with ViZDoom's wheel. Splits are made by level. 32 map units count as one metre.
"""

from collections.abc import Callable

from mult.data.frame import Frame, Unit
from mult.errors import UserError

CLASSES = ("void", "wall", "floor", "ceiling", "door", "sky", "monster", "pickup", "decoration")

_LEVELS = tuple(("freedoom2.wad", f"MAP{number:02d}") for number in range(1, 33)) + tuple(
    ("freedoom1.wad", f"E{episode}M{number}") for episode in range(1, 5) for number in range(1, 10)
)
# Of 160 to 230 places tried in each of these, 7 to 10 % gave a frame worth keeping, since most are nearly black; the
# other levels gave 12 to 53 %. The cast is no reason: it fails at 3 to 37 % of the places, mostly jumps into a wall.
_LEFT_OUT = {("freedoom2.wad", "MAP16"), ("freedoom2.wad", "MAP24"), ("freedoom2.wad", "MAP31")}


def _levels(*remainders: int) -> tuple[tuple[str, str], ...]:
    return tuple(level for i, level in enumerate(_LEVELS) if level not in _LEFT_OUT and i % 4 in remainders)


# Half of the levels train, as in CocoDoom's split by map.
MAPS = {"train": _levels(0, 1), "val": _levels(2), "test": _levels(3)}


def units(split: str, images: int, views: int) -> list[Unit]:
    """Pieces of work that make up `images` frames of a split, `views` a piece and in the last one what remains.

    Each is a visit to one level, and the split's levels take turns; `group` is the level, such as "freedoom2/MAP07".

    Raises:
        UserError: no such split, or fewer than one image or view.
    """
    if split not in MAPS:
        raise UserError(f"doom: unknown split {split!r}; choose one of {', '.join(MAPS)}")
    for name, value in (("images", images), ("views", views)):
        if value < 1:
            raise UserError(f"doom: {name} must be at least 1, not {value}")
    result = []
    for index, first in enumerate(range(0, images, views)):
        wad, level = MAPS[split][index % len(MAPS[split])]
        group = f"{wad.removesuffix('.wad')}/{level}"
        result.append(Unit("doom", split, group, index, min(views, images - first)))
    return result


def render(unit: Unit, size: int, progress: Callable[[int], None] | None = None) -> list[Frame]:
    """Play one unit and return its `unit.views` frames of size x size pixels; `progress` hears how many are done.

    Depends on nothing but unit and size. Frames look straight ahead, with square pixels and a field of view of 64
    degrees. Class void, infinite depth and zero normals mark what is seen through a grate or past the level's end.

    Raises:
        UserError: ViZDoom or a level is missing, or the size is not positive.
        RuntimeError: the level has too few places from which a good frame can be taken.
    """
    from mult.data.domains.doom.game import play

    return play(unit, size, progress)
