"""The `rooms` domains: procedural indoor rooms with exact depth, normals, classes and instances for every pixel.

`home` is the domain to train on; `loft` is shifted: other materials, layouts, lights, fields of view and camera poses.
`kinect` shows lofts as a depth camera would (a simulation, no real data).
Importing this package is light; the ray tracer is loaded when something is rendered. What a room is made of, in the
order in which it comes to be: `styles`, `textures`, `library`, `materials`, `mesh`, `scene`; furniture in `seating`,
`storage` and `decor`; the room in `openings`, `shell`, `clutter`, `lighting` and `layout`; then `tracer`, `camera`,
`shading`, `smoothing`, `film`, `view` and `kinect` turn it into frames, and `studio` goes through it all for one seed.
"""

from collections.abc import Callable

from mult.data.domains.rooms.styles import CLASSES, STYLES, Style
from mult.data.frame import Frame, Unit
from mult.errors import UserError

__all__ = ["CLASSES", "STYLES", "Style", "render", "units"]

SPLITS = ("train", "val", "test")
# Each pair of style and split has a range of seeds of its own, so no room can be in two of them.
SEEDS_PER_SPLIT = 10**9
_PREFIX = "rooms-"


def units(style: str, split: str, images: int, views: int) -> list[Unit]:
    """Rooms of a style with `views` pictures each, the last with what remains, that make up `images` pictures.

    The n-th room of a split is the same one whatever number of images is asked for.
    """
    for name, value, known in (("style", style, STYLES), ("split", split, SPLITS)):
        if value not in known:
            raise UserError(f"rooms: unknown {name} {value!r}; choose one of {', '.join(known)}")
    for name, value in (("images", images), ("views", views)):
        if value <= 0:
            raise UserError(f"rooms: {name} must be at least 1, not {value}")
    rooms = -(-images // views)
    if rooms > SEEDS_PER_SPLIT:
        raise UserError(f"rooms: {images} images at {views} views a room are more than {SEEDS_PER_SPLIT} rooms")
    first = (list(STYLES).index(style) * len(SPLITS) + SPLITS.index(split)) * SEEDS_PER_SPLIT
    return [
        Unit(_PREFIX + style, split, str(first + index), index, min(views, images - index * views))
        for index in range(rooms)
    ]


def render(unit: Unit, size: int, progress: Callable[[int], None] | None = None) -> list[Frame]:
    """The unit's views of its room, `size` x `size` pixels each.

    `progress`, if given, is called with the number of frames done after each of them. A view does not depend on how
    many others are rendered.
    """
    style = STYLES.get(unit.domain.removeprefix(_PREFIX))
    if style is None or not unit.group.isdigit():
        raise UserError(f"rooms: cannot render {unit.domain!r} {unit.group!r}; take units from rooms.units()")
    if size <= 0:
        raise UserError(f"rooms: size must be at least 1 pixel, not {size}")
    from mult.data.domains.rooms.studio import render_room

    return render_room(int(unit.group), style, unit.views, size, progress)
