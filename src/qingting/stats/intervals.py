"""Confidence intervals of a mean: Student's t and the bootstrap, over independent units."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import special
from scipy import stats as distributions

from qingting.core.missing import Missing
from qingting.stats.clusters import (
    DEFAULT_RESAMPLES,
    ClusteredSums,
    FloatArray,
    Interval,
    IntervalMethod,
    cluster_sums,
)

# Large-sample intervals of coefficients are not given below so many units.
FEWEST_UNITS = 10

# Draws held in memory at once; 4 million indices are 32 MB.
_DRAWS_AT_ONCE = 4_000_000


def mean_interval(
    units: ClusteredSums,
    *,
    method: IntervalMethod,
    rng: np.random.Generator | None = None,
    n_resamples: int = DEFAULT_RESAMPLES,
    confidence_level: float = 0.95,
) -> Interval | Missing:
    """Return an interval of the mean, or why there is none (one unit, no spread).

    Raises:
        ValueError: a bootstrap without ``rng``.
    """
    n_units = len(units.sums)
    if n_units < 2:
        return Missing("one independent unit has no spread")
    if not units.has_spread:
        return Missing(f"all {n_units} units have the same value, so there is no spread")
    if method == "t":
        return t_interval(units, confidence_level=confidence_level)
    if rng is None:
        raise ValueError(f"method {method!r} resamples and needs an rng")
    means = bootstrap_means(units, rng=rng, n_resamples=n_resamples)
    if method == "percentile":
        return percentile_interval(means, confidence_level=confidence_level)
    return bca_interval(units, means, confidence_level=confidence_level)


def t_interval(units: ClusteredSums, *, confidence_level: float) -> Interval:
    """Return Student's interval, with n_clusters − 1 degrees of freedom.

    With clusters the standard error is the linearised one of a ratio, so a cluster counts once
    however many items it holds. Needs two units and spread.
    """
    n_units = len(units.sums)
    half = standard_error(units) * float(
        distributions.t.ppf((1 + confidence_level) / 2, df=n_units - 1)
    )
    return Interval(units.mean - half, units.mean + half)


def standard_error(units: ClusteredSums) -> float:
    """Return the standard error of the mean over independent units; needs two of them."""
    n_units = len(units.sums)
    sum_squares = float(np.square(units.residuals).sum())
    return float(np.sqrt(n_units / (n_units - 1) * sum_squares) / units.sizes.sum())


class SmallSampleError(NamedTuple):
    """A standard error of the mean over units of unequal size, and its degrees of freedom."""

    standard_error: float
    freedom: float


def small_sample_error(units: ClusteredSums) -> SmallSampleError:
    """Return the standard error corrected for the leverage of large units; needs two units.

    Equals ``standard_error`` with n_units − 1 degrees of freedom where sizes are equal. Source:
    Bell and McCaffrey (2002), CR2 with Satterthwaite's degrees of freedom under independence
    within units, for a mean.
    """
    total = float(units.sizes.sum())
    left = 1 - units.sizes / total
    error = float(np.sqrt((np.square(units.residuals) / left).sum()) / total)
    weights = np.square(units.sizes) / left
    off_diagonal = (weights.sum() ** 2 - np.square(weights).sum()) / total**2
    freedom = total**2 / (np.square(units.sizes).sum() + off_diagonal)
    return SmallSampleError(error, float(freedom))


def bootstrap_means(
    units: ClusteredSums, *, rng: np.random.Generator, n_resamples: int
) -> FloatArray:
    """Return the means of resamples of whole units with replacement, (n_resamples,)."""
    if n_resamples < 1:
        raise ValueError(f"n_resamples must be at least 1, got {n_resamples}")
    n_units = len(units.sums)
    equal = bool((units.sizes == 1).all())
    means = np.empty(n_resamples)
    step = max(1, _DRAWS_AT_ONCE // n_units)
    for start in range(0, n_resamples, step):
        drawn = rng.integers(0, n_units, (min(step, n_resamples - start), n_units))
        rows = slice(start, start + len(drawn))
        sums = units.sums[drawn].mean(axis=1) if equal else units.sums[drawn].sum(axis=1)
        means[rows] = sums if equal else sums / units.sizes[drawn].sum(axis=1)
    return means


def percentile_interval(means: FloatArray, *, confidence_level: float) -> Interval:
    """Return the central quantiles of bootstrap means."""
    tail = (1 - confidence_level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(low), float(high))


def bca_interval(
    units: ClusteredSums, means: FloatArray, *, confidence_level: float
) -> Interval | Missing:
    """Return the bias-corrected and accelerated bootstrap interval.

    Acceleration comes from the jackknife over units. ``Missing`` when every bootstrap mean lies
    on one side of the estimate, where the correction is infinite.

    Source: Efron and Tibshirani (1993), §14.3; equals ``scipy.stats.bootstrap`` given the same
    draws.
    """
    observed = float(units.sums.mean()) if (units.sizes == 1).all() else units.mean
    left_out = (units.sums.sum() - units.sums) / (units.sizes.sum() - units.sizes)
    return bca_limits(observed, means, left_out, confidence_level=confidence_level)


def bca_limits(
    observed: float, resampled: FloatArray, left_out: FloatArray, *, confidence_level: float
) -> Interval | Missing:
    """Return the BCa interval of any statistic from its bootstrap and its jackknife.

    ``resampled``: (n_resamples,) of the statistic; ``left_out``: (n_units,) with one unit (or one
    group of units) left out. ``Missing`` when every resample lies on one side of ``observed``,
    where the correction is infinite. Source: Efron and Tibshirani (1993), §14.3.
    """
    below = ((resampled < observed).sum() + (resampled <= observed).sum()) / (2 * len(resampled))
    if not 0 < below < 1:
        return Missing("all bootstrap values lie on one side of the estimate")
    bias = special.ndtri(below)
    spread = left_out.mean() - left_out
    squares = np.sum(spread**2)
    acceleration = np.sum(spread**3) / (6 * squares**1.5) if squares > 0 else 0.0
    z = special.ndtri((1 - confidence_level) / 2)
    tails = [
        special.ndtr(bias + (bias + side) / (1 - acceleration * (bias + side))) for side in (z, -z)
    ]
    low, high = np.quantile(resampled, tails)
    return Interval(float(low), float(high))


def influence_interval(
    value: float,
    influences: FloatArray,
    *,
    confidence_level: float,
    clusters: Sequence[Hashable] | None = None,
    below_one: bool = False,
) -> Interval | Missing:
    """Return a linearised (delta-method) interval of a smooth statistic.

    ``influences``: (n_items,) of the statistic, so that their mean square over n is its variance;
    ``clusters``: (n_items,) independent units, over which they are summed first. Student's t with
    n_units − 1 degrees of freedom. ``below_one`` makes the interval on log(1 − value), for
    coefficients that cannot exceed 1 and whose spread shrinks as they come near it.

    ``Missing`` below ten units, where no large-sample interval can be claimed, or where no unit
    moves the statistic.
    """
    units = cluster_sums(influences, clusters)
    n_units = len(units.sums)
    if n_units < FEWEST_UNITS:
        return Missing(f"{n_units} independent units are too few; an interval needs {FEWEST_UNITS}")
    sum_squares = float(np.square(units.sums).sum())
    if sum_squares <= 1e-24 * len(influences):
        return Missing("no unit differs from the others, so there is no spread")
    error = np.sqrt(sum_squares * n_units / (n_units - 1)) / len(influences)
    half = float(error * distributions.t.ppf((1 + confidence_level) / 2, df=n_units - 1))
    if not below_one:
        return Interval(value - half, value + half)
    factor = float(np.exp(half / (1 - value)))
    return Interval(1 - (1 - value) * factor, 1 - (1 - value) / factor)
