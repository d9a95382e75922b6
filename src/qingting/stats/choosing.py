"""Choosing among alternatives by several criteria: gates, weights, and how firm the order is.

A criterion is the mean of one or more measures, each brought to 0..1 by the least and the most
among the alternatives that are compared (or by anchors that are given). A weighted mean of criteria
orders the alternatives. Because the ends come from the alternatives, adding or leaving out an
extreme one can change the order of others; anchors prevent that.

Source: the share of the space of weights in which an alternative comes first is the acceptability
index of Lahdelma, Hokkanen & Salminen (1998), "SMAA – Stochastic multiobjective acceptability
analysis", European Journal of Operational Research 106(1), 137–143; with two or three criteria it
is computed exactly here, as the length or area of a polygon.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qingting.core.errors import UndefinedStatisticError

FloatArray = NDArray[np.float64]

N_DRAWS = 20_000
_EPS = 1e-12


class Shares(NamedTuple):
    """The share of the space of weights in which each alternative comes first, (n,), sum 1.

    ``standard_errors`` are those of the draws; None where the shares are exact.
    """

    values: FloatArray
    standard_errors: FloatArray | None


@dataclass(frozen=True, slots=True, eq=False)
class Firmness:
    """What the uncertainty of the measurements leaves open.

    ``p_first``: (n,) probability that each alternative is first at the weights given.
    ``p_above``: (n, n) probability that the row's alternative stands above the column's.
    ``rank_low``, ``rank_high``: (n,) ranks that hold 95 % of the draws.
    """

    p_first: FloatArray
    p_above: FloatArray
    rank_low: NDArray[np.int64]
    rank_high: NDArray[np.int64]


def scaled(
    values: FloatArray, *, higher_is_better: bool, anchors: tuple[float, float] | None = None
) -> FloatArray:
    """Return measures on 0 (worst) to 1 (best), (…, n_alternatives).

    Without ``anchors`` (worst and best) the ends are the least and most of the last axis. Where all
    are equal, nothing tells them apart and all are 1. Values beyond the anchors are cut to them.
    """
    values = np.asarray(values, dtype=float)
    if anchors is not None:
        worst, best = anchors
        if worst == best:
            raise UndefinedStatisticError(
                "anchors are the worst and the best value; they are equal"
            )
        return np.asarray(np.clip((values - worst) / (best - worst), 0.0, 1.0), dtype=float)
    low = values.min(axis=-1, keepdims=True)
    high = values.max(axis=-1, keepdims=True)
    spread = high - low
    shares = np.divide(values - low, spread, out=np.ones_like(values), where=spread > 0)
    if not higher_is_better:
        shares = np.where(spread > 0, 1.0 - shares, 1.0)
    return np.asarray(shares, dtype=float)


def weighted(criteria: FloatArray, weights: FloatArray) -> FloatArray:
    """Return scores, (…, n): criteria (…, n, n_criteria) averaged by weights that sum to 1."""
    return np.asarray(criteria @ weights, dtype=float)


def normalised(weights: Mapping[str, float]) -> dict[str, float]:
    """Return weights that sum to 1.

    Raises:
        UndefinedStatisticError: a weight is negative or not finite, or all are 0.
    """
    total = sum(weights.values())
    if any(not np.isfinite(w) or w < 0 for w in weights.values()) or total <= 0:
        raise UndefinedStatisticError("weights are 0 or more, and not all 0")
    return {name: weight / total for name, weight in weights.items()}


def pareto_front(criteria: FloatArray) -> NDArray[np.bool_]:
    """Return which alternatives nothing beats, (n,): none is as good everywhere and better once."""
    n = len(criteria)
    beaten = np.zeros(n, dtype=bool)
    for i in range(n):
        as_good = (criteria >= criteria[i]).all(axis=1)
        better = (criteria > criteria[i]).any(axis=1)
        beaten[i] = bool((as_good & better).any())
    return ~beaten


def winning_shares(
    criteria: FloatArray, *, rng: np.random.Generator, n_draws: int = N_DRAWS
) -> Shares:
    """Return in which share of all weights each alternative comes first.

    All weights count alike (uniform on the simplex). Alternatives that tie share what they win.
    Exact for up to three criteria, drawn beyond.

    Args:
        criteria: (n_alternatives, n_criteria) in 0..1.
    """
    n_criteria = criteria.shape[1]
    if n_criteria <= 3:
        return Shares(_exact_shares(criteria), None)
    weights = rng.dirichlet(np.ones(n_criteria), size=n_draws)
    first = _shared_firsts(weights @ criteria.T)
    values = first.mean(axis=0)
    return Shares(values, np.sqrt(first.var(axis=0) / n_draws))


def _shared_firsts(scores: FloatArray) -> FloatArray:
    """Return 1 for the first of each row, divided among those that tie."""
    first = scores >= scores.max(axis=1, keepdims=True) - _EPS
    return np.asarray(first / first.sum(axis=1, keepdims=True), dtype=float)


def _exact_shares(criteria: FloatArray) -> FloatArray:
    """Return shares as lengths or areas of the region in which each alternative is first."""
    distinct, place = np.unique(criteria, axis=0, return_inverse=True)
    place = place.reshape(-1)
    sizes = np.array([_region_size(distinct, i) for i in range(len(distinct))])
    sizes /= sizes.sum()
    copies = np.bincount(place)
    return np.asarray(sizes[place] / copies[place], dtype=float)


def _region_size(criteria: FloatArray, i: int) -> float:
    n_criteria = criteria.shape[1]
    if n_criteria == 1:
        return float(criteria[i, 0] == criteria.max())
    region = winning_region(criteria, i)
    if n_criteria == 2:
        return float(region[:, 0].max() - region[:, 0].min()) if len(region) else 0.0
    return _area(region)


def winning_region(criteria: FloatArray, i: int) -> FloatArray:
    """Return the corners of the weights for which alternative ``i`` is first, (n_corners, 2).

    In the plane of the first two weights; the last is what is left of 1. With two criteria the
    region is a piece of the line from (0, 1) to (1, 0).
    """
    n_criteria = criteria.shape[1]
    corners = [(0.0, 1.0), (1.0, 0.0)] if n_criteria == 2 else [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)]
    polygon = np.array(corners)
    for other in range(len(criteria)):
        if other == i:
            continue
        d = criteria[i] - criteria[other]
        last = d[2] if n_criteria == 3 else 0.0
        # d·w >= 0 with w3 = 1 - w1 - w2
        normal, offset = np.array([d[0] - last, d[1] - last]), last
        polygon = _cut(polygon, normal, offset, closed=n_criteria == 3)
        if not len(polygon):
            break
    return polygon


def _cut(polygon: FloatArray, normal: FloatArray, offset: float, *, closed: bool) -> FloatArray:
    """Return the part of a polygon (or open line) where ``normal · w + offset >= 0``."""
    kept: list[FloatArray] = []
    heights = polygon @ normal + offset
    n = len(polygon)
    for at in range(n):
        if heights[at] >= -_EPS:
            kept.append(polygon[at])
        following = (at + 1) % n
        if following == 0 and not closed:
            break
        if (heights[at] > _EPS) != (heights[following] > _EPS) and abs(
            heights[at] - heights[following]
        ) > _EPS:
            share = heights[at] / (heights[at] - heights[following])
            if 0.0 < share < 1.0:
                kept.append(polygon[at] + share * (polygon[following] - polygon[at]))
    return np.array(kept).reshape(-1, 2)


def _area(polygon: FloatArray) -> float:
    if len(polygon) < 3:
        return 0.0
    x, y = polygon.T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def firmness(scores_draws: FloatArray) -> Firmness:
    """Return how firm an order is, from scores under draws of the measurements, (n_draws, n)."""
    n = scores_draws.shape[1]
    first = _shared_firsts(scores_draws)
    above = np.zeros((n, n))
    for i in range(n):
        gap = scores_draws[:, [i]] - scores_draws
        above[i] = (gap > _EPS).mean(axis=0) + 0.5 * (np.abs(gap) <= _EPS).mean(axis=0)
    ranks = 1 + (scores_draws[:, None, :] > scores_draws[:, :, None] + _EPS).sum(axis=2)
    low, high = np.quantile(ranks, (0.025, 0.975), axis=0, method="inverted_cdf")
    return Firmness(first.mean(axis=0), above, low.astype(np.int64), high.astype(np.int64))


def rank_shares(
    criteria: FloatArray, *, rng: np.random.Generator, n_draws: int = N_DRAWS
) -> FloatArray:
    """Return the share of weights in which each alternative takes each rank, (n, n); rows sum to 1."""
    n, n_criteria = criteria.shape
    weights = rng.dirichlet(np.ones(n_criteria), size=n_draws)
    scores = weights @ criteria.T
    ranks = (scores[:, None, :] > scores[:, :, None] + _EPS).sum(axis=2)
    return np.stack([(ranks == rank).mean(axis=0) for rank in range(n)], axis=1)


def order_of(scores: FloatArray, names: Sequence[str]) -> list[int]:
    """Return places in order of score, best first; equal scores in the order of their names."""
    return sorted(range(len(scores)), key=lambda at: (-scores[at], names[at]))
