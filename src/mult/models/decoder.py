"""The decoders: four stages of two blocks for all tasks, coarse to fine, and a 1x1 head a task."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mult.models.block import Block, forms
from mult.models.initialise import seeded
from mult.models.stacked import TaskLinear, TaskNorm
from mult.models.windows import Windows


class Upsample(nn.Module):
    """Double the resolution and halve the channels: bilinear to the next skip's exact size, LayerNorm, Linear."""

    def __init__(self, tasks: Sequence[str], width: int, width_out: int, seed: tuple):
        super().__init__()
        self.norm = TaskNorm(tasks, width)
        self.reduce = TaskLinear(tasks, width, width_out, (*seed, "reduce"), bias=False)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """(T, B, H, W, C) to (T, B, *size, C_out)."""
        tasks, images = x.shape[:2]
        large = F.interpolate(x.flatten(0, 1).permute(0, 3, 1, 2), size, mode="bilinear", align_corners=False)
        large = large.permute(0, 2, 3, 1).reshape(tasks, -1, x.shape[-1])
        return self.reduce(self.norm(large)).view(tasks, images, *size, -1)


class Stage(nn.Module):
    """One decoder stage of all tasks: how the skip joins the streams, then two blocks."""

    def __init__(
        self,
        tasks: Sequence[str],
        width: int,
        heads: int,
        window: int,
        options: Mapping,
        drop_path: Sequence[float],
        shared: bool,
        seed: tuple,
    ):
        """``shared``: whether the map is of the variant here; elsewhere each task makes its own from the skip."""
        super().__init__()
        self.recompute = False  # see mult.models.recompute
        self.window, self.open_padding, self.skip = window, options["open_padding"], options["skip"]
        attention = options["attention"] if shared else "skip"
        self.join = (
            TaskLinear(tasks, width, width, (*seed, "join"), width_common=width) if self.skip == "concat" else None
        )
        self.blocks = nn.ModuleList(
            Block(
                form,
                tasks,
                options.get("reference"),
                width,
                heads,
                window,
                options["mlp_ratio"],
                options["relative_bias"],
                rate,
                (*seed, place),
            )
            for place, (form, rate) in enumerate(
                zip(forms(attention, options["t2_mlp"], options["t2_shift"]), drop_path, strict=True)
            )
        )

    @property
    def reads_skip(self) -> bool:
        """Whether anything is made from the encoder's map here, beyond its size."""
        return self.skip != "none" or any(block.reads_skip for block in self.blocks)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Streams (T, B, H, W, C) and the encoder's map (B, H, W, C) to streams."""
        if self.recompute and self.training:
            return checkpoint(self._forward, x, skip, use_reentrant=False)
        return self._forward(x, skip)

    def _forward(self, x: Tensor, skip: Tensor) -> Tensor:
        height, width = skip.shape[1:3]
        cut: Windows | None = None
        for block in self.blocks:
            # Swin does not move windows over a map that fits into one; the released heads do.
            moved = block.form.shift and (self.open_padding or min(height, width) > self.window)
            shift = self.window // 2 if moved else 0
            wanted = Windows(height, width, self.window, shift, self.open_padding)
            if wanted != cut:  # tokens stay in their windows from one block to the next where they can
                x = wanted.split(x if cut is None else cut.join(x))
                skip_tokens, mask = wanted.split(skip), wanted.mask(x.device)
                real = wanted.real(x.device, skip.shape[0]) if self.open_padding else None
                if cut is None:
                    x = self._enter(x, skip_tokens)
                cut = wanted
            x = block(x, skip_tokens, cut.shape, mask, real, skip.shape[0])
        return cut.join(x)

    def _enter(self, x: Tensor, skip: Tensor) -> Tensor:
        """Streams (T, M, N, C) with the skip (M, N, C) joined as ``options["skip"]`` says."""
        if self.skip == "add":
            return x + skip
        if self.skip == "concat":
            return self.join(x.flatten(1, 2), skip.flatten(0, 1)).view_as(x)
        return x


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
        tasks, depths = list(channels), len(widths)
        rates = [options["drop_path"] * place / (2 * depths - 1) for place in range(2 * depths)]
        widths, heads = list(reversed(widths)), list(reversed(heads))
        self.stages = nn.ModuleList(
            Stage(
                tasks,
                widths[depth],
                heads[depth],
                window,
                options,
                rates[2 * depth : 2 * depth + 2],
                depth + 1 in options["shared_stages"],
                (seed, "decoder", depth),
            )
            for depth in range(depths)
        )
        self.upsamples = nn.ModuleList(
            Upsample(tasks, width, width_out, (seed, "up", depth))
            for depth, (width, width_out) in enumerate(pairwise(widths))
        )
        self.heads = nn.ModuleDict(
            {t: seeded((seed, "head", t), nn.Linear, widths[-1], count) for t, count in channels.items()}
        )
        self.dropout = nn.Dropout2d(options["dropout"])

    @property
    def unread(self) -> list[int]:
        """The encoder's maps, finest 0, of which nothing but the size is read; the streams begin as the coarsest."""
        coarsest = len(self.stages) - 1
        return [coarsest - depth for depth, stage in enumerate(self.stages) if depth and not stage.reads_skip]

    def forward(self, maps: Sequence[Tensor]) -> dict[str, Tensor]:
        """``maps``: (B, H, W, C), finest first. Returns (B, channels, H, W) a task at the finest map's size."""
        coarse_to_fine = list(reversed(maps))
        x = coarse_to_fine[0].expand(len(self.heads), *coarse_to_fine[0].shape)
        for depth, (stage, skip) in enumerate(zip(self.stages, coarse_to_fine, strict=True)):
            if depth:
                x = self.upsamples[depth - 1](x, skip.shape[1:3])
            x = stage(x, skip)
        return {t: self._predict(t, stream) for t, stream in zip(self.heads, x.unbind(0), strict=True)}

    def _predict(self, task: str, stream: Tensor) -> Tensor:
        kept = self.dropout(stream.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return self.heads[task](kept).permute(0, 3, 1, 2)
