import numpy as np
import pytest
import sklearn.metrics
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mult.data.batches import Batch
from mult.data.classes import class_map
from mult.evaluation import metrics
from mult.evaluation.metrics import Depth, Map, Median, Metric, Normals, Segmentation
from mult.evaluation.score import Score
from mult.models.torchvision_ops import declare_missing

declare_missing()  # torchmetrics imports torchvision where it finds it
torchmetrics = pytest.importorskip("torchmetrics")

SCALE = 4.0  # metres a training unit of depth


def batches(rng, channels, images=5, size=6, mask_share=0.8):
    """Predictions, targets and masks, split into uneven batches."""
    prediction = torch.tensor(rng.normal(size=(images, channels, size, size)))
    target = torch.tensor(rng.normal(size=(images, channels, size, size)))
    mask = torch.tensor(rng.random((images, 1, size, size)) < mask_share)
    return prediction, target, mask


def fed(metric: Metric, prediction, target, mask):
    for part in (slice(0, 2), slice(2, None)):
        metric.update(prediction[part], target[part], mask[part])
    return metric


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 9999))
def test_segmentation_agrees_with_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    prediction = torch.tensor(rng.normal(size=(4, 5, 6, 6)))
    target = torch.tensor(rng.integers(0, 4, (4, 6, 6)))  # class 4 never occurs
    figures = fed(Segmentation(5), prediction, target, (target != 0)[:, None]).compute()
    known = target.flatten() != 0
    guess = (prediction[:, 1:].argmax(1) + 1).flatten()[known]
    truth = target.flatten()[known]
    present = sorted(set(truth.tolist()))
    assert figures["miou"] == pytest.approx(
        sklearn.metrics.jaccard_score(truth, guess, labels=present, average="macro"), abs=1e-12
    )
    assert figures["pixel_accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(truth, guess), abs=1e-12)
    expected = torch.nn.functional.cross_entropy(prediction, target, ignore_index=0)
    assert figures["cross_entropy"] == pytest.approx(float(expected), abs=1e-9)


def test_classes_without_a_counterpart_are_ignored_not_wrong():
    table = class_map(("void", "sky", "wall"), ("void", "floor", "wall"))
    metric = Segmentation(3, table)
    target = torch.tensor([[[1, 2], [2, 1]]])  # sky has no counterpart
    prediction = torch.zeros(1, 3, 2, 2)
    prediction[:, 2] = 1  # wall everywhere
    metric.update(prediction, target, (target != 0)[:, None])
    assert metric.compute()["miou"] == metric.compute()["pixel_accuracy"] == 1
    assert metric.errors == [0.0]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 9999))
def test_depth_agrees_with_torchmetrics_and_numpy(seed):
    rng = np.random.default_rng(seed)
    prediction, target, mask = batches(rng, 1)
    prediction, target = prediction.abs() + 0.05, target.abs() + 0.05
    figures = fed(Depth(), prediction, target, mask).compute()
    p, t = (prediction[mask] * SCALE).numpy(), (target[mask] * SCALE).numpy()
    rmse = torchmetrics.MeanSquaredError(squared=False).set_dtype(torch.double)
    assert figures["rmse"] == pytest.approx(float(rmse(torch.tensor(p), torch.tensor(t))), rel=1e-9)
    assert figures["rmse"] == pytest.approx(sklearn.metrics.root_mean_squared_error(t, p), rel=1e-9)
    assert figures["l1"] == pytest.approx(sklearn.metrics.mean_absolute_error(t, p), rel=1e-9)
    assert figures["abs_rel"] == pytest.approx(np.mean(abs(p - t) / t), rel=1e-9)
    for k in (1, 2, 3):
        assert figures[f"delta{k}"] == pytest.approx(np.mean(np.maximum(p / t, t / p) < 1.25**k), rel=1e-9)
    per_image = [
        np.sqrt(np.mean((SCALE * (p[m] - t[m]).numpy()) ** 2)) for p, t, m in zip(prediction, target, mask, strict=True)
    ]
    assert figures["rmse_image_mean"] == pytest.approx(np.mean(per_image), rel=1e-9)


