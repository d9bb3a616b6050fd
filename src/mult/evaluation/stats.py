"""Does one variant beat another? Statistics for the paired errors of a few trainings on common test images.

The data of a comparison are two arrays of errors, ``a`` (the variant) and ``b`` (its base), each (seeds, images): row s
of both comes from trainings with the same data order and initial encoder, column i is the same test image, NaN means
that the image has no valid pixel. Errors are not negative and less is better. The effect is mean(b) - mean(a), in the
errors' unit or in percent of mean(b): **a positive effect says that a is better**.

The noise is crossed. With d = b - a,

    d[s, i] = effect + seed[s] + image[i] + interaction[s, i]

and the mean over S seeds and N images has the variance

    (seed variance + interaction variance / N) / S  +  image variance / N

Seeds and images are both samples: of the trainings that could have been run and of the pictures that could have been
taken. The first term is estimated from S values, and S is two to ten: this decides how long an honest interval is.

Three tests answer three questions, and only the first is about variants:

- ``crossed_test``: would new trainings differ, on new images? Needs two seeds, and seed effects about normal.
- ``permutation_test``: would new trainings differ, on these images? Exact, and unable to say anything below six seeds.
- ``image_test``: do these trained models differ, on new images? One seed is enough; says nothing of the next training.

Images must be independent. Views of one room are not: average them first with ``group_means``.

A seed without any value in ``a`` or ``b`` (a training that is missing, or that diverged to NaN: it does not count
as bad) is left out, and so is every image that is NaN in any seed that remains. Results say how many of both were used.
``python -m tests.evaluation.test_stats`` prints how often the intervals cover the truth, and how often tests err.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri, stdtrit

Array = NDArray[np.float64]

LEAST_P = 1e-12  # tails of normal and t distributions mean nothing beyond
ENUMERATED = 16  # seeds up to which all signs are tried


@dataclass(frozen=True)
class Interval:
    """An effect with its confidence interval; bounds are NaN for fewer than two seeds or images.

    ``percent`` is relative to mean(b); it is NaN where that is not positive.
    """

    difference: float
    low: float
    high: float
    percent: float
    percent_low: float
    percent_high: float
    level: float
    seeds: int
    images: int


@dataclass(frozen=True)
class Components:
    """Variances of differences: between seeds, between images, and of their interaction with all other noise."""

    seed: float
    image: float
    interaction: float
    seeds: int
    images: int


@dataclass(frozen=True)
class Detectable:
    """The least effect that ``seeds`` and ``images`` find with probability ``power`` at confidence ``level``."""

    difference: float
    percent: float
    power: float
    level: float
    seeds: int
    images: int


@dataclass(frozen=True)
class _Squares:
    """Mean squares of the two-way layout without replication, one a leading index of the differences."""

    seed: Array
    image: Array
    interaction: Array
    seeds: int
    images: int

    def noise(self) -> tuple[Array, Array]:
        """Estimates of the two terms of the mean's variance: what more seeds reduce, what only more images reduce."""
        count = self.seeds * self.images
        return self.seed / count, np.maximum(self.image - self.interaction, 0) / count


def group_means(errors: ArrayLike, groups: ArrayLike) -> Array:
    """Mean error of each group of images that are not independent of each other, such as the views of a room.

    Args:
        errors: (S, N), NaN where an image has no valid pixel.
        groups: (N,) names or numbers.

    Returns:
        (S, G), groups in sorted order; NaN for a group without a value. Each group then counts the same, whatever its
        number of images.

    Raises:
        ValueError: shapes that do not fit.
    """
    errors, groups = np.asarray(errors, float), np.asarray(groups)
    if errors.ndim != 2 or groups.shape != errors.shape[1:]:
        raise ValueError(f"errors {errors.shape} and groups {groups.shape} are not (S, N) and (N,)")
    names, index = np.unique(groups, return_inverse=True)
    member = np.eye(len(names))[index]
    with np.errstate(invalid="ignore"):
        return (np.nan_to_num(errors) @ member) / (~np.isnan(errors) @ member)


