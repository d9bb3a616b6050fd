"""The rooms: exact geometry, one and the same picture every time, and splits that never share a room."""

import hashlib
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mult.data import labels
from mult.data.domains import rooms
from mult.data.domains.rooms.camera import Camera, look
from mult.data.domains.rooms.layout import build_room
from mult.data.domains.rooms.library import VARIANTS, TextureLibrary
from mult.data.domains.rooms.mesh import Mesh, boxes, cylinder, lathe, rounded_box
from mult.data.domains.rooms.scene import SceneBuilder
from mult.data.domains.rooms.smoothing import Guide, smooth, without_specks
from mult.data.domains.rooms.textures import PATTERNS
from mult.data.domains.rooms.textures import SIZE as TEXELS
from mult.data.domains.rooms.tracer import Tracer
from mult.data.domains.rooms.view import render_view
from mult.data.frame import Frame, Unit
from mult.errors import UserError

SIZE = 64
FLOOR = rooms.CLASSES.index("floor")
WINDOW = rooms.CLASSES.index("window")
SPLITS = ("train", "val", "test")
SEEN_WELL = [name for name, style in rooms.STYLES.items() if not style.kinect]


@cache
def frames(style: str, room: int = 0, size: int = SIZE) -> list[Frame]:
    """Two frames of a room, rendered once for all tests; do not write to them."""
    return rooms.render(rooms.units(style, "train", images=100, views=2)[room], size)


@cache
def some_frames() -> list[Frame]:
    return [frame for style in SEEN_WELL for room in range(4) for frame in frames(style, room)]


def pixel_rays(frame: Frame) -> np.ndarray:
    """(size, size, 3) directions through the pixel centres in camera axes, with z = 1, by the definition of fov."""
    size = frame.depth.shape[0]
    focal = 0.5 * size / np.tan(frame.fov / 2)
    steps = (np.arange(size) + 0.5 - size / 2) / focal
    x, y = np.meshgrid(steps, steps)
    return np.stack([x, y, np.ones_like(x)], axis=-1)


def same(first: Frame, second: Frame) -> bool:
    fields = ("rgb", "depth", "normal", "classes", "instances")
    return all(np.array_equal(getattr(first, field), getattr(second, field)) for field in fields)


# --- units -----------------------------------------------------------------------------------------------------------


@given(
    images=st.integers(1, 300),
    views=st.integers(1, 12),
    style=st.sampled_from(sorted(rooms.STYLES)),
    split=st.sampled_from(SPLITS),
)
def test_units_add_up_to_the_images_asked_for(images, views, style, split):
    units = rooms.units(style, split, images, views)
    assert sum(unit.views for unit in units) == images
    assert all(unit.views == views for unit in units[:-1])
    assert 1 <= units[-1].views <= views
    assert [unit.index for unit in units] == list(range(len(units)))
    assert {(unit.domain, unit.split) for unit in units} == {(f"rooms-{style}", split)}


@settings(max_examples=25)
@given(counts=st.lists(st.integers(1, 400), min_size=9, max_size=9), views=st.integers(1, 4))
def test_no_room_is_in_two_splits_or_styles(counts, views):
    kinds = [(style, split) for style in rooms.STYLES for split in SPLITS]
    groups = [
        unit.group
        for (style, split), images in zip(kinds, counts, strict=True)
        for unit in rooms.units(style, split, images, views)
    ]
    assert len(set(groups)) == len(groups)


@given(st.integers(1, 100), st.integers(1, 100))
def test_rooms_do_not_depend_on_how_many_are_asked_for(few, many):
    first, second = (rooms.units("home", "val", images, 1) for images in (few, many))
    shared = min(few, many)
    assert first[:shared] == second[:shared]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("barn", "train", 8, 4), "barn"),
        (("home", "all", 8, 4), "all"),
        (("home", "train", 0, 4), "images"),
        (("home", "train", -3, 4), "images"),
        (("home", "train", 8, 0), "views"),
    ],
)
def test_wrong_arguments_are_named_in_one_line(arguments, word):
    with pytest.raises(UserError) as caught:
        rooms.units(*arguments)
    message = str(caught.value)
    assert word in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("unit", "size"),
    [
        (Unit("doom", "train", "0", 0, 1), SIZE),
        (Unit("rooms-home", "train", "MAP01", 0, 1), SIZE),
        (Unit("rooms-home", "train", "0", 0, 1), 0),
    ],
)
def test_foreign_units_and_empty_pictures_are_refused(unit, size):
    with pytest.raises(UserError):
        rooms.render(unit, size)


