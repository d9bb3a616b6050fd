"""Augmented labels against an analytic scene: a room of planes that is rendered, augmented, and rendered again."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mult.data import labels
from mult.data.augment import Draws, augment, draw, tasks_to_read
from mult.data.batches import Batch, read
from mult.data.store import open_split
from mult.errors import UserError
from mult.seeding import seed_of
from mult.tasks import TASKS

HEIGHT, WIDTH = 21, 24
SCALE = TASKS["depth"].scale
HOLE = (slice(3, 6), slice(8, 11))
seeds = st.integers(0, 2**31)
fovs = st.floats(0.5, 1.8)


def walls(rng):
    """Planes n.P = -d of a convex room around the camera: (P, 3) unit normals that face it and (P,) distances."""
    normals = rng.normal(size=(5, 3))
    normals[0] = [0.1, -0.2, -1]  # a wall ahead, so that every ray meets something
    return normals / np.linalg.norm(normals, axis=1, keepdims=True), rng.uniform(1, 4, 5)


def render(planes, fov, shape=(HEIGHT, WIDTH)):
    """z-depth (H, W) in metres and the number of the plane seen (H, W)."""
    normals, distances = planes
    approach = -labels.pixel_rays(*shape, fov) @ normals.T
    depths = np.where(approach > 1e-9, distances / np.where(approach > 1e-9, approach, 1), np.inf)
    return depths.min(-1), depths.argmin(-1)


def room(seed, fov, dtype=torch.float64):
    """A batch of one picture with all targets, and the planes that it shows.

    The picture's colours are a linear ramp along x, another along y, and a constant, so that a bilinear sample of it is
    exact; the hole has no geometry.
    """
    planes = walls(np.random.default_rng(seed))
    depth, seen = render(planes, fov)
    normal = planes[0][seen]
    known = np.ones((HEIGHT, WIDTH), bool)
    known[HOLE] = False
    shade = labels.reshading(np.where(known, depth, np.inf), normal, fov) / 255
    x, y = (np.arange(WIDTH) + 0.5) / WIDTH, (np.arange(HEIGHT)[:, None] + 0.5) / HEIGHT
    ramps = np.stack(np.broadcast_arrays(x, y, 0.25))
    maps = {
        "depth": np.where(known, depth, 128)[None] / SCALE,
        "normal": normal.transpose(2, 0, 1),
        "reshading": shade[None],
        "keypoints": ramps[:1] * 7,
        "edges": ramps[1:2],
    }
    targets = {"semseg": torch.from_numpy(seen)[None] + 1} | {k: torch.from_numpy(v)[None] for k, v in maps.items()}
    masks = {task: torch.ones(1, 1, HEIGHT, WIDTH, dtype=torch.bool) for task in targets}
    for task in ("depth", "normal", "reshading"):
        masks[task] = torch.from_numpy(known)[None, None]
    batch = Batch(torch.from_numpy(ramps)[None], targets, masks)
    return cast(batch, dtype), planes


def cast(batch, dtype):
    targets = {k: v if k == "semseg" else v.to(dtype) for k, v in batch.targets.items()}
    return replace(batch, rgb=batch.rgb.to(dtype), targets=targets)


def draws_of(flip=False, zoom=1.0, centre=(0.0, 0.0), colour=(1.0, 1.0, 1.0)):
    """Draws for one image."""
    return Draws(torch.tensor([flip]), torch.tensor([zoom]), torch.tensor([centre]), torch.tensor([colour]))


def tangents(draws, fov):
    """The crop's centre in units of the image plane."""
    return draws.centre[0].double().numpy() * np.tan(fov / 2) * [1, HEIGHT / WIDTH]


