"""Statistics of paired errors. ``python -m tests.evaluation.test_stats`` prints coverage and type-I errors."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr, stdtrit
from scipy.stats import chi2, ttest_1samp

from mult.evaluation import stats
from mult.evaluation.stats import (
    Components,
    Interval,
    bootstrap_interval,
    crossed_test,
    group_means,
    holm,
    image_test,
    interval,
    permutation_test,
    smallest_detectable,
    variance_components,
    verdict,
)

SEEDS = (2, 3, 5, 10)
IMAGES = 100
REPETITIONS = 20_000  # a coverage of 95 % is then known to 0.15 % (one binomial standard error)
ALLOWED = 0.01  # departure from the nominal level
DRAWS = 20_000  # of mean squares, given which probabilities are exact

# Variances of seeds, images and interaction. The mean over S seeds and 100 images has 1/S, 1/100 and 1/(100 S) of them.
REGIMES = {
    "seeds dominate": (1, 1, 1),
    "images dominate": (0.001, 10, 1),
    "both alike": (1, 100 / 3, 10),
    "interaction only": (0, 0, 1),
    "heavy-tailed images": (0.2, 20, 1),
}
# Promised by nobody; shown by the table.
BEYOND = {"skewed images": (0.001, 10, 1), "heavy-tailed seeds": (1, 1, 1), "one seed in ten fails": (1, 1, 1)}


def normal(rng, shape):
    return rng.standard_normal(shape)


def heavy_tailed(rng, shape):
    """t with 3 degrees of freedom, the least whole number with a variance, scaled to variance 1."""
    return rng.standard_t(3, shape) / 3**0.5


def skewed(rng, shape):
    """Lognormal, centred and scaled to variance 1."""
    return (rng.lognormal(0, 1, shape) - np.exp(0.5)) / np.sqrt((np.e - 1) * np.e)


def rare(rng, shape):
    """Zero but for one in ten, centred and scaled to variance 1."""
    return ((rng.random(shape) < 0.1) - 0.1) / 0.3


SHAPES = {
    "heavy-tailed images": (normal, heavy_tailed),
    "skewed images": (normal, skewed),
    "heavy-tailed seeds": (heavy_tailed, normal),
    "one seed in ten fails": (rare, normal),
}


def effects(rng, regime: str, repetitions: int, seeds: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Seed, image and interaction effects of mean 0, to be added up to (repetitions, seeds, IMAGES) differences."""
    of_seeds, of_images = SHAPES.get(regime, (normal, normal))
    seed, image, interaction = np.sqrt((REGIMES | BEYOND)[regime])
    return (
        seed * of_seeds(rng, (repetitions, seeds, 1)),
        image * of_images(rng, (repetitions, 1, IMAGES)),
        interaction * normal(rng, (repetitions, seeds, IMAGES)),
    )