def interval(a: ArrayLike, b: ArrayLike, level: float = 0.95) -> Interval:
    """Confidence interval of the effect over new seeds and new images.

    mean ± c · standard error, where the squared standard error is the unbiased sum of the two terms above (negative
    estimates of the image term count as zero) and c leads from the t quantile of S - 1 degrees of freedom, where seeds
    make all of the noise, to that of N - 1, where images do:

        c = z + share_seeds^k(S-1) · (t[S-1] - z) + share_images^k(N-1) · (t[N-1] - z),  k(df) = 2 - 1/df

    z is the normal quantile, a share is that of the estimated squared standard error. With k = 2 this is the
    first-order solution of the problem of two unknown variances by Welch (Biometrika 1947) and Aspin (1948), k = 1 is
    the conservative weighting of Cochran and Cox (Experimental Designs, 1950). The first covers too seldom for two or
    three seeds, the second too often; k(df) runs from one to the other as degrees of freedom grow, and was chosen by
    computing the coverage. Satterthwaite's (1946) degrees of freedom cover too seldom there as well, and resampling two
    to five seeds by far too seldom (``bootstrap_interval``).

    The interval in percent is that of the linearised ratio (delta method): of (1 - r) b - a, r the ratio of means.

    Not covered to the nominal level: seed effects far from normal (a failure that strikes one training in ten is not
    seen in three), image effects so skewed that the mean over N images is not nearly normal, and, for few seeds, levels
    above 0.95, which k(df) was not chosen for: use ``crossed_test`` there. For two seeds the interval is conservative
    in most mixtures of noise, and very long where seeds dominate.

    Args:
        a, b: (S, N) errors, NaN where an image has no valid pixel.
        level: confidence level, between 0 and 1.

    Raises:
        ValueError: shapes that differ or are not (S, N), infinite errors, or a level outside (0, 1).
    """
    _check_share(level=level)
    a, b = _complete(a, b)
    difference, ratio, base = _effects(a, b)
    half = _half_width(_squares(b - a), 1 - level)
    half_percent = 100 * _half_width(_squares((1 - ratio) * b - a), 1 - level) / base
    percent = 100 * ratio
    return Interval(
        difference,
        float(difference - half),
        float(difference + half),
        percent,
        float(percent - half_percent),
        float(percent + half_percent),
        level,
        *a.shape,
    )


