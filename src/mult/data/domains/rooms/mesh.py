"""Triangle meshes of the simple shapes that furniture is made of, and the poses they are put in.

World axes: x and y along the floor, z up; metres. Furniture is built around its own origin on the floor, with its back
towards -y and its front towards +y.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

FLOAT = np.float32


@dataclass(frozen=True)
class Mesh:
    """Triangles over vertices, which are not shared between faces that meet at an edge."""

    vertices: np.ndarray  # float32 (v, 3)
    triangles: np.ndarray  # int (t, 3), indices of vertices
    uv: np.ndarray  # float32 (v, 2), texture coordinates in metres
    normals: np.ndarray | None = None  # float32 (v, 3), unit length, to be interpolated; None where faces are flat


@dataclass(frozen=True)
class Pose:
    """A rotation and a place: a point p of a piece of furniture stands at rotation @ p + origin in the room."""

    rotation: np.ndarray  # float32 (3, 3)
    origin: np.ndarray  # float32 (3,)

    def point(self, x: float, y: float, z: float = 0.0) -> np.ndarray:
        """Where the piece's point (x, y, z) is in the room."""
        return self.rotation @ np.array([x, y, z], FLOAT) + self.origin

    def at(self, x: float, y: float, z: float = 0.0, turn: float = 0.0) -> "Pose":
        """The pose of a part that stands at (x, y, z) of the piece, turned about the vertical by `turn` radians."""
        rotation = self.rotation @ turned(turn) if turn else self.rotation
        return Pose(rotation, self.point(x, y, z))


def turned(angle: float) -> np.ndarray:
    """Rotation about the vertical, float32 (3, 3)."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]], FLOAT)


def standing(x: float, y: float, z: float = 0.0, turn: float = 0.0) -> Pose:
    """The pose of something upright at a place in the room."""
    return Pose(turned(turn), np.array([x, y, z], FLOAT))


def quad(corner: np.ndarray, edge_u: np.ndarray, edge_v: np.ndarray, uv_start: tuple[float, float] = (0, 0)) -> Mesh:
    """A parallelogram; its texture runs along its edges from `uv_start` (metres)."""
    corner, edge_u, edge_v = (np.asarray(vector, FLOAT) for vector in (corner, edge_u, edge_v))
    width, height = np.linalg.norm(edge_u), np.linalg.norm(edge_v)
    vertices = np.stack([corner, corner + edge_u, corner + edge_u + edge_v, corner + edge_v])
    uv = np.array([[0, 0], [width, 0], [width, height], [0, height]], FLOAT) + np.asarray(uv_start, FLOAT)
    return Mesh(vertices, np.array([[0, 1, 2], [0, 2, 3]]), uv)


def _box_template() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Corners (24, 3) of the unit cube face by face, triangles (12, 3), and the axes (24, 2) that span each face."""
    corners, axes = [], []
    for axis in range(3):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        for side in (0, 1):
            for across, up in ((0, 0), (1, 0), (1, 1), (0, 1)):
                corner = np.zeros(3)
                corner[axis], corner[first], corner[second] = side, across, up
                corners.append(corner)
                axes.append((first, second))
    triangles = np.concatenate([np.array([[0, 1, 2], [0, 2, 3]]) + 4 * face for face in range(6)])
    return np.array(corners, FLOAT), triangles, np.array(axes)


_CORNERS, _BOX_TRIANGLES, _FACE_AXES = _box_template()
_CORNER_NUMBERS = np.arange(24)


def boxes(low: np.ndarray, high: np.ndarray, uv_start: np.ndarray | None = None) -> Mesh:
    """Boxes between opposite corners `low` and `high`, (n, 3) or (3,); the texture's u runs along the longer edges.

    `uv_start` (n, 2) shifts the texture of each box, in metres.
    """
    low, high = np.atleast_2d(np.asarray(low, FLOAT)), np.atleast_2d(np.asarray(high, FLOAT))
    extent = (high - low)[:, None]
    along = _CORNERS * extent
    across, up = _FACE_AXES.T
    uv = np.stack([along[:, _CORNER_NUMBERS, across], along[:, _CORNER_NUMBERS, up]], axis=-1)
    upright = extent[:, 0, up] > extent[:, 0, across]
    uv = np.where(upright[..., None], uv[..., ::-1], uv)
    if uv_start is not None:
        uv = uv + np.asarray(uv_start, FLOAT)[:, None]
    triangles = _BOX_TRIANGLES + 24 * np.arange(len(low))[:, None, None]
    return Mesh((along + low[:, None]).reshape(-1, 3), triangles.reshape(-1, 3), uv.reshape(-1, 2))


def legs(half_width: float, half_depth: float, thickness: float, low: float, high: float) -> Mesh:
    """Four square legs whose centres stand at (+-half_width, +-half_depth)."""
    signs = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])
    centres = signs * np.array([half_width, half_depth])
    bottom = np.column_stack([centres - thickness / 2, np.full(4, low)])
    top = np.column_stack([centres + thickness / 2, np.full(4, high)])
    return boxes(bottom, top)


@cache
def _grid_triangles(rows: int, columns: int, sheets: int = 1) -> np.ndarray:
    """Triangles over `sheets` grids of rows x columns vertices each."""
    number = np.arange(sheets * rows * columns).reshape(sheets, rows, columns)
    a, b, c, d = number[:, :-1, :-1], number[:, 1:, :-1], number[:, 1:, 1:], number[:, :-1, 1:]
    return np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])