def coverage(regime: str, seeds: int, repetitions: int = REPETITIONS) -> tuple[float, float]:
    """Share of 95 % intervals that contain the true mean, and their mean length in standard errors of the mean."""
    rng = np.random.default_rng(seeds)
    covered, lengths = [], []
    for _ in range(repetitions // 1000):
        d = sum(effects(rng, regime, 1000, seeds))
        half = stats._half_width(stats._squares(d), 0.05)
        covered.append(np.abs(d.mean((1, 2))) <= half)
        lengths.append(2 * half)
    seed, image, interaction = (REGIMES | BEYOND)[regime]
    error = np.sqrt((seed + interaction / IMAGES) / seeds + image / IMAGES)
    return float(np.mean(covered)), float(np.mean(lengths) / error)


def bootstrap_coverage(regime: str, seeds: int, repetitions: int = 2000) -> float:
    """The same share of 95 % percentile bootstraps."""
    rng = np.random.default_rng(seeds)
    covered = []
    for _ in range(repetitions // 100):  # resamples are shared by a hundred repetitions
        means = stats._resampled_means(sum(effects(rng, regime, 100, seeds)), 500, rng)
        low, high = np.quantile(means, [0.025, 0.975], axis=1)
        covered.append((low <= 0) & (high >= 0))
    return float(np.mean(covered))


def mixtures(width, seeds: int, images: int, alpha: float) -> list[float]:
    """Share of means beyond ``width`` (a function of mean squares and alpha) for 45 ratios of the three variances.

    Effects are normal, and their mean squares drawn directly; those of the seeds, on which rare errors hang, evenly.
    """
    rng = np.random.default_rng(seeds)
    even = chi2.ppf((np.arange(DRAWS) + 0.5) / DRAWS, seeds - 1)
    out = []
    for interaction in (0, 0.1, 0.3, 1, 3):  # variance of the mean; seeds and images together make 1
        for seed in (0, 0.05, 0.1, 0.25, 0.4, 0.6, 0.8, 0.95, 1):
            expected = seeds * images * np.array([seed + interaction, 1 - seed + interaction, interaction])
            freedom = np.array([seeds - 1, images - 1, (seeds - 1) * (images - 1)])
            squares = np.vstack([even, rng.chisquare(freedom[1:, None], (2, DRAWS))])
            drawn = (expected / freedom)[:, None] * squares
            beyond = width(stats._Squares(*drawn, seeds, images), alpha) / np.sqrt(1 + interaction)
            out.append(float(np.mean(2 * ndtr(-beyond))))
    return out


def satterthwaite(squares, alpha: float) -> np.ndarray:
    """Half the length of the interval with Satterthwaite's degrees of freedom."""
    parts = squares.noise()
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / (squares.seeds - 1) + parts[1] ** 2 / (squares.images - 1))
    return -stdtrit(freedom, alpha / 2) * np.sqrt(sum(parts))


def false_alarms(test, regime: str, seeds: int, fixed: str = "", repetitions: int = 2000, **options) -> float:
    """Share of p <= 0.05 of ``test`` under no effect: over new seeds and images, or with one of them ``fixed``.

    With images fixed, the mean of these images' effects is part of the effect and is taken out; likewise with seeds.
    """
    seed, image, interaction = effects(np.random.default_rng(seeds), regime, repetitions, seeds)
    if fixed == "images":
        image = image - image.mean(2, keepdims=True)
    if fixed == "seeds":
        seed = seed - seed.mean(1, keepdims=True)
    d = seed + image + interaction
    return float(np.mean([test(np.zeros_like(x), x, **options) <= 0.05 for x in d]))


def table() -> Iterator[str]:
    """Lines of the tables of coverage and type-I errors, in percent."""

    def line(name, cells):
        return f"{name:32}" + "".join(f"{cell:>16}" for cell in cells)

    yield line(f"coverage of 95 %, {IMAGES} images", (f"{seeds} seeds" for seeds in SEEDS))
    yield "(mean length in standard errors of the mean; binomial error 0.15)"
    for regime in REGIMES | BEYOND:
        found = (coverage(regime, seeds) for seeds in SEEDS)
        yield line(regime, (f"{100 * share:.1f} ({length:.1f})" for share, length in found))
    yield "percentile bootstrap, binomial error at 95 % 0.5"
    for regime in REGIMES:
        yield line(regime, (f"{100 * bootstrap_coverage(regime, seeds):.1f}" for seeds in SEEDS))
    widths = {"interval": stats._half_width, "crossed_test": stats._rejected_beyond, "Satterthwaite": satterthwaite}
    for name, width in widths.items():
        yield f"{name}: least and greatest error over mixtures of normal seed, image and interaction noise"
        for images, alpha in ((20, 0.05), (IMAGES, 0.1), (IMAGES, 0.05), (IMAGES, 0.01), (IMAGES, 0.001)):
            found = [mixtures(width, seeds, images, alpha) for seeds in SEEDS]
            ranges = (f"{100 * min(rates):.2f} - {100 * max(rates):.2f}" for rates in found)
            yield line(f"{100 * alpha:g} %, {images} images", ranges)
    yield line("type-I error at 5 %, 8 seeds:", ("these images", "new images"))
    yield "permutation_test, binomial error at 5 % 0.5"
    for regime in REGIMES:
        found = (false_alarms(permutation_test, regime, 8, fixed) for fixed in ("images", ""))
        yield line(regime, (f"{100 * share:.1f}" for share in found))
    yield line("image_test, 3 seeds:", ("these models", "new trainings"))
    for regime in REGIMES:
        found = (false_alarms(image_test, regime, 3, fixed, draws=499) for fixed in ("seeds", ""))
        yield line(regime, (f"{100 * share:.1f}" for share in found))


def errors(seed: int, seeds: int = 4, images: int = 12, effect: float = 0.2, holes: bool = True):
    """Paired errors with noise of every kind; with ``holes``, one image has no value."""
    rng = np.random.default_rng(seed)
    common = 2 + rng.random(images)
    a = common + 0.1 * rng.normal(size=(seeds, 1)) + 0.3 * rng.normal(size=(seeds, images))
    b = common + effect + 0.1 * rng.normal(size=(seeds, 1)) + 0.3 * rng.normal(size=(seeds, images))
    if holes:
        a[:, 3] = b[:, 3] = np.nan
    return a, b


@pytest.mark.slow
@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize("regime", REGIMES)
def test_intervals_cover_the_truth_as_often_as_they_say(regime, seeds):
    share, length = coverage(regime, seeds)
    binomial = np.sqrt(0.95 * 0.05 / REPETITIONS)
    assert share > 0.95 - ALLOWED - 2 * binomial
    if seeds > 2:  # of two seeds too much is asked: the interval is on the long side
        assert share < 0.95 + ALLOWED + 2 * binomial
    assert length > 2 * 1.9


@pytest.mark.parametrize("level", [0.9, 0.95])
@pytest.mark.parametrize("images", [20, 100])
@pytest.mark.parametrize("seeds", SEEDS)
def test_no_mixture_of_noise_defeats_the_interval(seeds, images, level):
    shares = mixtures(stats._half_width, seeds, images, 1 - level)
    assert max(shares) < 1 - level + ALLOWED
    assert min(shares) > 1 - level - (0.05 if seeds == 2 else 0.02)


@pytest.mark.parametrize("alpha", [0.05, 0.001])
@pytest.mark.parametrize("images", [20, 100])
@pytest.mark.parametrize("seeds", SEEDS)
def test_no_mixture_of_noise_defeats_the_test_at_any_level(seeds, images, alpha):
    assert max(mixtures(stats._rejected_beyond, seeds, images, alpha)) < 1.1 * alpha


def test_satterthwaite_s_interval_does_not_cover_some_mixtures():
    assert max(mixtures(satterthwaite, 3, 100, 0.05)) > 0.05 + 2 * ALLOWED


@pytest.mark.slow
def test_the_percentile_bootstrap_does_not_cover_with_few_seeds():
    assert bootstrap_coverage("seeds dominate", 3) < 0.8
    assert bootstrap_coverage("seeds dominate", 5) < 0.9


@pytest.mark.slow
def test_the_interval_in_percent_covers():
    rng = np.random.default_rng(0)
    repetitions, covered = 4000, 0  # binomial error 0.34 %
    for _ in range(repetitions):
        image = 1 + 0.5 * rng.random(40)  # a mean of 1.25
        b = image + 0.1 * rng.normal(size=(5, 1)) + 0.1 * rng.normal(size=(5, 40))
        a = 0.9 * image + 0.1 * rng.normal(size=(5, 1)) + 0.1 * rng.normal(size=(5, 40))
        found = interval(a, b)
        covered += found.percent_low <= 10 <= found.percent_high
    assert covered / repetitions == pytest.approx(0.95, abs=ALLOWED)


@pytest.mark.slow
@pytest.mark.parametrize("regime", REGIMES)
def test_tests_raise_no_more_false_alarms_than_they_say(regime):
    binomial = np.sqrt(0.05 * 0.95 / 2000)
    assert false_alarms(permutation_test, regime, 8, "images") < 0.05 + 3 * binomial
    assert false_alarms(image_test, regime, 3, "seeds", draws=199) < 0.05 + 3 * binomial
    assert false_alarms(crossed_test, regime, 3) < 0.05 + 3 * binomial


@pytest.mark.slow
def test_replicates_of_the_wrong_kind_raise_false_alarms():
    assert false_alarms(permutation_test, "images dominate", 8, repetitions=500) > 0.5
    assert false_alarms(image_test, "seeds dominate", 3, repetitions=500, draws=199) > 0.5


@pytest.mark.parametrize("seeds", [3, 5])
def test_the_smallest_detectable_effect_is_detected_that_often(seeds):
    truth = Components(1, 100 / 3, 10, seeds, IMAGES)  # the regime "both alike"
    rng = np.random.default_rng(0)
    effect = stats._detectable(truth, seeds, IMAGES, 0.8, 0.05, 20_000, rng)
    d = effect + sum(effects(rng, "both alike", 4000, seeds))
    detected = np.mean(d.mean((1, 2)) > stats._rejected_beyond(stats._squares(d), 0.05))
    assert detected == pytest.approx(0.8, abs=0.02)  # three binomial errors


def test_the_smallest_detectable_effect_is_that_of_the_data_s_variances():
    rng = np.random.default_rng(1)
    d = rng.normal(size=(200, 1)) + 2 * rng.normal(size=400) + 3 * rng.normal(size=(200, 400))
    found = smallest_detectable(np.full_like(d, 10), d + 10, seeds=5, images=100)
    expected = stats._detectable(Components(1, 4, 9, 5, 100), 5, 100, 0.8, 0.05, 20_000, rng)
    assert found.difference == pytest.approx(expected, rel=0.1)
    assert found.percent == pytest.approx(100 * found.difference / (d + 10).mean())
    assert (found.seeds, found.images) == (5, 100)
    more = smallest_detectable(np.full_like(d, 10), d + 10, seeds=10, images=100)
    assert more.difference < found.difference
    assert smallest_detectable(np.full_like(d, 10), d + 10, power=0.9, seeds=5).difference > found.difference


def test_variance_components_are_recovered():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(300):
        d = 0.7 + 2 * rng.normal(size=(6, 1)) + 3 * rng.normal(size=50) + rng.normal(size=(6, 50))
        d[:, rng.random(50) < 0.1] = np.nan
        parts = variance_components(d)
        found.append((parts.seed, parts.image, parts.interaction))
    # Standard errors: the seeds' estimate has 5 degrees of freedom, 4 (2/5)^0.5 / 300^0.5 = 0.15.
    assert np.mean(found, 0) == pytest.approx([4, 9, 1], abs=0.4)


def test_variance_components_of_a_table_worked_by_hand():
    # Row means 1, 3; column means 1, 2, 3; residuals zero but for the corners, +-1.
    d = np.array([[1.0, 1, 1], [1, 3, 5]])
    # Mean squares: seeds 3 (1 + 1) / 1 = 6, images 2 (1 + 0 + 1) / 2 = 2, interaction (1 + 0 + 1) 2 / 2 = 2.
    parts = variance_components(d)
    assert (parts.seed, parts.image, parts.interaction) == pytest.approx(((6 - 2) / 3, 0, 2))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 9999), st.integers(2, 6), st.floats(0.01, 100))
