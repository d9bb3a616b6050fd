"""The geometry of a Doom map, read from a WAD file (the Unofficial Doom Specs, Matthew Fell, describe the format)."""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mult.errors import UserError

NOTHING = 0xFFFF  # a linedef's side number where it has no side
LOWER_UNPEGGED = 16
# Linedef specials that move a door: those that open the sector behind the line, and those that name it by its tag.
DOORS_BEHIND = (1, 26, 27, 28, 31, 32, 33, 34, 117, 118)
DOORS_BY_TAG = (2, 3, 4, 16, 29, 42, 46, 50, 61, 63, 75, 76, 86, 90, 99, 103, *range(105, 117), *range(133, 138))

_LINE = np.dtype([(name, "<u2") for name in ("start", "end", "flags", "special", "tag", "right", "left")])
_SIDE = np.dtype(
    [("x", "<i2"), ("y", "<i2"), ("upper", "S8"), ("lower", "S8"), ("middle", "S8"), ("sector", "<u2")],
)
_SECTOR = np.dtype(
    [
        ("floor", "<i2"),
        ("ceiling", "<i2"),
        ("floor_flat", "S8"),
        ("ceiling_flat", "S8"),
        ("light", "<i2"),
        ("special", "<u2"),
        ("tag", "<u2"),
    ]
)
_THING = np.dtype([("x", "<i2"), ("y", "<i2"), ("angle", "<u2"), ("type", "<u2"), ("flags", "<u2")])


@dataclass(frozen=True)
class Level:
    """What of a map never moves: L lines between S sectors, in map units. Heights come from the running game."""

    starts: np.ndarray  # float64 (L, 2)
    ends: np.ndarray  # float64 (L, 2)
    front: np.ndarray  # int (L,), sector to the right of the line's direction
    back: np.ndarray  # int (L,), sector to its left; -1 where the line is a solid wall
    screens: np.ndarray  # float64 (L, 2), height of the see-through texture on the front and back side; 0 for none
    screen_shift: np.ndarray  # float64 (L, 2), how far that texture is moved up
    unpegged: np.ndarray  # bool (L,), that texture stands on the floor instead of hanging from the ceiling
    door: np.ndarray  # bool (S,), the sector's ceiling is the leaf of a door
    sky_ceiling: np.ndarray  # bool (S,)
    sky_floor: np.ndarray  # bool (S,)
    floors: np.ndarray  # float64 (S,), height at the start
    ceilings: np.ndarray  # float64 (S,)
    things: np.ndarray  # float64 (T, 2), where monsters, items and decorations start


def read_level(path: Path, name: str) -> Level:
    """Read map `name` (such as "MAP07") of a WAD file.

    Raises:
        UserError: the file is missing or is no WAD, or it has no such map.
    """
    lumps = _read_lumps(path)
    names = [lump_name for lump_name, _ in lumps]
    if name not in names:
        raise UserError(f"doom: {path} has no map {name!r}; choose one of mult.data.domains.doom.MAPS")
    at = names.index(name)
    parts = dict(lumps[at + 1 : at + 11])
    corners = np.frombuffer(parts["VERTEXES"], "<i2").reshape(-1, 2).astype(np.float64)
    lines, sides = np.frombuffer(parts["LINEDEFS"], _LINE), np.frombuffer(parts["SIDEDEFS"], _SIDE)
    sectors, things = np.frombuffer(parts["SECTORS"], _SECTOR), np.frombuffer(parts["THINGS"], _THING)
    front = sides["sector"][lines["right"]].astype(int)
    solid = lines["left"] == NOTHING
    left = np.where(solid, lines["right"], lines["left"])
    back = np.where(solid, -1, sides["sector"][left].astype(int))
    faces = np.stack([lines["right"], left], axis=1)
    heights = _texture_heights(dict(lumps))
    middle = np.array([heights.get(_text(texture), 0.0) for texture in sides["middle"]])
    return Level(
        starts=corners[lines["start"]],
        ends=corners[lines["end"]],
        front=front,
        back=back,
        screens=np.where(solid[:, None], 0.0, middle[faces]),
        screen_shift=sides["y"][faces].astype(np.float64),
        unpegged=(lines["flags"] & LOWER_UNPEGGED) > 0,
        door=_door_sectors(lines, back, sectors["tag"]),
        sky_ceiling=sectors["ceiling_flat"] == b"F_SKY1",
        sky_floor=sectors["floor_flat"] == b"F_SKY1",
        floors=sectors["floor"].astype(np.float64),
        ceilings=sectors["ceiling"].astype(np.float64),
        things=np.stack([things["x"], things["y"]], axis=1).astype(np.float64),
    )


def _door_sectors(lines: np.ndarray, back: np.ndarray, tags: np.ndarray) -> np.ndarray:
    door = np.isin(tags, lines["tag"][np.isin(lines["special"], DOORS_BY_TAG)]) & (tags != 0)
    behind = back[np.isin(lines["special"], DOORS_BEHIND)]
    door[behind[behind >= 0]] = True
    return door


def _read_lumps(path: Path) -> list[tuple[str, bytes]]:
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UserError(
            f"doom: cannot read {path} ({error.strerror}); reinstall ViZDoom, whose wheel holds it"
        ) from error
    if content[:4] not in (b"IWAD", b"PWAD"):
        raise UserError(f"doom: {path} is no WAD file; reinstall ViZDoom, whose wheel holds a good one")
    count, directory = struct.unpack_from("<ii", content, 4)
    entries = struct.iter_unpack("<ii8s", content[directory : directory + 16 * count])
    return [(_text(name), content[start : start + size]) for start, size, name in entries]


def _texture_heights(lumps: dict[str, bytes]) -> dict[str, float]:
    """Heights in map units of all wall textures, from the lumps TEXTURE1 and TEXTURE2."""
    heights = {}
    for lump in (lumps.get("TEXTURE1", b""), lumps.get("TEXTURE2", b"")):
        count = struct.unpack_from("<i", lump)[0] if lump else 0
        for offset in struct.unpack_from(f"<{count}i", lump, 4) if count else ():
            name, _, _, height = struct.unpack_from("<8sIhh", lump, offset)
            heights[_text(name)] = float(height)
    return {name: height for name, height in heights.items() if name != "-"}


def _text(name: bytes) -> str:
    return name.split(b"\0")[0].decode("latin1").upper()
