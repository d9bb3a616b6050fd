"""Windowed attention in two halves: where the attention map comes from, and what it is applied to.

Notation of the paper (CVPR 2022): T1 is a task's own self-attention block, T2 the shared-attention block. At one
decoder stage, with x_sa the encoder's map of that level and x^t the stream of task t,

    A   = softmax(q k^T / sqrt(d) + B),   q = W_q LN(x), k = W_k LN(x)
    y^t = x^t + W_o^t (A W_v^t LN(x^t))

and the variants differ in what x is (x_sa or a stream) and in who owns W_q and W_k (each task, or all together).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mult.models.initialise import seeded
from mult.models.windows import Windows


class RelativeBias(nn.Module):
    """Learned bias B for each head and each offset between two tokens of a window (Swin, Liu et al. 2021)."""

    def __init__(self, window: int, heads: int):
        super().__init__()
        self.table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        rows, columns = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
        position = torch.stack([rows.flatten(), columns.flatten()])
        offset = position[:, :, None] - position[:, None, :] + window - 1
        self.register_buffer("index", offset[0] * (2 * window - 1) + offset[1], persistent=False)

    def forward(self) -> Tensor:
        """(heads, tokens, tokens)."""
        return self.table[self.index.flatten()].view(*self.index.shape, -1).permute(2, 0, 1)


class AttentionMap(nn.Module):
    """Queries, keys and bias that make one attention map from the tokens of a window."""

    def __init__(self, width_in: int, width: int, heads: int, window: int, relative_bias: bool = True):
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.qk = nn.Linear(width_in, 2 * width)
        self.bias = RelativeBias(window, heads) if relative_bias else None

    def forward(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """(B * windows, N, C) to the map (B * windows, heads, N, N), each row of which sums to one."""
        count, n, _ = tokens.shape
        q, k = self.qk(tokens).view(count, n, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        scores = (q * self.scale) @ k.transpose(-2, -1)
        if self.bias is not None:
            scores = scores + self.bias()
        if mask is not None:
            scores = (scores.view(-1, len(mask), *scores.shape[1:]) + mask[:, None]).flatten(0, 1)
        return scores.softmax(-1)


def apply_map(attention: Tensor, values: Sequence[Tensor]) -> list[Tensor]:
    """One map (M, heads, N, N) on the values (M, N, C) of several tasks, in one product; returns (M, N, C) each."""
    heads, tasks = attention.shape[1], len(values)
    stacked = torch.stack([v.unflatten(-1, (heads, -1)) for v in values], dim=-2)  # M, N, heads, tasks, d
    mixed = attention @ stacked.flatten(-2).transpose(1, 2)  # M, heads, N, tasks * d
    mixed = mixed.transpose(1, 2).unflatten(-1, (tasks, -1))
    return [v.flatten(-2) for v in mixed.unbind(-2)]


class Mlp(nn.Sequential):
    """The two-layer perceptron of a transformer block."""

    def __init__(self, width: int, ratio: float):
        hidden = round(width * ratio)
        super().__init__(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))


class DropPath(nn.Module):
    """Stochastic depth: a residual branch is left out for whole images of the batch (Huang et al. 2016)."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        keep = 1 - self.rate
        return x * x.new_empty(len(x), *[1] * (x.ndim - 1)).bernoulli_(keep) / keep


class OwnAttention(nn.Module):
    """T1: a task's own windowed self-attention block, pre-norm, with its MLP. (B, H, W, C) to the same shape."""

    def __init__(self, width: int, heads: int, window: int, mlp_ratio: float, relative_bias: bool, drop_path: float):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.map = AttentionMap(width, width, heads, window, relative_bias)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.mlp, self.drop_path = Mlp(width, mlp_ratio), DropPath(drop_path)

    def forward(self, x: Tensor, windows: Windows) -> Tensor:
        tokens = windows.split(self.norm1(x))
        attention = self.map(tokens, windows.mask(x.device))
        (mixed,) = apply_map(attention, [self.value(tokens)])
        x = x + self.drop_path(windows.join(self.out(mixed)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class ForeignAttention(nn.Module):
    """T2 of one task, less its map: norm, values, output projection and, by a switch, an MLP."""

    def __init__(self, width: int, mlp_ratio: float | None, drop_path: float):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.drop_path = DropPath(drop_path)
        self.norm_mlp = nn.LayerNorm(width) if mlp_ratio else None
        self.mlp = Mlp(width, mlp_ratio) if mlp_ratio else None

    def finish(self, x: Tensor, mixed: Tensor, windows: Windows) -> Tensor:
        """Add to the raw input ``x`` what the map made of the values."""
        x = x + self.drop_path(windows.join(self.out(mixed)))
        return x if self.mlp is None else x + self.drop_path(self.mlp(self.norm_mlp(x)))


class MapSource(nn.Module):
    """Which map each task's T2 gets: one owner of queries and keys a group of tasks, reading one input.

    ============  =======================  ==================
    ``kind``      owners                   they read
    ============  =======================  ==================
    ``self``      every task               its own stream
    ``skip``      every task               the encoder's map
    ``shared``    one for all tasks        the encoder's map
    ============  =======================  ==================
    """

    KINDS = ("self", "skip", "shared")

    def __init__(
        self, kind: str, tasks: Sequence[str], width: int, heads: int, window: int, relative_bias: bool, seed: tuple
    ):
        super().__init__()
        self.kind, self.tasks = kind, tuple(tasks)
        owners = ["all"] if kind == "shared" else list(tasks)
        self.maps, self.norms = nn.ModuleDict(), nn.ModuleDict()
        for owner in owners:
            names = (*seed, "map", owner)
            self.maps[owner] = seeded(names, AttentionMap, width, width, heads, window, relative_bias)
            if kind != "self":
                self.norms[owner] = nn.LayerNorm(width)

    def forward(
        self, streams: dict[str, Tensor], skip: Tensor, windows: Windows
    ) -> list[tuple[Tensor, tuple[str, ...]]]:
        """Each map with the tasks that it serves. ``streams``: normed tokens a task; ``skip``: (B, H, W, C)."""
        mask = windows.mask(skip.device)
        if self.kind == "self":
            return [(self.maps[t](streams[t], mask), (t,)) for t in self.tasks]
        served = {"all": self.tasks} if self.kind == "shared" else {t: (t,) for t in self.tasks}
        return [
            (self.maps[owner](windows.split(self.norms[owner](skip)), mask), tasks) for owner, tasks in served.items()
        ]