def test_symmetries(seed, seeds, scale):
    a, b = errors(seed, seeds)
    one, other, scaled = interval(a, b), interval(b, a), interval(scale * a, scale * b)
    assert (other.difference, other.low, other.high) == pytest.approx((-one.difference, -one.high, -one.low))
    assert (scaled.low, scaled.high) == pytest.approx((scale * one.low, scale * one.high))
    assert (scaled.percent_low, scaled.percent_high) == pytest.approx((one.percent_low, one.percent_high))
    assert permutation_test(a, b) == permutation_test(b, a) == permutation_test(scale * a, scale * b)
    assert crossed_test(a, b) == pytest.approx(crossed_test(b, a), abs=1e-9)
    assert crossed_test(a, b) == pytest.approx(crossed_test(scale * a, scale * b), abs=1e-9)
    assert image_test(a, b, draws=99) == image_test(b, a, draws=99)
    assert smallest_detectable(scale * a, scale * b, draws=500).difference == pytest.approx(
        scale * smallest_detectable(a, b, draws=500).difference
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 9999))
def test_neither_order_nor_images_without_a_value_matter(seed):
    a, b = errors(seed)
    rng = np.random.default_rng(seed)
    images, seeds = rng.permutation(a.shape[1]), rng.permutation(len(a))
    valid = ~np.isnan(a[0])
    missing = np.full((1, a.shape[1]), np.nan)
    for x, y in (
        (a[:, images], b[:, images]),
        (a[seeds], b[seeds]),
        (a[:, valid], b[:, valid]),
        (np.vstack([a, missing]), np.vstack([b, b[:1]])),
    ):
        assert vars(interval(x, y)) == pytest.approx(vars(interval(a, b)))
        assert crossed_test(x, y) == pytest.approx(crossed_test(a, b))
        assert permutation_test(x, y) == permutation_test(a, b)
        assert vars(variance_components(y - x)) == pytest.approx(vars(variance_components(b - a)))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 9999), st.integers(2, 6), st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_what_the_test_finds_the_interval_excludes(seed, seeds, level):
    a, b = errors(seed, seeds)
    found = interval(a, b, level)
    p = crossed_test(a, b)
    assert p > 1 - level or found.low > 0 or found.high < 0
    bound = stats._rejected_beyond(stats._squares(stats._complete(b, b)[0] - stats._complete(a, a)[0]), p)
    assert bound == pytest.approx(abs(found.difference))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 9999), st.integers(2, 6))
