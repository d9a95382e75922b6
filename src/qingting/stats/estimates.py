"""Estimates with their intervals, and what went into them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qingting.core.errors import UndefinedStatisticError
from qingting.core.missing import Missing
from qingting.core.signature import Signature
from qingting.stats.clusters import (
    DEFAULT_RESAMPLES,
    Interval,
    IntervalMethod,
    cluster_sums,
    finite,
    require_level,
)
from qingting.stats.intervals import mean_interval


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its uncertainty.

    ``interval`` is ``Missing`` where none can be claimed (one item, no spread); the value then
    stands alone. ``n_valid`` items entered, ``n_missing`` had no value and did not. ``method``
    names how the interval was made. ``n_clusters`` is the number of independent units where
    items were clustered, otherwise ``None``.
    """

    value: float
    interval: Interval | Missing
    confidence_level: float
    n_valid: int
    n_missing: int
    method: str
    signature: str | None = None
    n_clusters: int | None = None

    def to_record(self) -> dict[str, Any]:
        """Return the JSON form."""
        interval = self.interval
        return {
            "value": self.value,
            "interval": interval.to_record() if isinstance(interval, Missing) else [*interval],
            "confidence_level": self.confidence_level,
            "n_valid": self.n_valid,
            "n_missing": self.n_missing,
            "method": self.method,
            "signature": self.signature,
            "n_clusters": self.n_clusters,
        }


def mean_estimate(
    values: Sequence[float | Missing],
    *,
    method: IntervalMethod = "t",
    rng: np.random.Generator | None = None,
    clusters: Sequence[Hashable] | None = None,
    n_resamples: int = DEFAULT_RESAMPLES,
    confidence_level: float = 0.95,
    signature: Signature | str | None = None,
) -> Estimate:
    """Return the mean of the present values with an interval.

    Args:
        values: (n_items,) numbers or ``Missing``; the missing are counted, not imputed, so the
            estimate speaks of the items that could be scored.
        method: ``"t"`` (Student; needs no ``rng``), ``"bca"`` or ``"percentile"`` bootstrap.
        rng: needed by the bootstraps.
        clusters: (n_items,) labels of the independent units where items are not independent.
        n_resamples: of the bootstrap.
        confidence_level: of the interval.
        signature: of the scores; kept with the estimate.

    Raises:
        UndefinedStatisticError: no value is present.
        DataError: a value is NaN or infinite.
    """
    require_level(confidence_level)
    present = [index for index, value in enumerate(values) if not isinstance(value, Missing)]
    if not present:
        raise UndefinedStatisticError(f"no mean: none of {len(values)} values is present")
    if clusters is not None and len(clusters) != len(values):
        raise ValueError(f"{len(values)} values but {len(clusters)} cluster labels")
    units = cluster_sums(
        finite([float(values[index]) for index in present]),  # type: ignore[arg-type]
        None if clusters is None else [clusters[index] for index in present],
    )
    interval = mean_interval(
        units,
        method=method,
        rng=rng,
        n_resamples=n_resamples,
        confidence_level=confidence_level,
    )
    return Estimate(
        units.mean,
        interval,
        confidence_level,
        n_valid=len(present),
        n_missing=len(values) - len(present),
        method=method_name(method, n_resamples=n_resamples, clustered=clusters is not None),
        signature=None if signature is None else str(signature),
        n_clusters=None if clusters is None else len(units.sums),
    )


def method_name(method: IntervalMethod, *, n_resamples: int, clustered: bool) -> str:
    """Return the name of an interval as reports print it."""
    name = {
        "t": "Student t",
        "bca": f"BCa bootstrap ({n_resamples} resamples)",
        "percentile": f"percentile bootstrap ({n_resamples} resamples)",
    }[method]
    return f"{name}, clustered" if clustered else name
