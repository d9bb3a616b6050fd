import pytest
import torch
from pydantic import ValidationError
from torch import nn

from mult import params
from mult.baselines.consistency import Consistency
from mult.data.classes import VOID
from mult.tasks import TASKS, outputs

CHANNELS = outputs(list(TASKS), 4)
ALL_PAIRS = [(a, b) for a in TASKS for b in TASKS if a != b]


def make(*pairs, seed=0):
    return Consistency(
        CHANNELS, params.Consistency(weight=1.0, width=8, pairs=list(map(list, pairs or ALL_PAIRS))), seed
    )


def labels(batch=2, height=16, width=20):
    """Targets and masks of all tasks, with an invalid corner; edges equal reshading, keypoints are two less."""
    generator = torch.Generator().manual_seed(0)
    targets = {t: torch.rand(batch, n, height, width, generator=generator) for t, n in CHANNELS.items()}
    targets |= {"edges": targets["reshading"].clone(), "keypoints": targets["reshading"] - 2}
    masks = {t: torch.ones(batch, 1, height, width, dtype=torch.bool) for t in CHANNELS}
    for mask in masks.values():
        mask[:, :, :4, :4] = False
    ids = torch.randint(1, 4, (batch, height, width), generator=generator)
    targets["semseg"] = ids.where(masks["semseg"][:, 0], VOID)
    return targets, masks


def guesses(seed=1):
    generator = torch.Generator().manual_seed(seed)
    return {t: torch.randn(2, n, 16, 20, generator=generator).requires_grad_() for t, n in CHANNELS.items()}


def copying(*pairs):
    """A loss whose translators return what they are given, for maps that are positive."""
    consistency = make(*pairs)
    for weights in consistency.parameters():
        nn.init.zeros_(weights)
    for translate in consistency.translators.values():
        for layer in (translate.fine, translate.join):
            layer.weight.data[0, 0, 1, 1] = 1.0
        translate.head.weight.data[:, 0] = 1.0
    return consistency


def test_zero_where_predictions_agree_with_the_other_task():
    consistency, (targets, masks) = copying(("reshading", "edges"), ("edges", "reshading")), labels()
    assert consistency(targets, targets, masks) == 0
    # f is exact, so what remains is how far off the one prediction is; the mean over two pairs halves it.
    off = {"reshading": targets["reshading"], "edges": targets["edges"] + 0.5}
    assert consistency(off, targets, masks).item() == pytest.approx(0.25, rel=1e-5)


def test_both_terms_count_the_translator_s_own_error():
    consistency, (targets, masks) = copying(("reshading", "keypoints")), labels()
    assert consistency(targets, targets, masks).item() == pytest.approx(2 + 2, rel=1e-5)


def test_zero_without_labels():
    targets, masks = labels()
    targets["semseg"] = torch.full_like(targets["semseg"], VOID)
    empty = {t: torch.zeros_like(mask) for t, mask in masks.items()}
    loss = make()(guesses(), targets, empty)
    assert loss == 0
    loss.backward()


def test_pixels_without_labels_do_not_count():
    consistency, (targets, masks) = make(("depth", "normal"), ("semseg", "depth")), labels()
    spoilt = {t: targets[t].where(masks[t], 1e9) for t in ("depth", "normal")}
    assert torch.equal(*[consistency(guesses(), t, masks) for t in (targets, targets | spoilt)])


@pytest.mark.parametrize(("a", "b"), [("depth", "normal"), ("semseg", "edges"), ("normal", "semseg")])
def test_the_gradient_reaches_the_first_task_s_prediction(a, b):
    predictions, (targets, masks) = guesses(), labels()
    make((a, b))(predictions, targets, masks).backward()
    reached = predictions[a].grad
    assert reached.any()
    assert not reached[..., :4, :4].any(), "an unlabelled corner teaches nothing"
    assert all(p.grad is None for t, p in predictions.items() if t != a)


def test_the_gradient_reaches_the_translators_from_labels_alone():
    targets, masks = labels()
    found = []
    for seed in (1, 2):
        consistency = make()
        consistency(guesses(seed), targets, masks).backward()
        found.append([p.grad for p in consistency.parameters()])
    assert all(gradient.any() for gradient in found[0])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True)), "predictions must not teach f to excuse them"


@pytest.mark.slow
def test_learnt_jointly_it_pulls_predictions_to_the_labels():
    """Without a loss of its own a prediction moves towards its label, by what the other task's label tells of it.

    Not all the way: f is taught on labels alone, and far from them other inputs may have the same translation.
    """
    torch.set_num_threads(1)
    targets, masks = labels()
    consistency = make(("reshading", "edges"), ("normal", "semseg"))
    targets["semseg"] = (1 + targets["normal"].argmax(1)).where(masks["semseg"][:, 0], VOID)
    prediction = torch.zeros_like(targets["reshading"]).requires_grad_()
    predictions = {"reshading": prediction, "normal": torch.zeros_like(targets["normal"]).requires_grad_()}
    optimiser = torch.optim.Adam([*consistency.parameters(), *predictions.values()], 1e-2)
    losses = []
    for _ in range(300):
        optimiser.zero_grad()
        losses.append(consistency(predictions, targets, masks))
        losses[-1].backward()
        optimiser.step()
    assert losses[-1] < 0.15 * losses[0]
    mask = masks["reshading"]
    error = (prediction - targets["reshading"]).abs()[mask].mean()
    assert error < 0.6 * targets["reshading"].abs()[mask].mean()


def test_odd_sizes_and_seeds():
    consistency = make(("semseg", "normal"))
    size = (1, 4, 17, 9)
    f = consistency.translators["semseg->normal"]
    assert f(torch.rand(size)).shape == (1, 3, 17, 9)
    again, other = make(("depth", "normal"), ("semseg", "normal")), make(("semseg", "normal"), seed=1)
    same = again.translators["semseg->normal"].state_dict()
    assert all(torch.equal(w, same[name]) for name, w in f.state_dict().items())
    assert not torch.equal(f.fine.weight, other.translators["semseg->normal"].fine.weight)


@pytest.mark.parametrize("pairs", [[], [["depth", "depth"]], [["depth", "colour"]], [["depth"]]])
def test_wrong_pairs(pairs):
    with pytest.raises(ValidationError, match="pairs"):
        params.Consistency(weight=1.0, width=8, pairs=pairs)