def test_where_seeds_make_all_noise_it_is_student_s_test(seed, seeds):
    rng = np.random.default_rng(seed)
    d = np.repeat(0.5 + rng.normal(size=(seeds, 1)), 30, axis=1)
    student = ttest_1samp(d[:, 0], 0)
    low, high = student.confidence_interval()
    found = interval(np.zeros_like(d), d)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert crossed_test(np.zeros_like(d), d) == pytest.approx(student.pvalue, rel=1e-6)


def test_where_images_make_all_noise_it_is_student_s_test_of_the_images():
    d = np.tile(np.random.default_rng(0).normal(size=30), (3, 1))
    low, high = ttest_1samp(d[0], 0).confidence_interval()
    found = interval(np.zeros_like(d), d)
    assert (found.low, found.high) == pytest.approx((low, high), rel=0.02)


def test_one_seed_gives_no_interval_over_seeds():
    a, b = errors(0, seeds=1)
    found = interval(a, b)
    assert found.difference == pytest.approx(np.nanmean(b - a))
    assert np.isnan([found.low, found.high, found.percent_low, found.percent_high]).all()
    assert np.isnan(bootstrap_interval(a, b)).all()
    assert np.isnan(crossed_test(a, b))
    assert np.isnan(smallest_detectable(a, b).difference)
    assert np.isnan(variance_components(b - a).seed)
    assert permutation_test(a, b) == 1
    assert image_test(a, b) < 1  # a question about these models can still be asked
    assert verdict(found, crossed_test(a, b)) == "no evidence"