def planes_after(planes, draws, fov):
    """The planes of the world that the augmented picture shows, through three points of each, moved one by one."""
    normals, distances = planes
    zoom, centre = float(draws.zoom), tangents(draws, fov)
    moved_normals, moved_distances = [], []
    for normal, distance in zip(normals, distances, strict=True):
        points = np.linalg.svd(normal[None])[2] - distance * normal  # the first, normal itself, has left the plane
        points[0] -= normal * (normal @ points[0] + distance)
        if draws.flip:
            points[:, 0] *= -1
            normal = normal * [-1, 1, 1]
        seen_at = points[:, :2] / points[:, 2:]
        moved_depth = points[:, 2] / zoom
        moved = np.column_stack([zoom * (seen_at - centre) * moved_depth[:, None], moved_depth])
        across = np.cross(moved[1] - moved[0], moved[2] - moved[0])
        across *= -np.sign(across @ moved[0]) / np.linalg.norm(across)
        moved_normals.append(across)
        moved_distances.append(-across @ moved[0])
    return np.array(moved_normals), np.array(moved_distances)


def maps_of(batch):
    """Depth (H, W) in metres, normals (H, W, 3), plane numbers (H, W) and where they are known, of a single image."""
    depth = batch.targets["depth"][0, 0].double().numpy() * SCALE
    normal = batch.targets["normal"][0].double().numpy().transpose(1, 2, 0)
    return depth, normal, batch.targets["semseg"][0].numpy() - 1, batch.masks["depth"][0, 0].numpy()


@st.composite
def any_draws(pick, most=3.0):
    zoom = pick(st.floats(1.0, most, width=32))
    inside = st.floats(-1, 1, width=32).map(lambda share: share * (1 - 1 / zoom))
    return draws_of(pick(st.booleans()), zoom, (pick(inside), pick(inside)))


@settings(deadline=None)
@given(seeds, fovs, any_draws())
def test_depth_and_normals_are_those_of_one_world(seed, fov, draws):
    batch, planes = room(seed, fov)
    after = augment(batch, draws, torch.tensor([fov], dtype=torch.float64))
    depth, normal, seen, known = maps_of(after)
    normals, distances = planes_after(planes, draws, fov)
    np.testing.assert_allclose(normal, normals[seen], atol=2e-6)  # float32 centre and zoom
    # A nearest value belongs to a ray that lies up to half an old pixel away, which is zoom / 2 of the new ones. Moving
    # a point by that, sideways at its depth, takes it off its plane by no more than this.
    points = labels.pixel_rays(HEIGHT, WIDTH, fov) * depth[..., None]
    off = np.abs((points * normals[seen]).sum(-1) + distances[seen])
    half_pixel = np.tan(fov / 2) / WIDTH * float(draws.zoom) if draws.zoom > 1 else 0
    bound = depth * np.abs(normals[seen][..., :2]).sum(-1) * half_pixel
    assert (off <= bound * 1.001 + 1e-5)[known].all()


