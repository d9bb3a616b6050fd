"""From stored labels to what a network trains on: targets and masks, in an order that the seed alone decides."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mult.data.classes import VOID
from mult.data.encoding import CODE_RANGE, DEPTH_UNITS, NO_DEPTH, NO_NORMAL
from mult.data.store import Split
from mult.seeding import seed_of
from mult.tasks import TASKS


@dataclass(frozen=True)
class Batch:
    """Images with the targets of some tasks.

    Attributes:
        rgb: (B, 3, H, W) in [0, 1].
        targets: a task, (B, C, H, W) in units of ``Task.scale``; class ids (B, H, W) for semseg.
        masks: a task, (B, 1, H, W) bool: where the target means something.
    """

    rgb: Tensor
    targets: dict[str, Tensor]
    masks: dict[str, Tensor]

    def to(self, device: torch.device) -> "Batch":
        """The same on ``device``."""
        move = lambda tensors: {k: v.to(device, non_blocking=True) for k, v in tensors.items()}  # noqa: E731
        return Batch(self.rgb.to(device, non_blocking=True), move(self.targets), move(self.masks))


def read(split: Split, tasks: Sequence[str], indices: Sequence[int], flips: np.ndarray | None = None) -> Batch:
    """Decode images ``indices`` of ``split`` for ``tasks``; ``flips`` (B,) says which are mirrored left to right."""
    order = np.asarray(indices)

    def stored(label: str) -> np.ndarray:
        images = np.array(split.arrays[label][order])
        if flips is not None and flips.any():
            images[flips] = images[flips][:, :, ::-1]
        return images

    targets, masks = {}, {}
    for task in tasks:
        targets[task], masks[task] = _DECODERS[task](stored, flips)
    return Batch(_planes(stored("rgb")) / 255, targets, masks)


def order_of_step(images: int, batch_size: int, step: int, seed: int, flip: bool) -> tuple[np.ndarray, np.ndarray]:
    """Indices (B,) and flips (B,) of training step ``step``: shuffled anew each pass, the last short batch left out.

    Depends on the seed and the step alone, so every run of one seed sees the same images, and a resumed run goes on
    with the batch that it would have had.
    """
    steps_a_pass = images // batch_size
    this_pass, place = divmod(step, steps_a_pass)
    order = np.random.default_rng(seed_of(seed, "order", this_pass)).permutation(images)
    chosen = order[place * batch_size : (place + 1) * batch_size]
    flips = np.random.default_rng(seed_of(seed, "flip", step)).random(batch_size) < 0.5
    return chosen, flips if flip else np.zeros(batch_size, bool)


def _planes(images: np.ndarray) -> Tensor:
    """(B, H, W[, C]) of any integer type to float32 (B, C, H, W)."""
    if images.ndim == 3:
        images = images[..., None]
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32))


def _semseg(stored, flips) -> tuple[Tensor, Tensor]:
    ids = torch.from_numpy(stored("segment_semantic").astype(np.int64))
    return ids, (ids != VOID)[:, None]


def _depth(stored, flips) -> tuple[Tensor, Tensor]:
    code = _planes(stored("depth_zbuffer"))
    return code / (DEPTH_UNITS * TASKS["depth"].scale), code != NO_DEPTH


def _normal(stored, flips) -> tuple[Tensor, Tensor]:
    code = stored("normal")
    valid = (code != NO_NORMAL).any(-1) & (stored("mask_valid") > 0)
    normal = _planes(code) / 127.5 - 1
    if flips is not None:
        normal[torch.from_numpy(flips), 0] *= -1  # a mirrored surface faces the other way
    normal = torch.nn.functional.normalize(normal, dim=1)
    return normal, torch.from_numpy(valid)[:, None]


def _reshading(stored, flips) -> tuple[Tensor, Tensor]:
    return _planes(stored("reshading")) / 255, _planes(stored("mask_valid")) > 0


def _heat_map(label: str, task: str):
    def decode(stored, flips) -> tuple[Tensor, Tensor]:
        target = _planes(stored(label)) / (CODE_RANGE * TASKS[task].scale)
        return target, torch.ones_like(target, dtype=torch.bool)

    return decode


_DECODERS = {
    "semseg": _semseg,
    "depth": _depth,
    "normal": _normal,
    "reshading": _reshading,
    "keypoints": _heat_map("keypoints2d", "keypoints"),
    "edges": _heat_map("edge_texture", "edges"),
}
