"""A domain's gallery: some of its test images with what several models make of them, and the maps behind one of them.

    gallery.json    which images, how far off each model is, and what the arrays are
    pictures.npz    rgb, label/<task>, <model>/<task>: uint8 (n, H, W, 3), as contact sheets draw them;
                    attention/<variant>/<sample>/<stage>: uint8 (owners, windows, heads, N, N), round(255 sqrt(weight))

A weight's square root is kept since a byte would say little of weights near 1/N, what no preference is.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from mult.data.batches import read
from mult.data.store import Split
from mult.evaluation.predictions import predict
from mult.files import atomic, write_json
from mult.models.block import Block
from mult.models.decoder import Stage
from mult.models.mult import MulT
from mult.models.windows import Windows


@dataclass(frozen=True)
class Sample:
    """An image of the test split: ``error`` is the mean over tasks in units of the split's mean error."""

    image: int
    group: str
    role: str
    error: float


def choose(errors: pd.DataFrame, images: int) -> list[Sample]:
    """The best image, the worst, the one in the middle, and others at equal steps between them, ``images`` in all.

    ``errors``: of one model on one domain, columns task, image, group, error. Images that lack every task are left out.
    """
    by_task = errors.pivot(index="image", columns="task", values="error")
    mean = (by_task / by_task.mean()).mean(axis=1).dropna().sort_values(kind="stable")
    groups = errors.drop_duplicates("image").set_index("image")["group"]
    last, middle = len(mean) - 1, (len(mean) - 1) // 2
    places = np.linspace(0, last, min(images, len(mean))).round().astype(int)
    places[np.abs(places - middle).argmin()] = middle
    roles = {0: "best", last: "worst"} | ({middle: "median"} if 0 < middle < last else {})
    return [
        Sample(int(mean.index[n]), str(groups[mean.index[n]]), roles.get(n, ""), float(f"{mean.iloc[n]:.4g}"))
        for n in sorted(set(places.tolist()))
    ]


@dataclass
class StageMaps:
    """T2's maps of one decoder stage for one image.

    Attributes:
        owners: ``all`` where one map serves every task, else the tasks.
        weights: (owners, windows, heads, N, N); the last axis sums to one.
        cells: (windows, N): which cell of the ``height`` x ``width`` map a token is, row by row; -1 for padding.
    """

    owners: list[str]
    height: int
    width: int
    cells: np.ndarray = field(repr=False)
    weights: np.ndarray = field(repr=False)


@torch.no_grad()
def attention_of(model: MulT, rgb: Tensor) -> list[StageMaps]:
    """The maps of every decoder stage, coarse to fine, for one image (1, 3, H, W) in [0, 1]."""
    maps: list[StageMaps] = []
    with _recorded(model, maps):
        model(rgb)
    return maps


@contextmanager
def _recorded(model: MulT, maps: list[StageMaps]) -> Iterator[None]:
    """Have the last block of each stage leave its map in ``maps`` while the block runs."""
    tasks, sizes = list(model.decoders.heads), {}
    hooks = []
    try:
        for stage in model.decoders.stages:
            hooks.append(stage.register_forward_pre_hook(partial(_note_size, sizes)))
            stage.blocks[-1].change_map = partial(_keep, maps, stage, sizes, tasks)
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for stage in model.decoders.stages:
            stage.blocks[-1].change_map = None


def _note_size(sizes: dict[nn.Module, tuple[int, int]], stage: nn.Module, inputs: tuple[Any, ...]) -> None:
    sizes[stage] = tuple(inputs[1].shape[1:3])


def _keep(
    maps: list[StageMaps],
    stage: Stage,
    sizes: Mapping[nn.Module, tuple[int, int]],
    tasks: Sequence[str],
    attention: Tensor,
    mask: Tensor | None,
    images: int,
) -> Tensor:
    height, width = sizes[stage]
    weights = attention.float().cpu().numpy()
    owners = list(tasks) if len(weights) > 1 else ["all"]
    maps.append(StageMaps(owners, height, width, _cells(stage, stage.blocks[-1], height, width), weights))
    return attention


def _cells(stage: Stage, block: Block, height: int, width: int) -> np.ndarray:
    moved = block.form.shift and (stage.open_padding or min(height, width) > stage.window)  # as Stage cuts them
    cut = Windows(height, width, stage.window, stage.window // 2 if moved else 0, stage.open_padding)
    numbered = torch.arange(1, height * width + 1).view(1, height, width, 1)  # padding is zero
    return (cut.split(numbered)[..., 0] - 1).numpy()


class Gallery:
    """What is to be written of a domain, model by model.

    Args:
        split: the domain's test split.
        samples: of ``choose``.
        tasks: in the order of the tables.
        classes: of the training domain, which the models predict.
    """

    def __init__(
        self,
        split: Split,
        samples: Sequence[Sample],
        tasks: Sequence[str],
        classes: Sequence[str],
        device: torch.device,
    ):
        self.split, self.samples, self.tasks, self.classes = split, samples, list(tasks), list(classes)
        self.device = device
        self.rgb = read(split, [], [s.image for s in samples]).rgb.to(device)
        self.codes: dict[str, dict[str, list[np.ndarray]]] = {}
        self.errors: dict[str, dict[str, list[float | None]]] = {}
        self.attention: list[dict[str, Any]] = []
        self.maps: dict[str, np.ndarray] = {}

    def add(self, name: str, model: nn.Module, errors: pd.DataFrame) -> None:
        """Add a model's predictions under ``name``; called again with the same name for a model of other tasks.

        ``errors``: of that model on this domain, columns task, image, error.
        """
        model.to(self.device).eval()
        found = errors.pivot(index="image", columns="task", values="error").reindex([s.image for s in self.samples])
        guesses = [predict(model, image[None])[0] for image in self.rgb]
        for task in guesses[0]:
            self.codes.setdefault(name, {})[task] = [guess[task] for guess in guesses]
            values = found[task] if task in found else [None] * len(self.samples)  # the domain may lack it
            rounded = [None if pd.isna(value) else float(f"{value:.4g}") for value in values]
            self.errors.setdefault(name, {})[task] = rounded

    def add_attention(self, variant: str, model: MulT, sample: int) -> None:
        """Add the attention maps of ``model`` for the sample at ``sample``."""
        for stage, maps in enumerate(attention_of(model, self.rgb[sample : sample + 1]), start=1):
            name = f"attention/{variant}/{sample}/{stage}"
            self.maps[name] = np.rint(255 * np.sqrt(maps.weights)).astype(np.uint8)
            about = {"sample": sample, "variant": variant, "stage": stage, "owners": maps.owners}
            about |= {"heads": maps.weights.shape[2], "height": maps.height, "width": maps.width}
            self.attention.append(about | {"cells": maps.cells.tolist(), "array": name})

    def write(self, folder: Path, pictures: Mapping[str, np.ndarray]) -> None:
        """Write gallery.json, and pictures.npz with the maps and ``pictures``, of which the models' are drawn."""
        samples = [
            {"image": s.image, "group": s.group, "role": s.role, "error": s.error}
            | {"errors": {name: {t: of[t][n] for t in of} for name, of in self.errors.items()}}
            for n, s in enumerate(self.samples)
        ]
        about = {"domain": self.split.domain, "split": self.split.split, "image_size": self.rgb.shape[-1]}
        about |= {"tasks": self.tasks, "models": list(self.codes), "classes": self.classes}
        write_json(folder / "gallery.json", about | {"samples": samples, "attention": self.attention})
        with atomic(folder / "pictures.npz") as file:
            np.savez_compressed(file, **pictures, **self.maps)
