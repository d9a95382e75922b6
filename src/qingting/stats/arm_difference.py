"""The mean difference of two arms from ratings, its interval clustered by prompt and by rater."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from qingting.core.errors import UndefinedStatisticError
from qingting.core.missing import Missing
from qingting.stats.clusters import FloatArray, Interval, require_level


@dataclass(frozen=True, slots=True)
class ArmDifference:
    """``first − second`` over the prompts that both arms have ratings for."""

    value: float
    interval: Interval | Missing
    confidence_level: float
    n_prompts: int
    n_raters: int
    n_ratings: int
    method: str

    def to_record(self) -> dict[str, Any]:
        """Return the JSON form."""
        interval = self.interval
        return {
            "value": self.value,
            "interval": interval.to_record() if isinstance(interval, Missing) else [*interval],
            "confidence_level": self.confidence_level,
            "n_prompts": self.n_prompts,
            "n_raters": self.n_raters,
            "n_ratings": self.n_ratings,
            "method": self.method,
        }


def arm_difference(
    is_first: Sequence[bool] | NDArray[np.bool_],
    prompts: Sequence[Hashable],
    scores: Sequence[float] | FloatArray,
    *,
    raters: Sequence[Hashable] | None = None,
    confidence_level: float = 0.95,
) -> ArmDifference:
    """Return the mean over shared prompts of the difference of both arms' mean ratings.

    The variance adds what clusters of prompts and clusters of raters contribute and takes off
    what both share; it is not allowed below either one-way variance. Student's t with the smaller
    number of clusters, minus one, degrees of freedom. Without raters (or with one) the interval
    is clustered by prompt and speaks of these raters only.

    Args:
        is_first: (n_ratings,) whether a rating is of the first arm; otherwise of the second.
        prompts, raters: (n_ratings,) labels.
        scores: (n_ratings,) finite.

    Raises:
        UndefinedStatisticError: no prompt has ratings of both arms.

    Source: Cameron, Gelbach and Miller (2011), §2, for the mean; degrees of freedom as their §4.
    """
    require_level(confidence_level)
    first = np.array([bool(one) for one in is_first], np.bool_)
    values = np.asarray(scores, np.float64)
    names, item = _numbered(prompts)
    n_of = np.stack([np.bincount(item[side], minlength=len(names)) for side in (first, ~first)])
    keep = np.asarray((n_of > 0).all(axis=0))[item]
    if not keep.any():
        raise UndefinedStatisticError("no difference: no prompt has ratings of both arms")
    first, values = first[keep], values[keep]
    _, item = _numbered([prompts[i] for i in np.flatnonzero(keep).tolist()])
    n_prompts = int(item.max()) + 1
    n_of = np.stack([np.bincount(item[side], minlength=n_prompts) for side in (first, ~first)])
    weights = 1 / (n_prompts * np.where(first, n_of[0][item], n_of[1][item]))
    means = [float((weights * values)[side].sum()) for side in (first, ~first)]
    parts = np.where(first, weights, -weights) * (values - np.where(first, means[0], means[1]))
    by_prompt = _variance(item, parts)
    df, variance, method = n_prompts - 1, by_prompt, "Student t, clustered by prompt"
    n_raters = 0
    if raters is not None:
        _, rater = _numbered([raters[i] for i in np.flatnonzero(keep).tolist()])
        n_raters = int(rater.max()) + 1
        if n_raters > 1:
            cells = np.unique(item * n_raters + rater, return_inverse=True)[1]
            by_rater = _variance(rater, parts)
            both = float((np.bincount(cells, weights=parts) ** 2).sum())
            variance = max(by_prompt + by_rater - both, by_prompt, by_rater)
            df = min(n_prompts, n_raters) - 1
            method = "Student t, clustered by prompt and rater"
    interval: Interval | Missing
    if df < 1:
        interval = Missing("one independent unit has no spread")
    elif variance <= 1e-24:
        interval = Missing("all units have the same value, so there is no spread")
    else:
        half = float(special.stdtrit(df, (1 + confidence_level) / 2)) * variance**0.5
        interval = Interval(means[0] - means[1] - half, means[0] - means[1] + half)
    return ArmDifference(
        means[0] - means[1],
        interval,
        confidence_level,
        n_prompts,
        n_raters,
        len(values),
        method,
    )


def _numbered(labels: Sequence[Hashable]) -> tuple[list[Hashable], NDArray[np.int64]]:
    numbers: dict[Hashable, int] = {}
    index = np.array([numbers.setdefault(label, len(numbers)) for label in labels], np.int64)
    return list(numbers), index


def _variance(clusters: NDArray[np.int64], parts: FloatArray) -> float:
    sums = np.bincount(clusters, weights=parts)
    return len(sums) / max(len(sums) - 1, 1) * float((sums**2).sum())
