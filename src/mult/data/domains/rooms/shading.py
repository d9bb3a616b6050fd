"""Light at the points that a camera sees: direct from every source, once reflected, and mirrored."""

from dataclasses import dataclass

import numpy as np

from mult.data.domains.rooms.lights import Sky, dot
from mult.data.domains.rooms.textures import SIZE
from mult.data.domains.rooms.tracer import LIFT, Surface, Tracer, unit

# Irradiance below which a source is left out at a point.
FAINT = np.float32(5e-4)
# Irradiance above which a reflecting point is cut off: rays that happen to end beside a lamp would leave bright
# blotches, and these would show up as edges and keypoints of the picture.
BRIGHTEST_BOUNCE = np.float32(6.0)
# Lamps in a mirror are cut off at this many times the picture's mean, so that gloss does not draw hard white spots.
BRIGHTEST_MIRRORED = np.float32(6.0)
# Light reflected once, times this, stands for all further reflections; the share is spread evenly over the room.
BOUNCE_GAIN = np.float32(1.4)
AMBIENT_SHARE = np.float32(0.2)
TILE = 4  # pixels a side of the block that shares one stratified set of samples


class Sampler:
    """Random numbers for pixels in rows of `width`: stratified over blocks of TILE x TILE neighbours.

    So neighbours see different parts of a light, and a filter over a block averages an even spread of samples.
    """

    def __init__(self, rng: np.random.Generator, height: int, width: int) -> None:
        self.rng = rng
        y, x = np.mgrid[:height, :width]
        self._cell = ((y % TILE) * TILE + x % TILE).ravel()

    def pairs(self) -> np.ndarray:
        """Uniform pairs of numbers in 0..1 for all pixels, float32 (2, n)."""
        stratum = self.rng.permutation(TILE * TILE)[self._cell]
        corner = np.stack(np.divmod(stratum, TILE)).astype(np.float32)
        return (corner + self.rng.random(corner.shape, np.float32)) / np.float32(TILE)


@dataclass(frozen=True)
class Points:
    """Surface points to be lit; vectors (3, n)."""

    position: np.ndarray
    facet: np.ndarray  # unit normal of the triangle
    normal: np.ndarray  # unit normal for shading

    def subset(self, index: np.ndarray) -> "Points":
        """The points of the given numbers."""
        return Points(*(values.take(index, axis=1) for values in (self.position, self.facet, self.normal)))


def _lit_ones(
    tracer: Tracer, points: Points, index: np.ndarray, direction: np.ndarray, distance: np.ndarray
) -> np.ndarray:
    """Those of the points `index` (m,) whose way along direction (3, n) is free for a distance (n,)."""
    if not len(index):
        return index
    start = (points.position + points.facet * LIFT).take(index, axis=1)
    return index[tracer.reaches(start, direction.take(index, axis=1), distance.take(index) - np.float32(0.01))]


