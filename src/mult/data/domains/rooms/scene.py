"""A room as the renderer wants it: triangles with their attributes, materials and lights; and its builder."""

from dataclasses import dataclass, field

import numpy as np

from mult.data.domains.rooms.library import TextureLibrary, shared_library
from mult.data.domains.rooms.lights import Light, RectangleLight, Sky, Sun
from mult.data.domains.rooms.materials import Material, make_material
from mult.data.domains.rooms.mesh import Mesh, Pose
from mult.data.domains.rooms.styles import CLASS_NUMBER


@dataclass(frozen=True)
class Scene:
    """Triangles (t), vertices (v) and what lights them; metres, z up."""

    vertices: np.ndarray  # float32 (v, 3)
    triangles: np.ndarray  # uint32 (t, 3)
    uv: np.ndarray  # float32 (v, 2), repeats of the texture
    normals: np.ndarray  # float32 (v, 3), to be interpolated; zero on flat faces
    material: np.ndarray  # int32 (t,), index into materials
    classes: np.ndarray  # uint8 (t,), index into CLASSES
    instance: np.ndarray  # uint16 (t,), from 1
    materials: list[Material]
    library: TextureLibrary
    lights: list[Light]
    windows: list[RectangleLight]  # those of the lights that are windows
    sun: Sun | None
    sky: Sky | None


@dataclass
class SceneBuilder:
    """Collects meshes; `rng` is the one source of chance while a room is built."""

    rng: np.random.Generator
    library: TextureLibrary = field(default_factory=shared_library)
    materials: list[Material] = field(default_factory=list)
    lights: list[Light] = field(default_factory=list)
    windows: list[RectangleLight] = field(default_factory=list)
    sun: Sun | None = None
    sky: Sky | None = None
    _instances: int = 0
    _vertex_count: int = 0
    _parts: list[tuple] = field(default_factory=list)

    def material(self, kinds: tuple[str, ...] | str, scale: float, gloss: float = 0.0, **others) -> int:
        """Number of a new material of one of `kinds`; see materials.make_material."""
        kinds = (kinds,) if isinstance(kinds, str) else kinds
        self.materials.append(make_material(self.rng, self.library, kinds, scale, gloss, **others))
        return len(self.materials) - 1

    def new_instance(self) -> int:
        """A number for a thing that is about to be added."""
        self._instances += 1
        return self._instances

    def add(self, mesh: Mesh, material: int, class_name: str, instance: int, pose: Pose | None = None) -> None:
        """Adds a mesh as (a part of) an instance of a class."""
        vertices, normals = mesh.vertices, mesh.normals
        if pose is not None:
            vertices = vertices @ pose.rotation.T + pose.origin
            normals = None if normals is None else normals @ pose.rotation.T
        if normals is None:
            normals = np.zeros_like(vertices)
        look = self.materials[material]
        uv = mesh.uv / np.float32(look.scale) + look.offset
        labels = (material, CLASS_NUMBER[class_name], instance, len(mesh.triangles))
        self._parts.append((vertices, mesh.triangles + self._vertex_count, uv, normals, labels))
        self._vertex_count += len(vertices)

    def build(self) -> Scene:
        """The finished scene; triangles without area are left out."""
        vertices, triangles, uv, normals, labels = zip(*self._parts, strict=True)
        vertices, triangles = np.concatenate(vertices), np.concatenate(triangles)
        labels = np.array(labels)
        material, classes, instance = np.repeat(labels[:, :3], labels[:, 3], axis=0).T
        a, b, c = (vertices[triangles[:, corner]] for corner in range(3))
        solid = (np.cross(b - a, c - a) ** 2).sum(1) > 1e-16
        return Scene(
            vertices=vertices,
            triangles=triangles[solid].astype(np.uint32),
            uv=np.concatenate(uv),
            normals=np.concatenate(normals),
            material=material[solid].astype(np.int32),
            classes=classes[solid].astype(np.uint8),
            instance=instance[solid].astype(np.uint16),
            materials=self.materials,
            library=self.library,
            lights=self.lights,
            windows=self.windows,
            sun=self.sun,
            sky=self.sky,
        )
