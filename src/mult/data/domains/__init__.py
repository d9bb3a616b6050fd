"""The domains by name, and how each that renders itself is asked for its images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mult.data.frame import Frame, Unit
from mult.errors import UserError

EMBEDDED = ("rooms-home", "rooms-loft", "rooms-kinect", "doom")


@dataclass(frozen=True)
class Domain:
    """A domain that renders itself: its classes, its pieces of work, and the function that does one piece."""

    classes: Sequence[str]
    units: Callable[[str, int, int], list[Unit]]  # (split, images, views a unit)
    render: Callable[[Unit, int], list[Frame]]  # (unit, image size)


def embedded(name: str) -> Domain:
    """The domain called ``name``.

    Raises:
        UserError: no domain of this name can render itself.
    """
    if name not in EMBEDDED:
        raise UserError(f"domain {name!r}: it does not render itself; those that do are {', '.join(EMBEDDED)}")
    if name == "doom":
        from mult.data.domains import doom

        return Domain(doom.CLASSES, doom.units, doom.render)
    from mult.data.domains import rooms

    style = name.removeprefix("rooms-")
    return Domain(rooms.CLASSES, lambda *args: rooms.units(style, *args), rooms.render)
