"""Exact views of a Doom map: one ray a column in the plane, then one look-up a pixel along the heights.

A Doom map is a plan of lines between sectors of constant floor and ceiling, and its camera never tilts. So all pixels
of a column share the same crossings of lines, and what a pixel shows follows from its slope alone: at each crossing the
near floor and the step behind it close the view from below, the near ceiling and the head behind it from above. The
first crossing that closes it over the pixel's slope holds the surface.
"""

from dataclasses import dataclass

import numpy as np

from mult.data.domains.doom.wad import Level

WALL, FLOOR, CEILING, DOOR, SKY = 1, 2, 3, 4, 5  # positions in the domain's CLASSES; 0 is void
NEAREST = 1e-3  # map units; nearer crossings are behind the picture plane


@dataclass(frozen=True)
class Camera:
    """Position in map units, direction of view in radians counter-clockwise from the map's x axis (east)."""

    x: float
    y: float
    z: float
    angle: float


@dataclass(frozen=True)
class View:
    """What a camera sees, at the pixels' centres of a square picture."""

    depth: np.ndarray  # float64 (H, W), along the axis of view in map units; inf for sky and void
    normal: np.ndarray  # float32 (H, W, 3), in OpenCV camera axes; zero for sky and void
    classes: np.ndarray  # uint8 (H, W): void, wall, floor, ceiling, door or sky
    screen: np.ndarray  # float64 (H, W), depth of the nearest see-through texture before the surface; inf for none


@dataclass(frozen=True)
class _Crossings:
    """Where columns cross lines, nearest first: arrays (K, W), and slopes that bound the view at each crossing."""

    depth: np.ndarray  # inf where a column has fewer crossings
    line: np.ndarray
    from_front: np.ndarray
    near: np.ndarray
    far: np.ndarray  # -1 behind a solid wall
    floor: np.ndarray
    ceiling: np.ndarray
    step: np.ndarray
    head: np.ndarray


def cast(level: Level, floors: np.ndarray, ceilings: np.ndarray, camera: Camera, size: int, fov: float) -> View:
    """See `level` from `camera` with the sectors' current heights (S,) in a picture of size x size square pixels."""
    tangents = (np.arange(size) + 0.5 - size / 2) * (2 * np.tan(fov / 2) / size)
    slopes = -tangents[:, None]
    crossings = _cross(level, floors, ceilings, camera, tangents)
    below = np.maximum.accumulate(np.maximum(crossings.floor, crossings.step), axis=0)
    above = np.minimum.accumulate(np.minimum(crossings.ceiling, crossings.head), axis=0)
    passed = np.minimum((slopes > below[:, None]).sum(0), (slopes < above[:, None]).sum(0))
    count = len(crossings.depth)
    at = (np.minimum(passed, count - 1), np.broadcast_to(np.arange(size), (size, size)))
    hit = (passed < count) & np.isfinite(crossings.depth[at])
    view = _surfaces(level, floors, ceilings, camera, slopes, crossings, at, hit)
    screen = _screens(level, floors, ceilings, camera, slopes, crossings, passed)
    return View(*view, screen)


def _cross(level: Level, floors: np.ndarray, ceilings: np.ndarray, camera: Camera, tangents: np.ndarray) -> _Crossings:
    depth, line, from_front = _hits(level, camera, tangents)
    near = np.where(from_front, level.front[line], level.back[line])
    far = np.where(from_front, level.back[line], level.front[line])
    solid = far < 0

    def slope(height: np.ndarray, sectors: np.ndarray) -> np.ndarray:
        return (height[sectors] - camera.z) / depth

    absent = ~np.isfinite(depth)
    return _Crossings(
        depth,
        line,
        from_front,
        near,
        far,
        floor=np.where(absent, -np.inf, slope(floors, near)),
        ceiling=np.where(absent, np.inf, slope(ceilings, near)),
        step=np.where(absent, -np.inf, np.where(solid, np.inf, slope(floors, far))),
        head=np.where(absent, np.inf, np.where(solid, -np.inf, slope(ceilings, far))),
    )


