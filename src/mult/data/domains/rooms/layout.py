"""Furnishes a room: which pieces it gets and where they stand."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mult.data.domains.rooms.clutter import Furnishing, add_clutter, add_rug, hang_pictures
from mult.data.domains.rooms.decor import lamp, plant, television
from mult.data.domains.rooms.lighting import add_lighting
from mult.data.domains.rooms.mesh import Pose, standing
from mult.data.domains.rooms.scene import Scene, SceneBuilder
from mult.data.domains.rooms.seating import bed, chair, sofa
from mult.data.domains.rooms.shell import Shell, build_shell
from mult.data.domains.rooms.storage import cabinet, shelf, table
from mult.data.domains.rooms.styles import Style

# What a room of each kind gets; the first piece is placed first, the others in random order.
ROOM_KINDS: dict[str, tuple[str, ...]] = {
    "living": ("large sofa", "shelf", "tv stand", "cabinet", "plant", "floor lamp", "coffee table", "armchair", "sofa"),
    "bedroom": ("bed", "cabinet", "cabinet", "shelf", "plant", "floor lamp", "desk", "armchair"),
    "dining": ("dining table", "cabinet", "cabinet", "shelf", "plant", "floor lamp", "sofa"),
    "office": ("desk", "desk", "shelf", "shelf", "cabinet", "plant", "armchair", "chair", "floor lamp"),
}
# Large rooms get more of these, or they would look bare.
EXTRAS = ("sofa", "large sofa", "shelf", "cabinet", "plant", "dining table", "desk", "chair", "coffee table", "bed")
# Width and depth of the floor that a piece takes at a wall, in metres.
FOOTPRINTS: dict[str, tuple[float, float]] = {
    "large sofa": (2.4, 1.05),
    "sofa": (1.9, 1.05),
    "armchair": (1.0, 1.05),
    "bed": (1.9, 2.2),
    "shelf": (1.4, 0.4),
    "tv stand": (1.6, 0.57),
    "cabinet": (1.6, 0.57),
    "floor lamp": (0.45, 0.45),
    "plant": (0.5, 0.5),
    "desk": (1.6, 0.8),
    "chair": (0.55, 0.55),
}
FREE_STANDING = {"dining table": (1.9, 1.2), "coffee table": (1.1, 0.7)}


@dataclass(frozen=True)
class Room:
    """A furnished room: its scene, its shell (where cameras may stand) and its style."""

    scene: Scene
    shell: Shell
    style: Style


def build_room(seed: np.random.SeedSequence | int, style: Style) -> Room:
    """The room that a seed stands for; equal seeds and styles give equal rooms."""
    build = SceneBuilder(np.random.default_rng(seed))
    shell = build_shell(build, style)
    room = Furnishing(build, style, shell)
    for piece in _draw_pieces(build.rng, shell):
        if piece in FREE_STANDING:
            _place_in_middle(room, piece)
        else:
            _place_at_wall(room, piece)
    add_clutter(room)
    hang_pictures(room)
    add_rug(room)
    add_lighting(build, style, shell)
    return Room(build.build(), shell, style)


def _draw_pieces(rng: np.random.Generator, shell: Shell) -> list[str]:
    first, *others = ROOM_KINDS[list(ROOM_KINDS)[rng.integers(len(ROOM_KINDS))]]
    pieces = [first, *(others[k] for k in rng.permutation(len(others)))]
    extra = int(max(0.0, shell.width * shell.depth - 16) / 4)
    return pieces + [EXTRAS[k] for k in rng.integers(len(EXTRAS), size=extra)]


def _place_in_middle(room: Furnishing, piece: str) -> None:
    rng, shell = room.build.rng, room.shell
    width, depth = FREE_STANDING[piece]
    for _ in range(20):
        x = rng.uniform(1.2, shell.width - 1.2) if shell.width > 2.6 else shell.width / 2
        y = rng.uniform(1.2, shell.depth - 1.2) if shell.depth > 2.6 else shell.depth / 2
        across = rng.random() < 0.5
        if not shell.is_free(x, y, *((depth, width) if across else (width, depth))):
            continue
        pose = standing(x, y, turn=np.pi / 2 if across else 0.0)
        if piece == "coffee table":
            room.tops.append(table(room.build, room.style, pose, (0.7, 1.1), (0.45, 0.65), (0.35, 0.5)))
            shell.footprints.append((x, y, 1.2, 1.2))
        else:
            _dining_group(room, pose)
        return


def _dining_group(room: Furnishing, pose: Pose) -> None:
    """A table with up to six chairs; a chair that would stand in something is left out."""
    rng = room.build.rng
    top = table(room.build, room.style, pose)
    room.tops.append(top)
    x, y = pose.origin[:2]
    size = np.abs(pose.rotation[:2, :2]) @ [top.width, top.depth]
    beside, before = top.width / 2 + 0.15, top.depth / 2 + 0.15
    third = 0.3 * top.width
    seats = [(third, before), (-third, before), (third, -before), (-third, -before), (beside, 0), (-beside, 0)]
    turns = [np.pi, np.pi, 0, 0, np.pi / 2, -np.pi / 2]
    for (seat_x, seat_y), turn in zip(seats, turns, strict=True):
        place = pose.at(seat_x, seat_y, turn=turn + rng.normal(0, 0.15))
        if rng.random() < 0.7 and room.shell.is_free(*place.origin[:2], 0.5, 0.5):
            chair(room.build, room.style, place)
    room.shell.footprints.append((x, y, size[0] + 0.8, size[1] + 0.8))


def _place_at_wall(room: Furnishing, piece: str) -> None:
    rng = room.build.rng
    tall = piece == "shelf" or (piece == "cabinet" and rng.random() < 0.5)
    spot = _find_spot(room, FOOTPRINTS[piece], keep_windows_clear=tall or piece == "tv stand")
    if spot is None:
        return
    WALL_PIECES[piece](room, spot, tall)


def _find_spot(room: Furnishing, size: tuple[float, float], keep_windows_clear: bool) -> Pose | None:
    """A free pose with its back to a wall, never before a door; the floor and the wall are marked as taken."""
    rng, shell = room.build.rng, room.shell
    width, depth = size
    avoided = ("door", "window", "thing") if keep_windows_clear else ("door", "thing")
    for _ in range(40):
        side = rng.integers(4)
        wall = shell.walls[side]
        if wall.length < width + 0.1:
            continue
        along = rng.uniform(width / 2 + 0.03, wall.length - width / 2 - 0.03)
        pose = wall.pose.at(along, depth / 2 + 0.05)
        taken = (width, depth) if side % 2 == 0 else (depth, width)
        if wall.is_free(along - width / 2, along + width / 2, avoided) and shell.is_free(*pose.origin[:2], *taken):
            shell.footprints.append((*pose.origin[:2].tolist(), *taken))
            if keep_windows_clear:
                wall.taken.append((along - width / 2, along + width / 2, "thing"))
            return pose
    return None


def _put_large_sofa(room: Furnishing, pose: Pose, tall: bool) -> None:
    sofa(room.build, room.style, pose, width=(1.9, 2.4))


def _put_sofa(room: Furnishing, pose: Pose, tall: bool) -> None:
    sofa(room.build, room.style, pose, width=(1.5, 1.9))


def _put_armchair(room: Furnishing, pose: Pose, tall: bool) -> None:
    sofa(room.build, room.style, pose, width=(0.8, 1.0))


def _put_bed(room: Furnishing, pose: Pose, tall: bool) -> None:
    bed(room.build, room.style, pose)


def _put_shelf(room: Furnishing, pose: Pose, tall: bool) -> None:
    shelf(room.build, room.style, pose)


def _put_cabinet(room: Furnishing, pose: Pose, tall: bool) -> None:
    top = cabinet(room.build, room.style, pose, tall)
    if not tall:
        room.tops.append(top)


def _put_tv_stand(room: Furnishing, pose: Pose, tall: bool) -> None:
    top = cabinet(room.build, room.style, pose, width=(1.1, 1.6), height=(0.4, 0.55))
    television(room.build, room.style, pose, top.height + 0.1)


def _put_floor_lamp(room: Furnishing, pose: Pose, tall: bool) -> None:
    lamp(room.build, room.style, pose, height=(1.2, 1.6))


def _put_plant(room: Furnishing, pose: Pose, tall: bool) -> None:
    plant(room.build, room.style, pose, room.build.rng.uniform(0.8, 1.6))


def _put_desk(room: Furnishing, pose: Pose, tall: bool) -> None:
    rng = room.build.rng
    top = table(room.build, room.style, pose, (1.0, 1.6), (0.6, 0.75))
    room.tops.append(top)
    seat = pose.at(rng.uniform(-0.2, 0.2), top.depth / 2 + 0.2, turn=np.pi + rng.normal(0, 0.4))
    chair(room.build, room.style, seat)
    room.shell.footprints.append((*seat.origin[:2].tolist(), 0.5, 0.5))
    if rng.random() < 0.8:
        television(room.build, room.style, pose.at(rng.uniform(-0.2, 0.2), -0.15), top.height + 0.1)


def _put_chair(room: Furnishing, pose: Pose, tall: bool) -> None:
    chair(room.build, room.style, pose.at(0, 0, turn=room.build.rng.normal(0, 0.25)))


WALL_PIECES: dict[str, Callable[[Furnishing, Pose, bool], None]] = {
    "large sofa": _put_large_sofa,
    "sofa": _put_sofa,
    "armchair": _put_armchair,
    "bed": _put_bed,
    "shelf": _put_shelf,
    "cabinet": _put_cabinet,
    "tv stand": _put_tv_stand,
    "floor lamp": _put_floor_lamp,
    "plant": _put_plant,
    "desk": _put_desk,
    "chair": _put_chair,
}