@settings(deadline=None)
@given(seeds, fovs, st.booleans(), st.integers(0, 2 * HEIGHT // 3), st.integers(0, 2 * WIDTH // 3))
def test_where_new_pixels_meet_old_ones_depth_is_exact(seed, fov, flip, top, left):
    # Three new pixels for one old one: the middle one of the three has the old one's ray.
    batch, planes = room(seed, fov)
    centre = ((left + WIDTH / 6) * 2 / WIDTH - 1, (top + HEIGHT / 6) * 2 / HEIGHT - 1)
    draws = draws_of(flip, 3.0, centre)
    after = augment(batch, draws, torch.tensor([fov], dtype=torch.float64))
    depth, normal, seen, known = (each[1::3, 1::3] for each in maps_of(after))
    expected_depth, expected_seen = (each[1::3, 1::3] for each in render(planes_after(planes, draws, fov), fov))
    same = known & (seen == expected_seen)
    assert same.sum() >= known.sum() - 2  # a pixel on the seam of two walls may fall to either
    np.testing.assert_allclose(depth[same], expected_depth[same], rtol=2e-5)
    points = labels.pixel_rays(HEIGHT, WIDTH, fov)[1::3, 1::3] * depth[..., None]
    for plane in np.unique(seen[known]):
        on_it = points[known & (seen == plane)]
        if len(on_it) < 8:
            continue
        spread = on_it - on_it.mean(0)
        size = np.linalg.norm(spread, axis=1).max()
        direction = normal[known & (seen == plane)][0]
        assert np.abs(spread @ direction).max() <= 1e-4 * size


@settings(deadline=None)
@given(seeds, fovs, any_draws())
def test_normals_are_of_unit_length_and_face_the_camera(seed, fov, draws):
    after = augment(room(seed, fov, torch.float32)[0], draws, torch.tensor([fov]))
    _, normal, _, _ = maps_of(after)
    np.testing.assert_allclose(np.linalg.norm(normal, axis=-1), 1, atol=1e-6)
    # At the new pixel's ray; a face that was all but edge-on may turn away by what half an old pixel makes.
    rays = labels.pixel_rays(HEIGHT, WIDTH, fov)
    half_pixel = np.tan(fov / 2) / WIDTH * float(draws.zoom)
    assert ((normal * rays).sum(-1) <= np.abs(normal[..., :2]).sum(-1) * half_pixel * 1.001).all()


@settings(deadline=None)
@given(seeds, fovs, any_draws())
def test_reshading_is_that_of_the_new_depth_and_normals(seed, fov, draws):
    batch, _ = room(seed, fov)
    after = augment(batch, draws, torch.tensor([fov], dtype=torch.float64))
    depth, normal, _, known = maps_of(after)
    expected = labels.reshading(np.where(known, depth, np.inf), normal, fov) / 255
    np.testing.assert_allclose(after.targets["reshading"][0, 0], expected, atol=0.5001 / 255)
    assert torch.equal(after.masks["reshading"], after.masks["depth"])


def test_reshading_without_depth_or_normals_is_sampled():
    batch, _ = room(0, 1.0)
    draws = draws_of(zoom=2.0)
    for missing in ("depth", "normal"):
        targets = {task: target for task, target in batch.targets.items() if task != missing}
        masks = {task: mask for task, mask in batch.masks.items() if task != missing}
        after = augment(Batch(batch.rgb, targets, masks), draws, torch.ones(1))
        assert set(after.targets["reshading"].unique().tolist()) <= set(batch.targets["reshading"].unique().tolist())
    assert set(tasks_to_read(["reshading"], 1.5)) == {"reshading", "depth", "normal"}
    assert tasks_to_read(["reshading"], 1.0) == ("reshading",)
    assert tasks_to_read(["depth", "edges"], 1.5) == ("depth", "edges")
    assert tasks_to_read(["depth", "reshading"], 1.5) == ("depth", "reshading", "normal")


@settings(deadline=None)
@given(seeds, fovs, any_draws())
def test_the_picture_shows_what_the_labels_say(seed, fov, draws):
    batch, _ = room(seed, fov)
    after = augment(batch, draws, torch.tensor([fov], dtype=torch.float64))
    zoom, centre = float(draws.zoom), draws.centre[0].double().numpy()
    # Where the new pixels' rays lie in the old picture, between edges at 0 and 1; outermost half pixels repeat.
    x = ((np.arange(WIDTH) + 0.5) * 2 / WIDTH - 1) / zoom + centre[0]
    y = ((np.arange(HEIGHT) + 0.5) * 2 / HEIGHT - 1) / zoom + centre[1]
    x = np.clip((x + 1) / 2, 0.5 / WIDTH, 1 - 0.5 / WIDTH)
    y = np.clip((y + 1) / 2, 0.5 / HEIGHT, 1 - 0.5 / HEIGHT)[:, None]
    x = 1 - x if draws.flip else x
    np.testing.assert_allclose(after.rgb[0], np.stack(np.broadcast_arrays(x, y, 0.25)), atol=1e-6)
    np.testing.assert_allclose(after.targets["keypoints"][0, 0], np.broadcast_to(7 * x, (HEIGHT, WIDTH)), atol=1e-5)
    np.testing.assert_allclose(after.targets["edges"][0, 0], np.broadcast_to(y, (HEIGHT, WIDTH)), atol=1e-6)


@settings(deadline=None)
@given(any_draws())
def test_a_zoom_samples_as_affine_grid_does(draws):
    rgb = torch.rand(1, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    draws = replace(draws, flip=torch.tensor([False]))
    after = augment(Batch(rgb, {}, {}), draws, torch.ones(1))
    scale, (x, y) = 1 / float(draws.zoom), draws.centre[0].tolist()
    grid = F.affine_grid(torch.tensor([[[scale, 0, x], [0, scale, y]]]), list(rgb.shape), align_corners=False)
    expected = F.grid_sample(rgb, grid, padding_mode="border", align_corners=False)
    torch.testing.assert_close(after.rgb, expected, atol=1e-4, rtol=0)
    assert after.rgb.min() >= 0
    assert after.rgb.max() <= 1


@settings(deadline=None)
@given(seeds, any_draws(most=6.0))
def test_classes_and_masks_hold_nothing_new(seed, draws):
    batch, _ = room(seed, 1.0)
    after = augment(batch, draws, torch.ones(1))
    assert set(after.targets["semseg"].unique().tolist()) <= set(batch.targets["semseg"].unique().tolist())
    # Masks follow their targets: the depth behind the hole is 128 m, and no other is.
    was_hole = after.targets["depth"] * draws.zoom.double() * SCALE > 127
    assert torch.equal(after.masks["depth"], ~was_hole)
    assert after.masks["edges"].all()


def test_flipping_twice_is_the_identity():
    batch, _ = room(1, 1.0)
    draws = draws_of(flip=True)
    once = augment(batch, draws, torch.ones(1))
    twice = augment(once, draws, torch.ones(1))
    assert not torch.equal(once.rgb, batch.rgb)
    assert torch.equal(once.targets["normal"][:, 1:], batch.targets["normal"][:, 1:].flip(-1))
    assert torch.equal(once.targets["normal"][:, 0], -batch.targets["normal"][:, 0].flip(-1))
    assert_equal(twice, batch)


def test_off_gives_the_same_tensors():
    batch, _ = room(2, 1.0)
    after = augment(batch, draws_of(), torch.ones(1))
    assert after.rgb is batch.rgb
    assert all(after.targets[task] is batch.targets[task] for task in batch.targets)
    assert all(after.masks[task] is batch.masks[task] for task in batch.masks)
    recoloured = augment(batch, draws_of(colour=(1.1, 1.0, 1.0)), torch.ones(1))
    assert recoloured.targets is batch.targets
    assert recoloured.masks is batch.masks


def test_an_image_whose_steps_are_off_keeps_every_bit_beside_others():
    batch = join([room(seed, 1.0, torch.float32)[0] for seed in range(4)])
    draws = Draws(
        torch.tensor([False, True, False, False]),
        torch.tensor([1.0, 1.0, 2.0, 1.0]),
        torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.3, -0.5], [0.0, 0.0]]),
        torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [0.7, 1.3, 0.6]]),
    )
    after = augment(batch, draws, torch.ones(4))
    assert_equal(part(after, 0), part(batch, 0))
    for image in (1, 2, 3):
        assert not torch.equal(after.rgb[image], batch.rgb[image])
    assert_equal(replace(part(after, 3), rgb=part(batch, 3).rgb), part(batch, 3))


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_each_image_of_a_batch_is_treated_by_its_own_draws(seed):
    fov = torch.tensor([0.7, 1.0, 1.3, 1.6])
    batch = join([room(seed + image, float(view), torch.float32)[0] for image, view in enumerate(fov)])
    draws = draw(4, True, 2.0, 0.3, seed, 0)
    together = augment(batch, draws, fov)
    for image in range(4):
        own = slice(image, image + 1)
        alone = Draws(draws.flip[own], draws.zoom[own], draws.centre[own], draws.colour[own])
        expected, found = augment(part(batch, image), alone, fov[own]), part(together, image)
        torch.testing.assert_close(found.rgb, expected.rgb)
        for task in TASKS:
            torch.testing.assert_close(found.targets[task], expected.targets[task])
            assert torch.equal(found.masks[task], expected.masks[task])


