import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from mult.evaluation import boundary
from mult.evaluation.boundary import (
    BoundaryScore,
    average_precision,
    best_between,
    correspond,
    image_counts,
    matches,
    nms,
    thin,
    tolerance_pixels,
)
from tests.reference import boundary as reference

skimage_morphology = pytest.importorskip("skimage.morphology")

SIZE = 24
FAST = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 9999)
tolerances = st.sampled_from([0.0, 0.9, 1.0, 1.5, 2.0, 2.9, 4.3])


def noise(seed, size=SIZE, share=0.15):
    return np.random.default_rng(seed).random((size, size)) < share


def curves(seed, size=SIZE, blur=3.0):
    """Thin bool boundaries like an annotator's: where a smooth random map changes its sign."""
    smooth = soft(seed, size, blur)
    return thin((np.sign(smooth[:-1, :-1]) != np.sign(smooth[1:, :-1])) | (smooth[:-1, :-1] * smooth[:-1, 1:] < 0))


def soft(seed, size=SIZE, blur=2.0):
    """A smooth random map with a standard deviation of 1."""
    smooth = cv2.GaussianBlur(np.random.default_rng(seed).normal(size=(size + 1, size + 1)), (0, 0), blur)
    return smooth / smooth.std()


def column(*positions, size=SIZE):
    """Vertical lines at these columns."""
    binary = np.zeros((size, size), bool)
    binary[:, list(positions)] = True
    return binary


def tensors(*maps):
    return torch.tensor(np.stack(maps)[:, None].astype(np.float64))


def binary_score(predicted, true, distance=1.5, thinning="none"):
    """Figures of bool maps (B, H, W)."""
    score = BoundaryScore([0.5], None, max_distance=0, least_distance=distance, thinning=thinning)
    score.update(tensors(*predicted), tensors(*true), torch.ones(len(true), 1, *true[0].shape, dtype=torch.bool))
    return score.compute()


def drawn(pixels):
    binary = np.zeros((5, 5), bool)
    binary.ravel()[list(pixels)] = True
    return binary


few_pixels = st.sets(st.integers(0, 24), max_size=5).map(drawn)


class TestMatching:
    @FAST
    @given(few_pixels, few_pixels, tolerances)
    def test_is_the_best_of_all_choices(self, predicted, true, tolerance):
        best = reference.exhaustive_matching(reference.distances(predicted, true) <= tolerance)
        assert matches(predicted, true, tolerance) == best
        assert reference.largest_matching(predicted, true, tolerance) == best

    @FAST
    @given(seeds, tolerances, st.sampled_from([0.05, 0.3, 0.7]))
    def test_agrees_with_augmenting_paths(self, seed, tolerance, share):
        predicted, true = noise(seed, share=share), noise(seed + 1)
        assert matches(predicted, true, tolerance) == reference.largest_matching(predicted, true, tolerance)

    @pytest.mark.parametrize("share", [0.03, 0.2, 0.6])
    def test_agrees_with_scipy_on_larger_maps(self, share):
        predicted, true = noise(1, 96, share), noise(2, 96, 0.1)
        near = csr_array(reference.distances(predicted, true) <= 4.3)
        known = np.count_nonzero(maximum_bipartite_matching(near, perm_type="column") >= 0)
        assert matches(predicted, true, 4.3) == known

    def test_does_not_depend_on_the_parts_that_pixels_are_looked_up_in(self, monkeypatch):
        predicted, true = noise(3), noise(4)
        whole, pairs = matches(predicted, true, 2.9), correspond(predicted, true, 2.9)
        monkeypatch.setattr(boundary, "GATHERED_AT_ONCE", 100)
        assert matches(predicted, true, 2.9) == whole
        np.testing.assert_array_equal(correspond(predicted, true, 2.9), pairs)

    @pytest.mark.parametrize(("shift", "tolerance", "pairs"), [(0, 0, SIZE), (1, 1, SIZE), (1, 0.99, 0), (3, 2.9, 0)])
    def test_shifted_line(self, shift, tolerance, pairs):
        assert matches(column(10 + shift), column(10), tolerance) == pairs

    def test_diagonal_shift(self):
        line = np.eye(SIZE, dtype=bool)
        shifted = np.eye(SIZE, k=-2, dtype=bool)
        assert matches(shifted, line, 1.42) == SIZE - 2
        assert matches(shifted, line, 0.9) == 0

    def test_a_doubled_line_counts_once(self):
        assert matches(column(9, 11), column(10), 1.5) == SIZE
        counts = image_counts(column(9, 11).astype(float), [column(10)], [0.5], 1.5, "none")
        assert counts.tolist() == [[SIZE, SIZE, SIZE, 2 * SIZE]]

    def test_a_pixel_gives_way_to_one_with_less_choice(self):
        predicted, true = np.zeros((1, 7), bool), np.zeros((1, 7), bool)
        predicted[0, [2, 3]] = true[0, [2, 4]] = True  # both reach 2, and only 3 reaches 4
        predicted[0, 1] = True  # reaches 2 alone
        assert matches(predicted, true, 1) == 2

    def test_long_chain_of_displacements(self):
        predicted, true = np.zeros((1, 400), bool), np.zeros((1, 400), bool)
        predicted[0, 1:], true[0, :-1] = True, True
        assert matches(predicted, true, 1) == 399


