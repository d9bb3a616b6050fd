"""Cross-task consistency: a prediction, translated to another task, should meet that task's label."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from mult import params
from mult.data.classes import VOID
from mult.models.initialise import seeded
from mult.training.losses import cross_entropy, l1


class Translator(nn.Module):
    """f_ab: one task's map to another's, (B, C_a, H, W) to (B, C_b, H, W); a UNet of two levels.

    Without norms: labels and predictions are spread differently, and the absolute value matters (depth).
    """

    def __init__(self, channels: int, channels_out: int, width: int):
        super().__init__()
        self.fine = nn.Conv2d(channels, width, 3, padding=1)
        self.down = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.coarse = nn.Conv2d(2 * width, width, 3, padding=1)
        self.join = nn.Conv2d(2 * width, width, 3, padding=1)
        self.head = nn.Conv2d(width, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Any H and W."""
        fine = self.fine(x).relu()
        coarse = self.coarse(self.down(fine).relu()).relu()
        coarse = F.interpolate(coarse, fine.shape[-2:], mode="bilinear", align_corners=False)
        return self.head(self.join(torch.cat([fine, coarse], 1)).relu())


class Consistency(nn.Module):
    """An extra loss that ties the predictions of pairs of tasks (X-TC, Zamir et al. 2020).

    For each pair (a, b), with f_ab a small network and y the labels, it is the mean over pairs of

        |f_ab(prediction of a) - y_b| + |f_ab(y_a) - y_b|

    The first term teaches a's prediction alone: f_ab is held fixed in it, else it would learn to excuse the
    prediction's errors. The second teaches f_ab alone. Both count where a and b have labels; elsewhere f_ab's input is
    zero. Where b is semseg, cross-entropy takes the place of L1; where a is, f_ab sees a softmax or one-hot labels.

    Simplified against the paper: it trains f_ab beforehand, to the end, and then freezes it, while here both are
    learnt at once, so early on the first term says little; its f_ab are large networks; to be fair where b cannot be
    told from a, it ends by comparing with f_ab(y_a) in place of y_b; and it also chains f_ab to longer paths.
    """

    def __init__(self, channels: Mapping[str, int], settings: params.Consistency, seed: int):
        """``channels``: outputs a task; ``settings``: the section of params.yaml."""
        super().__init__()
        self.channels, self.pairs = dict(channels), [tuple(pair) for pair in settings.pairs]
        self.weight, width = settings.weight, settings.width
        self.translators = nn.ModuleDict(
            {
                f"{a}->{b}": seeded((seed, "consistency", a, b), Translator, channels[a], channels[b], width)
                for a, b in self.pairs
            }
        )

    def forward(
        self, predictions: Mapping[str, Tensor], targets: Mapping[str, Tensor], masks: Mapping[str, Tensor]
    ) -> Tensor:
        """A scalar, weighted.

        ``predictions``: (B, C, H, W) a task; ``targets``: the same in training units, class ids (B, H, W) for semseg;
        ``masks``: (B, 1, H, W) bool, where a target means something.
        """
        terms = []
        for a, b in self.pairs:
            translate = self.translators[f"{a}->{b}"]
            frozen = {name: weights.detach() for name, weights in translate.named_parameters()}
            guess = predictions[a].float().softmax(1) if a == "semseg" else predictions[a].float()
            truth = self._one_hot(targets[a]) if a == "semseg" else targets[a]
            consistent = functional_call(translate, frozen, (guess.where(masks[a], 0),))
            translated = translate(truth.where(masks[a], 0))
            both = masks[a] & masks[b]
            terms += [_distance(b, x, targets[b], both) for x in (consistent, translated)]
        return self.weight * torch.stack(terms).sum() / len(self.pairs)

    def _one_hot(self, ids: Tensor) -> Tensor:
        """Class ids (B, H, W) to (B, classes, H, W)."""
        return F.one_hot(ids, self.channels["semseg"]).movedim(-1, 1).float()


def _distance(task: str, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    if task == "semseg":
        return cross_entropy(prediction, target.where(mask[:, 0], VOID), mask)
    return l1(prediction, target, mask)