def _strength(points: Points, direction: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Irradiance (n,) of unshadowed points by light of radiance 1 from direction (3, n)."""
    return factor * np.maximum(dot(points.normal, direction), 0) * (dot(points.facet, direction) > 0)


def lamp_light(tracer: Tracer, points: Points, sampler: Sampler) -> np.ndarray:
    """Irradiance (3, n) from lamps and windows, by one shadow ray to each."""
    total = np.zeros_like(points.position)
    for light in tracer.scene.lights:
        direction, distance, factor = light.sample(points.position, sampler.pairs())
        strength = _strength(points, direction, factor)
        index = np.flatnonzero(strength * light.colour.max() > FAINT)
        index = _lit_ones(tracer, points, index, direction, distance)
        total[:, index] += light.colour[:, None] * strength.take(index)
    return total


def sun_light(tracer: Tracer, points: Points) -> np.ndarray:
    """Irradiance (3, n) from the sun."""
    total = np.zeros_like(points.position)
    sun = tracer.scene.sun
    if sun is None:
        return total
    direction = np.broadcast_to(sun.direction[:, None], total.shape)
    strength = _strength(points, direction, np.float32(1))
    index = np.flatnonzero((strength > 0) & sun.may_reach(points.position, tracer.scene.windows))
    index = _lit_ones(tracer, points, index, direction, np.full(len(strength), 100, np.float32))
    total[:, index] = sun.colour[:, None] * strength.take(index)
    return total


def _one_lamp_light(tracer: Tracer, points: Points, rng: np.random.Generator) -> np.ndarray:
    """An estimate of lamp_light by a single shadow ray, to a light drawn in proportion to what it would give."""
    total = np.zeros_like(points.position)
    lights = tracer.scene.lights
    if not lights:
        return total
    count = total.shape[1]
    jitter = rng.random((2, count), np.float32)
    samples = [light.sample(points.position, jitter) for light in lights]
    brightness = np.array([light.colour.mean() for light in lights], np.float32)
    strength = np.stack([_strength(points, direction, factor) for direction, _, factor in samples])
    shares = np.cumsum(strength * brightness[:, None], axis=0)
    choice = (shares < shares[-1] * rng.random(count, np.float32)).sum(0)
    pick = (choice, slice(None), np.arange(count))
    direction = np.stack([direction for direction, _, _ in samples])[pick].T
    distance = np.stack([distance for _, distance, _ in samples])[choice, np.arange(count)]
    index = _lit_ones(tracer, points, np.flatnonzero(shares[-1] > FAINT), direction, distance)
    hue = np.stack([light.colour for light in lights], axis=1) / brightness
    total[:, index] = hue.take(choice.take(index), axis=1) * shares[-1].take(index)
    return total


def reflected_light(tracer: Tracer, points: Points, sampler: Sampler) -> np.ndarray:
    """Irradiance (3, n) that arrives from the rest of the room, by one ray a point."""
    directions = _cosine_directions(points.normal, sampler.pairs())
    # Rays below the triangle of an interpolated normal are mirrored above it.
    below = np.minimum(dot(directions, points.facet), 0)
    directions = directions - 2 * below * points.facet
    hits = tracer.trace(points.position + points.facet * LIFT, directions)
    index = np.flatnonzero(hits.found)
    facets = tracer.facets(hits, directions)
    position = points.position + directions * hits.distance
    reached = Points(position, facets, facets).subset(index)
    light = _one_lamp_light(tracer, reached, sampler.rng) + sun_light(tracer, reached)
    light = np.minimum(light, BRIGHTEST_BOUNCE)
    arriving = np.zeros_like(directions)
    # With directions in proportion to the cosine, irradiance is pi * radiance = reflectance * irradiance over there.
    arriving[:, index] = light * tracer.mean_albedo(hits).take(index, axis=1)
    average = arriving.mean(1, keepdims=True)
    return BOUNCE_GAIN * arriving + AMBIENT_SHARE * average + np.float32(1e-3)


def _cosine_directions(normals: np.ndarray, jitter: np.ndarray) -> np.ndarray:
    """Unit vectors (3, n) about normals with density cosine / pi: a point on the unit sphere plus the normal."""
    height = 1 - 2 * jitter[0]
    angle = np.float32(2 * np.pi) * jitter[1]
    across = np.sqrt(np.maximum(1 - height * height, 0)) * np.float32(0.999)
    return unit(normals + np.stack([across * np.cos(angle), across * np.sin(angle), height * np.float32(0.999)]))


def sky_radiance(tracer: Tracer, directions: np.ndarray) -> np.ndarray:
    """Radiance (3, n) of the outside in directions (3, n): a landscape that goes around the room three times."""
    sky: Sky | None = tracer.scene.sky
    if sky is None:
        return np.zeros_like(directions)
    x, y, z = unit(directions)
    around = np.arctan2(y, x) * np.float32(3 / (2 * np.pi))
    height = np.clip(np.float32(0.5) - np.float32(0.8) * z, 0.5 / SIZE, 1 - 0.5 / SIZE)
    texture = np.full(len(x), sky.texture, np.int32)
    image = tracer.scene.library.sample(texture, np.stack([around, height]), np.ones_like(x))
    return image * sky.colour[:, None]


def mirrored_light(
    tracer: Tracer, points: Points, surface: Surface, directions: np.ndarray, irradiance: np.ndarray
) -> np.ndarray:
    """Radiance (3, n) that arrives from the mirror direction at glossy points; zero at dull ones.

    Mirrored surfaces are lit by the mean irradiance (3,) of the picture, which is enough for what shows in a gloss.
    """
    radiance = np.zeros_like(directions)
    index = np.flatnonzero(tracer.gloss.take(surface.material) > 0.02)
    if not len(index):
        return radiance
    points = points.subset(index)
    incoming = unit(directions.take(index, axis=1))
    outgoing = incoming - 2 * dot(incoming, points.normal) * points.normal
    outgoing = outgoing - 2 * np.minimum(dot(outgoing, points.facet), 0) * points.facet
    hits = tracer.trace(points.position + points.facet * LIFT, outgoing)
    seen = tracer.surface(hits, outgoing)
    ambient = irradiance[:, None] / np.float32(np.pi)
    room = tracer.albedo(seen, np.full(len(index), 0.02, np.float32)) * (ambient + tracer.emission.take(seen.material))
    outside = np.flatnonzero(~hits.found)
    room[:, outside] = sky_radiance(tracer, outgoing.take(outside, axis=1))
    radiance[:, index] = np.minimum(room, BRIGHTEST_MIRRORED * ambient)
    return radiance