class TestAssignment:
    @FAST
    @given(seeds, tolerances, st.sampled_from([noise, curves]))
    def test_agrees_with_the_benchmarks_dense_problem(self, seed, tolerance, draw):
        predicted, true = draw(seed), draw(seed + 1)
        in_pair, found = correspond(predicted, true, tolerance)
        pairs, _ = reference.cheapest_assignment(predicted, true, tolerance)
        assert in_pair.sum() == found.sum() == pairs
        assert not (in_pair & ~predicted).any()
        assert not (found & ~true).any()

    @pytest.mark.parametrize(("size", "seeds"), [(24, range(20)), (64, range(3))])
    @pytest.mark.parametrize("tolerance", [1.5, 4.3])
    def test_its_number_of_pairs_is_the_largest(self, size, seeds, tolerance):
        for seed in seeds:
            predicted, true = curves(seed, size), curves(seed, size, 3.3)
            assert correspond(predicted, true, tolerance)[0].sum() == matches(predicted, true, tolerance)

    def test_it_gives_up_a_pair_that_would_displace_more_than_a_hundred(self):
        for pixels, lost in ((90, 0), (150, 1)):
            predicted, true = np.zeros((1, pixels + 1), bool), np.zeros((1, pixels + 1), bool)
            predicted[0, 1:] = true[0, :-1] = True
            assert matches(predicted, true, 1) == pixels
            assert correspond(predicted, true, 1)[0].sum() == pixels - lost

    def test_it_prefers_near_pixels(self):
        in_pair, found = correspond(column(10, 12), column(10), 2)
        np.testing.assert_array_equal(in_pair, column(10))
        np.testing.assert_array_equal(found, column(10))

    def test_nothing_to_pair(self):
        empty = np.zeros((4, 4), bool)
        for predicted, true in ((empty, empty), (~empty, empty), (empty, ~empty)):
            assert not np.any(correspond(predicted, true, 1.5))


class TestThinning:
    @FAST
    @given(seeds, st.sampled_from([0.2, 0.5, 0.8, 1.0]))
    def test_agrees_with_scikit_image(self, seed, share):
        maps = np.stack([noise(seed, share=share), noise(seed + 1, share=share), soft(seed, SIZE - 1) > 0])
        expected = np.stack([skimage_morphology.thin(binary) for binary in maps])
        np.testing.assert_array_equal(thin(maps), expected)
        np.testing.assert_array_equal(thin(maps[0]), expected[0])

    def test_blobs_and_empty_maps(self):
        blob = np.zeros((40, 50), bool)
        blob[5:35, 8:40] = True
        np.testing.assert_array_equal(thin(blob), skimage_morphology.thin(blob))
        assert not thin(np.zeros((5, 5), bool)).any()
        assert thin(np.zeros((0, 5, 5), bool)).shape == (0, 5, 5)

    def test_a_thick_line_becomes_one_pixel_wide(self):
        assert (thin(column(9, 10, 11))[2:-2].sum(1) == 1).all()
        assert binary_score([column(9, 10, 11)], [column(10)], 0, "none")["ods_precision"] == pytest.approx(1 / 3)
        thinned = binary_score([column(9, 10, 11)], [column(10)], 0, "morphological")
        assert thinned["ods_precision"] == 1
        assert thinned["ods_recall"] > 0.9


