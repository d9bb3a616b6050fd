"""Small things on tables, cabinets and the floor, pictures on the walls, and a rug."""

from dataclasses import dataclass, field

from mult.data.domains.rooms.decor import book_stack, bottle, box_object, lamp, picture, plant, vase
from mult.data.domains.rooms.mesh import Pose, boxes, standing
from mult.data.domains.rooms.scene import SceneBuilder
from mult.data.domains.rooms.shell import Shell
from mult.data.domains.rooms.storage import Top
from mult.data.domains.rooms.styles import Style


@dataclass
class Furnishing:
    """A room in the making."""

    build: SceneBuilder
    style: Style
    shell: Shell
    tops: list[Top] = field(default_factory=list)  # where small things may stand


def _small_plant(build: SceneBuilder, style: Style, pose: Pose) -> None:
    plant(build, style, pose, build.rng.uniform(0.35, 0.7))


def _small_box(build: SceneBuilder, style: Style, pose: Pose) -> None:
    box_object(build, style, pose, clearance=0.3)


def add_clutter(room: Furnishing) -> None:
    """Small things on tables and cabinets, some on the floor."""
    rng = room.build.rng
    on_tops = (vase, bottle, book_stack, _small_box, lamp, _small_plant)
    on_floor = (box_object, vase, book_stack, _small_plant)
    for _ in range(rng.integers(*room.style.clutter)):
        if room.tops and rng.random() < 0.75:
            top = room.tops[rng.integers(len(room.tops))]
            x, y = rng.uniform(-0.4, 0.4) * top.width, rng.uniform(-0.3, 0.3) * top.depth
            thing = on_tops[rng.choice(len(on_tops), p=[0.2, 0.2, 0.2, 0.15, 0.15, 0.1])]
            thing(room.build, room.style, top.pose.at(x, y, top.height))
            continue
        x, y = rng.uniform(0.3, room.shell.width - 0.3), rng.uniform(0.3, room.shell.depth - 0.3)
        if room.shell.is_free(x, y, 0.4, 0.4):
            on_floor[rng.integers(len(on_floor))](room.build, room.style, standing(x, y))
            room.shell.footprints.append((x, y, 0.4, 0.4))


def hang_pictures(room: Furnishing) -> None:
    """Up to six pictures where walls are free."""
    rng = room.build.rng
    for _ in range(rng.integers(1, 7)):
        wall = room.shell.walls[rng.integers(4)]
        along = rng.uniform(0.6, wall.length - 0.6)
        if wall.is_free(along - 0.6, along + 0.6):
            width = picture(room.build, room.style, wall.pose.at(along, 0), rng.uniform(1.25, 1.5))
            wall.taken.append((along - width / 2, along + width / 2, "thing"))


def add_rug(room: Furnishing) -> None:
    """A rug near the middle of every other room."""
    rng, shell = room.build.rng, room.shell
    if rng.random() < 0.5:
        return
    width, depth = min(rng.uniform(1.0, 2.4), shell.width - 1), min(rng.uniform(0.8, 1.8), shell.depth - 1)
    x, y = shell.width / 2 + rng.normal(0, 0.3), shell.depth / 2 + rng.normal(0, 0.3)
    look = room.build.material(("fabric", "carpet", "wallpaper"), rng.uniform(0.6, 2.0))
    rug = boxes([x - width / 2, y - depth / 2, 0], [x + width / 2, y + depth / 2, 0.012])
    room.build.add(rug, look, "floor", room.build.new_instance())
