"""From stored labels to what a network trains on: targets and masks.

``gather`` copies an image's stored codes, a few bytes a pixel; ``decode`` makes targets of them on whatever device they
are, so that a GPU is sent bytes and does the arithmetic.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from mult.data.classes import VOID
from mult.data.encoding import CODE_RANGE, DEPTH_UNITS, NO_DEPTH, NO_NORMAL, NO_SHADE
from mult.data.store import Split
from mult.seeding import seed_of
from mult.tasks import TASKS

Codes = Mapping[str, Tensor]


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

    def __len__(self) -> int:
        return len(self.rgb)

    def __getitem__(self, images: slice) -> "Batch":
        """Some of the images."""
        cut = lambda tensors: {k: v[images] for k, v in tensors.items()}  # noqa: E731
        return Batch(self.rgb[images], cut(self.targets), cut(self.masks))

    def only(self, tasks: Sequence[str]) -> "Batch":
        """With the targets of ``tasks`` and no others."""
        return Batch(self.rgb, {t: self.targets[t] for t in tasks}, {t: self.masks[t] for t in tasks})

    def to(self, device: torch.device) -> "Batch":
        """The same on ``device``."""
        move = lambda tensors: {k: v.to(device) for k, v in tensors.items()}  # noqa: E731
        return Batch(self.rgb.to(device), move(self.targets), move(self.masks))


def read(split: Split, tasks: Sequence[str], indices: Sequence[int]) -> Batch:
    """Images ``indices`` of ``split`` with the targets of ``tasks``."""
    return decode(gather(split, tasks, indices), tasks)


def gather(split: Split, tasks: Sequence[str], indices: Sequence[int]) -> dict[str, Tensor]:
    """Stored codes (B, H, W[, 3]) of the labels that ``tasks`` need; 16-bit ones as int16 with the same bits.

    PyTorch does hardly anything with unsigned 16-bit numbers. The mask is left out where the split has none.
    """
    order = np.asarray(indices)
    labels = dict.fromkeys(["rgb", *(_LABELS[task] for task in tasks)])
    if any(task in MASKED for task in tasks) and MASK in split.arrays:
        labels[MASK] = None
    stored = {label: np.array(split.arrays[label][order]) for label in labels}
    return {
        label: torch.from_numpy(codes.view(np.int16) if codes.dtype == np.uint16 else codes)
        for label, codes in stored.items()
    }


def decode(codes: Codes, tasks: Sequence[str]) -> Batch:
    """What ``gather`` gave, on any device, as pictures and targets in training units."""
    decoded = {task: _DECODERS[task](codes) for task in tasks}
    return Batch(
        _planes(codes["rgb"]) / 255,
        {task: target for task, (target, _) in decoded.items()},
        {task: mask for task, (_, mask) in decoded.items()},
    )


def order_of_step(images: int, batch_size: int, step: int, seed: int) -> np.ndarray:
    """Indices (B,) of training step ``step``: shuffled anew each pass, the last short batch left out.

    Depends on the seed and the step alone, so every run of one seed sees the same images, and a resumed run goes on
    with the batch that it would have had.
    """
    steps_a_pass = images // batch_size
    this_pass, place = divmod(step, steps_a_pass)
    return _order_of_pass(images, this_pass, seed)[place * batch_size : (place + 1) * batch_size]


def tasks_of(split: Split) -> list[str]:
    """The tasks that ``split`` has labels of."""
    return [task for task, label in _LABELS.items() if label in split.arrays]


@lru_cache(maxsize=2)  # shuffling millions for every batch takes longer than reading it
def _order_of_pass(images: int, this_pass: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed_of(seed, "order", this_pass)).permutation(images)


def _planes(codes: Tensor) -> Tensor:
    """(B, H, W[, C]) codes to float32 (B, C, H, W)."""
    if codes.dtype == torch.int16:
        codes = codes.int() & 0xFFFF
    if codes.ndim == 3:
        return codes[:, None].float()
    return codes.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)


def _semseg(codes: Codes) -> tuple[Tensor, Tensor]:
    ids = codes["segment_semantic"].long()
    return ids, (ids != VOID)[:, None]


def _depth(codes: Codes) -> tuple[Tensor, Tensor]:
    code = _planes(codes["depth_zbuffer"])
    return code / (DEPTH_UNITS * TASKS["depth"].scale), (code != NO_DEPTH) & (code > 0)


def _normal(codes: Codes) -> tuple[Tensor, Tensor]:
    code = codes["normal"]
    valid = (code != NO_NORMAL).any(-1)
    if MASK in codes:
        valid &= codes[MASK] > 0
    return torch.nn.functional.normalize(_planes(code) / 127.5 - 1, dim=1), valid[:, None]


def _reshading(codes: Codes) -> tuple[Tensor, Tensor]:
    code = codes["reshading"]
    valid = _has_label(code, NO_SHADE)
    if MASK in codes:
        valid = valid & (codes[MASK] > 0)
    return _planes(code) / 255, valid[:, None].expand(code[:, None].shape)


def _heat_map(label: str, task: str) -> Callable[[Codes], tuple[Tensor, Tensor]]:
    def decoder(codes: Codes) -> tuple[Tensor, Tensor]:
        target = _planes(codes[label]) / (CODE_RANGE * TASKS[task].scale)
        return target, _has_label(codes[label], 0)[:, None].expand(target.shape)

    return decoder


def _has_label(code: Tensor, unknown: int) -> Tensor:
    """(B, 1, 1) bool: whether an image's codes are not all ``unknown``, which is what a view without the file gets."""
    return (code != unknown).flatten(1).any(1)[:, None, None]


MASK, MASKED = "mask_valid", ("normal", "reshading")
_LABELS = {
    "semseg": "segment_semantic",
    "depth": "depth_zbuffer",
    "normal": "normal",
    "reshading": "reshading",
    "keypoints": "keypoints2d",
    "edges": "edge_texture",
}
_DECODERS = {
    "semseg": _semseg,
    "depth": _depth,
    "normal": _normal,
    "reshading": _reshading,
    "keypoints": _heat_map("keypoints2d", "keypoints"),
    "edges": _heat_map("edge_texture", "edges"),
}