class TestSuppression:
    @pytest.mark.parametrize("angle", [0, 0.3, np.pi / 4, 1.2, np.pi / 2, 2.5])
    def test_a_ridge_keeps_its_crest(self, angle):
        y, x = np.indices((41, 41)) - 20.0
        distance = np.cos(angle) * x + np.sin(angle) * y
        crest = nms(np.exp(-(distance**2) / 8)) > 0.1
        inside = crest[3:-3, 3:-3]
        assert np.abs(distance[3:-3, 3:-3][inside]).max() < 0.8
        assert 33 <= inside.sum() <= 1.5 * 35

    def test_a_crest_two_pixels_wide_keeps_one(self):
        ridge = np.exp(-((np.arange(20) - 9.5) ** 2) / 8) * np.ones((20, 1))
        assert np.count_nonzero(nms(ridge), axis=1).tolist() == [0, *[1] * 18, 0]

    def test_values_stay_and_constant_maps_go(self):
        strength = soft(1, 40)
        kept = nms(strength)
        assert set(kept.ravel()) <= {0, *strength.ravel()}
        assert 0.02 < np.count_nonzero(kept) / kept.size < 0.4
        for value in (0, 0.3, 1):
            assert not nms(np.full((20, 20), value)).any()

    def test_turned_maps_give_turned_crests(self):
        strength = soft(2, 40)
        turned = np.rot90(nms(np.rot90(strength).copy()), -1)
        assert np.mean((turned > 0) != (nms(strength) > 0)) < 0.01


