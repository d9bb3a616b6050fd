"""Rays against a scene, by Embree. Vectors stand components first, (3, n), which keeps numpy's loops long."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from embreex import rtcore
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from mult.data.domains.rooms.lights import dot
from mult.data.domains.rooms.scene import Scene
from mult.data.domains.rooms.textures import SIZE

# Rays that start on a surface start this far off it (metres).
LIFT = np.float32(1e-3)


@dataclass(frozen=True)
class Hits:
    """What n rays met. Where nothing was met, `triangle` is 0 and `distance` is 0; look at `found` first."""

    found: np.ndarray  # bool (n,)
    triangle: np.ndarray  # int32 (n,)
    distance: np.ndarray  # float32 (n,), in lengths of the ray's direction
    u: np.ndarray  # float32 (n,), barycentric coordinates
    v: np.ndarray


@dataclass(frozen=True)
class Surface:
    """The surface at n hits."""

    facet: np.ndarray  # float32 (3, n), unit normal of the triangle, on the ray's side
    normal: np.ndarray  # float32 (3, n), unit interpolated normal, on the same side
    uv: np.ndarray  # float32 (2, n), repeats of the texture
    material: np.ndarray  # int32 (n,)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (3, n) scaled to length 1; a zero vector stays zero."""
    return vectors / np.sqrt(np.maximum(dot(vectors, vectors), np.float32(1e-24)))


@cache
def _device() -> rtcore.EmbreeDevice:
    return rtcore.EmbreeDevice()


def _embree_scene(vertices: np.ndarray, triangles: np.ndarray) -> EmbreeScene:
    # The robust flag keeps rays from slipping through shared edges.
    scene = EmbreeScene(_device(), robust=True)
    TriangleMesh(scene, vertices, triangles)
    return scene


class Tracer:
    """A scene ready for rays, with the material tables that shading looks up."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        materials = scene.materials
        self._texture = np.array([material.texture for material in materials], np.int32)
        self._palette = np.stack([material.palette for material in materials]).reshape(-1, 9)
        self._texels_per_metre = SIZE / np.array([material.scale for material in materials], np.float32)
        self.gloss = np.array([material.gloss for material in materials], np.float32)
        self.emission = np.array([material.emission for material in materials], np.float32)
        means = scene.library.means[self._texture]
        self._mean_albedo = np.einsum("mrc,mc->rm", self._palette.reshape(-1, 3, 3), means).astype(np.float32)
        self._visible = _embree_scene(scene.vertices, scene.triangles)
        # Glowing shades let the light of the source that stands in for them pass.
        opaque = self.emission[scene.material] == 0
        self._opaque = _embree_scene(scene.vertices, np.ascontiguousarray(scene.triangles[opaque]))
        self._triangle_table = _triangle_table(scene)

    def trace(self, origins: np.ndarray, directions: np.ndarray) -> Hits:
        """First hits of rays from origins (3, n) or (3, 1) along directions (3, n)."""
        origins = np.broadcast_to(origins, directions.shape) if origins.shape != directions.shape else origins
        rays = self._visible.run(_rows(origins), _rows(directions), query="INTERSECT", output=1)
        found = rays["primID"] >= 0
        triangle = np.where(found, rays["primID"], 0)
        distance = np.where(found, rays["tfar"], np.float32(0))
        return Hits(found, triangle, distance, rays["u"], rays["v"])

    def reaches(self, origins: np.ndarray, directions: np.ndarray, distance: np.ndarray) -> np.ndarray:
        """Whether the way from origins (3, n) along directions (3, n) is free for a distance (n,): bool (n,)."""
        limit = np.ascontiguousarray(distance, np.float32)
        return self._opaque.run(_rows(origins), _rows(directions), dists=limit, query="OCCLUDED") < 0

    def surface(self, hits: Hits, directions: np.ndarray) -> Surface:
        """Normals, texture coordinates and materials where rays along directions (3, n) hit."""
        table = self._triangle_table.take(hits.triangle, axis=0).T
        u, v = hits.u, hits.v
        facet = table[0:3]
        side = np.where(dot(facet, directions) > 0, np.float32(-1), np.float32(1))
        normal = table[3:6] + table[6:9] * u + table[9:12] * v
        normal = unit(normal)
        facet = facet * side
        normal = normal * np.where(dot(normal, facet) < 0, np.float32(-1), np.float32(1))
        uv = table[12:14] + table[14:16] * u + table[16:18] * v
        return Surface(facet, normal, uv, self.scene.material.take(hits.triangle))

    def facets(self, hits: Hits, directions: np.ndarray) -> np.ndarray:
        """The triangles' own normals (3, n) on the rays' side."""
        facet = self._triangle_table[:, :3].take(hits.triangle, axis=0).T
        return facet * np.where(dot(facet, directions) > 0, np.float32(-1), np.float32(1))

    def albedo(self, surface: Surface, footprint: np.ndarray) -> np.ndarray:
        """Linear reflectance (3, n) averaged over footprints (n,) in metres."""
        material = surface.material
        across = footprint * self._texels_per_metre.take(material)
        weights = self.scene.library.sample(self._texture.take(material), surface.uv, across)
        palette = self._palette.take(material, axis=0).T
        return np.stack([dot(palette[3 * row : 3 * row + 3], weights) for row in range(3)])

    def mean_albedo(self, hits: Hits) -> np.ndarray:
        """Linear reflectance (3, n) averaged over the whole material."""
        return self._mean_albedo.take(self.scene.material.take(hits.triangle), axis=1)


def _rows(vectors: np.ndarray) -> np.ndarray:
    """Vectors (3, n) as Embree wants them, (n, 3)."""
    return np.ascontiguousarray(vectors.T, np.float32)


def _triangle_table(scene: Scene) -> np.ndarray:
    """Per triangle, in columns: its normal, then vertex normal and texture coordinates at its first corner with their
    changes towards the second and the third. One row is fetched per hit.
    """
    a, b, c = scene.triangles.T
    first, second, third = (scene.vertices[corner] for corner in (a, b, c))
    facet = np.cross(second - first, third - first)
    facet /= np.linalg.norm(facet, axis=1, keepdims=True)
    smooth = scene.normals
    start = smooth[a]
    flat = (start * start).sum(1) < 0.25
    start = np.where(flat[:, None], facet, start)
    turn_b = np.where(flat[:, None], 0, smooth[b] - smooth[a])
    turn_c = np.where(flat[:, None], 0, smooth[c] - smooth[a])
    uv = scene.uv
    columns = [facet, start, turn_b, turn_c, uv[a], uv[b] - uv[a], uv[c] - uv[a]]
    return np.ascontiguousarray(np.concatenate(columns, axis=1), np.float32)
