"""Equivalence and non-inferiority: evidence that two arms differ by less than a margin."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats as distributions

from qingting.core.errors import UndefinedStatisticError
from qingting.stats.clusters import FloatArray, Interval, cluster_sums, finite
from qingting.stats.intervals import small_sample_error

EquivalenceVerdict = Literal["equivalent", "not inferior", "not superior", "inconclusive"]


@dataclass(frozen=True, slots=True)
class EquivalenceTest:
    """Two one-sided tests of ``first − second`` against a margin, in the unit of the scores.

    ``p_not_inferior`` speaks against "first is lower by ``margin`` or more", ``p_not_superior``
    against "higher by ``margin`` or more", ``p_equivalent`` against either. ``interval`` has level
    1 − 2 × ``significance_level``: within the margins just where the arms are equivalent.
    """

    difference: float
    margin: float
    interval: Interval
    p_not_inferior: float
    p_not_superior: float
    significance_level: float
    n_units: int

    @property
    def p_equivalent(self) -> float:
        """Return the p value of equivalence, the larger of the two."""
        return max(self.p_not_inferior, self.p_not_superior)

    @property
    def verdict(self) -> EquivalenceVerdict:
        """Return what is shown at the significance level about the first arm."""
        bar = self.significance_level + 1e-12
        if self.p_equivalent <= bar:
            return "equivalent"
        if self.p_not_inferior <= bar:
            return "not inferior"
        return "not superior" if self.p_not_superior <= bar else "inconclusive"

    def to_record(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "difference": self.difference,
            "margin": self.margin,
            "interval": [*self.interval],
            "interval_level": 1 - 2 * self.significance_level,
            "p_not_inferior": self.p_not_inferior,
            "p_not_superior": self.p_not_superior,
            "p_equivalent": self.p_equivalent,
            "significance_level": self.significance_level,
            "n_units": self.n_units,
            "verdict": self.verdict,
        }


def equivalence_test(
    first: Sequence[float] | FloatArray,
    second: Sequence[float] | FloatArray,
    *,
    margin: float,
    clusters: Sequence[Hashable] | None = None,
    significance_level: float = 0.05,
) -> EquivalenceTest:
    """Return the two one-sided t tests (TOST) of paired scores against ±``margin``.

    Args:
        first: (n_items,) finite scores of one arm.
        second: (n_items,) finite scores of the other arm on the same items.
        margin: the largest difference that would not matter, fixed before the data were seen.
        clusters: (n_items,) labels of independent units, see ``small_sample_error``.
        significance_level: of each one-sided test.

    Raises:
        UndefinedStatisticError: fewer than two units, or none differs from another.
        ValueError: a margin that is not positive.

    Source: Schuirmann (1987); equals ``statsmodels`` ``ttost_paired`` without clusters.
    """
    if not (np.isfinite(margin) and margin > 0):
        raise ValueError(f"margin must be positive, got {margin}")
    if not 0 < significance_level < 0.5:
        raise ValueError(f"significance_level must lie below 0.5, got {significance_level}")
    a, b = finite(first), finite(second)
    if len(a) != len(b):
        raise ValueError(f"{len(a)} scores of one arm but {len(b)} of the other")
    units = cluster_sums(a - b, clusters)
    n_units = len(units.sums)
    if n_units < 2:
        raise UndefinedStatisticError(
            f"no test against the margin: {n_units} independent units, and it needs two"
        )
    if not units.has_spread:
        raise UndefinedStatisticError(
            f"no test against the margin: all {n_units} units differ by the same amount"
        )
    error, freedom = small_sample_error(units)
    half = error * float(distributions.t.ppf(1 - significance_level, freedom))
    return EquivalenceTest(
        units.mean,
        float(margin),
        Interval(units.mean - half, units.mean + half),
        float(distributions.t.sf((units.mean + margin) / error, freedom)),
        float(distributions.t.cdf((units.mean - margin) / error, freedom)),
        significance_level,
        n_units,
    )
