"""Renders views of a scene: the picture, and the exact geometry behind each pixel's centre."""

from dataclasses import dataclass

import numpy as np

from mult.data.domains.rooms.camera import Camera
from mult.data.domains.rooms.film import develop, exposure, tone
from mult.data.domains.rooms.lights import dot
from mult.data.domains.rooms.shading import (
    Points,
    Sampler,
    lamp_light,
    mirrored_light,
    reflected_light,
    sky_radiance,
    sun_light,
)
from mult.data.domains.rooms.smoothing import Guide, gather, smooth, without_specks
from mult.data.domains.rooms.styles import CLASS_NUMBER
from mult.data.domains.rooms.tracer import Hits, Surface, Tracer, unit
from mult.data.frame import Frame

# Pixels at edges are drawn by a ray to the middle of each quarter.
QUARTERS = np.array([[-0.25, -0.25], [0.25, -0.25], [-0.25, 0.25], [0.25, 0.25]])


@dataclass(frozen=True)
class View:
    """Primary hits of a camera's rays (3, n) through all pixel centres, and the surface there."""

    camera: Camera
    size: int
    directions: np.ndarray
    hits: Hits
    surface: Surface

    @property
    def position(self) -> np.ndarray:
        """Points that are seen, float32 (3, n)."""
        return self.camera.origin[:, None] + self.directions * self.hits.distance


@dataclass(frozen=True)
class Arriving:
    """Light that arrives at surfaces: float32 (3, h, w) for the pixels of a picture, (3, n) for n points."""

    irradiance: np.ndarray
    mirrored: np.ndarray


def render_view(tracer: Tracer, camera: Camera, size: int, rng: np.random.Generator) -> Frame:
    """One frame of size x size pixels; the picture's noise is drawn from `rng`, the geometry depends on nothing."""
    directions = camera.rays(size)
    hits = tracer.trace(camera.origin[:, None], directions)
    view = View(camera, size, directions, hits, tracer.surface(hits, directions))
    rgb = _draw(tracer, view, rng)
    found = hits.found
    scene = tracer.scene
    return Frame(
        rgb=rgb,
        depth=np.where(found, hits.distance, np.float32(np.inf)).reshape(size, size),
        normal=_camera_normals(view).T.reshape(size, size, 3),
        classes=np.where(found, scene.classes[hits.triangle], np.uint8(CLASS_NUMBER["window"])).reshape(size, size),
        instances=np.where(found, scene.instance[hits.triangle], np.uint16(0)).reshape(size, size),
        fov=camera.fov,
    )


def _camera_normals(view: View) -> np.ndarray:
    """Unit normals (3, n) in the camera's axes, all of which face the camera; zero where there is no surface."""
    axes = view.camera.axes.astype(np.float32)
    ray = unit(axes @ view.directions)
    normal, facet = axes @ view.surface.normal, axes @ view.surface.facet
    # Interpolated normals near a silhouette may point away from the eye, where the triangle itself does not.
    normal = np.where(dot(normal, ray) < 0, normal, facet)
    excess = np.maximum(dot(normal, ray) + np.float32(1e-4), 0)
    return unit(normal - excess * ray) * view.hits.found


def _draw(tracer: Tracer, view: View, rng: np.random.Generator) -> np.ndarray:
    size = view.size
    position = view.position
    guide = _guide(view, position)
    light = _light(tracer, view, position, guide, rng)
    flat = Arriving(light.irradiance.reshape(3, -1), light.mirrored.reshape(3, -1))
    radiance = _radiance(tracer, view.camera, size, view.directions, view.hits, view.surface, flat)
    factor = exposure(radiance, view.hits.found, rng.uniform(0.65, 1.35))
    picture = tone(radiance, factor)
    edges = np.flatnonzero(_edges(tracer, view))
    if len(edges):
        finer = tone(_quarters(tracer, view, light, guide, edges), factor)
        picture[:, edges] = finer.reshape(3, len(QUARTERS), len(edges)).mean(1)
    return develop(picture.T.reshape(size, size, 3), rng)


def _guide(view: View, position: np.ndarray) -> Guide:
    shape = (view.size, view.size)
    depth = np.where(view.hits.found, view.hits.distance, np.float32(100))
    reach = np.float32(0.01) + depth * np.float32(0.5 * view.camera.pixel_angle(view.size))
    normal = view.surface.normal * view.hits.found
    return Guide(position.reshape(3, *shape), normal.reshape(3, *shape), reach.reshape(shape))