def test_prepared_data(domain):
    split = open_split(domain, "train")
    batch = read(split, list(TASKS), range(6))
    after = augment(batch, draw(6, True, 1.5, 0.4, 0, 0), torch.from_numpy(split.fov[:6]))
    assert 0 <= after.rgb.min() < after.rgb.max() <= 1
    for task, target in after.targets.items():
        assert target.shape == batch.targets[task].shape, task
        assert target.dtype == batch.targets[task].dtype, task
        assert target.isfinite().all(), task
    depth = after.targets["depth"][after.masks["depth"]]
    assert 0 < depth.min() < depth.max() <= batch.targets["depth"][batch.masks["depth"]].max()


@settings(deadline=None, max_examples=30)
@given(st.sets(st.sampled_from(list(TASKS))), st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))
def test_any_tasks_and_dtypes(tasks, dtype):
    batch, _ = room(3, 1.0, dtype)
    few = Batch(batch.rgb, {t: batch.targets[t] for t in tasks}, {t: batch.masks[t] for t in tasks})
    draws = draws_of(True, 1.7, (0.2, -0.1), (1.2, 0.8, 0.9))
    after, every = augment(few, draws, torch.ones(1)), augment(batch, draws, torch.ones(1))
    assert after.rgb.dtype == dtype
    assert list(after.targets) == list(few.targets)
    for task in tasks:
        assert after.targets[task].dtype == batch.targets[task].dtype
        assert after.targets[task].shape == batch.targets[task].shape
        assert after.masks[task].dtype == torch.bool
        if task != "reshading":
            assert torch.equal(after.targets[task], every.targets[task]), task


