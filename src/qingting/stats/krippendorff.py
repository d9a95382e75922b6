"""Krippendorff's alpha: agreement of any number of raters, each of whom may skip items."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from qingting.core.errors import DataError, UndefinedStatisticError
from qingting.core.missing import Missing
from qingting.stats.clusters import FloatArray, Interval, require_level
from qingting.stats.estimates import Estimate
from qingting.stats.intervals import FEWEST_UNITS, bca_limits, percentile_interval
from qingting.stats.rating_counts import RatingCounts, count_ratings

MeasurementLevel = Literal["nominal", "ordinal", "interval", "ratio"]
AlphaInterval = Literal["bca", "percentile"]
LEVELS: tuple[MeasurementLevel, ...] = ("nominal", "ordinal", "interval", "ratio")

DEFAULT_ALPHA_RESAMPLES = 2000

# Weights held in memory at once; 2 million are 16 MB.
_WEIGHTS_AT_ONCE = 2_000_000
# Up to so many values, an item's ordinal disagreements are kept as one row of value pairs.
_MOST_PAIRED_VALUES = 40
_MOST_RATIO_VALUES = 4000
# Groups of items that the jackknife leaves out where one evaluation reads the whole table.
_JACKKNIFE_GROUPS = 500
_MOST_UNDEFINED = 0.01


def krippendorff_alpha(
    ratings: FloatArray | RatingCounts,
    *,
    level: MeasurementLevel,
    rng: np.random.Generator | None = None,
    method: AlphaInterval = "bca",
    clusters: Sequence[Hashable] | None = None,
    n_resamples: int = DEFAULT_ALPHA_RESAMPLES,
    confidence_level: float = 0.95,
) -> Estimate:
    """Return alpha with a bootstrap interval over items.

    Alpha is 1 − D_observed / D_expected: 1 is perfect agreement, 0 what chance pairing of the
    pooled ratings gives, negative values are systematic disagreement. Raters are this panel; the
    interval speaks of further items, not of further raters.

    Args:
        ratings: (n_items, n_raters) float, NaN = not rated; or their counts. Nominal categories
            are any distinct numbers.
        level: how far apart two values are. ``"ordinal"`` counts the ratings that lie between.
        rng: for the bootstrap; without one there is no interval.
        method: of the interval, see ``docs/explanation/statistics.md``.
        clusters: (n_items,) labels of independent units such as the dialogue, which are then
            resampled as wholes.
        n_resamples: of the bootstrap; the marginals are those of each resample.
        confidence_level: of the interval.

    There is no interval below ten units. ``n_valid`` items have two ratings or more and enter; ``n_missing`` have fewer.

    Raises:
        UndefinedStatisticError: no item has two ratings, or all of those ratings are equal.
        DataError: infinite ratings, or a ratio scale with negative values.

    Source: Krippendorff (2019), Content Analysis, 4th ed., §12.3; differs from his bootstrap
    (§12.4.5, resampling of disagreements) in that whole items are resampled, since pairs within
    an item are not independent.
    """
    require_level(confidence_level)
    counts = ratings if isinstance(ratings, RatingCounts) else count_ratings(ratings)
    pairable, kept = counts.pairable()
    if not pairable.n_items:
        raise UndefinedStatisticError(
            "Krippendorff's alpha is undefined: no item has ratings by two raters"
        )
    if len(pairable.values) < 2:
        raise UndefinedStatisticError(
            f"Krippendorff's alpha is undefined: all {int(pairable.counts.sum())} ratings are the "
            "same, so no disagreement could be expected by chance"
        )
    units = _unit_numbers(clusters, kept, counts.n_items)
    table = _table(pairable, level, units.numbers, units.n_units)
    value = float(table.alphas(np.ones((1, units.n_units)))[0])
    interval: Interval | Missing
    if rng is None:
        interval = Missing("no interval was asked for")
    elif units.n_units < FEWEST_UNITS:
        interval = Missing(
            f"{units.n_units} independent units are too few; an interval needs {FEWEST_UNITS}"
        )
    else:
        interval = _interval(
            table,
            value,
            units.n_units,
            rng=rng,
            method=method,
            n_resamples=n_resamples,
            confidence_level=confidence_level,
        )
    name = "BCa" if method == "bca" else "percentile"
    clustered = ", clustered" if clusters is not None else ""
    return Estimate(
        value,
        interval,
        confidence_level,
        n_valid=pairable.n_items,
        n_missing=counts.n_items - pairable.n_items,
        method=f"{name} bootstrap of items ({n_resamples} resamples){clustered}",
        signature=f"krippendorff-alpha|level:{level}|v:1",
        n_clusters=units.n_units if clusters is not None else None,
    )


def bootstrap_alphas(
    counts: RatingCounts,
    *,
    level: MeasurementLevel,
    rng: np.random.Generator,
    n_resamples: int,
) -> FloatArray:
    """Return alpha in resamples of whole items, (n_resamples,); NaN where it is undefined."""
    pairable, _ = counts.pairable()
    table = _table(pairable, level, np.arange(pairable.n_items), pairable.n_items)
    return _resampled(table, pairable.n_items, rng=rng, n_resamples=n_resamples)


class _Units(NamedTuple):
    numbers: NDArray[np.int64]
    n_units: int


def _unit_numbers(
    clusters: Sequence[Hashable] | None, kept: NDArray[np.int64], n_items: int
) -> _Units:
    if clusters is None:
        return _Units(np.arange(len(kept)), len(kept))
    if len(clusters) != n_items:
        raise ValueError(f"{n_items} items but {len(clusters)} cluster labels")
    found: dict[Hashable, int] = {}
    numbers = [found.setdefault(clusters[item], len(found)) for item in kept.tolist()]
    return _Units(np.array(numbers, np.int64), len(found))


class _Table(Protocol):
    """Alpha as a function of how often each unit counts."""

    def alphas(self, weights: FloatArray) -> FloatArray:
        """Return alpha per row of weights, (n, n_units) in, (n,) out; NaN where undefined."""

    def left_out(self) -> FloatArray:
        """Return alpha with each unit, or each group of units, left out."""


class _SummedTable:
    """Alpha from sums over units: each unit is one row of numbers, added up by one product.

    ``rows``: (n_units, n_columns); the first ``n_observed`` columns make the observed
    disagreement, the others the pooled ratings.
    """

    def __init__(self, rows: FloatArray, expected: _Expected) -> None:
        self._rows = rows
        self._expected = expected

    def alphas(self, weights: FloatArray) -> FloatArray:
        return self._expected.alphas(weights @ self._rows)

    def left_out(self) -> FloatArray:
        return self._expected.alphas(self._rows.sum(axis=0) - self._rows)


class _Expected(NamedTuple):
    """How summed columns become alpha.

    ``values``: (n_values,). Columns for nominal and ratio: observed disagreement, then counts per
    value; for interval: observed, number, sum, sum of squares; for ordinal: disagreements of each
    pair of values without their distance, then counts per value.
    """

    level: MeasurementLevel
    values: FloatArray

    def alphas(self, sums: FloatArray) -> FloatArray:
        observed: FloatArray
        if self.level == "interval":
            observed, n_ratings, total, squares = sums.T
            expected = 2 * (n_ratings * squares - total**2)
        elif self.level == "ordinal":
            first, second = np.triu_indices(len(self.values), 1)
            pooled = sums[:, len(first) :]
            n_ratings = pooled.sum(axis=1)
            ranks = _centred_ranks(pooled)
            apart = np.square(ranks[:, first] - ranks[:, second])
            observed = np.einsum("ij,ij->i", sums[:, : len(first)], apart)
            expected = 2 * n_ratings * np.einsum("ij,ij->i", pooled, np.square(ranks))
        else:
            observed, pooled = sums[:, 0], sums[:, 1:]
            n_ratings = pooled.sum(axis=1)
            if self.level == "nominal":
                expected = n_ratings**2 - np.square(pooled).sum(axis=1)
            else:
                apart = _ratio_distances(self.values)
                expected = np.einsum("ij,ij->i", pooled @ apart, pooled)
        return _alpha(observed, expected, n_ratings)


class _WideOrdinalTable:
    """Ordinal alpha where the values are too many for a row of pairs: one pass per resample."""

    def __init__(self, counts: RatingCounts, units: NDArray[np.int64], n_units: int) -> None:
        self._table = counts.sparse()
        self._per_item = counts.per_item()
        self._units = units
        self._n_units = n_units

    def alphas(self, weights: FloatArray) -> FloatArray:
        return np.array([self._alpha(row) for row in weights])

    def left_out(self) -> FloatArray:
        groups = np.array_split(np.arange(self._n_units), min(self._n_units, _JACKKNIFE_GROUPS))
        found = []
        for group in groups:
            weights = np.ones(self._n_units)
            weights[group] = 0
            found.append(self._alpha(weights))
        return np.array(found)

    def _alpha(self, weights: FloatArray) -> float:
        weights_items = weights[self._units]
        pooled = weights_items @ self._table
        n_ratings = pooled.sum()
        ranks = _centred_ranks(pooled[None])[0]
        both = self._table @ np.column_stack([ranks, ranks**2])
        disagreement = 2 * (self._per_item * both[:, 1] - both[:, 0] ** 2) / (self._per_item - 1)
        observed = weights_items @ disagreement
        expected = 2 * n_ratings * (pooled @ ranks**2)
        return float(_alpha(observed[None], expected[None], n_ratings[None])[0])


def _table(
    counts: RatingCounts, level: MeasurementLevel, units: NDArray[np.int64], n_units: int
) -> _Table:
    n_values = len(counts.values)
    if level == "ordinal" and n_values > _MOST_PAIRED_VALUES:
        return _WideOrdinalTable(counts, units, n_units)
    # Centring changes no difference and keeps sums of squares exact.
    values = counts.values - (counts.values.mean() if level == "interval" else 0.0)
    per_item = counts.per_item()
    if level == "interval":
        table = counts.sparse()
        moments = table @ np.column_stack([np.ones(n_values), values, values**2])
        observed = 2 * (per_item * moments[:, 2] - moments[:, 1] ** 2) / (per_item - 1)
        rows = np.column_stack([observed, moments])
    else:
        dense = counts.dense()
        if level == "ordinal":
            first, second = np.triu_indices(n_values, 1)
            pairs = 2 * dense[:, first] * dense[:, second] / (per_item - 1)[:, None]
            rows = np.column_stack([pairs, dense])
        elif level == "nominal":
            agreeing = np.square(dense).sum(axis=1)
            rows = np.column_stack([(per_item**2 - agreeing) / (per_item - 1), dense])
        else:
            if values[0] < 0:
                raise DataError(f"a ratio scale has no negative values, but there is {values[0]:g}")
            if n_values > _MOST_RATIO_VALUES:
                raise DataError(
                    f"{n_values} distinct values are too many for ratio alpha "
                    f"(at most {_MOST_RATIO_VALUES}); round them"
                )
            apart = np.einsum("ij,ij->i", dense @ _ratio_distances(values), dense)
            rows = np.column_stack([apart / (per_item - 1), dense])
    if n_units != len(rows) or not np.array_equal(units, np.arange(n_units)):
        members = sparse.csr_array(
            (np.ones(len(rows)), (units, np.arange(len(rows)))), shape=(n_units, len(rows))
        )
        rows = members @ rows
    return _SummedTable(np.ascontiguousarray(rows), _Expected(level, values))


def _alpha(observed: FloatArray, expected: FloatArray, n_ratings: FloatArray) -> FloatArray:
    # Disagreement left by rounding when all values are the same is none.
    defined = expected > 1e-12 * np.maximum(n_ratings, 1)
    result = np.full(len(observed), np.nan)
    share = (n_ratings[defined] - 1) * observed[defined] / expected[defined]
    result[defined] = 1 - share
    return result


def _centred_ranks(pooled: FloatArray) -> FloatArray:
    """Return each value's middle rank less the mean rank, (n, n_values).

    The ordinal distance of two values, the ratings between them with half of their own, is the
    difference of these.
    """
    half = (pooled + pooled.sum(axis=1, keepdims=True)) / 2
    return np.asarray(np.cumsum(pooled, axis=1) - half, np.float64)


def _ratio_distances(values: FloatArray) -> FloatArray:
    total = values[:, None] + values
    total[total == 0] = 1.0
    return np.square((values[:, None] - values) / total)


def _interval(
    table: _Table,
    value: float,
    n_units: int,
    *,
    rng: np.random.Generator,
    method: AlphaInterval,
    n_resamples: int,
    confidence_level: float,
) -> Interval | Missing:
    found = _resampled(table, n_units, rng=rng, n_resamples=n_resamples)
    undefined = np.isnan(found)
    if undefined.mean() > _MOST_UNDEFINED:
        return Missing(
            f"alpha is undefined in {int(undefined.sum())} of {n_resamples} resamples, whose "
            "ratings are all the same"
        )
    found = found[~undefined]
    if np.ptp(found) <= 1e-12:
        return Missing("every resample gives the same alpha, so there is no spread")
    if method == "percentile":
        return percentile_interval(found, confidence_level=confidence_level)
    left_out = table.left_out()
    return bca_limits(
        value, found, left_out[~np.isnan(left_out)], confidence_level=confidence_level
    )


def _resampled(
    table: _Table, n_units: int, *, rng: np.random.Generator, n_resamples: int
) -> FloatArray:
    if n_resamples < 1:
        raise ValueError(f"n_resamples must be at least 1, got {n_resamples}")
    return np.concatenate(
        [table.alphas(weights) for weights in _weights(n_units, rng, n_resamples)]
    )


def _weights(n_units: int, rng: np.random.Generator, n_resamples: int) -> Iterator[FloatArray]:
    """Yield how often each unit is drawn, (n, n_units) at a time."""
    step = max(1, _WEIGHTS_AT_ONCE // n_units)
    for start in range(0, n_resamples, step):
        n_rows = min(step, n_resamples - start)
        drawn = rng.integers(0, n_units, (n_rows, n_units))
        drawn += np.arange(n_rows)[:, None] * n_units
        counted = np.bincount(drawn.ravel(), minlength=n_rows * n_units)
        yield counted.reshape(n_rows, n_units).astype(np.float64)