def test_no_valid_image_gives_nan_everywhere():
    a = np.full((3, 5), np.nan)
    found = interval(a, a)
    assert np.isnan([found.difference, found.low, found.percent]).all()
    assert (found.seeds, found.images) == (0, 0)
    p = (crossed_test(a, a), permutation_test(a, a), image_test(a, a), smallest_detectable(a, a).difference)
    assert np.isnan(p).all()


def test_equal_variants_do_not_differ():
    a, _ = errors(0)
    found = interval(a, a)
    assert (found.difference, found.low, found.high) == (0, 0, 0)
    assert crossed_test(a, a) == permutation_test(a, a) == image_test(a, a) == 1
    assert verdict(found, 1.0) == "no evidence"
    assert smallest_detectable(a, a).difference == 0


def test_percent_needs_a_positive_base():
    found = interval(np.zeros((3, 4)), np.zeros((3, 4)))
    assert np.isnan([found.percent, found.percent_low]).all()
    a, b = errors(0)
    assert interval(a, b).percent == pytest.approx(100 * np.nanmean(b - a) / np.nanmean(b))


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_least_p_of_sign_flips(seeds):
    d = 1 + np.random.default_rng(0).random((seeds, 6))
    assert permutation_test(np.zeros_like(d), d) == 2.0 ** (1 - seeds)


def test_sign_flips_agree_with_enumeration_by_hand():
    d = np.array([[3.0], [-1], [2]])  # sums of all signs: +-6, +-4, +-2, 0 twice... observed 4
    assert permutation_test(np.zeros_like(d), d) == 4 / 8


def test_random_sign_flips_agree_with_enumeration(monkeypatch):
    a, b = errors(3, seeds=10)
    exact = permutation_test(a, b)
    monkeypatch.setattr(stats, "ENUMERATED", 4)
    assert permutation_test(a, b, draws=20_000) == pytest.approx(exact, abs=0.015)
    assert permutation_test(a, b, draws=99, seed=1) == permutation_test(a, b, draws=99, seed=1)