class TestScore:
    @pytest.mark.parametrize("thinning", ["none", "morphological"])
    def test_agrees_with_the_definition(self, thinning):
        thresholds = [0.2, 0.6, 1.0, 1.4]
        maps, truths = [soft(s, 16) for s in range(4)], [curves(s, 17, 2.0) for s in range(9, 13)]
        score = BoundaryScore(thresholds, None, 0, 1.5, thinning)
        score.update(tensors(*maps), tensors(*truths), torch.ones(4, 1, 17, 17, dtype=torch.bool))
        thinned = skimage_morphology.thin if thinning == "morphological" else np.array
        expected = reference.scores([[thinned(m >= t) for t in thresholds] for m in maps], truths, 1.5)
        figures = score.compute()
        assert {name: figures[name] for name in expected} == pytest.approx(expected, abs=1e-12)

    @pytest.mark.parametrize("thinning", ["nms", "none"])
    def test_one_growing_matching_serves_all_thresholds(self, thinning):
        strength, true, thresholds = soft(5, 40), curves(6, 41), np.linspace(0.05, 2, 9)
        together = image_counts(strength, [true], thresholds, 2.0, thinning)
        apart = np.concatenate([image_counts(strength, [true], [t], 2.0, thinning) for t in thresholds])
        np.testing.assert_array_equal(together, apart)
        crest = nms(strength) if thinning == "nms" else strength
        for row, threshold in zip(together, thresholds, strict=True):
            pairs = reference.largest_matching(crest >= threshold, true, 2.0)
            assert row.tolist() == [pairs, true.sum(), pairs, (crest >= threshold).sum()]

    @FAST
    @given(seeds, tolerances)
    def test_swapping_swaps_precision_and_recall(self, seed, tolerance):
        one, other = noise(seed), curves(seed, SIZE)
        one = one[: len(other), : len(other)]
        forward, backward = binary_score([one], [other], tolerance), binary_score([other], [one], tolerance)
        assert forward["ods_precision"] == backward["ods_recall"]
        assert forward["ods_recall"] == backward["ods_precision"]
        assert forward["ods_f"] == pytest.approx(backward["ods_f"])

    @FAST
    @given(seeds, st.sampled_from(["nms", "morphological", "both", "none"]))
    def test_figures_are_shares_and_a_larger_tolerance_never_lowers_f(self, seed, thinning):
        target, prediction = np.abs(soft(seed)), soft(seed) + 0.7 * soft(seed + 1)
        before = 0.0
        for distance in (0, 1, 1.5, 3):
            score = BoundaryScore(7, 0.8, 0, distance, thinning)
            score.update(tensors(prediction), tensors(target), torch.ones(1, 1, *target.shape, dtype=torch.bool))
            figures = score.compute()
            assert all(0 <= figures[name] <= 1 for name in figures if name != "ods_threshold")
            assert figures["ods_f"] >= before
            before = figures["ods_f"]

    @FAST
    @given(seeds, st.sampled_from(["nms", "morphological", "both", "none"]), st.booleans())
    def test_a_perfect_prediction_has_f_1(self, seed, thinning, holes):
        target = np.abs(soft(seed))
        mask = torch.tensor(noise(seed, SIZE + 1, 0.8) | (not holes))[None, None]
        score = BoundaryScore(5, 0.4, least_distance=0, thinning=thinning)
        score.update(tensors(target), tensors(target), mask)
        figures = score.compute()
        assert figures["ods_f"] == figures["ois_f"] == 1
        assert figures["ods_threshold"] == 0.4
        assert score.errors == [0]

    def test_images_add_up(self):
        maps, truths = [soft(s) for s in range(5)], [np.abs(soft(s + 1)) for s in range(5)]
        mask = torch.ones(5, 1, SIZE + 1, SIZE + 1, dtype=torch.bool)
        whole, parts = BoundaryScore(5, 0.8), BoundaryScore(5, 0.8)
        whole.update(tensors(*maps), tensors(*truths), mask)
        for part in (slice(0, 1), slice(1, 5)):
            parts.update(tensors(*maps[part]), tensors(*truths[part]), mask[part])
        assert whole.compute() == parts.compute()
        assert whole.errors == parts.errors
        alone = []
        for prediction, truth in zip(maps, truths, strict=True):
            single = BoundaryScore(5, 0.8)
            single.update(tensors(prediction), tensors(truth), mask[:1])
            alone.append(single.counts)
        np.testing.assert_array_equal(whole.counts, sum(alone))

    def test_the_best_threshold_of_each_image_is_at_least_as_good(self):
        weak, strong = 0.3 * column(10), 0.9 * column(10)
        clutter = 0.5 * column(3)
        score = BoundaryScore([0.2, 0.4, 0.6, 0.8], None, thinning="none")
        for strength in (weak, strong + clutter):
            score.add_image(strength, [column(10)])
        figures = score.compute()
        assert figures["ois_f"] == 1
        assert figures["ods_f"] == pytest.approx(0.8)
        assert score.errors == [0, 0]

    def test_soft_labels_are_thin_and_cut_at_the_threshold(self):
        x = np.arange(40.0)
        label = (0.3 * np.exp(-((x - 10) ** 2) / 8) + 0.1 * np.exp(-((x - 30) ** 2) / 8)) * np.ones((40, 1))
        score = BoundaryScore([0.05, 0.2], 0.25)
        score.update(tensors(label), tensors(label), torch.ones(1, 1, 40, 40, dtype=torch.bool))
        assert score.thresholds.tolist() == [0.05, 0.2, 0.25]
        assert score.counts[:, boundary.TRUE].tolist() == [38, 38, 38]
        assert score.counts[:, boundary.PREDICTED].tolist() == [76, 38, 38]

    def test_annotators(self):
        """Recall sums over annotators; a predicted pixel is right if one of them has it, and counts once."""
        truths = [column(5), column(5, 15), np.zeros((SIZE, SIZE), bool)]
        counts = image_counts(column(5, 6, 18).astype(float), truths, [0.5], 1.5, "none")
        assert counts.tolist() == [[2 * SIZE, 3 * SIZE, SIZE, 3 * SIZE]]
        score = BoundaryScore([0.5], None, thinning="none")
        target = torch.tensor(np.stack(truths))[None].double()
        score.update(tensors(column(5, 6, 18)), target, torch.ones(1, 1, SIZE, SIZE, dtype=torch.bool))
        assert score.compute()["ods_recall"] == pytest.approx(2 / 3)
        assert score.compute()["ods_precision"] == pytest.approx(1 / 3)

    def test_one_annotator_twice_is_that_annotator(self):
        strength, true = soft(3), curves(4, SIZE + 1)
        for thinning in ("nms", "both"):
            once = image_counts(strength, [true], [0.3, 0.9], 1.5, thinning)
            twice = image_counts(strength, [true, true], [0.3, 0.9], 1.5, thinning)
            np.testing.assert_array_equal(twice, once * [2, 2, 1, 1])

    def test_masked_pixels_count_nowhere(self):
        mask = np.ones((SIZE, SIZE), bool)
        mask[: SIZE // 2] = False
        counts = image_counts(column(5, 12).astype(float), [column(5)], [0.5], 0, "none", mask)
        assert counts.tolist() == [[SIZE // 2, SIZE // 2, SIZE // 2, SIZE]]
        label = np.where(mask, 0.5 * column(5), np.nan)
        score = BoundaryScore(thinning="none")
        score.update(tensors(column(5)), tensors(label), torch.tensor(mask)[None, None])
        assert score.compute()["ods_f"] == 1


class TestOddInputs:
    @pytest.mark.parametrize("thinning", ["nms", "morphological", "both", "none"])
    @pytest.mark.parametrize("value", [0, 0.5, 1])
    def test_constant_maps(self, value, thinning):
        score = BoundaryScore(thinning=thinning)
        label = np.exp(-((np.arange(SIZE) - 10.0) ** 2) / 8) * np.ones((SIZE, 1))
        score.update(tensors(np.full((SIZE, SIZE), value)), tensors(label), torch.ones(1, 1, SIZE, SIZE) > 0)
        figures = score.compute()
        assert np.isfinite(list(figures.values())).all()
        if value == 0 or thinning in ("nms", "both"):
            assert figures["ods_f"] == figures["ois_f"] == figures["ods_precision"] == figures["ap"] == 0

    def test_nothing_predicted(self):
        assert binary_score([np.zeros((8, 8), bool)], [column(4, size=8)])["ods_f"] == 0

    def test_images_without_a_boundary(self):
        score = BoundaryScore([0.2, 0.5, 0.9], None, thinning="none")
        empty = np.zeros((SIZE, SIZE), bool)
        score.add_image(0.6 * column(3), [empty])
        assert score.compute()["ods_f"] == score.compute()["ois_f"] == 0
        assert np.isnan(score.errors).all()
        score.add_image(0.6 * column(3), [column(3)])
        figures = score.compute()
        assert figures["ois_f"] == 1  # at its best threshold the first image has no predicted pixel
        assert figures["ods_f"] == pytest.approx(2 / 3)

    def test_all_masked(self):
        score = BoundaryScore()
        score.update(tensors(column(3)), tensors(column(3)), torch.zeros(1, 1, SIZE, SIZE, dtype=torch.bool))
        assert score.compute() == {}
        assert np.isnan(score.errors).all()

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_predictions_that_are_not_finite(self, value):
        prediction = np.full((SIZE, SIZE), value)
        with pytest.raises(FloatingPointError, match="not finite"):
            BoundaryScore().update(tensors(prediction), tensors(column(3)), torch.ones(1, 1, SIZE, SIZE) > 0)
        with pytest.raises(FloatingPointError, match="not finite"):
            BoundaryScore().add_image(prediction, [column(3)])

    @pytest.mark.parametrize(
        "settings",
        [
            {"thresholds": 0},
            {"thresholds": [0.5, 0]},
            {"truth_threshold": 0.0},
            {"max_distance": -1},
            {"least_distance": -1},
            {"thinning": "x"},
        ],
    )
    def test_settings_that_make_no_sense(self, settings):
        with pytest.raises(ValueError, match="but"):
            BoundaryScore(**settings)

    def test_images_of_one_pixel(self):
        score = BoundaryScore(3, None, thinning="both")
        score.add_image(np.ones((1, 1)), [np.ones((1, 1), bool)])
        assert score.counts[:, boundary.TRUE].tolist() == [1, 1, 1]


def test_tolerances():
    assert tolerance_pixels((321, 481)) == pytest.approx(4.337, abs=1e-3)
    assert tolerance_pixels((425, 560), boundary.NYUD_DISTANCE) == pytest.approx(7.733, abs=1e-3)
    assert tolerance_pixels((64, 64), least=1.5) == 1.5


def test_default_thresholds():
    soft_label, annotated = BoundaryScore(), BoundaryScore(99, None)
    assert len(soft_label.thresholds) == 16
    assert soft_label.thresholds[[0, 9, 15]].tolist() == pytest.approx([0.125 / 8, 0.125, 0.5])
    assert soft_label.truth_threshold in soft_label.thresholds
    np.testing.assert_allclose(annotated.thresholds, np.linspace(0.01, 0.99, 99))


def test_f_between_thresholds():
    """Precision 1 at recall 0.2 and 0.2 at 1 meet in F 1/3; halfway between them both are 0.6."""
    f, precision, recall, threshold = best_between(np.array([0.2, 1]), np.array([1, 0.2]), np.array([0.1, 0.5]))
    assert f == pytest.approx(0.6, abs=1e-4)
    assert (precision, recall) == pytest.approx((0.6, 0.6), abs=0.005)
    assert threshold == pytest.approx(0.3, abs=0.003)
    assert best_between(np.array([0.5]), np.array([0.5]), np.array([0.1])) == (0.5, 0.5, 0.5, 0.1)


def test_average_precision():
    assert average_precision(np.array([0.5, 1, 0]), np.array([1, 0.5, 0])) == pytest.approx(
        (sum(2 * r / 100 for r in range(51)) + sum(1.5 - r / 100 for r in range(51, 101))) / 100
    )
    assert average_precision(np.array([1.0]), np.array([1.0])) == 0