def bootstrap_interval(
    a: ArrayLike, b: ArrayLike, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """The usual hierarchical bootstrap, for comparison: percentiles of the effect over resampled seeds and images.

    Seeds and images are drawn with replacement, each for itself (the crossed, or pigeonhole, bootstrap: Owen, Annals of
    Applied Statistics 2007). **It covers too seldom for few seeds**: the variance among S resampled seeds is the true
    one times (S - 1) / S, and percentiles know nothing of its uncertainty. Use ``interval``.

    Returns:
        Low and high end in the errors' unit; NaN for fewer than two seeds or images.

    Raises:
        ValueError: as ``interval``, and for fewer than one draw.
    """
    _check_share(level=level)
    _check_draws(draws)
    a, b = _complete(a, b)
    if min(a.shape) < 2:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    low, high = np.quantile(_resampled_means(b - a, draws, rng), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def crossed_test(a: ArrayLike, b: ArrayLike) -> float:
    """Two-sided p value of no effect over new seeds and new images.

    p is the least alpha at which the effect exceeds the root of

        t[S-1]² · variance from seeds + t[N-1]² · variance from images

    t being quantiles for alpha, the variances as in ``interval``. Banerjee (Sankhyā 1961) showed for two independent
    estimates of variance that this errs on the conservative side for every alpha and mixture; that it does with the
    image variance as a difference of mean squares is simulated in the tests. Every alpha is needed, because ``holm``
    asks for p far below 0.05, where the shorter ``interval`` would raise several times too many false alarms. Where p
    is at most 0.05, the 95 % interval excludes zero; not always conversely. Where seeds make all of the noise, it is
    Student's test of the seeds' means.

    It rests on seed effects and a mean over images that are about normal, and in return can find a difference with
    three seeds, where a permutation of seeds cannot.

    Returns:
        Between 1e-12 (less is given as that) and 1; NaN for fewer than two seeds or images.

    Raises:
        ValueError: as ``interval``.
    """
    a, b = _complete(a, b)
    difference, _, _ = _effects(a, b)
    squares = _squares(b - a)
    if np.isnan(squares.seed):
        return float("nan")

    def excess(log_p: float) -> float:
        return float(_rejected_beyond(squares, np.exp(log_p))) - abs(difference)

    if excess(np.log(LEAST_P)) <= 0:
        return 1.0 if difference == 0 else LEAST_P
    return float(np.exp(brentq(excess, np.log(LEAST_P), 0.0)))


def permutation_test(a: ArrayLike, b: ArrayLike, draws: int = 9999, seed: int = 0) -> float:
    """Two-sided p value of no effect over new seeds **on these images**: sign flips of the seeds' mean differences.

    If a and b of a seed may change places, so may the sign of its mean difference (Fisher, The Design of Experiments,
    1935). The test is exact for symmetric seed effects. Up to 16 seeds all 2^S signs are tried, so p is never less than
    2^(1-S): 0.25 for three seeds, 0.0625 for five. Six seeds are the least that can reach 0.05.

    Images are taken as given. As a test of no effect on new images it is not valid: what these images favour, all seeds
    favour.

    Args:
        a, b: (S, N) errors, NaN where an image has no valid pixel.
        draws: random signs beyond 16 seeds; the observed signs count as one more.
        seed: of these draws.

    Returns:
        p; 1 for one seed, NaN without data.

    Raises:
        ValueError: as ``interval``, and for fewer than one draw.
    """
    a, b = _complete(a, b)
    return _sign_flips((b - a).mean(1), draws, seed) if a.size else float("nan")


def image_test(a: ArrayLike, b: ArrayLike, draws: int = 9999, seed: int = 0) -> float:
    """Two-sided p value of no difference between **these trained models** over new images: sign flips of the images.

    The differences are averaged over seeds first. It takes images as replicates, not trainings: a small p says that
    these models differ, which two trainings of one variant do as well. Valid for differences symmetric about zero, and
    for any of finite variance as N grows (the mean and its t statistic order the flips alike).

    Args:
        a, b: (S, N) errors, NaN where an image has no valid pixel.
        draws: random signs; the observed ones count as one more, so p is at least 1 / (draws + 1).
        seed: of these draws.

    Returns:
        p; NaN without data.

    Raises:
        ValueError: as ``interval``, and for fewer than one draw.
    """
    a, b = _complete(a, b)
    return _sign_flips((b - a).mean(0), draws, seed) if a.size else float("nan")


def holm(p: ArrayLike) -> Array:
    """Holm's (Scandinavian Journal of Statistics 1979) adjusted p values: the family's chance of any false alarm.

    The k-th least of m is multiplied by m - k + 1, made at least as great as those before it, and cut at 1.

    Args:
        p: any shape, each in [0, 1] or NaN; NaN stay NaN and do not count.

    Raises:
        ValueError: p outside [0, 1].
    """
    p = np.asarray(p, float)
    if ((p < 0) | (p > 1)).any():
        raise ValueError("p values must be between 0 and 1")
    known = p[~np.isnan(p)]
    order = np.argsort(known, kind="stable")
    factors = np.arange(len(known), 0, -1)
    adjusted = np.empty_like(known)
    adjusted[order] = np.minimum(np.maximum.accumulate(known[order] * factors), 1)
    out = np.full_like(p, np.nan)
    out[~np.isnan(p)] = adjusted
    return out


def variance_components(d: ArrayLike) -> Components:
    """Variances of the seed, image and interaction effects in differences, by the analysis of variance.

    Mean squares of the two-way layout are set equal to their expectations (Searle, Casella and McCulloch, Variance
    Components, 1992), and negative estimates are given as zero, so that small components are overestimated on average.
    Incomplete data are cut to complete ones as for all functions here.

    Args:
        d: (S, N) differences, NaN where there is none.

    Returns:
        Variances in the squared unit of ``d``; NaN for fewer than two seeds or images.

    Raises:
        ValueError: not (S, N), or infinite values.
    """
    d, _ = _complete(d, d)
    return _components(_squares(d))


def smallest_detectable(
    a: ArrayLike,
    b: ArrayLike,
    power: float = 0.8,
    level: float = 0.95,
    seeds: int | None = None,
    images: int | None = None,
    draws: int = 20_000,
    seed: int = 0,
) -> Detectable:
    """The least effect for which ``crossed_test`` would have given p <= 1 - level with probability ``power``.

    Depends on the estimated variance components, not on the effect seen: the power to find the very effect that was
    seen would only repeat p (Hoenig and Heisey, The American Statistician 2001). Estimates of S seeds' variance have
    S - 1 degrees of freedom, and the result is as uncertain as they are.

    Args:
        a, b: (S, N) errors, NaN where an image has no valid pixel.
        power: probability of finding it, between 0 and 1.
        level: 1 - level is the greatest p that counts; make it stricter where p are adjusted for many comparisons.
        seeds, images: of another experiment to plan with the same variances; else those of the data.
        draws: of mean squares, over which power is averaged.
        seed: of these draws.

    Returns:
        NaN for fewer than two seeds or images, in the data or planned.

    Raises:
        ValueError: as ``interval``, and for a power or number of draws out of range.
    """
    _check_share(level=level, power=power)
    _check_draws(draws)
    a, b = _complete(a, b)
    seeds, images = a.shape[0] if seeds is None else seeds, a.shape[1] if images is None else images
    components = _components(_squares(b - a))
    difference = _detectable(components, seeds, images, power, 1 - level, draws, np.random.default_rng(seed))
    return Detectable(difference, 100 * difference / _effects(a, b)[2], power, level, seeds, images)


def verdict(result: Interval, p: float) -> Literal["better", "worse", "no evidence"]:
    """What may be said of a against b, by one rule.

    'better' where the interval lies above zero and p is at most 1 - level, 'worse' where it lies below and p is
    likewise, 'no evidence' otherwise, and wherever a bound or p is NaN. p should be that of ``crossed_test``, adjusted
    (``holm``) for all comparisons of the study; the interval alone holds for one. No evidence of a difference is not
    evidence of none: see ``smallest_detectable``.
    """
    if not p <= 1 - result.level + 1e-12:
        return "no evidence"
    if result.low > 0:
        return "better"
    return "worse" if result.high < 0 else "no evidence"


def _check_share(**shares: float) -> None:
    for name, share in shares.items():
        if not 0 < share < 1:
            raise ValueError(f"{name} must be between 0 and 1, not {share}")


def _check_draws(draws: int) -> None:
    if draws < 1:
        raise ValueError(f"draws must be at least 1, not {draws}")


def _complete(a: ArrayLike, b: ArrayLike) -> tuple[Array, Array]:
    """Both arrays without seeds that lack all values, then without images that lack any."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.ndim != 2 or a.shape != b.shape:
        raise ValueError(f"errors must be two arrays (seeds, images) of one shape, not {a.shape} and {b.shape}")
    if np.isinf(a).any() or np.isinf(b).any():
        raise ValueError("errors must be finite or NaN")
    known = ~np.isnan(a + b)
    seeds = known.any(1)
    images = known[seeds].all(0) if seeds.any() else np.zeros(a.shape[1], bool)
    return a[np.ix_(seeds, images)], b[np.ix_(seeds, images)]


def _effects(a: Array, b: Array) -> tuple[float, float, float]:
    """Difference of means, its ratio to the base's mean, and that mean; NaN for what does not exist."""
    if not a.size:
        return float("nan"), float("nan"), float("nan")
    difference, base = float((b - a).mean()), float(b.mean())
    return (difference, difference / base, base) if base > 0 else (difference, float("nan"), float("nan"))


def _squares(d: Array) -> _Squares:
    """Mean squares of (..., S, N) complete differences; NaN for fewer than two seeds or images."""
    seeds, images = d.shape[-2:]
    if min(seeds, images) < 2:
        nan = np.full(d.shape[:-2], np.nan)
        return _Squares(nan, nan, nan, seeds, images)
    d = d - d.mean((-2, -1), keepdims=True)
    of_seed, of_image = d.mean(-1, keepdims=True), d.mean(-2, keepdims=True)
    rest = d - of_seed - of_image
    return _Squares(
        images * (of_seed**2).sum((-2, -1)) / (seeds - 1),
        seeds * (of_image**2).sum((-2, -1)) / (images - 1),
        (rest**2).sum((-2, -1)) / ((seeds - 1) * (images - 1)),
        seeds,
        images,
    )


def _components(squares: _Squares) -> Components:
    return Components(
        float(np.maximum(squares.seed - squares.interaction, 0) / squares.images) if squares.images else float("nan"),
        float(np.maximum(squares.image - squares.interaction, 0) / squares.seeds) if squares.seeds else float("nan"),
        float(squares.interaction),
        squares.seeds,
        squares.images,
    )


def _half_width(squares: _Squares, alpha: float) -> Array:
    """Half the length of the interval at level 1 - ``alpha``, one a leading index."""
    of_seeds, of_images = squares.noise()
    variance = of_seeds + of_images
    share = np.divide(of_seeds, variance, out=np.ones_like(variance), where=variance > 0)
    return _critical(share, squares.seeds, squares.images, alpha) * np.sqrt(variance)


def _rejected_beyond(squares: _Squares, alpha: float) -> Array:
    """The greatest effect that ``crossed_test`` does not reject at ``alpha``, one a leading index."""
    of_seeds, of_images = squares.noise()
    if min(squares.seeds, squares.images) < 2:
        return of_seeds
    quantiles = [stdtrit(count - 1, alpha / 2) for count in (squares.seeds, squares.images)]
    return np.sqrt(of_seeds * quantiles[0] ** 2 + of_images * quantiles[1] ** 2)


def _critical(share: Array, seeds: int, images: int, alpha: float) -> Array:
    """The factor c of ``interval``: how many standard errors, where seeds make ``share`` of the squared one."""
    normal = -ndtri(alpha / 2)
    critical = np.full_like(share, normal)
    for part, count in ((share, seeds), (1 - share, images)):
        if count > 1:
            freedom = count - 1
            critical += part ** (2 - 1 / freedom) * (-stdtrit(freedom, alpha / 2) - normal)
    return critical


def _resampled_means(d: Array, draws: int, rng: np.random.Generator) -> Array:
    """Means of ``draws`` crossed resamples of (..., S, N) differences: (..., draws)."""
    seeds, images = d.shape[-2:]
    of_seeds = rng.multinomial(seeds, np.full(seeds, 1 / seeds), draws)
    of_images = rng.multinomial(images, np.full(images, 1 / images), draws)
    return ((d @ of_images.T) * of_seeds.T).sum(-2) / (seeds * images)


def _sign_flips(values: Array, draws: int, seed: int) -> float:
    """Share of sign flips whose mean is as far from zero as that of ``values``."""
    _check_draws(draws)
    count = len(values)
    # A flip of all signs has the same mean up to rounding, and must count.
    return float(np.mean(np.abs(_signs(count, draws, seed) @ values) >= abs(values.sum()) * (1 - 1e-9)))


@lru_cache(maxsize=8)  # a table of comparisons asks hundreds of times for the same ones
def _signs(count: int, draws: int, seed: int) -> Array:
    """(flips, count) of +1 and -1, the first all +1: every one of few, or random ones."""
    if count <= ENUMERATED:
        return 1 - 2.0 * (np.arange(2**count)[:, None] >> np.arange(count) & 1)
    signs = np.random.default_rng(seed).choice(np.array([-1, 1], np.int8), (draws + 1, count))
    signs[0] = 1
    return signs.astype(float)


def _detectable(
    components: Components, seeds: int, images: int, power: float, alpha: float, draws: int, rng: np.random.Generator
) -> float:
    """The effect that is found with probability ``power`` at ``alpha``, for true variances ``components``."""
    if min(seeds, images) < 2 or np.isnan(components.interaction):
        return float("nan")
    of_seeds = (images * components.seed + components.interaction, seeds - 1)
    of_images = (seeds * components.image + components.interaction, images - 1)
    of_both = (components.interaction, (seeds - 1) * (images - 1))
    drawn = (mean * rng.chisquare(freedom, draws) / freedom for mean, freedom in (of_seeds, of_images, of_both))
    bound = _rejected_beyond(_Squares(*drawn, seeds, images), alpha)
    error = np.sqrt((of_seeds[0] + of_images[0] - components.interaction) / (seeds * images))

    def excess(effect: float) -> float:
        effect = effect * error
        return float(np.mean(ndtr((effect - bound) / error) + ndtr((-effect - bound) / error))) - power

    if error == 0 or excess(0.0) >= 0:
        return 0.0
    high = 4.0
    while excess(high) < 0:
        high *= 2
    return float(brentq(excess, 0.0, high) * error)
