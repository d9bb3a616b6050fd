"""Task grouping: several small networks, each for the tasks that do each other good."""

from collections import Counter
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from mult.baselines.cnn import CNN
from mult.baselines.cross_stitch import CrossStitch
from mult.baselines.mtan import MTAN
from mult.baselines.pad_net import PADNet
from mult.errors import UserError

BASES: dict[str, type[nn.Module]] = {"cnn": CNN, "cross_stitch": CrossStitch, "mtan": MTAN, "pad_net": PADNet}


class Grouped(nn.Module):
    """A network for each group of tasks, and nothing shared between groups (Standley et al. 2020).

    Which groups are best is not searched for here: they are given.
    """

    def __init__(self, channels: Mapping[str, int], image_size: int, encoder: Mapping, options: Mapping, seed: int):
        """``options``: ``groups``, lists of task names; ``base``, the groups' model (cnn); and that model's options.

        Raises:
            UserError: the groups are not a partition of the tasks, or there is no such model.
        """
        super().__init__()
        base, groups = options.get("base", "cnn"), options.get("groups", [])
        _check(groups, list(channels))
        if base not in BASES:
            raise UserError(f"options.base: {base!r} is no model; write one of {', '.join(BASES)}")
        self.networks = nn.ModuleDict(
            {
                "+".join(group): BASES[base]({t: channels[t] for t in group}, image_size, encoder, options, seed)
                for group in groups
            }
        )
        self.tasks = list(channels)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) in [0, 1] to (B, channels, H, W) a task."""
        return self._merged([network(images) for network in self.networks.values()])

    def supervised(self, images: Tensor) -> list[dict[str, Tensor]]:
        """All sets of predictions that the groups' networks want to be supervised, merged set by set."""
        networks = self.networks.values()
        sets = [n.supervised(images) if hasattr(n, "supervised") else (n(images),) for n in networks]
        return [self._merged(of_set) for of_set in zip(*sets, strict=True)]

    def _merged(self, parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        predictions = {t: p for part in parts for t, p in part.items()}
        return {t: predictions[t] for t in self.tasks}


def _check(groups: Sequence[Sequence[str]], tasks: Sequence[str]) -> None:
    """Every task in exactly one group, and no other name."""
    counts = Counter(t for group in groups for t in group)
    if unknown := [t for t in counts if t not in tasks]:
        raise UserError(f"options.groups: {unknown[0]!r} is no task of this model; write one of {', '.join(tasks)}")
    if twice := [t for t, count in counts.items() if count > 1]:
        raise UserError(f"options.groups: {twice[0]!r} stands {counts[twice[0]]} times; keep it in one group")
    if missing := [t for t in tasks if t not in counts]:
        raise UserError(f"options.groups: {missing[0]!r} is in no group; add it to one, or as a group of its own")
    if not all(groups):
        raise UserError("options.groups: a group is empty; take it out")