def _light(tracer: Tracer, view: View, position: np.ndarray, guide: Guide, rng: np.random.Generator) -> Arriving:
    """Sunlight is smoothed by a pixel, that of lamps over a few to keep shadows, reflected light over many."""
    shape = (3, view.size, view.size)
    sampler = Sampler(rng, view.size, view.size)
    points = Points(position, view.surface.facet, view.surface.normal)
    sun = without_specks(sun_light(tracer, points).reshape(shape))
    lamps = lamp_light(tracer, points, sampler).reshape(shape)
    reflected = without_specks(reflected_light(tracer, points, sampler).reshape(shape))
    stages = smooth(np.concatenate([reflected, lamps, sun]), guide, steps=(1,))
    sun, stages = stages[6:], smooth(stages[:6], guide, steps=(2, 4))
    lamps, reflected = stages[3:], smooth(stages[:3], guide, steps=(8, 16))
    irradiance = sun + lamps + reflected
    found = view.hits.found
    mean = irradiance.reshape(3, -1)[:, found].mean(1) if found.any() else np.zeros(3, np.float32)
    mirrored = mirrored_light(tracer, points, view.surface, view.directions, mean)
    return Arriving(irradiance, mirrored.reshape(shape))


def _radiance(
    tracer: Tracer, camera: Camera, size: int, directions: np.ndarray, hits: Hits, surface: Surface, light: Arriving
) -> np.ndarray:
    """Radiance (3, n) towards the camera: diffuse and mirrored light, glow, or the sky where nothing was hit."""
    cosine = np.maximum(-dot(unit(directions), surface.facet), np.float32(0.15))
    footprint = np.where(hits.found, hits.distance, np.float32(1)) * np.float32(camera.pixel_angle(size)) / cosine
    albedo = tracer.albedo(surface, footprint)
    diffuse = albedo * (light.irradiance / np.float32(np.pi) + tracer.emission.take(surface.material))
    gloss = tracer.gloss.take(surface.material)
    grazing = np.clip(1 + dot(unit(directions), surface.normal), 0, 1)
    share = np.where(gloss > 0.02, gloss + (1 - gloss) * np.float32(0.6) * grazing**5, np.float32(0))
    radiance = diffuse + (light.mirrored - diffuse) * share
    outside = np.flatnonzero(~hits.found)
    radiance[:, outside] = sky_radiance(tracer, directions.take(outside, axis=1))
    return radiance


def _edges(tracer: Tracer, view: View) -> np.ndarray:
    """Pixels (n,) whose neighbour to any side shows another surface."""
    size = view.size
    instance = np.where(view.hits.found, tracer.scene.instance[view.hits.triangle], 0).astype(np.int32)
    thing = (instance * len(tracer.scene.materials) + view.surface.material).reshape(size, size)
    normal = view.surface.normal.reshape(3, size, size)
    depth = view.hits.distance.reshape(size, size)
    edges = np.zeros((size, size), bool)
    for here, there in (
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
        ((slice(1, None), slice(None)), (slice(None, -1), slice(None))),
    ):
        jump = np.abs(depth[here] - depth[there]) > np.float32(0.1) * depth[here]
        differs = (thing[here] != thing[there]) | (dot(normal[:, *here], normal[:, *there]) < 0.9) | jump
        edges[here] |= differs
        edges[there] |= differs
    return edges.ravel()


def _quarters(tracer: Tracer, view: View, light: Arriving, guide: Guide, pixels: np.ndarray) -> np.ndarray:
    """Radiance (3, 4 * n) at the four quarters of n pixels, quarter by quarter."""
    size, camera = view.size, view.camera
    row, column = np.divmod(pixels, size)
    x, y = (column + QUARTERS[:, :1]).ravel(), (row + QUARTERS[:, 1:]).ravel()
    directions = camera.rays_at(size, x, y)
    hits = tracer.trace(camera.origin[:, None], directions)
    surface = tracer.surface(hits, directions)
    position = camera.origin[:, None] + directions * hits.distance
    values = np.concatenate([light.irradiance, light.mirrored])
    near = gather(values, guide, np.tile(pixels, len(QUARTERS)), position, surface.normal)
    return _radiance(tracer, camera, 2 * size, directions, hits, surface, Arriving(near[:3], near[3:]))
