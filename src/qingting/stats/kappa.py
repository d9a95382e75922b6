"""Cohen's, weighted and Fleiss' kappa: agreement beyond chance of two, or equally many, raters."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np

from qingting.core.errors import DataError, UndefinedStatisticError
from qingting.stats.clusters import FloatArray, require_level
from qingting.stats.estimates import Estimate
from qingting.stats.intervals import influence_interval

KappaWeights = Literal["none", "linear", "quadratic"]
KAPPA_WEIGHTS: tuple[KappaWeights, ...] = ("none", "linear", "quadratic")

_METHOD = "linearised, Student t on log(1 − kappa)"


def cohen_kappa(
    first: Sequence[float] | FloatArray,
    second: Sequence[float] | FloatArray,
    *,
    weights: KappaWeights = "none",
    clusters: Sequence[Hashable] | None = None,
    confidence_level: float = 0.95,
) -> Estimate:
    """Return Cohen's kappa of two raters, weighted by how near two values are or not.

    Args:
        first: (n_items,) values of one rater, NaN = not rated. Categories are any distinct
            numbers; with weights, distances are those of the numbers, so an unused step of the
            scale keeps its place.
        second: (n_items,) values of the other rater.
        weights: ``"none"``, ``"linear"`` or ``"quadratic"``.
        clusters: (n_items,) labels of independent units, such as the dialogue.
        confidence_level: of the interval.

    ``n_missing`` items lack a rating by one of the two. The interval is the large-sample one on
    log(1 − kappa), which cannot exceed 1; ``docs/explanation/statistics.md`` says from how many
    items it covers its level. The variance is that of Fleiss, Cohen and Everitt (1969) (equal to
    ``statsmodels``), with n / (n − 1) and Student's t.

    Raises:
        UndefinedStatisticError: no item rated by both, or both used one and the same value only,
            so that no disagreement could be expected.
    """
    require_level(confidence_level)
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"ratings of shapes {a.shape} and {b.shape} are not of the same items")
    if np.isinf(a).any() or np.isinf(b).any():
        raise DataError("a rating is infinite; mark absent ratings as NaN")
    both = ~np.isnan(a) & ~np.isnan(b)
    if not both.any():
        raise UndefinedStatisticError("kappa is undefined: no item was rated by both raters")
    values, codes = np.unique(np.concatenate([a[both], b[both]]), return_inverse=True)
    n_items = int(both.sum())
    codes_a, codes_b = codes[:n_items], codes[n_items:]
    nearness = _nearness(values, weights)
    shares_a = np.bincount(codes_a, minlength=len(values)) / n_items
    shares_b = np.bincount(codes_b, minlength=len(values)) / n_items
    agreement_items = nearness[codes_a, codes_b]
    observed = float(agreement_items.mean())
    expected = float(shares_a @ nearness @ shares_b)
    if 1 - expected <= 1e-12:
        raise UndefinedStatisticError(
            f"kappa is undefined: both raters gave all {n_items} items the same value, so no "
            "disagreement could be expected by chance"
        )
    value = 1 - (1 - observed) / (1 - expected)
    by_chance = (nearness @ shares_b)[codes_a] + (shares_a @ nearness)[codes_b]
    influences = (agreement_items - observed) / (1 - expected) - (1 - observed) / (
        1 - expected
    ) ** 2 * (by_chance - 2 * expected)
    labels = None if clusters is None else [clusters[i] for i in np.flatnonzero(both).tolist()]
    return Estimate(
        value,
        influence_interval(
            value,
            influences,
            clusters=labels,
            confidence_level=confidence_level,
            below_one=True,
        ),
        confidence_level,
        n_valid=n_items,
        n_missing=len(a) - n_items,
        method=_METHOD if labels is None else f"{_METHOD}, clustered",
        signature=f"cohen-kappa|weights:{weights}|v:1",
        n_clusters=None if labels is None else len(set(labels)),
    )


def fleiss_kappa(
    counts_items_categories: FloatArray,
    *,
    allow_unequal: bool = False,
    clusters: Sequence[Hashable] | None = None,
    confidence_level: float = 0.95,
) -> Estimate:
    """Return Fleiss' kappa of several raters, who need not be the same for every item.

    Args:
        counts_items_categories: (n_items, n_categories) how many raters chose each category.
        allow_unequal: take the generalisation to unequal numbers of raters per item (Fleiss,
            Levin and Paik 2003, §18.3), which equals Fleiss' kappa where they are equal.
        clusters: (n_items,) labels of independent units.
        confidence_level: of the interval, large-sample over items on log(1 − kappa).

    Items with fewer than two ratings are counted as missing.

    Raises:
        UndefinedStatisticError: no item has two ratings; one category only; or items differ in
            their number of ratings and ``allow_unequal`` is not set, since Fleiss (1971) defines
            kappa for equal numbers only.

    Source: Fleiss (1971); the interval is the linearised one, not his, which holds under chance
    agreement only.
    """
    require_level(confidence_level)
    counts = np.asarray(counts_items_categories, np.float64)
    if counts.ndim != 2 or (counts < 0).any() or not np.isfinite(counts).all():
        raise ValueError("expected counts of items by categories, none negative")
    enough = counts.sum(axis=1) >= 2
    kept = counts[enough]
    if not len(kept):
        raise UndefinedStatisticError("Fleiss' kappa is undefined: no item has two ratings")
    per_item = kept.sum(axis=1)
    fewest, most = int(per_item.min()), int(per_item.max())
    if fewest != most and not allow_unequal:
        raise UndefinedStatisticError(
            f"Fleiss' kappa is undefined: items have {fewest} to {most} ratings, and it needs "
            "the same number for each; use Krippendorff's alpha (nominal), or allow unequal numbers"
        )
    total = per_item.sum()
    shares = kept.sum(axis=0) / total
    expected = 1 - float(shares @ shares)
    if expected <= 1e-12:
        raise UndefinedStatisticError(
            f"Fleiss' kappa is undefined: all {int(total)} ratings fall into one category, so no "
            "disagreement could be expected by chance"
        )
    n_items = len(kept)
    apart_items = per_item - np.square(kept).sum(axis=1) / per_item
    spare = float((per_item - 1).mean())
    apart = float(apart_items.mean())
    ratio = apart / (spare * expected)
    shift = -2 * (kept @ shares - per_item * float(shares @ shares)) / (total / n_items)
    influences = -ratio * (
        (apart_items - apart) / apart - (per_item - 1 - spare) / spare - shift / expected
        if apart > 0
        else np.zeros(n_items)
    )
    labels = None if clusters is None else [clusters[i] for i in np.flatnonzero(enough).tolist()]
    return Estimate(
        1 - ratio,
        influence_interval(
            1 - ratio,
            influences,
            clusters=labels,
            confidence_level=confidence_level,
            below_one=True,
        ),
        confidence_level,
        n_valid=n_items,
        n_missing=len(counts) - n_items,
        method=_METHOD if labels is None else f"{_METHOD}, clustered",
        signature=f"fleiss-kappa|unequal:{'yes' if fewest != most else 'no'}|v:1",
        n_clusters=None if labels is None else len(set(labels)),
    )


def _nearness(values: FloatArray, weights: KappaWeights) -> FloatArray:
    if weights == "none" or len(values) < 2:
        return np.eye(len(values))
    apart = np.abs(values[:, None] - values) / (values[-1] - values[0])
    nearness: FloatArray = 1 - (apart if weights == "linear" else apart**2)
    return nearness
