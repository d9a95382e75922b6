"""Confidence intervals of a mean: Student's t and the bootstrap, over independent units."""

from __future__ import annotations

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
)

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
    below = ((means < observed).sum() + (means <= observed).sum()) / (2 * len(means))
    if not 0 < below < 1:
        return Missing("all bootstrap means lie on one side of the estimate")
    bias = special.ndtri(below)
    left_out = (units.sums.sum() - units.sums) / (units.sizes.sum() - units.sizes)
    spread = left_out.mean() - left_out
    acceleration = np.sum(spread**3) / (6 * np.sum(spread**2) ** 1.5)
    z = special.ndtri((1 - confidence_level) / 2)
    tails = [
        special.ndtr(bias + (bias + side) / (1 - acceleration * (bias + side))) for side in (z, -z)
    ]
    low, high = np.quantile(means, tails)
    return Interval(float(low), float(high))
