"""One room from seed to frames."""

from collections.abc import Callable

import numpy as np

from mult.data.domains.rooms.camera import find_view
from mult.data.domains.rooms.kinect import degrade
from mult.data.domains.rooms.layout import build_room
from mult.data.domains.rooms.styles import Style
from mult.data.domains.rooms.tracer import Tracer
from mult.data.domains.rooms.view import render_view
from mult.data.frame import Frame

_ROOM, _VIEW, _SENSOR = 0, 1, 2  # what a stream of random numbers is for


def render_room(
    seed: int, style: Style, views: int, size: int, progress: Callable[[int], None] | None = None
) -> list[Frame]:
    """The first `views` frames of the room of a seed; each view has random numbers of its own."""
    room = build_room(np.random.SeedSequence([seed, _ROOM]), style)
    tracer = Tracer(room.scene)
    frames = []
    for view in range(views):
        rng = np.random.default_rng(np.random.SeedSequence([seed, _VIEW, view]))
        frame = render_view(tracer, find_view(tracer, room, rng), size, rng)
        if style.kinect:
            frame = degrade(frame, np.random.default_rng(np.random.SeedSequence([seed, _SENSOR, view])))
        frames.append(frame)
        if progress is not None:
            progress(len(frames))
    return frames
