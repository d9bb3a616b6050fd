"""What sets the kinds of room apart: `home`, to train on, `loft`, a shifted domain, and `kinect`, lofts seen badly."""

from dataclasses import dataclass, replace

CLASSES: tuple[str, ...] = (
    "void",
    "wall",
    "floor",
    "ceiling",
    "window",
    "door",
    "chair",
    "sofa",
    "table",
    "bed",
    "cabinet",
    "lamp",
    "plant",
    "tv",
    "picture",
    "book",
    "object",
)
CLASS_NUMBER: dict[str, int] = {name: number for number, name in enumerate(CLASSES)}

Range = tuple[float, float]


@dataclass(frozen=True)
class Style:
    """Ranges and chances that a room and its cameras are drawn from; lengths in metres, angles in degrees.

    Finishes are names of `materials.PALETTES`; a name that stands twice is drawn twice as often.
    """

    name: str
    floor: tuple[str, ...]
    wall: tuple[str, ...]
    furniture: tuple[str, ...]
    cloth: tuple[str, ...]
    side: Range  # width and depth of the room
    height: Range  # of its walls
    gable: float  # chance of a pitched roof
    pillars: float  # chance of pillars or of a free-standing wall
    round_table: float
    lamp_lit: float
    sunshine: float  # chance of direct sun, where there is a window and it is day
    warmth: Range  # of the ceiling lamps' colour: 0 white, above it yellow, below it blue
    clutter: tuple[int, int]  # number of small things, the upper bound excluded
    field_of_view: Range
    camera_height: Range
    pitch: Range  # above the horizon
    roll: float  # standard deviation
    kinect: bool = False  # seen by a depth camera: mult.data.domains.rooms.kinect


STYLES: dict[str, Style] = {
    "home": Style(
        name="home",
        floor=("planks", "planks", "tiles", "carpet", "wood"),
        wall=("paint", "paint", "paint", "wallpaper", "brick"),
        furniture=("wood", "wood", "wood", "plain", "paint"),
        cloth=("fabric", "fabric", "carpet", "plain"),
        side=(3.0, 6.0),
        height=(2.4, 3.0),
        gable=0.0,
        pillars=0.0,
        round_table=0.25,
        lamp_lit=0.5,
        sunshine=0.5,
        warmth=(0.0, 0.35),
        clutter=(4, 10),
        field_of_view=(50.0, 78.0),
        camera_height=(1.1, 1.7),
        pitch=(-15.0, 8.0),
        roll=0.0,
    ),
    "loft": Style(
        name="loft",
        floor=("concrete", "tiles", "marble", "carpet"),
        wall=("concrete", "brick", "marble", "tiles", "planks"),
        furniture=("metal", "marble", "plain", "concrete"),
        cloth=("plain", "carpet", "fabric"),
        side=(5.0, 9.0),
        height=(2.9, 4.2),
        gable=0.5,
        pillars=0.7,
        round_table=0.7,
        lamp_lit=0.8,
        sunshine=0.3,
        warmth=(-0.25, 0.1),
        clutter=(8, 20),
        field_of_view=(75.0, 95.0),
        camera_height=(0.6, 2.2),
        pitch=(-35.0, 15.0),
        roll=6.0,
    ),
}
STYLES["kinect"] = replace(STYLES["loft"], name="kinect", kinect=True)
