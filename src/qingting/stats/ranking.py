"""Ranks of arms scored on the same items, with rank intervals that say what they claim."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qingting.core.errors import UndefinedStatisticError
from qingting.core.missing import Missing
from qingting.core.signature import require_same
from qingting.stats.clusters import (
    DEFAULT_RESAMPLES,
    ClusteredSums,
    FloatArray,
    cluster_sums,
    finite,
    require_level,
)
from qingting.stats.contrasts import ArmScores
from qingting.stats.intervals import t_interval

RankMethod = Literal["simultaneous", "bootstrap"]

CLAIMS: Mapping[RankMethod, str] = {
    "simultaneous": (
        "all true ranks lie in their intervals at once, with at least the stated confidence"
    ),
    "bootstrap": (
        "each interval shows how much the observed rank moves when items are resampled; it is "
        "not a confidence interval of the true rank when arms are close"
    ),
}


class RankedArm(NamedTuple):
    """An arm's place: rank 1 is best; equal means share a rank; both ends are included."""

    arm: str
    mean: float
    rank: int
    rank_low: int
    rank_high: int


@dataclass(frozen=True, slots=True)
class Ranking:
    """Arms from best to worst, on the ``n_items`` items that every arm has a score for.

    ``n_dropped`` items lack a score in at least one arm. ``claim`` says what the rank intervals
    mean.
    """

    arms: tuple[RankedArm, ...]
    method: RankMethod
    claim: str
    confidence_level: float
    n_items: int
    n_dropped: int
    signature: str


def rank_arms(
    scores_arms_items: Mapping[str, ArmScores],
    *,
    higher_is_better: bool,
    method: RankMethod = "simultaneous",
    rng: np.random.Generator | None = None,
    clusters: Mapping[str, Hashable] | None = None,
    n_resamples: int = DEFAULT_RESAMPLES,
    confidence_level: float = 0.95,
) -> Ranking:
    """Return the arms ranked by mean score over the items that all of them have.

    ``"simultaneous"``: paired t intervals of all pairwise differences at Bonferroni's level; an
    arm's best possible rank is one more than the arms proven better, its worst the number of
    arms less those proven worse. Claims that all true ranks are covered at once. A true rank
    counts the arms truly better, so tied arms may stand at any rank among themselves.
    ``"bootstrap"``: quantiles of ranks over resampled items; needs ``rng``; describes stability
    only.

    Source: Al Mohamad, van Zwet and Goeman (2021), *Simultaneous confidence intervals for ranks*,
    with Bonferroni intervals for their Tukey ones, because arms share items.

    Raises:
        IncomparableError: arms carry different signatures.
        UndefinedStatisticError: fewer than two arms, or fewer than two items in all of them.
    """
    require_level(confidence_level)
    names = list(scores_arms_items)
    if len(names) < 2:
        raise UndefinedStatisticError(f"no ranking: {len(names)} arm, needs two")
    for name in names[1:]:
        require_same(scores_arms_items[names[0]].signature, scores_arms_items[name].signature)
    items, scores = _complete(scores_arms_items)
    known = set().union(*(arm.scores_items for arm in scores_arms_items.values()))
    labels = None if clusters is None else [clusters[item] for item in items]
    signed = scores if higher_is_better else -scores
    units = [cluster_sums(column, labels) for column in signed.T]
    if len(units[0].sums) < 2:
        raise UndefinedStatisticError(
            f"no ranking: {len(units[0].sums)} independent item has a score in every arm, needs two"
        )
    ranks = _ranks(np.array([unit.mean for unit in units]))
    if method == "simultaneous":
        low, high = _simultaneous(units, confidence_level)
    else:
        if rng is None:
            raise ValueError("method 'bootstrap' resamples and needs an rng")
        low, high = _bootstrap(units, rng, n_resamples, confidence_level)
    means = scores.mean(axis=0)
    ranked = [
        RankedArm(name, float(means[k]), int(ranks[k]), int(low[k]), int(high[k]))
        for k, name in enumerate(names)
    ]
    return Ranking(
        tuple(sorted(ranked, key=lambda arm: arm.rank)),
        method,
        CLAIMS[method],
        confidence_level,
        n_items=len(items),
        n_dropped=len(known) - len(items),
        signature=str(scores_arms_items[names[0]].signature),
    )


def _complete(arms: Mapping[str, ArmScores]) -> tuple[Sequence[str], FloatArray]:
    """Return the items that every arm has a score for, and the scores (n_items, n_arms)."""
    present = [
        {item: s for item, s in arm.scores_items.items() if not isinstance(s, Missing)}
        for arm in arms.values()
    ]
    items = sorted(set.intersection(*(set(one) for one in present)))
    columns = [finite([one[item] for item in items]) for one in present]
    return items, np.stack(columns, axis=1)


def _ranks(means: FloatArray) -> NDArray[np.int64]:
    """Return 1 + the number of strictly larger means, along the last axis."""
    n_above: NDArray[np.int64] = (means[..., None, :] > means[..., :, None]).sum(axis=-1)
    return 1 + n_above


def _simultaneous(
    units: Sequence[ClusteredSums], confidence_level: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    n_arms = len(units)
    pairs = list(combinations(range(n_arms), 2))
    level = 1 - (1 - confidence_level) / len(pairs)
    n_better, n_worse = np.zeros(n_arms, np.int64), np.zeros(n_arms, np.int64)
    for i, j in pairs:
        difference = ClusteredSums(units[i].sums - units[j].sums, units[i].sizes)
        # Without spread there is no standard error, so nothing is proven.
        if not difference.has_spread:
            continue
        low, high = t_interval(difference, confidence_level=level)
        if low > 0:
            n_worse[i] += 1
            n_better[j] += 1
        elif high < 0:
            n_worse[j] += 1
            n_better[i] += 1
    return 1 + n_better, n_arms - n_worse


def _bootstrap(
    units: Sequence[ClusteredSums],
    rng: np.random.Generator,
    n_resamples: int,
    confidence_level: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    sums = np.stack([unit.sums for unit in units], axis=1)
    n_units = len(sums)
    ranks = np.empty((n_resamples, len(units)), np.int64)
    step = max(1, 4_000_000 // n_units)
    for start in range(0, n_resamples, step):
        n_rows = min(step, n_resamples - start)
        weights = rng.multinomial(n_units, np.full(n_units, 1 / n_units), n_rows)
        means = (weights @ sums) / (weights @ units[0].sizes)[:, None]
        ranks[start : start + n_rows] = _ranks(means)
    tail = (1 - confidence_level) / 2
    low = np.quantile(ranks, tail, axis=0, method="inverted_cdf")
    high = np.quantile(ranks, 1 - tail, axis=0, method="inverted_cdf")
    return low.astype(np.int64), high.astype(np.int64)