@cache
def _cushion_template(steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Normals and signs, (6, 2 * steps, 2 * steps, 3) each, of a box with round edges face by face.

    The signs tell in which corner's ball (an eighth of a sphere) a vertex lies. The two middle rows and columns of a
    face share the face's own normal, so that what lies between them is flat.
    """
    half = np.tan(np.linspace(0, np.pi / 4, steps))
    slope, sign = np.concatenate([-half[::-1], half]), np.repeat([-1.0, 1.0], steps)
    normals, signs = np.empty((2, 6, 2 * steps, 2 * steps, 3), FLOAT)
    for face in range(6):
        axis = face // 2
        for template, values in ((normals, slope), (signs, sign)):
            template[face, ..., axis] = (-1, 1)[face % 2]
            template[face, ..., (axis + 1) % 3] = values[:, None]
            template[face, ..., (axis + 2) % 3] = values
    return normals / np.linalg.norm(normals, axis=-1, keepdims=True), signs


def rounded_box(low: np.ndarray, high: np.ndarray, radius: float, steps: int = 3) -> Mesh:
    """A box with edges rounded to `radius` (metres; at most half its thinnest side), 2 * steps vertices an edge."""
    low, high = np.asarray(low, FLOAT), np.asarray(high, FLOAT)
    radius = FLOAT(min(radius, 0.49 * float((high - low).min())))
    normals, signs = _cushion_template(steps)
    points = (low + high) / 2 + signs * ((high - low) / 2 - radius) + normals * radius
    uv = np.stack([points[[0, 1], ..., 1:], points[[2, 3]][..., [2, 0]], points[[4, 5], ..., :2]]).reshape(-1, 2)
    side = 2 * steps
    return Mesh(points.reshape(-1, 3), _grid_triangles(side, side, 6), uv, normals.reshape(-1, 3))


@cache
def _circle(segments: int) -> tuple[np.ndarray, np.ndarray]:
    angles = np.linspace(0, 2 * np.pi, segments + 1).astype(FLOAT)
    return angles, np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def _profile_normals(profile: np.ndarray) -> np.ndarray:
    """Normals (k - 1, 2, 2) at both ends of each segment of a profile: shared across blunt corners, split at sharp."""
    step = np.diff(profile, axis=0)
    facets = np.stack([step[:, 1], -step[:, 0]], axis=-1)
    facets /= np.linalg.norm(facets, axis=1, keepdims=True) + 1e-9
    ends = np.stack([facets, facets], axis=1)
    shared = facets[:-1] + facets[1:]
    blunt = (facets[:-1] * facets[1:]).sum(1) > 0.75
    shared /= np.linalg.norm(shared, axis=1, keepdims=True) + 1e-9
    ends[:-1, 1][blunt] = shared[blunt]
    ends[1:, 0][blunt] = shared[blunt]
    return ends


def lathe(profile: np.ndarray, segments: int = 18) -> Mesh:
    """The surface that a profile of (radius, height) points, (k, 2), sweeps around the vertical."""
    profile = np.asarray(profile, FLOAT)
    angles, circle = _circle(segments)
    ends = np.stack([profile[:-1], profile[1:]], axis=1)
    around = circle[None, None]
    flat = ends[:, :, None, 0, None] * around
    vertices = np.concatenate([flat, np.broadcast_to(ends[:, :, None, 1:], (*flat.shape[:3], 1))], axis=-1)
    slope = _profile_normals(profile)
    upward = np.broadcast_to(slope[:, :, None, 1:], (*flat.shape[:3], 1))
    normals = np.concatenate([slope[:, :, None, :1] * around, upward], axis=-1)
    return Mesh(
        vertices.reshape(-1, 3),
        _grid_triangles(2, segments + 1, len(ends)),
        _lathe_uv(profile, vertices, angles).reshape(-1, 2),
        normals.reshape(-1, 3).astype(FLOAT),
    )


def _lathe_uv(profile: np.ndarray, vertices: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """The texture is wrapped around steep parts and laid flat on level ones."""
    step = np.abs(np.diff(profile, axis=0))
    travelled = np.concatenate([[0], np.cumsum(np.hypot(*step.T))])
    rows = np.stack([travelled[:-1], travelled[1:]], axis=1)
    length = angles * max(0.05, profile[:, 0].max())
    wrapped = np.stack(np.broadcast_arrays(length, rows[:, :, None]), axis=-1)
    level = step[:, 1] < 0.5 * step[:, 0]
    return np.where(level[:, None, None, None], vertices[..., :2], wrapped).astype(FLOAT)


def cylinder(radius: float, low: float, high: float, segments: int = 14) -> Mesh:
    """An upright cylinder, closed at both ends."""
    return lathe([[0, low], [radius, low], [radius, high], [0, high]], segments)


def sheets(points: np.ndarray, uv: np.ndarray, smooth: bool = False) -> Mesh:
    """Thin surfaces over grids of points (n, rows, columns, 3) with texture coordinates (rows, columns, 2)."""
    count, rows, columns, _ = points.shape
    normals = None
    if smooth:
        normals = np.cross(np.gradient(points, axis=1), np.gradient(points, axis=2))
        normals = (normals / (np.linalg.norm(normals, axis=-1, keepdims=True) + 1e-9)).reshape(-1, 3).astype(FLOAT)
    uv = np.broadcast_to(uv, (count, rows, columns, 2)).reshape(-1, 2).astype(FLOAT)
    return Mesh(points.reshape(-1, 3).astype(FLOAT), _grid_triangles(rows, columns, count), uv, normals)