def test_the_batch_that_comes_in_is_left_alone():
    batch, _ = room(4, 1.0)
    again, _ = room(4, 1.0)
    augment(batch, draws_of(True, 1.7, (0.2, -0.1), (1.2, 0.8, 0.9)), torch.ones(1))
    assert_equal(batch, again)


def test_colour():
    rgb = torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.2
    grey_of = lambda image: (image * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)  # noqa: E731

    def recoloured(*colour):
        draws = Draws(torch.zeros(2, dtype=torch.bool), torch.ones(2), torch.zeros(2, 2), torch.tensor([colour] * 2))
        return augment(Batch(rgb, {}, {}), draws, torch.ones(2)).rgb

    torch.testing.assert_close(recoloured(0.5, 1.0, 1.0), rgb / 2)
    mean = grey_of(rgb).mean((2, 3), keepdim=True)
    torch.testing.assert_close(recoloured(1.0, 0.5, 1.0), (rgb + mean) / 2)
    torch.testing.assert_close(recoloured(1.0, 1.0, 0.0), grey_of(rgb).expand_as(rgb))
    step_by_step = 0.9 * rgb
    mean = grey_of(step_by_step).mean((2, 3), keepdim=True)
    step_by_step = mean + 1.1 * (step_by_step - mean)
    grey = grey_of(step_by_step)
    step_by_step = grey + 1.2 * (step_by_step - grey)
    torch.testing.assert_close(recoloured(0.9, 1.1, 1.2), step_by_step.clamp(0, 1))
    wild = recoloured(2.0, 2.0, 2.0)
    assert (wild.min(), wild.max()) == (0, 1)


@settings(deadline=None)
@given(st.integers(1, 40), st.floats(1, 5), st.floats(0, 1), seeds, st.integers(0, 10**6))
def test_draws_stay_in_their_ranges(images, zoom, colour, seed, step):
    draws = draw(images, True, zoom, colour, seed, step)
    assert [each.shape for each in (draws.flip, draws.zoom, draws.centre, draws.colour)] == [
        (images,),
        (images,),
        (images, 2),
        (images, 3),
    ]
    assert draws.zoom.min() >= 1
    assert draws.zoom.max() <= zoom * (1 + 1e-6)
    assert (draws.centre.abs() + 1 / draws.zoom[:, None]).max() <= 1 + 1e-6
    assert (draws.colour - 1).abs().max() <= colour + 1e-6
    if zoom == 1:
        assert (draws.zoom == 1).all()
        assert (draws.centre == 0).all()
    if colour == 0:
        assert (draws.colour == 1).all()


