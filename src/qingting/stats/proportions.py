"""Intervals of a proportion, and upper bounds for events that should not happen."""

from __future__ import annotations

from typing import Literal

from scipy import special

from qingting.core.errors import UndefinedStatisticError
from qingting.core.signature import Signature
from qingting.stats.clusters import Interval, require_level
from qingting.stats.estimates import Estimate

ProportionMethod = Literal["wilson", "clopper-pearson"]


def proportion_estimate(
    n_successes: int,
    n_trials: int,
    *,
    method: ProportionMethod = "wilson",
    confidence_level: float = 0.95,
    n_missing: int = 0,
    signature: Signature | str | None = None,
) -> Estimate:
    """Return a proportion with an interval for independent trials.

    ``"wilson"`` covers its level on average over proportions and suits reporting;
    ``"clopper-pearson"`` covers at least its level for every proportion and suits gates. Both are
    proper at 0 and at ``n_trials`` successes.

    Raises:
        UndefinedStatisticError: there are no trials.
    """
    wilson = method == "wilson"
    interval = (wilson_interval if wilson else clopper_pearson_interval)(
        n_successes, n_trials, confidence_level=confidence_level
    )
    return Estimate(
        n_successes / n_trials,
        interval,
        confidence_level,
        n_valid=n_trials,
        n_missing=n_missing,
        method="Wilson" if wilson else "Clopper–Pearson",
        signature=None if signature is None else str(signature),
    )


def wilson_interval(n_successes: int, n_trials: int, *, confidence_level: float = 0.95) -> Interval:
    """Return Wilson's score interval. Source: Wilson (1927)."""
    _require(n_successes, n_trials, confidence_level)
    z = float(special.ndtri((1 + confidence_level) / 2))
    p = n_successes / n_trials
    bottom = 1 + z**2 / n_trials
    centre = (p + z**2 / (2 * n_trials)) / bottom
    half = z / bottom * (p * (1 - p) / n_trials + z**2 / (4 * n_trials**2)) ** 0.5
    # At the ends centre and half agree but for rounding.
    low = 0.0 if n_successes == 0 else centre - half
    high = 1.0 if n_successes == n_trials else centre + half
    return Interval(low, high)


def clopper_pearson_interval(
    n_successes: int, n_trials: int, *, confidence_level: float = 0.95
) -> Interval:
    """Return the exact (Clopper–Pearson) interval; it covers at least its level."""
    _require(n_successes, n_trials, confidence_level)
    tail = (1 - confidence_level) / 2
    n_failures = n_trials - n_successes
    low = special.betaincinv(n_successes, n_failures + 1, tail) if n_successes else 0.0
    high = special.betaincinv(n_successes + 1, n_failures, 1 - tail) if n_failures else 1.0
    return Interval(float(low), float(high))


def upper_bound(n_events: int, n_trials: int, *, confidence_level: float = 0.95) -> float:
    """Return the exact one-sided upper bound of a probability, for events such as harm.

    With no event in n trials it is ``1 − (1 − confidence_level)**(1/n)``, about 3 / n at 95%: 60
    clean answers prove no better than "below 5%".

    Raises:
        UndefinedStatisticError: there are no trials.
    """
    _require(n_events, n_trials, confidence_level)
    if n_events == n_trials:
        return 1.0
    return float(special.betaincinv(n_events + 1, n_trials - n_events, confidence_level))


def _require(n_successes: int, n_trials: int, confidence_level: float) -> None:
    require_level(confidence_level)
    if not n_trials:
        raise UndefinedStatisticError("no proportion: there are no trials")
    if not 0 <= n_successes <= n_trials:
        raise ValueError(f"{n_successes} successes in {n_trials} trials")
