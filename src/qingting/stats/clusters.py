"""Independent units, and the small words that every interval is made with."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qingting.core.errors import DataError

FloatArray = NDArray[np.float64]
IntervalMethod = Literal["t", "bca", "percentile"]

DEFAULT_RESAMPLES = 10_000


class Interval(NamedTuple):
    """The ends of a confidence interval, both included, in the unit of the estimate."""

    low: float
    high: float


class ClusteredSums(NamedTuple):
    """Sums and sizes per independent unit, (n_clusters,) each; a mean is sum over size."""

    sums: FloatArray
    sizes: FloatArray

    @property
    def mean(self) -> float:
        """Return the mean over items."""
        return float(self.sums.sum() / self.sizes.sum())

    @property
    def residuals(self) -> FloatArray:
        """Return what each unit contributes beyond the mean, (n_clusters,)."""
        return self.sums - self.mean * self.sizes

    @property
    def has_spread(self) -> bool:
        """Return whether units differ by more than rounding."""
        scale = float(np.abs(self.sums).max(initial=0.0))
        return bool(np.abs(self.residuals).max(initial=0.0) > 1e-12 * scale)


def cluster_sums(values: FloatArray, clusters: Sequence[Hashable] | None = None) -> ClusteredSums:
    """Return sums per cluster; without ``clusters`` every item is its own.

    ``values``: (n_items,) finite. ``clusters``: (n_items,) labels, such as the dialogue.
    """
    values = finite(values)
    if clusters is None:
        return ClusteredSums(values, np.ones(len(values)))
    if len(clusters) != len(values):
        raise ValueError(f"{len(values)} values but {len(clusters)} cluster labels")
    numbers: dict[Hashable, int] = {}
    index = np.array([numbers.setdefault(label, len(numbers)) for label in clusters], np.int64)
    n_clusters = len(numbers)
    return ClusteredSums(
        np.bincount(index, weights=values, minlength=n_clusters).astype(float),
        np.bincount(index, minlength=n_clusters).astype(float),
    )


def finite(values: Sequence[float] | FloatArray) -> FloatArray:
    """Return a one-dimensional float array.

    Raises:
        DataError: a value is NaN or infinite; absent values are to be ``Missing``.
    """
    array = np.asarray(values, np.float64)
    if array.ndim != 1:
        raise ValueError(f"expected one dimension, got shape {array.shape}")
    bad = np.flatnonzero(~np.isfinite(array))
    if len(bad):
        raise DataError(
            f"value {array[bad[0]]} at index {bad[0]} is not a number that can be averaged; "
            "mark absent values as missing"
        )
    return array


def require_level(confidence_level: float) -> None:
    """Raise ``ValueError`` unless a confidence level lies strictly between 0 and 1."""
    if not 0 < confidence_level < 1:
        raise ValueError(f"confidence_level must lie between 0 and 1, got {confidence_level}")