def test_bootstrap_is_reproducible_and_lies_about_the_mean():
    a, b = errors(0)
    low, high = bootstrap_interval(a, b, draws=500, seed=3)
    assert (low, high) == bootstrap_interval(a, b, draws=500, seed=3)
    assert low < interval(a, b).difference < high


def written_out_holm(p):
    """Holm's procedure as he states it: the adjusted p is the least level at which a hypothesis is rejected."""
    adjusted = []
    for value in p:
        steps = [sum(other >= least for other in p) * least for least in p if least <= value]
        adjusted.append(min(1, max(steps)))
    return adjusted


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([0, 0.001, 0.01, 0.02, 0.02, 0.04, 0.3, 0.9, 1]), max_size=8), st.integers(0, 8))
def test_holm_agrees_with_its_definition_and_ignores_nan(p, at):
    assert holm(p) == pytest.approx(written_out_holm(p))
    with_nan = np.insert(np.asarray(p, float), min(at, len(p)), np.nan)
    assert np.isnan(holm(with_nan)).sum() == 1
    assert np.delete(holm(with_nan), min(at, len(p))) == pytest.approx(holm(p))


def test_holm_on_a_published_example():
    assert holm([[0.01, 0.04], [0.03, 0.005]]) == pytest.approx(np.array([[0.03, 0.06], [0.06, 0.02]]))


@pytest.mark.parametrize(
    ("low", "high", "p", "expected"),
    [
        (0.1, 0.3, 0.01, "better"),
        (-0.3, -0.1, 0.05, "worse"),
        (0.1, 0.3, 0.06, "no evidence"),
        (-0.1, 0.3, 0.01, "no evidence"),
        (0.0, 0.3, 0.01, "no evidence"),
        (0.1, 0.3, float("nan"), "no evidence"),
        (float("nan"), float("nan"), 0.01, "no evidence"),
    ],
)
def test_verdict(low, high, p, expected):
    assert verdict(Interval(0.2, low, high, 20, 10, 30, 0.95, 3, 100), p) == expected


def test_group_means():
    errors = np.array([[1.0, 3, 10, np.nan], [np.nan, 3, 20, np.nan]])
    found = group_means(errors, ["room-b", "room-b", "room-a", "room-c"])
    assert found == pytest.approx(np.array([[10, 2, np.nan], [20, 3, np.nan]]), nan_ok=True)
    with pytest.raises(ValueError, match="are not"):
        group_means(errors, ["room-a"])


@pytest.mark.slow
def test_views_of_a_room_are_not_so_many_images():
    rng = np.random.default_rng(0)
    rooms, repetitions = np.repeat(np.arange(20), 6), 2000  # binomial error 0.5 %
    alone, grouped = 0, 0
    for _ in range(repetitions):
        of_rooms = rng.normal(size=20)[rooms]
        d = 0.1 * rng.normal(size=(5, 1)) + of_rooms + rng.normal(size=120) + 0.3 * rng.normal(size=(5, 120))
        a = np.zeros_like(d)
        for_images, for_rooms = interval(a, d), interval(group_means(a, rooms), group_means(d, rooms))
        alone += for_images.low <= 0 <= for_images.high
        grouped += for_rooms.low <= 0 <= for_rooms.high
    assert grouped / repetitions == pytest.approx(0.95, abs=0.015)
    assert alone / repetitions < 0.85


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a: interval(a, a[:, :2]), "one shape"),
        (lambda a: interval(a[0], a[0]), "one shape"),
        (lambda a: interval(a, a + np.inf), "finite"),
        (lambda a: interval(a, a, level=1.0), "level"),
        (lambda a: smallest_detectable(a, a, power=0.0), "power"),
        (lambda a: image_test(a, a, draws=0), "draws"),
        (lambda a: bootstrap_interval(a, a, draws=0), "draws"),
        (lambda a: holm([0.5, 1.5]), "between 0 and 1"),
    ],
)
def test_what_makes_no_sense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.ones((3, 4)))


if __name__ == "__main__":
    print(*table(), sep="\n")
