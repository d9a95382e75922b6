"""Ratings as counts: how often each item got each value, by whomever."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from qingting.core.errors import DataError
from qingting.stats.clusters import FloatArray, finite

IntArray = NDArray[np.int64]

# Whole-number scales of at most so many steps are counted without sorting.
_MOST_STEPS = 256


@dataclass(frozen=True, slots=True, eq=False)
class RatingCounts:
    """The cells of a table of items by values that are not zero.

    ``values``: (n_values,) ascending. ``items``, ``columns`` (index into ``values``) and
    ``counts``: (n_cells,). ``n_items`` includes items without a rating.
    """

    values: FloatArray
    items: IntArray
    columns: IntArray
    counts: FloatArray
    n_items: int

    def per_item(self) -> FloatArray:
        """Return the number of ratings, (n_items,)."""
        return np.bincount(self.items, weights=self.counts, minlength=self.n_items).astype(float)

    def pairable(self) -> PairableCounts:
        """Return the items with two ratings or more, renumbered, and which those were."""
        enough = self.per_item() >= 2
        if enough.all():
            return PairableCounts(self, np.arange(self.n_items))
        kept = enough[self.items]
        numbers = np.cumsum(enough) - 1
        used, columns = np.unique(self.columns[kept], return_inverse=True)
        part = RatingCounts(
            self.values[used],
            numbers[self.items[kept]],
            columns,
            self.counts[kept],
            int(enough.sum()),
        )
        return PairableCounts(part, np.flatnonzero(enough))

    def dense(self) -> FloatArray:
        """Return the table, (n_items, n_values)."""
        table = np.zeros((self.n_items, len(self.values)))
        table[self.items, self.columns] = self.counts
        return table

    def sparse(self) -> Any:
        """Return the table as a compressed sparse row array, (n_items, n_values)."""
        shape = (self.n_items, len(self.values))
        return sparse.csr_array((self.counts, (self.items, self.columns)), shape=shape)


class PairableCounts(NamedTuple):
    """Counts of the items with two ratings or more; ``items``: their numbers before."""

    counts: RatingCounts
    items: IntArray


def count_ratings(ratings_items_raters: FloatArray) -> RatingCounts:
    """Return the counts of a table of ratings, (n_items, n_raters), NaN = not rated.

    Raises:
        DataError: a rating is infinite.
    """
    ratings = np.asarray(ratings_items_raters, np.float64)
    if ratings.ndim != 2:
        raise ValueError(f"expected items by raters, got shape {ratings.shape}")
    if np.isinf(ratings).any():
        raise DataError("a rating is infinite; mark absent ratings as NaN")
    n_items = len(ratings)
    absent = np.isnan(ratings)
    if absent.all():
        return _cells(np.empty(0), np.empty((n_items, 0)))
    low, high = np.fmin.reduce(ratings.ravel()), np.fmax.reduce(ratings.ravel())
    if high - low < _MOST_STEPS and low == int(low):
        n_steps = int(high - low) + 1
        steps = np.where(absent, n_steps, ratings - low)
        whole = steps.astype(np.int64)
        if (whole == steps).all():
            whole += np.arange(n_items)[:, None] * (n_steps + 1)
            counted = np.bincount(whole.ravel(), minlength=n_items * (n_steps + 1))
            table = counted.reshape(n_items, n_steps + 1)[:, :n_steps]
            return _cells(low + np.arange(n_steps), table)
    items = np.nonzero(~absent)[0]
    return count_judgments(items, ratings[~absent], n_items=n_items)


def count_judgments(
    items: Sequence[int] | IntArray, values: Sequence[float] | FloatArray, *, n_items: int
) -> RatingCounts:
    """Return the counts of a long table.

    ``items``: (n_judgments,) numbers below ``n_items``. ``values``: (n_judgments,) finite.
    """
    rated = finite(values)
    found, columns = np.unique(rated, return_inverse=True)
    n_values = max(1, len(found))
    keys = np.asarray(items, np.int64) * n_values + columns
    cells, counts = np.unique(keys, return_counts=True)
    return RatingCounts(
        found, cells // n_values, cells % n_values, counts.astype(np.float64), n_items
    )


def _cells(values: FloatArray, counts_items_values: NDArray[Any]) -> RatingCounts:
    used = counts_items_values.any(axis=0)
    table = counts_items_values[:, used]
    items, columns = np.nonzero(table)
    return RatingCounts(
        values[used], items, columns, table[items, columns].astype(np.float64), len(table)
    )