def _hits(level: Level, camera: Camera, tangents: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Depth, line and side (K, W) of every column's crossings up to its first solid wall, nearest first."""
    forward = np.array([np.cos(camera.angle), np.sin(camera.angle)])
    right = np.array([forward[1], -forward[0]])
    to_plan = np.stack([right, forward], axis=1)
    start, end = ((points - [camera.x, camera.y]) @ to_plan for points in (level.starts, level.ends))
    edge = tangents[-1] * 1.01
    seen = (np.maximum(start[:, 1], end[:, 1]) > NEAREST) & (
        # A line is out of sight when both of its ends are beyond the same edge of the wedge of view.
        (np.minimum(start[:, 0] - edge * start[:, 1], end[:, 0] - edge * end[:, 1]) < 0)
        & (np.maximum(start[:, 0] + edge * start[:, 1], end[:, 0] + edge * end[:, 1]) > 0)
    )
    index = np.flatnonzero(seen) if seen.any() else np.zeros(1, int)
    (x, y), (dx, dy) = start[index].T, (end - start)[index].T
    column = tangents[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        along = (column * y - x) / (dx - column * dy)
        depth = y + along * dy
    # Closed at both ends with a little to spare: no ray may slip through a corner.
    depth = np.where((along >= -1e-9) & (along <= 1 + 1e-9) & (depth > NEAREST), depth, np.inf)
    solid = level.back[index] < 0
    wall = np.min(depth, axis=1, where=solid, initial=np.inf)
    depth[depth > wall[:, None]] = np.inf
    count = max(1, int(np.isfinite(depth).sum(1).max(initial=0)))
    order = np.argsort(depth, axis=1)[:, :count]
    line = index[order]
    from_front = (dy * x - dx * y)[order] < 0
    from_front |= level.back[line] < 0
    return np.take_along_axis(depth, order, axis=1).T, line.T, from_front.T


def _surfaces(
    level: Level,
    floors: np.ndarray,
    ceilings: np.ndarray,
    camera: Camera,
    slopes: np.ndarray,
    crossings: _Crossings,
    at: tuple[np.ndarray, np.ndarray],
    hit: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Depth, normal and class of each pixel's surface, from the crossing that closes the view over it."""
    near, far, line = crossings.near[at], crossings.far[at], crossings.line[at]
    floor = hit & (slopes <= crossings.floor[at])
    ceiling = hit & ~floor & (slopes >= crossings.ceiling[at])
    upright = hit & ~floor & ~ceiling
    upper = upright & (far >= 0) & (slopes >= crossings.head[at])
    sky = (ceiling & level.sky_ceiling[near]) | (floor & level.sky_floor[near])
    sky |= upper & level.sky_ceiling[near] & level.sky_ceiling[far]  # Doom leaves a head between two skies out

    with np.errstate(divide="ignore", invalid="ignore"):
        depth = np.where(floor, (floors[near] - camera.z) / slopes, (ceilings[near] - camera.z) / slopes)
    depth = np.where(upright, crossings.depth[at], depth)
    # Sectors that contradict each other, as in some tricks of map makers, put the camera under a floor.
    missing = ~hit | sky | ~(depth > 0) | ~np.isfinite(depth)

    classes = np.select([sky, missing, floor, ceiling, upper & level.door[far]], [SKY, 0, FLOOR, CEILING, DOOR], WALL)
    normal = np.zeros((*hit.shape, 3), np.float32)
    normal[floor, 1], normal[ceiling, 1] = -1, 1
    normal[upright] = _wall_normals(level, camera, line[upright], crossings.from_front[at][upright])
    normal[missing] = 0
    return np.where(missing, np.inf, depth), normal, classes.astype(np.uint8)


def _wall_normals(level: Level, camera: Camera, line: np.ndarray, from_front: np.ndarray) -> np.ndarray:
    step = (level.ends - level.starts)[line]
    outward = np.stack([step[:, 1], -step[:, 0]], axis=1) / np.linalg.norm(step, axis=1, keepdims=True)
    outward = np.where(from_front[:, None], outward, -outward)
    forward = np.array([np.cos(camera.angle), np.sin(camera.angle)])
    right = np.array([forward[1], -forward[0]])
    return np.stack([outward @ right, np.zeros(len(line)), outward @ forward], axis=1)


def _screens(
    level: Level,
    floors: np.ndarray,
    ceilings: np.ndarray,
    camera: Camera,
    slopes: np.ndarray,
    crossings: _Crossings,
    passed: np.ndarray,
) -> np.ndarray:
    """Depth of the nearest grate, fence or web (a texture in the opening of a line) that each pixel looks through."""
    screen = np.full(passed.shape, np.inf)
    side = np.where(crossings.from_front, 0, 1)
    heights = np.where(crossings.far >= 0, level.screens[crossings.line, side], 0)
    for k in np.flatnonzero(((heights > 0) & np.isfinite(crossings.depth)).any(1))[::-1]:
        near, far, line = crossings.near[k], crossings.far[k], crossings.line[k]
        shift = level.screen_shift[line, side[k]]
        base = np.maximum(floors[near], floors[far]) + shift
        top = np.minimum(ceilings[near], ceilings[far]) + shift
        top = np.where(level.unpegged[line], base + heights[k], top)
        bounds = ((edge - camera.z) / crossings.depth[k] for edge in (top - heights[k], top))
        bottom, top = bounds
        through = (heights[k] > 0) & (k < passed) & (slopes > bottom) & (slopes < top)
        screen = np.where(through, crossings.depth[k], screen)
    return screen
