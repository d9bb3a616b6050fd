"""Random augmentations of decoded batches that keep picture and labels true to one and the same world.

Three steps, in this order: a flip left to right, a zoom into a part of the picture, a change of its colours. What they
do to each image is drawn from the seed and the step alone; they are carried out on whatever device the batch is on.

The flip shows the world in a mirror. Of the labels only the normals' x changes its sign: a pixel's depth and distance
stay what they were, and so does the reshading, which is made of the distance and of the angle between normal and ray.

The zoom enlarges a crop to the size of the whole. A network sees the result with the field of view that it knows, so
the labels must be those of another world that looks like that. Let s be the zoom and (a, b) the crop's centre in units
of the image plane (X/Z, Y/Z). The point that was seen at (x, y) is now seen at (s (x - a), s (y - b)). With Z' = Z / s
that is where

    X' = X - a Z,    Y' = Y - b Z,    Z' = Z / s

is seen: a linear map of the world, under which lengths across stay and planes remain planes. So depth is divided by s,
as in Eigen et al. 2014 (arXiv 1406.2283), who neglect a and b, and a normal n becomes, by the map's inverse transpose,
the unit vector along (nx, ny, s (a nx + b ny + nz)). Up to a positive factor n'.P' is n.P, so normals keep facing the
camera. Axes are those of the stored normals: x right, y down, z forward (mult.data.labels). Reshading is computed anew
from the new depth and normal, by the formula of mult.data.labels.reshading. Classes stay.

What is not kept true:

- Labels other than heat maps take the nearest stored pixel's value, whose ray lies up to half a stored pixel from the
  new one, in x and in y. Depth on slanted surfaces has steps of that size; normals and classes of a face have no error.
- Reshading needs depth and normals: where the batch has no such target, or the target no value, it keeps the sampled
  value, which is that of the world before: too dark nearly everywhere, since the new surfaces are nearer.
  ``tasks_to_read`` says what to read so that it does not happen.
- Edges and keypoints are sampled, not detected anew, so they are what filters s times as wide would have found. A sharp
  edge keeps its strength and gets s times as wide; corners, which are finer, differ more.
- The picture gains no detail: it is as smooth as an enlargement is. Nor does its light change with the distances.
- Depths get smaller and reshading brighter than in the stored images, often saturated: that world is a nearer one.
- Changing the colours changes no label, although edges and keypoints were detected in the picture as it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mult.data.batches import Batch
from mult.errors import UserError
from mult.seeding import seed_of
from mult.tasks import TASKS

HEAT_MAPS = ("keypoints", "edges")  # continuous and defined everywhere, so they may be interpolated
GREY = (0.299, 0.587, 0.114)  # BT.601 luma, as in mult.data.labels


@dataclass(frozen=True)
class Draws:
    """What one step's augmentation does to each image.

    Kept on the CPU: whether a step is off is then known without waiting for a GPU.

    Attributes:
        flip: (B,) bool, whether the image is mirrored left to right.
        zoom: (B,) float32 >= 1; 1 leaves the image as it is.
        centre: (B, 2) float32, x and y of the crop's centre in the image (after the flip), whose edges are at -1 and 1;
            the crop, 2 / zoom wide and high, lies inside.
        colour: (B, 3) float32 >= 0, factors of brightness, contrast and saturation; 1 leaves them as they are.
    """

    flip: Tensor
    zoom: Tensor
    centre: Tensor
    colour: Tensor


def draw(images: int, flip: bool, zoom: float, colour: float, seed: int, step: int) -> Draws:
    """The draws of training step ``step`` for a batch of ``images``; they depend on ``seed`` and ``step`` alone.

    Args:
        images: B, images of the batch.
        flip: mirror every other image, on average.
        zoom: the largest zoom; zooms are log-uniform in [1, zoom], crops uniform over the image. 1 is off.
        colour: the factors are uniform in [1 - colour, 1 + colour]. 0 is off.

    Flip, zoom, centre and colour have streams of their own: switching one off leaves the others as they are.

    Raises:
        UserError: ``zoom`` is below 1 or not finite, or ``colour`` lies outside [0, 1].
    """
    if not 1 <= zoom < float("inf"):
        raise UserError(f"zoom is {zoom}, but the largest zoom is 1 (off) or more")
    if not 0 <= colour <= 1:
        raise UserError(f"colour is {colour}, but it lies between 0 (off) and 1")

    def stream(name: str) -> np.random.Generator:
        return np.random.default_rng(seed_of(seed, name, step))

    flips = stream("flip").random(images) < 0.5
    zooms = zoom ** stream("zoom").random(images)
    room = 1 - 1 / zooms  # how far the crop's centre may lie from the image's
    return Draws(
        flip=torch.from_numpy(flips if flip else np.zeros(images, bool)),
        zoom=torch.from_numpy(zooms).float(),
        centre=torch.from_numpy(room[:, None] * stream("centre").uniform(-1, 1, (images, 2))).float(),
        colour=torch.from_numpy(stream("colour").uniform(1 - colour, 1 + colour, (images, 3))).float(),
    )


def tasks_to_read(tasks: Sequence[str], zoom: float) -> tuple[str, ...]:
    """``tasks`` and those whose targets a zoom up to ``zoom`` needs to keep the targets of ``tasks`` true.

    A model trained for reshading alone then sees the same reshading as one trained for all tasks.
    """
    needed = ("depth", "normal") if zoom > 1 and "reshading" in tasks else ()
    return (*tasks, *(task for task in needed if task not in tasks))


def augment(batch: Batch, draws: Draws, fov: Tensor) -> Batch:
    """``batch`` as ``draws`` say, on its device and in its dtypes; ``batch`` itself is left as it is.

    ``fov`` (B,) is the horizontal field of view of the images in radians, of a camera with square pixels and its
    principal point in the middle. A step that is off for the whole batch costs nothing, and one that is off for an
    image changes no bit of it.
    """
    if draws.flip.any():
        batch = _flip(batch, draws.flip)
    if (draws.zoom > 1).any():
        batch = _zoom(batch, draws, fov)
    if (draws.colour != 1).any():
        batch = replace(batch, rgb=_recolour(batch.rgb, draws.colour))
    return batch


def _flip(batch: Batch, flip: Tensor) -> Batch:
    def mirrored(maps: Tensor) -> Tensor:
        return torch.where(_each(flip, maps), maps.flip(-1), maps)

    targets = {task: mirrored(target) for task, target in batch.targets.items()}
    if "normal" in targets:
        x, y, z = targets["normal"].unbind(1)
        targets["normal"] = torch.stack([torch.where(_each(flip, x), -x, x), y, z], 1)
    return Batch(mirrored(batch.rgb), targets, {task: mirrored(mask) for task, mask in batch.masks.items()})


def _zoom(batch: Batch, draws: Draws, fov: Tensor) -> Batch:
    height, width = batch.rgb.shape[-2:]
    columns, rows = _sources(width, draws.zoom, draws.centre[:, 0]), _sources(height, draws.zoom, draws.centre[:, 1])
    indices = _nearest_indices(rows, columns).to(batch.rgb.device, non_blocking=True)
    grid = _sampling_grid(rows, columns).to(batch.rgb.device, non_blocking=True)
    zoomed = draws.zoom > 1

    def smooth(maps: Tensor) -> Tensor:
        return torch.where(_each(zoomed, maps), _interpolate(maps, grid), maps)

    targets = {
        task: smooth(target) if task in HEAT_MAPS else _take(target, indices) for task, target in batch.targets.items()
    }
    masks = {task: _take(mask, indices) for task, mask in batch.masks.items()}
    if "depth" in targets:
        targets["depth"] = targets["depth"] / _each(draws.zoom, targets["depth"])
    if "normal" in targets:
        turned = _turn(targets["normal"], draws, fov)
        targets["normal"] = torch.where(_each(zoomed, turned), turned, targets["normal"])
    if {"reshading", "depth", "normal"} <= targets.keys():
        new = _reshade(targets["depth"], targets["normal"], fov)
        known = masks["depth"] & masks["normal"] & _each(zoomed, new)
        targets["reshading"] = torch.where(known, new.to(targets["reshading"].dtype), targets["reshading"])
    return Batch(smooth(batch.rgb).clamp(0, 1), targets, masks)  # weights add up to 1 but for rounding


def _sources(size: int, zoom: Tensor, centre: Tensor) -> Tensor:
    """Where the centres of the new pixels of an axis lie in the old image, in pixels from its first one's centre.

    (B, size) float64. Pixel i of n has its centre at (2 i + 1) / n - 1, between edges at -1 and 1.
    """
    middle = (size - 1) / 2
    offsets = (torch.arange(size, dtype=torch.float64) - middle) / zoom.double()[:, None]
    return (middle + centre.double()[:, None] * size / 2 + offsets).clamp(0, size - 1)


def _nearest_indices(rows: Tensor, columns: Tensor) -> Tensor:
    """Indices (B, H * W) of the nearest old pixels in an image whose pixels are numbered row by row."""
    nearest = [(places + 0.5).floor().long().clamp(max=places.shape[1] - 1) for places in (rows, columns)]
    return (nearest[0][:, :, None] * columns.shape[1] + nearest[1][:, None, :]).flatten(1)


def _sampling_grid(rows: Tensor, columns: Tensor) -> Tensor:
    """The same places as grid_sample takes them, (B, H, W, 2) float64: x and y between edges at -1 and 1."""
    x, y = ((2 * places + 1) / places.shape[1] - 1 for places in (columns, rows))
    return torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), -1)


def _take(maps: Tensor, indices: Tensor) -> Tensor:
    """Values of (B, ..., H, W), of any dtype, at ``indices`` (B, H * W)."""
    spread = indices.view(len(indices), *[1] * (maps.ndim - 3), -1).expand(*maps.shape[:-2], -1)
    return maps.flatten(-2).gather(-1, spread).view(maps.shape)


def _interpolate(maps: Tensor, grid: Tensor) -> Tensor:
    """Bilinear values of (B, C, H, W) at ``grid``; at least float32, since half precision would misplace the grid."""
    dtype = torch.promote_types(maps.dtype, torch.float32)
    sampled = F.grid_sample(maps.to(dtype), grid.to(dtype), padding_mode="border", align_corners=False)
    return sampled.to(maps.dtype)


def _turn(normal: Tensor, draws: Draws, fov: Tensor) -> Tensor:
    """Unit normals (B, 3, H, W) in the world that the zoom shows."""
    height, width = normal.shape[-2:]
    half = _each(torch.tan(fov / 2), normal)
    across, down = (_each(draws.centre[:, axis], normal) * half for axis in (0, 1))
    x, y, z = normal.split(1, 1)
    along = across * x + down * (height / width) * y + z
    turned = torch.cat([x, y, _each(draws.zoom, normal) * along], 1)
    # Norms over the second axis of four take torch ten times as long on a CPU; none is 0.
    return turned / turned.square().sum(1, keepdim=True).sqrt()


def _reshade(depth: Tensor, normal: Tensor, fov: Tensor) -> Tensor:
    """Reshading (B, 1, H, W) in [0, 1] from the targets depth and normal: mult.data.labels.reshading, unrounded."""
    height, width = depth.shape[-2:]
    per_pixel = _each(torch.tan(fov / 2), depth) * 2 / width
    across = (torch.arange(width, dtype=depth.dtype, device=depth.device) + 0.5 - width / 2) * per_pixel
    down = (torch.arange(height, dtype=depth.dtype, device=depth.device)[:, None] + 0.5 - height / 2) * per_pixel
    length = (1 + across.square() + down.square()).sqrt()  # of the pixel's ray (across, down, 1)
    x, y, z = normal.split(1, 1)
    cosine = -(x * across + y * down + z) / length
    distance = depth * TASKS["depth"].scale * length
    return (1.6 * cosine * 8 / (8 + distance.square())).clamp(0, 1)


def _recolour(rgb: Tensor, colour: Tensor) -> Tensor:
    """Brightness (a multiple), contrast (about the image's mean grey), saturation (about the pixel's grey), clamped.

    Nothing is clamped in between, so the three are one sum of multiples of the pixel, its grey and the mean grey, in
    which factors of 1 leave exactly the pixel.
    """
    brightness, contrast, saturation = (_each(factor, rgb) for factor in colour.unbind(1))
    grey = (rgb * torch.tensor(GREY).to(rgb, non_blocking=True).view(1, 3, 1, 1)).sum(1, keepdim=True)
    mean = grey.mean((2, 3), keepdim=True)
    contrasted = brightness * contrast
    offset = contrasted * (1 - saturation) * grey + brightness * (1 - contrast) * mean
    return (contrasted * saturation * rgb + offset).clamp(0, 1)


def _each(values: Tensor, maps: Tensor) -> Tensor:
    """One value an image, (B,), ready to meet ``maps`` (B, ...): on their device, in their dtype unless bool."""
    dtype = values.dtype if values.dtype == torch.bool else maps.dtype
    return values.to(maps.device, dtype, non_blocking=True).view(-1, *[1] * (maps.ndim - 1))
