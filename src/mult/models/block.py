"""A decoder block of all tasks: attention by a map of some variant, then by a switch an MLP; pre-norm, residual.

The paper's T1 is the block whose variant is ``self``, with an MLP; its T2 is the block of the variant under study,
drawn without one. The released heads DEA1 to DEA4 are two such blocks as well; see ``FORMS``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch.nn.functional as F
from torch import Tensor, nn

from mult.models.attention import VARIANTS, AttentionMaps, apply_detached, apply_maps
from mult.models.stacked import TaskLinear, TaskMlp, TaskNorm, together

# A block's map (G, M, h, N, N), its mask and the number of images that M is of, to the map that is applied instead.
MapChange = Callable[[Tensor, Tensor | None, int], Tensor]


@dataclass(frozen=True)
class BlockForm:
    """What a block is made of.

    Attributes:
        attention: a key of ``mult.models.attention.VARIANTS``.
        mlp: whether an MLP follows.
        shift: whether the windows are moved by half their size.
        values_see_skip: whether values are made from stream and skip, side by side, instead of the stream alone.
        norm_skip: whether the skip is normed again before queries and keys (the encoder has normed it once).
    """

    attention: str
    mlp: bool = True
    shift: bool = False
    values_see_skip: bool = False
    norm_skip: bool = True


# The released code's decoder stages, block 0 and block 1 (spec of the heads: IVRL/MulT d71bcbe); depth leads.
_LED = BlockForm("reference", shift=True, norm_skip=False)
_SKIP = BlockForm("shared", norm_skip=False)
_BOTH = BlockForm("reference_skip", values_see_skip=True, norm_skip=False)
FORMS: dict[str, tuple[BlockForm, BlockForm]] = {
    "dea1": (_SKIP, _LED),
    "dea2": (replace(_SKIP, values_see_skip=True), _LED),
    "dea3": (_BOTH, _LED),
    "dea4": (_BOTH, replace(_BOTH, shift=True)),
}


def forms(attention: str, t2_mlp: bool, t2_shift: bool) -> tuple[BlockForm, BlockForm]:
    """The two blocks of a decoder stage: T1 and T2 of a variant, or a released head's."""
    return FORMS.get(attention) or (BlockForm("self"), BlockForm(attention, mlp=t2_mlp, shift=t2_shift))


class DropPath(nn.Module):
    """Stochastic depth: a residual branch is left out for a task and an image of the batch (Huang et al. 2016)."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor, images: int) -> Tensor:
        """(T, M, N, C), where M counts the windows of ``images`` images, image by image."""
        if not self.training or self.rate == 0:
            return x
        keep = 1 - self.rate
        kept = x.new_empty(x.shape[0], images, 1, 1).bernoulli_(keep).div_(keep)
        return x * kept.repeat_interleave(x.shape[1] // images, 1)


class Block(nn.Module):
    """One block of all tasks; streams (T, M, N, C) to streams."""

    def __init__(
        self,
        form: BlockForm,
        tasks: Sequence[str],
        reference: str | None,
        width: int,
        heads: int,
        window: int,
        mlp_ratio: float,
        relative_bias: bool,
        drop_path: float,
        seed: tuple,
    ):
        super().__init__()
        self.form = form
        variant = VARIANTS[form.attention]
        self.norm1 = TaskNorm(tasks, width)
        self.maps = AttentionMaps(
            variant, tasks, reference, width, heads, window, relative_bias, form.norm_skip, (*seed, "maps")
        )
        common = width if form.values_see_skip else 0
        self.value = TaskLinear(tasks, width, width, (*seed, "value"), width_common=common)
        self.out = TaskLinear(tasks, width, width, (*seed, "out"))
        self.mlp = TaskMlp(tasks, width, mlp_ratio, (*seed, "mlp")) if form.mlp else None
        self.drop_path = DropPath(drop_path)
        self.change_map: MapChange | None = None  # while a trained model is probed; see mult.evaluation.probes

    @property
    def reads_skip(self) -> bool:
        """Whether the encoder's map enters the attention or the values."""
        return self.form.values_see_skip or "skip" in self.maps.variant.reads

    def forward(
        self,
        x: Tensor,
        skip: Tensor,
        shape: tuple[int, int],
        mask: Tensor | None,
        real: Tensor | None,
        images: int,
    ) -> Tensor:
        """
        Args:
            x: streams (T, M, N, C), M windows of ``images`` images.
            skip: the encoder's map in the same windows, (M, N, C).
            shape: rows and columns of a window.
            mask: (windows of an image, N, N), added to the scores.
            real: (M, N, 1), 0 for padding that takes part in the attention as zeros; None: the mask sees to it.
        """
        normed, norm = F.layer_norm(x, x.shape[-1:]), self.norm1
        if real is not None:  # zeros after the norm: it cannot be left to the weights
            normed, norm = norm(x.flatten(1, 2)).view_as(x) * real, None
        if self.maps.variant.reads == "stream" and not self.form.values_see_skip:
            qk, values = together(normed.flatten(1, 2), [self.maps.qk, self.value], norm)
            attention = self.maps.of_streams(qk, x.shape[1], shape, mask)
        else:
            attention = self.maps(normed, norm, skip, shape, mask, real)
            common = skip.flatten(0, 1) if self.form.values_see_skip else None
            values = self.value(normed.flatten(1, 2), common, norm)
        if self.change_map is not None:
            attention = self.change_map(attention, mask, images)
        values = values.unflatten(1, x.shape[1:3])
        if self.maps.variant.detached:
            mixed = apply_detached(attention, values, self.maps.reference)
        else:
            mixed = apply_maps(attention, values)
        x = x + self.drop_path(self.out(mixed.flatten(1, 2)).view_as(x), images)
        if self.mlp is None:
            return x
        return x + self.drop_path(self.mlp(x.flatten(1, 2)).view_as(x), images)
