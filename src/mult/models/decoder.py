"""The decoders: four stages of T1 and T2 for each task, coarse to fine, and a 1x1 head."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mult.models.attention import ForeignAttention, MapSource, OwnAttention, apply_map
from mult.models.initialise import seeded
from mult.models.windows import Windows


class Upsample(nn.Module):
    """Double the resolution and halve the channels: bilinear to the next skip's exact size, LayerNorm, Linear."""

    def __init__(self, width: int, width_out: int):
        super().__init__()
        self.norm, self.reduce = nn.LayerNorm(width), nn.Linear(width, width_out, bias=False)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """(B, H, W, C) to (B, *size, C_out)."""
        x = F.interpolate(x.permute(0, 3, 1, 2), size, mode="bilinear", align_corners=False)
        return self.reduce(self.norm(x.permute(0, 2, 3, 1)))


class TaskStage(nn.Module):
    """What one task owns at one stage: how the skip joins, T1, and T2 less its map."""

    def __init__(self, width: int, heads: int, window: int, options: Mapping, drop_path: tuple[float, float]):
        super().__init__()
        self.skip = options["skip"]
        self.join = nn.Linear(2 * width, width) if self.skip == "concat" else None
        bias, ratio = options["relative_bias"], options["mlp_ratio"]
        self.t1 = OwnAttention(width, heads, window, ratio, bias, drop_path[0])
        self.t2 = ForeignAttention(width, ratio if options["t2_mlp"] else None, drop_path[1])

    def enter(self, x: Tensor, skip: Tensor, windows: Windows) -> Tensor:
        """Join the skip as ``options["skip"]`` says, then T1."""
        if self.skip == "add":
            x = x + skip
        elif self.skip == "concat":
            x = self.join(torch.cat([x, skip], -1))
        return self.t1(x, windows)


class Stage(nn.Module):
    """One decoder stage of all tasks: T1 of each, the maps, T2 of each."""

    def __init__(
        self,
        tasks: Sequence[str],
        width: int,
        heads: int,
        window: int,
        options: Mapping,
        drop_path: tuple[float, float],
        seed: tuple,
    ):
        super().__init__()
        self.window, self.shift = window, window // 2 if options["t2_shift"] else 0
        self.tasks = nn.ModuleDict(
            {t: seeded((*seed, t), TaskStage, width, heads, window, options, drop_path) for t in tasks}
        )
        self.source = MapSource(options["attention"], tasks, width, heads, window, options["relative_bias"], seed)

    def forward(self, streams: dict[str, Tensor], skip: Tensor) -> dict[str, Tensor]:
        """Streams (B, H, W, C) a task and the encoder's map of the same shape to the streams after T2."""
        height, width = skip.shape[1:3]
        plain = Windows(height, width, self.window)
        moved = Windows(height, width, self.window, self.shift if min(height, width) > self.window else 0)
        streams = {t: stage.enter(streams[t], skip, plain) for t, stage in self.tasks.items()}
        tokens = {t: moved.split(stage.t2.norm(streams[t])) for t, stage in self.tasks.items()}
        done = {}
        for attention, served in self.source(tokens, skip, moved):
            values = [self.tasks[t].t2.value(tokens[t]) for t in served]
            for t, mixed in zip(served, apply_map(attention, values), strict=True):
                done[t] = self.tasks[t].t2.finish(streams[t], mixed, moved)
        return {t: done[t] for t in streams}


class Decoders(nn.Module):
    """The decoders of all tasks, from the encoder's four maps to a prediction a task at the finest map's size."""

    def __init__(
        self,
        channels: Mapping[str, int],
        widths: Sequence[int],
        heads: Sequence[int],
        window: int,
        options: Mapping,
        seed: int,
    ):
        """``channels``: outputs a task; ``widths`` and ``heads``: of the encoder's maps, finest first."""
        super().__init__()
        rates = torch.linspace(0, options["drop_path"], 2 * len(widths)).tolist()
        widths, heads = list(reversed(widths)), list(reversed(heads))
        self.stages, self.upsamples = nn.ModuleList(), nn.ModuleList()
        for depth, (width, count) in enumerate(zip(widths, heads, strict=True)):
            drop_path, names = (rates[2 * depth], rates[2 * depth + 1]), (seed, "decoder", depth)
            self.stages.append(Stage(list(channels), width, count, window, options, drop_path, names))
        for depth, (width, width_out) in enumerate(pairwise(widths)):
            self.upsamples.append(
                nn.ModuleDict({t: seeded((seed, "up", depth, t), Upsample, width, width_out) for t in channels})
            )
        self.heads = nn.ModuleDict(
            {t: seeded((seed, "head", t), nn.Conv2d, widths[-1], count, 1) for t, count in channels.items()}
        )
        self.dropout = nn.Dropout2d(options["dropout"])

    def forward(self, maps: Sequence[Tensor]) -> dict[str, Tensor]:
        """``maps``: (B, H, W, C), finest first. Returns (B, channels, H, W) a task at the finest map's size."""
        coarse_to_fine = list(reversed(maps))
        streams = dict.fromkeys(self.heads, coarse_to_fine[0])
        for depth, (stage, skip) in enumerate(zip(self.stages, coarse_to_fine, strict=True)):
            if depth:
                size = skip.shape[1:3]
                streams = {t: self.upsamples[depth - 1][t](x, size) for t, x in streams.items()}
            streams = stage(streams, skip)
        return {t: self.heads[t](self.dropout(x.permute(0, 3, 1, 2))) for t, x in streams.items()}