@settings(deadline=None)
@given(st.integers(1, 40), seeds, st.integers(0, 10**6))
def test_draws_depend_on_seed_and_step_alone(images, seed, step):
    draws = draw(images, True, 1.5, 0.3, seed, step)
    draw(images, True, 1.5, 0.3, seed + 1, step)
    again = draw(images, True, 1.5, 0.3, seed, step)
    for name in ("flip", "zoom", "centre", "colour"):
        assert torch.equal(getattr(draws, name), getattr(again, name))
    # The order's flips, as they were drawn before there were other augmentations.
    np.testing.assert_array_equal(draws.flip, np.random.default_rng(seed_of(seed, "flip", step)).random(images) < 0.5)
    # Streams do not disturb one another.
    without = draw(images, False, 1.0, 0.3, seed, step)
    assert torch.equal(without.colour, draws.colour)
    assert not without.flip.any()
    for other in (draw(images, True, 1.5, 0.3, seed, step + 1), draw(images, True, 1.5, 0.3, seed + 1, step)):
        assert not torch.equal(other.zoom, draws.zoom)
        assert not torch.equal(other.colour, draws.colour)


def test_zooms_are_log_uniform_and_crops_reach_every_edge():
    draws = draw(20_000, True, 2.0, 0.4, 0, 0)
    assert draws.zoom.log2().mean() == pytest.approx(0.5, abs=0.01)
    share = draws.centre / (1 - 1 / draws.zoom)[:, None]
    assert share.abs().max() == pytest.approx(1, abs=1e-3)
    assert share.mean(0).abs().max() < 0.02
    assert draws.flip.double().mean() == pytest.approx(0.5, abs=0.02)
    # Each comes from a stream of its own: the streams' numbers, in their order, have nothing in common.
    shares = [draws.zoom.log2(), (share.flatten()[:20_000] + 1) / 2, (draws.colour.flatten()[:20_000] - 0.6) / 0.8]
    shares.append(draws.flip.float())
    assert (torch.corrcoef(torch.stack(shares)) - torch.eye(4)).abs().max() < 0.03


@pytest.mark.parametrize(
    ("zoom", "colour"), [(0.9, 0.0), (float("nan"), 0.0), (float("inf"), 0.0), (1.0, -0.1), (1.0, 1.1)]
)
def test_impossible_ranges_are_named(zoom, colour):
    with pytest.raises(UserError, match=r"zoom is|colour is"):
        draw(4, True, zoom, colour, 0, 0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_the_result_is_the_same():
    batch, _ = room(5, 1.0, torch.float32)
    draws = draws_of(True, 1.7, (0.2, -0.1), (1.2, 0.8, 0.9))
    device = torch.device("cuda")
    after, expected = (
        augment(batch.to(device), draws, torch.ones(1, device=device)),
        augment(batch, draws, torch.ones(1)),
    )
    assert after.rgb.is_cuda
    assert all(each.is_cuda for each in (*after.targets.values(), *after.masks.values()))
    torch.testing.assert_close(after.rgb.cpu(), expected.rgb)
    for task in batch.targets:
        torch.testing.assert_close(after.targets[task].cpu(), expected.targets[task])
        assert torch.equal(after.masks[task].cpu(), expected.masks[task])


def part(batch, image):
    """One image of a batch."""
    of = lambda maps: {task: each[image : image + 1] for task, each in maps.items()}  # noqa: E731
    return Batch(batch.rgb[image : image + 1], of(batch.targets), of(batch.masks))


def join(batches):
    """One batch of several."""
    of = lambda maps: {task: torch.cat([each[task] for each in maps]) for task in maps[0]}  # noqa: E731
    rgb = torch.cat([batch.rgb for batch in batches])
    return Batch(rgb, of([batch.targets for batch in batches]), of([batch.masks for batch in batches]))


def assert_equal(one, other):
    """Every bit of two batches is the same."""
    assert torch.equal(one.rgb, other.rgb)
    for task in other.targets:
        assert torch.equal(one.targets[task], other.targets[task]), task
        assert torch.equal(one.masks[task], other.masks[task]), task