def test_planning_does_not_load_the_renderer():
    code = (
        "import sys; from mult.data.domains import rooms; rooms.units('home', 'train', 8, 4); "
        "sys.exit(any(name.split('.')[0] in ('embreex', 'cv2', 'scipy') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- determinism -----------------------------------------------------------------------------------------------------

HASH = """
import hashlib
from mult.data import labels
from mult.data.domains import rooms
unit = rooms.units("loft", "train", 100, 2)[1]
digest = hashlib.sha256()
for frame in rooms.render(unit, 32):
    for part in (frame.rgb, frame.depth, frame.normal, frame.classes, frame.instances):
        digest.update(part.tobytes())
print(digest.hexdigest())
"""


def test_a_unit_gives_the_same_pixels_in_any_process_and_order():
    digest = hashlib.sha256()
    frames("home", 1)  # other rooms before it must not matter
    for frame in frames("loft", 1, 32):
        for part in (frame.rgb, frame.depth, frame.normal, frame.classes, frame.instances):
            digest.update(part.tobytes())
    other = subprocess.run([sys.executable, "-c", HASH], check=True, capture_output=True, text=True)
    assert other.stdout.strip() == digest.hexdigest()


def test_a_unit_rendered_twice_is_the_same():
    unit = rooms.units("home", "train", 100, 2)[0]
    assert all(same(a, b) for a, b in zip(rooms.render(unit, SIZE), frames("home", 0), strict=True))


def test_rooms_views_styles_and_splits_differ():
    val = rooms.render(rooms.units("home", "val", 1, 1)[0], SIZE)
    seen = [*frames("home", 0), *frames("home", 1), *frames("loft", 0), *val]
    assert not any(same(a, b) for k, a in enumerate(seen) for b in seen[:k])


def test_a_view_does_not_depend_on_the_number_of_views():
    unit = rooms.units("home", "train", 1, 1)[0]
    (frame,) = rooms.render(unit, SIZE)
    assert same(frame, frames("home", 0)[0])


def test_geometry_does_not_depend_on_the_size_of_the_picture():
    small, large = frames("home", 0, 32)[0], frames("home", 0, 96)[0]
    assert small.fov == large.fov
    # Every third pixel's centre, from the second on, is a pixel's centre of the smaller picture.
    np.testing.assert_allclose(large.depth[1::3, 1::3], small.depth, rtol=1e-4)


def test_progress_counts_frames():
    counts = []
    rooms.render(rooms.units("home", "train", 3, 3)[0], 16, counts.append)
    assert counts == [1, 2, 3]


# --- exact geometry --------------------------------------------------------------------------------------------------

BOX = np.array([4.0, 5.0, 3.0])


def box_room(size: int, camera: Camera) -> Frame:
    """An empty room of BOX metres without lamps."""
    build = SceneBuilder(np.random.default_rng(0))
    paint = build.material("paint", 1.0)
    build.add(boxes([0, 0, 0], BOX), paint, "floor", build.new_instance())
    return render_view(Tracer(build.build()), camera, size, np.random.default_rng(1))


@pytest.mark.parametrize(
    ("yaw", "pitch", "roll", "fov"), [(0.0, 0.0, 0.0, 1.0), (0.7, -0.3, 0.0, 1.2), (-2.0, 0.2, 0.4, 1.6)]
)
def test_depth_and_normals_of_a_box_are_exact(yaw, pitch, roll, fov):
    origin = np.array([1.3, 2.1, 1.2])
    camera = look(origin, yaw, pitch, roll, fov)
    frame = box_room(SIZE, camera)
    rays = pixel_rays(frame) @ camera.axes  # in the world: z of the camera is still 1 along each
    walls = np.where(rays > 0, BOX, 0.0)
    times = (walls - origin) / np.where(rays == 0, 1e-12, rays)
    order = np.argsort(times, axis=-1)
    expected = np.take_along_axis(times, order[..., :1], -1)[..., 0]
    np.testing.assert_allclose(frame.depth, expected, rtol=1e-4)
    # In the very corners either wall is right.
    second = np.take_along_axis(times, order[..., 1:2], -1)[..., 0]
    clear = second > expected * 1.0001
    inward = -np.sign(np.take_along_axis(rays, order[..., :1], -1)) * np.eye(3)[order[..., 0]]
    np.testing.assert_allclose(frame.normal[clear], (inward @ camera.axes.T)[clear], atol=1e-4)
    assert np.isclose(frame.fov, fov)


def test_camera_axes_are_opencv_axes():
    frame = box_room(SIZE, look(np.array([2.0, 2.5, 1.5]), yaw=0.0, pitch=0.0, roll=0.0, fov=2.1))
    middle = SIZE // 2
    below, above, right = frame.normal[-1, middle], frame.normal[0, middle], frame.normal[middle, -1]
    assert below[1] < -0.99  # the floor's normal points up, y points down
    assert above[1] > 0.99
    assert right[0] < -0.99
    assert frame.normal[middle, middle, 2] < -0.99


def test_a_hole_has_no_depth_and_no_normal():
    build = SceneBuilder(np.random.default_rng(0))
    build.add(boxes([2, -0.5, -0.5], [3, 0.5, 0.5]), build.material("paint", 1.0), "floor", 1)
    frame = render_view(Tracer(build.build()), look(np.zeros(3), 0, 0, 0, 1.5), SIZE, np.random.default_rng(0))
    hole = np.isinf(frame.depth)
    assert 0 < hole.sum() < hole.size
    assert (frame.classes[hole] == WINDOW).all()
    assert (frame.instances[hole] == 0).all()
    assert (frame.normal[hole] == 0).all()
    assert (frame.classes[~hole] == FLOOR).all()
    np.testing.assert_allclose(frame.depth[~hole], 2.0, rtol=1e-4)


def test_shapes_are_as_large_as_asked_for():
    vase = lathe([[0.1, 0], [0.3, 0.5], [0.2, 1]], 64)
    expected = {
        "box": (boxes([0, -1, 2], [1, 2, 3]), [0, -1, 2], [1, 2, 3]),
        "cushion": (rounded_box([0, -1, 2], [1, 2, 3], 0.2), [0, -1, 2], [1, 2, 3]),
        "cylinder": (cylinder(0.5, 1, 2, 64), [-0.5, -0.5, 1], [0.5, 0.5, 2]),
        "vase": (vase, [-0.3, -0.3, 0], [0.3, 0.3, 1]),
    }
    for name, (mesh, low, high) in expected.items():
        np.testing.assert_allclose(mesh.vertices.min(0), low, atol=1e-5, err_msg=name)
        np.testing.assert_allclose(mesh.vertices.max(0), high, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("mesh", [cylinder(0.5, 0, 1, 48), rounded_box([0, 0, 0], [1, 1, 1], 0.3, 8)])
def test_interpolated_normals_are_those_of_the_triangles_up_to_their_curvature(mesh: Mesh):
    a, b, c = (mesh.vertices[mesh.triangles[:, corner]] for corner in range(3))
    facets = np.cross(b - a, c - a)
    area = np.linalg.norm(facets, axis=1)
    solid = area > 1e-8
    facets = facets[solid] / area[solid, None]
    middles = mesh.normals[mesh.triangles[solid]].mean(1)
    middles /= np.linalg.norm(middles, axis=1, keepdims=True)
    assert np.abs((facets * middles).sum(1)).min() > 0.99


# --- rendered rooms --------------------------------------------------------------------------------------------------


def normals_of_depth(frame: Frame) -> tuple[np.ndarray, np.ndarray]:
    """Normals from central differences of back-projected depth, and where they are valid."""
    points = pixel_rays(frame) * np.where(np.isfinite(frame.depth), frame.depth, np.nan)[..., None]
    across = points[1:-1, 2:] - points[1:-1, :-2]
    down = points[2:, 1:-1] - points[:-2, 1:-1]
    normals = np.cross(down, across)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    return normals, np.isfinite(normals).all(-1)


@pytest.mark.parametrize("style", SEEN_WELL)
def test_normals_agree_with_depth(style):
    for frame in frames(style, 0, 128):
        normals, valid = normals_of_depth(frame)
        cosine = (normals * frame.normal[1:-1, 1:-1]).sum(-1)[valid]
        assert np.median(cosine) >= 0.999


@pytest.mark.parametrize("style", SEEN_WELL)
def test_stored_labels_agree_as_those_of_real_views_do(style):
    """The checks that real views pass in test_labels.py, on the codes that a rendered room is stored in."""
    for frame in frames(style, 1, 256):
        stored = labels.annotate(frame)
        depth, known = labels.decode_depth(stored["depth_zbuffer"])
        ratio = labels.euclidean_from_zbuffer(depth, frame.fov)[known] / depth[known]
        np.testing.assert_allclose(ratio, np.linalg.norm(pixel_rays(frame), axis=-1)[known], rtol=1e-5)
        derived = labels.normal_from_depth(np.where(known, depth, np.inf), frame.fov)
        true, has_normal = labels.decode_normal(stored["normal"])
        both = has_normal & (np.abs(derived).max(-1) > 0)
        assert np.median((derived * true).sum(-1)[both]) >= 0.999
        again = labels.reshading(depth, true, frame.fov).astype(float)
        assert np.corrcoef(again[both], stored["reshading"][both])[0, 1] >= 0.9999
        from_depth = labels.reshading(depth, derived, frame.fov).astype(float)
        assert np.median(np.abs(from_depth - stored["reshading"])[both]) <= 2  # codes of 255


def test_shapes_and_types_are_those_of_the_contract():
    for frame in some_frames():
        assert (frame.rgb.shape, frame.rgb.dtype) == ((SIZE, SIZE, 3), np.uint8)
        assert (frame.depth.shape, frame.depth.dtype) == ((SIZE, SIZE), np.float32)
        assert (frame.normal.shape, frame.normal.dtype) == ((SIZE, SIZE, 3), np.float32)
        assert (frame.classes.shape, frame.classes.dtype) == ((SIZE, SIZE), np.uint8)
        assert (frame.instances.shape, frame.instances.dtype) == ((SIZE, SIZE), np.uint16)
        assert isinstance(frame.fov, float)


def test_every_surface_has_a_normal_that_faces_the_camera_and_a_class():
    for frame in some_frames():
        surface = np.isfinite(frame.depth)
        rays = pixel_rays(frame)
        rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
        assert (frame.depth[surface] > 0).all()
        np.testing.assert_allclose(np.linalg.norm(frame.normal, axis=-1), surface, atol=1e-5)
        assert ((frame.normal * rays).sum(-1)[surface] < 0).all()
        assert (frame.classes > 0).all()
        assert (frame.classes < len(rooms.CLASSES)).all()
        assert (frame.instances[surface] > 0).all()
        assert (frame.classes[~surface] == WINDOW).all()


def test_pictures_are_bright_enough_and_show_something():
    for frame in some_frames():
        assert frame.rgb.mean() > 40
        assert frame.rgb.std() > 5
        assert len(np.unique(frame.classes)) >= 4


def test_fields_of_view_are_those_of_the_style():
    for style in rooms.STYLES.values():
        for frame in frames(style.name):
            assert style.field_of_view[0] <= np.degrees(frame.fov) <= style.field_of_view[1]


@pytest.mark.parametrize("style", rooms.STYLES)
def test_walls_hold_light_and_rays(style):
    """Rays from the middle of a room leave it through windows only."""
    directions = np.random.default_rng(0).standard_normal((3, 20_000)).astype(np.float32)
    for seed in range(5):
        room = build_room(seed, rooms.STYLES[style])
        tracer = Tracer(room.scene)
        origin = np.array([room.shell.width / 2, room.shell.depth / 2, 1.8], np.float32)[:, None]
        lost = directions[:, ~tracer.trace(origin, directions).found]
        through = np.zeros(lost.shape[1], bool)
        for window in room.scene.windows:
            # Where the ray meets the window's plane, in shares of its edges.
            reach = (window.normal @ (window.corner[:, None] - origin)) / (window.normal @ lost)
            place = origin + lost * reach - window.corner[:, None]
            shares = [edge @ place / (edge @ edge) for edge in (window.edge_u, window.edge_v)]
            through |= (reach > 0) & (np.abs(shares[0] - 0.5) <= 0.5) & (np.abs(shares[1] - 0.5) <= 0.5)
        assert through.all()


@pytest.mark.parametrize("style", rooms.STYLES)
def test_every_room_has_a_light_that_works(style):
    for seed in range(30):
        lights = build_room(seed, rooms.STYLES[style]).scene.lights
        assert max(light.colour.max() for light in lights) > 0.03


@pytest.mark.parametrize("style", rooms.STYLES)
def test_nothing_tall_stands_before_a_window_or_door(style):
    for seed in range(30):
        for wall in build_room(seed, rooms.STYLES[style]).shell.walls:
            things = [(start, stop) for start, stop, kind in wall.taken if kind == "thing"]
            holes = [(start, stop) for start, stop, kind in wall.taken if kind != "thing"]
            assert all(b < c or a > d for a, b in things for c, d in holes)


# --- textures and filters --------------------------------------------------------------------------------------------


def test_textures_do_not_depend_on_the_order_they_are_asked_for():
    first, second = TextureLibrary(), TextureLibrary()
    first.texture("wood", 0)
    brick = [library.texture("brick", 2) for library in (first, second)]
    assert brick[0] == brick[1]
    uv = np.random.default_rng(0).random((2, 50), np.float32)
    samples = [library.sample(np.full(50, brick[0]), uv, np.ones(50, np.float32)) for library in (first, second)]
    assert np.array_equal(*samples)


def test_samples_of_a_texture_are_its_texels_and_far_away_its_mean():
    library = TextureLibrary()
    number = library.texture("art", 1)
    image = PATTERNS["art"](np.random.default_rng(np.random.SeedSequence([20240501, number])))
    rows, columns = np.array([0, 100, 255]), np.array([3, 200, 255])
    uv = np.stack([columns + 0.5, rows + 0.5]).astype(np.float32) / TEXELS
    near = library.sample(np.full(3, number), uv + 2, np.ones(3, np.float32))
    np.testing.assert_allclose(near.T, image[rows, columns], atol=1e-3)
    far = library.sample(np.full(3, number), uv, np.full(3, 1e6, np.float32))
    np.testing.assert_allclose(far.mean(1), image.mean((0, 1)), atol=0.3)
    np.testing.assert_allclose(library.means[number], image.mean((0, 1)), atol=1e-3)


@pytest.mark.parametrize("kind", PATTERNS)
def test_patterns_are_reflectances(kind):
    assert kind in VARIANTS
    image = PATTERNS[kind](np.random.default_rng(5))
    assert image.shape == (TEXELS, TEXELS, 3)
    assert image.dtype == np.float32
    assert np.isfinite(image).all()
    assert image.min() >= 0
    assert 0.02 < image.sum(-1).mean() < 2.5


def two_walls(size: int) -> tuple[Guide, np.ndarray]:
    """A picture whose left half shows a wall and whose right half one at a right angle, and which half is left."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    left = x < size / 2
    bend = np.float32(size / 2 - 0.5)
    position = np.stack([np.minimum(x, bend), y, np.maximum(x - bend, 0)]) / 10
    normal = np.where(left, np.array([0, 0, 1.0])[:, None, None], np.array([-1.0, 0, 0])[:, None, None])
    return Guide(position, normal.astype(np.float32), np.full((size, size), 0.05, np.float32)), left


def test_smoothing_averages_along_surfaces_and_not_across_edges():
    guide, left = two_walls(32)
    noise = np.random.default_rng(0).normal(0, 0.1, (1, 32, 32)).astype(np.float32)
    smoothed = smooth(left + noise, guide, steps=(1, 2, 4))[0]
    assert abs(smoothed[left].mean() - 1) < 0.02
    assert abs(smoothed[~left].mean()) < 0.02
    assert smoothed[left].std() < 0.03
    np.testing.assert_allclose(smooth(np.ones_like(noise), guide, steps=(1, 2, 4, 8)), 1, rtol=1e-5)


def test_specks_vanish_and_larger_spots_stay():
    values = np.zeros((3, 16, 16), np.float32)
    values[:, 3, 3] = 5
    values[:, 8:11, 8:11] = 2
    cleaned = without_specks(values)
    assert cleaned[:, 3, 3].max() == 0
    assert np.array_equal(cleaned[:, 8:11, 8:11], values[:, 8:11, 8:11])
