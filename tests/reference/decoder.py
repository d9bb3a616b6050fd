"""The decoders written plainly: a loop over tasks, a module a task, windows cut anew for every block.

Slow and obvious; the fast ones in mult.models are held against it, in value and gradient and for speed.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mult.models.attention import VARIANTS, AttentionMaps
from mult.models.block import Block
from mult.models.decoder import Decoders, Stage


def linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias is not None)
    layer.weight = nn.Parameter(weight.detach().clone())
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().clone())
    return layer


def linears(stacked) -> nn.ModuleList:
    biases = [None] * len(stacked.weight) if stacked.bias is None else stacked.bias
    return nn.ModuleList(linear(w, b) for w, b in zip(stacked.weight, biases, strict=True))


def norms(stacked) -> nn.ModuleList:
    layers = nn.ModuleList()
    for weight, bias in zip(stacked.weight, stacked.bias, strict=True):
        layer = nn.LayerNorm(len(weight))
        layer.weight, layer.bias = (nn.Parameter(p.detach().clone()) for p in (weight, bias))
        layers.append(layer)
    return layers


class Map(nn.Module):
    """Queries, keys and bias of one owner."""

    def __init__(self, maps: AttentionMaps, owner: int):
        super().__init__()
        self.variant, self.heads, self.scale = maps.variant, maps.heads, maps.scale
        self.norm = norms(maps.norm_skip)[owner] if maps.norm_skip is not None else nn.Identity()
        if self.variant.low_rank:
            self.down = linears(maps.down)[owner]
            self.query, self.key = linears(maps.query)[owner], linears(maps.key)[owner]
        elif self.variant.owner != "none":
            self.qk = linears(maps.qk)[owner]
        self.window = maps.bias.window if maps.bias is not None else 0
        self.table = nn.Parameter(maps.bias.table[owner].detach().clone()) if maps.bias is not None else None

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(M, N, inputs) to (M, heads, N, N)."""
        windows, tokens = x.shape[:2]
        if self.variant.owner == "none":
            scores = x.new_zeros(windows, self.heads, tokens, tokens)
        else:
            if self.variant.low_rank:
                first, second = self.down(x).chunk(2, -1)
                q, k = self.query(first), self.key(second)
            else:
                q, k = self.qk(x).chunk(2, -1)
            q, k = (y.reshape(windows, tokens, self.heads, -1).transpose(1, 2) for y in (q, k))
            scores = q @ k.transpose(-2, -1) * self.scale
        if self.table is not None:
            w = self.window
            place = torch.arange(w * w)
            row, column = place // w, place % w
            offset = (row[:, None] - row + w - 1) * (2 * w - 1) + column[:, None] - column + w - 1
            scores = scores + self.table[offset].permute(2, 0, 1)
        if mask is not None:
            scores = scores + mask.repeat(windows // len(mask), 1, 1)[:, None]
        return scores.softmax(-1)


def cut(x: Tensor, window: int, shift: int) -> Tensor:
    """(B, H, W, C), padded with zeros, to (M, N, C)."""
    height, width = x.shape[1:3]
    x = F.pad(x, (0, 0, 0, -width % window, 0, -height % window))
    x = torch.roll(x, (-shift, -shift), (1, 2))
    batch, height, width, channels = x.shape
    x = x.view(batch, height // window, window, width // window, window, channels)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, window * window, channels)


def paste(tokens: Tensor, window: int, shift: int, shape: tuple[int, int, int]) -> Tensor:
    """The inverse of ``cut``; ``shape`` is B, H, W."""
    batch, height, width = shape
    rows, columns = -(-height // window), -(-width // window)
    x = tokens.view(batch, rows, columns, window, window, -1).permute(0, 1, 3, 2, 4, 5)
    x = x.reshape(batch, rows * window, columns * window, -1)
    return torch.roll(x, (shift, shift), (1, 2))[:, :height, :width]


def mask_of(
    height: int, width: int, window: int, shift: int, open_padding: bool, device: torch.device | str = "cpu"
) -> Tensor | None:
    """-10,000 between tokens that are no neighbours in the image, or real and padding; (windows, N, N)."""
    full_height, full_width = height + -height % window, width + -width % window

    def band(side: int) -> Tensor:
        place = torch.arange(side)
        return (place >= side - window).long() + (place >= side - shift).long() if shift else torch.zeros(side).long()

    region = band(full_height)[:, None] * 3 + band(full_width)
    real = torch.zeros(full_height, full_width, dtype=torch.long)
    real[:height, :width] = 1
    if not open_padding:
        region = region * 2 + torch.roll(real, (-shift, -shift), (0, 1))
    tokens = cut(region[None, ..., None].float(), window, 0)[..., 0]
    mask = (tokens[:, :, None] != tokens[:, None, :]) * -1e4
    return mask.to(device) if mask.any() else None


class LoopBlock(nn.Module):
    """One block, task after task."""

    def __init__(self, block: Block):
        super().__init__()
        self.form, self.variant = block.form, VARIANTS[block.form.attention]
        self.reference = block.maps.reference
        self.norm1, self.value, self.out = norms(block.norm1), linears(block.value), linears(block.out)
        owners = len(self.norm1) if self.variant.owner == "task" else 1
        self.maps = nn.ModuleList(Map(block.maps, owner) for owner in range(owners))
        self.mixture = None if block.maps.mixture is None else nn.Parameter(block.maps.mixture.detach().clone())
        if block.mlp is not None:
            self.norm2, self.fc1, self.fc2 = norms(block.mlp.norm), linears(block.mlp.fc1), linears(block.mlp.fc2)

    def forward(self, streams: list[Tensor], skip: Tensor, window: int, open_padding: bool) -> list[Tensor]:
        height, width = skip.shape[1:3]
        shift = window // 2 if self.form.shift and (open_padding or min(height, width) > window) else 0
        mask = mask_of(height, width, window, shift, open_padding, skip.device)
        tokens = [cut(norm(x), window, shift) for norm, x in zip(self.norm1, streams, strict=True)]
        maps = self._maps(tokens, skip, window, shift, mask)
        out = []
        for t, x in enumerate(streams):
            attention = maps[t]
            if self.variant.detached and t != self.reference:
                attention = attention.detach()
            source = tokens[t]
            if self.form.values_see_skip:
                source = torch.cat([source, cut(skip, window, shift)], -1)
            values = self.value[t](source)
            heads = attention.shape[1]
            mixed = attention @ values.view(*values.shape[:2], heads, -1).transpose(1, 2)
            mixed = self.out[t](mixed.transpose(1, 2).flatten(2))
            x = x + paste(mixed, window, shift, skip.shape[:3])
            if self.form.mlp:
                x = x + self.fc2[t](F.gelu(self.fc1[t](self.norm2[t](x))))
            out.append(x)
        return out

    def _maps(self, tokens: list[Tensor], skip: Tensor, window: int, shift: int, mask: Tensor | None) -> list[Tensor]:
        """The map of each task."""
        made = []
        for owner, source in enumerate(self.maps):
            normed_skip = cut(source.norm(skip), window, shift)
            x = {
                "stream": lambda owner=owner: tokens[owner],
                "skip": lambda seen=normed_skip: seen,
                "reference": lambda: tokens[self.reference],
                "reference+skip": lambda seen=normed_skip: torch.cat([tokens[self.reference], seen], -1),
                "streams": lambda: torch.cat(tokens, -1),
                "none": lambda: tokens[0],
            }[self.variant.reads]()
            made.append(source(x, mask))
        if self.mixture is not None:
            shares = self.mixture.softmax(-1)
            return [sum(share * one for share, one in zip(row, made, strict=True)) for row in shares]
        return made if len(made) == len(tokens) else made * len(tokens)


class LoopStage(nn.Module):
    def __init__(self, stage: Stage):
        super().__init__()
        self.window, self.open_padding, self.skip = stage.window, stage.open_padding, stage.skip
        self.join = linears(stage.join) if stage.join is not None else None
        self.blocks = nn.ModuleList(LoopBlock(block) for block in stage.blocks)

    def forward(self, streams: list[Tensor], skip: Tensor) -> list[Tensor]:
        if self.skip == "add":
            streams = [x + skip for x in streams]
        elif self.skip == "concat":
            streams = [join(torch.cat([x, skip], -1)) for join, x in zip(self.join, streams, strict=True)]
        for block in self.blocks:
            streams = block(streams, skip, self.window, self.open_padding)
        return streams


class LoopDecoders(nn.Module):
    """Has copies of the weights of ``decoders`` and computes what it does, without dropout and stochastic depth."""

    def __init__(self, decoders: Decoders):
        super().__init__()
        self.stages = nn.ModuleList(LoopStage(stage) for stage in decoders.stages)
        self.norms = nn.ModuleList(norms(up.norm) for up in decoders.upsamples)
        self.reduce = nn.ModuleList(linears(up.reduce) for up in decoders.upsamples)
        self.heads = nn.ModuleDict({t: linear(h.weight, h.bias) for t, h in decoders.heads.items()})

    def forward(self, maps: list[Tensor]) -> dict[str, Tensor]:
        maps = list(reversed(maps))
        streams = [maps[0]] * len(self.heads)
        for depth, (stage, skip) in enumerate(zip(self.stages, maps, strict=True)):
            if depth:
                streams = [
                    reduce(norm(self._resize(x, skip.shape[1:3])))
                    for x, norm, reduce in zip(streams, self.norms[depth - 1], self.reduce[depth - 1], strict=True)
                ]
            streams = stage(streams, skip)
        return {t: head(x).permute(0, 3, 1, 2) for (t, head), x in zip(self.heads.items(), streams, strict=True)}

    @staticmethod
    def _resize(x: Tensor, size: tuple[int, int]) -> Tensor:
        x = F.interpolate(x.permute(0, 3, 1, 2), tuple(size), mode="bilinear", align_corners=False)
        return x.permute(0, 2, 3, 1)
