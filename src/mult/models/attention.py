"""Attention maps within windows: who makes them, from what, and how they meet the tasks' values.

At one block of one decoder stage, with x_sa the encoder's map of that level and x^t the stream of task t,

    A^t = softmax(q k^T / sqrt(d) + B),   q, k = W_q LN(x), W_k LN(x)
    y^t = x^t + W_o^t (A^t W_v^t LN(x^t))

and the variants differ in what x is and in who owns W_q, W_k and B. Notation of the CVPR 2022 paper, where A is one for
all tasks. Sizes below: T tasks, G maps (T, or 1 where one serves all), M windows of the whole batch, N tokens a window,
h heads of d channels, C = h d.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mult.errors import UserError
from mult.models.stacked import STD, TaskLinear, TaskNorm
from mult.seeding import torch_seed


@dataclass(frozen=True)
class Variant:
    """Where a block's map comes from.

    Attributes:
        owner: ``task`` (each has its own map), ``all`` (one map for all) or ``none`` (no queries and keys).
        reads: ``stream``, ``skip``, ``reference`` (the reference task's stream), ``reference+skip``, or ``streams``
            (all of them, side by side).
        needs_reference: whether the name of the reference task decides anything.
    """

    owner: str
    reads: str = "none"
    low_rank: bool = False  # queries and keys factored so that all tasks' together are as large as one shared pair
    detached: bool = False  # only the reference task's loss reaches queries, keys and bias
    frozen: bool = False  # queries and keys stay as they were drawn
    mixed: bool = False  # each task applies a learned convex mixture of all tasks' maps
    bias: bool = True  # whether the relative position enters, where params.yaml lets it

    @property
    def needs_reference(self) -> bool:
        return self.detached or "reference" in self.reads


VARIANTS: dict[str, Variant] = {
    "self": Variant("task", "stream"),
    "skip": Variant("task", "skip"),
    "skip_lowrank": Variant("task", "skip", low_rank=True),
    "shared": Variant("all", "skip"),
    "shared_detached": Variant("all", "skip", detached=True),
    "reference": Variant("all", "reference"),
    "reference_skip": Variant("all", "reference+skip"),
    "joint": Variant("all", "streams"),
    "mixture": Variant("task", "stream", mixed=True),
    "uniform": Variant("none", bias=False),
    "bias_only": Variant("none"),
    "frozen": Variant("all", "skip", frozen=True),
}


class RelativeBias(nn.Module):
    """Learned bias B of each map and head for each offset between two tokens of a window (Swin, Liu et al. 2021)."""

    def __init__(self, owners: Sequence[str], window: int, heads: int, seed: tuple):
        super().__init__()
        self.window = window
        self.table = nn.Parameter(torch.empty(len(owners), (2 * window - 1) ** 2, heads))
        for place, owner in enumerate(owners):
            with torch_seed(*seed, owner):
                nn.init.trunc_normal_(self.table.data[place], std=STD)
        rows, columns = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
        position = torch.stack([rows, columns])
        offset = position[:, :, :, None, None] - position[:, None, None] + window - 1
        self.register_buffer("index", offset[0] * (2 * window - 1) + offset[1], persistent=False)

    def forward(self, shape: tuple[int, int]) -> Tensor:
        """(G, 1, h, N, N) for windows of ``shape``, which may be smaller than the table's."""
        rows, columns = shape
        tokens = rows * columns
        index = self.index[:rows, :columns, :rows, :columns].reshape(-1)
        bias = self.table[:, index].view(len(self.table), tokens, tokens, -1)
        return bias.permute(0, 3, 1, 2).unsqueeze(1)


class AttentionMaps(nn.Module):
    """The maps of one block, by variant; see ``VARIANTS``."""

    def __init__(
        self,
        variant: Variant,
        tasks: Sequence[str],
        reference: str | None,
        width: int,
        heads: int,
        window: int,
        relative_bias: bool,
        norm_skip: bool,
        seed: tuple,
    ):
        super().__init__()
        self.variant, self.heads, self.scale = variant, heads, (width // heads) ** -0.5
        if variant.needs_reference and reference not in tasks:
            raise UserError(f"reference: {reference} is none of the tasks {', '.join(tasks)}; name one of these")
        self.reference = list(tasks).index(reference) if variant.needs_reference else None
        owners = list(tasks) if variant.owner == "task" else ["all"]
        inputs = {"reference+skip": 2, "streams": len(tasks), "none": 0}.get(variant.reads, 1) * width
        self.norm_skip = TaskNorm(owners, width) if norm_skip and "skip" in variant.reads else None
        self.down = None
        if variant.low_rank:
            rank = max(1, width // (2 * len(tasks)))
            self.down = TaskLinear(owners, inputs, 2 * rank, (*seed, "down"), bias=False)
            self.query = TaskLinear(owners, rank, width, (*seed, "query"))
            self.key = TaskLinear(owners, rank, width, (*seed, "key"))
        elif inputs:
            self.qk = TaskLinear(owners, inputs, 2 * width, (*seed, "qk"))
            if variant.frozen:
                self.qk.requires_grad_(False)
        self.bias = RelativeBias(owners, window, heads, (*seed, "bias")) if relative_bias and variant.bias else None
        # Each task starts with nine tenths of its own map.
        self.mixture = nn.Parameter(torch.eye(len(tasks)) * _own_share_logit(len(tasks))) if variant.mixed else None

    def forward(
        self,
        streams: Tensor,
        norm: TaskNorm | None,
        skip: Tensor,
        shape: tuple[int, int],
        mask: Tensor | None,
        real: Tensor | None = None,
    ) -> Tensor:
        """(G, M, h, N, N), rows of which sum to one, from normed streams (T, M, N, C) and the skip's tokens (M, N, C).

        Args:
            norm: whose scale and bias the streams still lack; None: they have them.
            shape: rows and columns of a window.
            mask: (windows of one image, N, N), added to the scores.
            real: (M, N, 1), 0 for padding that is to stay zero after the norm; None: there is none.
        """
        windows, tokens = skip.shape[:2]
        if self.variant.owner == "none":
            scores = streams.new_zeros(1, windows, self.heads, tokens, tokens)
        else:
            scores = self._scores(*self._queries_and_keys(*self._input(streams, norm, skip, real)), windows)
        return self._finish(scores, shape, mask)

    def of_streams(self, qk: Tensor, windows: int, shape: tuple[int, int], mask: Tensor | None) -> Tensor:
        """The same where ``qk``, (T, M N, 2 C), what the layer of that name makes of the streams, is there already."""
        return self._finish(self._scores(*qk.chunk(2, -1), windows), shape, mask)

    def _finish(self, scores: Tensor, shape: tuple[int, int], mask: Tensor | None) -> Tensor:
        if self.bias is not None:
            scores = scores + self.bias(shape)
        attention = masked_softmax(scores, mask)
        if self.mixture is not None:
            attention = torch.tensordot(self.mixture.softmax(-1), attention, 1)
        return attention

    def _scores(self, queries: Tensor, keys: Tensor, windows: int) -> Tensor:
        """(G, M N, C) both, to (G, M, h, N, N)."""
        q, k = (x.reshape(len(x), windows, -1, self.heads, x.shape[-1] // self.heads) for x in (queries, keys))
        return (q * self.scale).transpose(2, 3) @ k.permute(0, 1, 3, 4, 2)

    def _input(
        self, streams: Tensor, norm: TaskNorm | None, skip: Tensor, real: Tensor | None
    ) -> tuple[Tensor, TaskNorm | None]:
        """(G or 1, M N, inputs), and the norm whose scale and bias they still lack."""
        reads, streams, skip = self.variant.reads, streams.flatten(1, 2), skip.flatten(0, 1)[None]
        if reads == "stream":
            return streams, norm
        if "skip" in reads and self.norm_skip is not None:
            if reads == "skip" and real is None:
                return F.layer_norm(skip, skip.shape[-1:]), self.norm_skip
            skip = self.norm_skip(skip) if real is None else self.norm_skip(skip) * real.flatten(0, 1)
        if reads == "skip":
            return skip, None
        read = slice(None) if reads == "streams" else slice(self.reference, self.reference + 1)
        streams = streams[read]
        if norm is not None:
            streams = torch.addcmul(norm.bias[read, None], streams, norm.weight[read, None])
        if reads == "streams":
            return torch.cat(streams.unbind(0), -1)[None], None
        leading = streams
        return leading if reads == "reference" else torch.cat([leading, skip], -1), None

    def _queries_and_keys(self, x: Tensor, norm: TaskNorm | None) -> tuple[Tensor, Tensor]:
        if self.down is None:
            return self.qk(x, norm=norm).chunk(2, -1)
        small = self.down(x, norm=norm)
        low = small.shape[-1] // 2
        return self.query(small[..., :low]), self.key(small[..., low:])


def masked_softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Scores (G, M, h, N, N) to rows that sum to one; ``mask``: (windows of one image, N, N), added before."""
    if mask is not None:
        scores = (scores.unflatten(1, (-1, len(mask))) + mask[:, None]).flatten(1, 2)
    return scores.softmax(-1)


def _own_share_logit(tasks: int) -> float:
    """Logit, beside zeros, at which a task's own map has nine tenths of the mixture."""
    return math.log(9 * max(1, tasks - 1))


def apply_maps(attention: Tensor, values: Tensor) -> Tensor:
    """Maps (G, M, h, N, N) on values (T, M, N, C); one map (G = 1) meets all tasks' values in one product."""
    tasks, windows, tokens, width = values.shape
    groups, _, heads = attention.shape[:3]
    values = values.unflatten(-1, (heads, -1))
    if groups == tasks:
        mixed = attention @ values.transpose(2, 3)  # T, M, h, N, d
        return mixed.transpose(2, 3).reshape(tasks, windows, tokens, width)
    side_by_side = values.permute(1, 3, 2, 0, 4).flatten(-2)  # M, h, N, T d
    mixed = (attention[0] @ side_by_side).unflatten(-1, (tasks, -1))
    return mixed.permute(3, 0, 2, 1, 4).reshape(tasks, windows, tokens, width)


def apply_detached(attention: Tensor, values: Tensor, reference: int) -> Tensor:
    """As ``apply_maps`` with one map, through which only the reference task's loss sends gradient."""
    mixed = list(apply_maps(attention.detach(), values).unbind(0))
    mixed[reference] = apply_maps(attention, values[reference : reference + 1])[0]
    return torch.stack(mixed)