def test_scale_aligned_depth_forgives_the_scale_of_each_image():
    _, target, mask = batches(np.random.default_rng(0), 1)
    target = target.abs() + 1
    prediction = target * torch.tensor([0.5, 2, 3, 4, 0.1]).view(-1, 1, 1, 1)
    figures = fed(Depth(), prediction, target, mask).compute()
    assert figures["rmse_aligned"] == pytest.approx(0, abs=1e-9)
    assert figures["abs_rel_aligned"] == pytest.approx(0, abs=1e-9)
    assert figures["rmse"] > 1


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 9999))
def test_normals_agree_with_arc_cosines(seed):
    prediction, target, mask = batches(np.random.default_rng(seed), 3)
    figures = fed(Normals(), prediction, target, mask).compute()
    cosine = torch.nn.functional.cosine_similarity(prediction, target, dim=1)[mask[:, 0]].clamp(-1, 1)
    angles = np.degrees(np.arccos(cosine.numpy()))
    assert figures["mean_deg"] == pytest.approx(angles.mean(), abs=1e-6)
    assert figures["median_deg"] == pytest.approx(np.median(angles), abs=1e-6)
    for name, limit in (("within_11_25", 11.25), ("within_22_5", 22.5), ("within_30", 30)):
        assert figures[name] == pytest.approx((angles < limit).mean(), abs=1e-9)


def test_a_median_of_many_is_right_to_half_a_bin(monkeypatch):
    monkeypatch.setattr(metrics, "EXACT_PIXELS", 100)
    values = torch.tensor(np.random.default_rng(0).gamma(2.0, 8.0, 20_001)).clamp(max=180)
    exact, counted = Median(180, 0.01), Median(180, 0.01)
    exact.add(values[:99])
    for part in values.split(999):
        counted.add(part)
    assert not counted.kept
    assert exact.compute() == np.median(values[:99])
    assert counted.compute() == pytest.approx(np.median(values), abs=0.005 + 1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 9999))
def test_maps_agree_with_numpy(seed):
    prediction, target, mask = batches(np.random.default_rng(seed), 1)
    figures = fed(Map(), prediction, target, mask).compute()
    p, t = prediction[mask].numpy(), target[mask].numpy()
    assert figures["l1"] == pytest.approx(sklearn.metrics.mean_absolute_error(t, p), rel=1e-9)
    assert figures["correlation"] == pytest.approx(np.corrcoef(p, t)[0, 1], abs=1e-9)


def test_a_constant_map_has_no_correlation():
    metric = Map()
    metric.update(torch.full((1, 1, 4, 4), 0.3), torch.rand(1, 1, 4, 4), torch.ones(1, 1, 4, 4, dtype=torch.bool))
    assert metric.compute()["correlation"] == 0


@pytest.mark.parametrize("task", ["semseg", "depth", "normal", "edges"])
def test_empty_masks_and_bad_predictions(task):
    channels = {"semseg": 3, "normal": 3}.get(task, 1)
    target = torch.zeros(2, 4, 4, dtype=torch.long) if task == "semseg" else torch.ones(2, channels, 4, 4)
    mask = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    score = Score([task], 3)
    score.update({task: torch.ones(2, channels, 4, 4)}, Batch(torch.zeros(2, 3, 4, 4), {task: target}, {task: mask}))
    assert score.compute() == {}
    assert np.isnan(score.metrics[task].errors).all()
    with pytest.raises(FloatingPointError, match="not finite"):
        score.update(
            {task: torch.full((2, channels, 4, 4), torch.nan)},
            Batch(torch.zeros(2, 3, 4, 4), {task: target}, {task: mask}),
        )


def test_errors_are_one_number_an_image():
    prediction, target, mask = batches(np.random.default_rng(1), 1)
    mask[3] = False
    errors = fed(Map(), prediction, target, mask).errors
    assert len(errors) == 5
    assert np.isnan(errors[3])
    assert errors[0] == pytest.approx(float((prediction[0] - target[0]).abs()[mask[0]].mean()))
