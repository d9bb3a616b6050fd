"""What a trained model's predictions owe to its attention maps: the maps are changed, nothing is trained again.

A probe changes every T2 block, and of a released head, which has no T1, both blocks:

    uniform         all tokens of a window that the mask leaves weigh the same
    other image     the map is that of the image before it in the batch
    map of depth    every task applies that task's map
    without depth   that task's stream is zero where the block reads it

The last says whose streams the maps are made of: another task's predictions can change only if something flows from
the one stream to the other. In the paper's sharing (``shared``) nothing does, nor in ``skip`` and ``self``. A figure
may stay while predictions move (a class that wins all the same), so the predictions' bits are compared as well.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from mult.data.store import Split
from mult.errors import UserError
from mult.evaluation.compare import gain
from mult.evaluation.evaluator import score_split
from mult.models.attention import masked_softmax
from mult.models.block import Block, MapChange
from mult.models.mult import MulT
from mult.tasks import TASKS


@dataclass(frozen=True)
class Probe:
    """What is changed.

    Attributes:
        change_map: what takes the place of a block's map; None: nothing does.
        without: place of the task whose stream is taken away; None: all stay.
    """

    name: str
    change_map: MapChange | None = None
    without: int | None = None


UNPROBED = Probe("none")


def probes_of(model: MulT) -> list[Probe]:
    """The probes that can change a figure of ``model``, and ``without`` of every task."""
    tasks, maps = list(model.decoders.heads), [block.maps for block in probed_blocks(model)]
    probes = []
    if any(m.variant.owner != "none" or m.bias is not None for m in maps):
        probes.append(Probe("uniform", uniform))
    if any(m.variant.owner != "none" for m in maps):
        probes.append(Probe("other image", of_other_image))
    if len(tasks) > 1 and any(m.variant.owner == "task" for m in maps):
        probes += [Probe(f"map of {task}", partial(of_task, place)) for place, task in enumerate(tasks)]
    return probes + [Probe(f"without {task}", without=place) for place, task in enumerate(tasks)]


def probed_blocks(model: MulT) -> list[Block]:
    """T2 of each decoder stage; both blocks of a released head's."""
    return [
        block
        for stage in model.decoders.stages
        for block in stage.blocks
        if block is stage.blocks[-1] or block.form.attention != "self"
    ]


@contextmanager
def probing(model: MulT, probe: Probe) -> Iterator[None]:
    """Have ``model`` predict under ``probe`` while the block runs, and as before after it."""
    blocks = probed_blocks(model)
    hooks = []
    try:
        for block in blocks:
            block.change_map = probe.change_map
            if probe.without is not None:
                hooks.append(block.register_forward_pre_hook(partial(_take_away, probe.without)))
        yield
    finally:
        for block in blocks:
            block.change_map = None
        for hook in hooks:
            hook.remove()


def uniform(attention: Tensor, mask: Tensor | None, images: int) -> Tensor:
    """The same weight for every token that the mask leaves; arguments as of ``MapChange``."""
    return masked_softmax(torch.zeros_like(attention), mask)


def of_other_image(attention: Tensor, mask: Tensor | None, images: int) -> Tensor:
    """To each image the map of the one before it, to the first that of the last."""
    return attention.unflatten(1, (images, -1)).roll(1, 1).flatten(1, 2)


def of_task(place: int, attention: Tensor, mask: Tensor | None, images: int) -> Tensor:
    """To every task the map of the one at ``place``; where all have one map already, that one."""
    return attention if len(attention) == 1 else attention[place : place + 1].expand_as(attention)


def _take_away(place: int, block: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    streams = inputs[0].clone()
    streams[place] = 0
    return streams, *inputs[1:]


@dataclass(frozen=True)
class ProbeScores:
    """What the probes say of a model.

    Attributes:
        rows: columns probe (``none``: as trained), domain, task, metric (the task's main one), value, change, the
            percent by which that is better than as trained (mult.evaluation.compare.gain), and same, whether every
            prediction is bit for bit the one as trained.
    """

    n_images: int
    data_digest: str
    rows: pd.DataFrame


def probe(
    model: nn.Module, config: Mapping[str, Any], split: Split, batch: int, device: torch.device, images: int
) -> ProbeScores:
    """Score ``model`` (described by ``config``, its model.json) on the first ``images`` of ``split`` under each probe.

    Batches have two images at least, for one that is alone has no other's map to take: a ``batch`` of 1 counts as 2,
    and an image that is left over for the last batch is left out.

    Raises:
        UserError: the model has no attention maps, or ``split`` is a single image.
    """
    if not isinstance(model, MulT):
        raise UserError(f"{config['run']}: a {config['model']} has no attention maps to probe; name a run of MulT")
    batch, images = max(2, batch), min(images, len(split))
    images -= images % batch == 1
    if not images:
        raise UserError(f"{split.domain}: one image in split {split.split}; the probes need two, to exchange maps")
    model.to(device).eval()
    rows, trained = [], {}
    for each in (UNPROBED, *probes_of(model)):
        digests = {task: hashlib.sha256() for task in config["tasks"]}

        def predict(rgb: Tensor, digests: Mapping = digests) -> dict[str, Tensor]:
            predictions = model(rgb)
            for task, digest in digests.items():
                digest.update(predictions[task].cpu().contiguous().numpy())
            return predictions

        with probing(model, each):
            named = {**config, "run": f"{config['run']} ({each.name})"}
            figures = score_split(predict, named, split, batch, device, images=images).figures
        for task, digest in digests.items():
            metric = TASKS[task].metric
            value, bits = figures[task].get(metric, float("nan")), digest.digest()
            base, base_bits = trained.setdefault(task, (value, bits))
            change = gain(value, base, task)
            rows.append((each.name, split.domain, task, metric, value, change, bits == base_bits))
    columns = ["probe", "domain", "task", "metric", "value", "change", "same"]
    return ProbeScores(images, split.digest, pd.DataFrame(rows, columns=columns))
