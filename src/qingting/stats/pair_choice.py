"""Which pair of arms to show next, with its propensity, and estimates that allow for the choice."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qingting.core.errors import UndefinedStatisticError
from qingting.stats.clusters import FloatArray

DEFAULT_FLOOR = 0.2


class Choice(NamedTuple):
    """A drawn pair (place in ``arm_pairs``) and the probability with which it was drawn.

    Both must be logged with the vote: without the propensity the vote cannot be weighted.
    """

    pair: int
    propensity: float


class WeightedMeans(NamedTuple):
    """Estimates per pair, (n_pairs,) each; ``standard_errors`` hold for large numbers of votes."""

    means: FloatArray
    standard_errors: FloatArray


def arm_pairs(n_arms: int) -> tuple[tuple[int, int], ...]:
    """Return all pairs of arms, in the order that every array over pairs here has."""
    return tuple(combinations(range(n_arms), 2))


def pair_propensities(
    n_votes: Sequence[int] | NDArray[np.int64],
    sums: Sequence[float] | FloatArray,
    sums_squares: Sequence[float] | FloatArray,
    *,
    floor: float = DEFAULT_FLOOR,
) -> FloatArray:
    """Return the probability of showing each pair next, (n_pairs,), summing to 1.

    A pair is shown more often the more one further vote would narrow its estimate:
    ``√(s²/n) − √(s²/(n + 1))``, with s² shrunk towards 1/4 by one imagined vote, so that a pair
    without votes counts as most uncertain. The share ``floor`` is spread evenly, so no pair's
    propensity falls below ``floor / n_pairs``.

    Args:
        n_votes: (n_pairs,) votes so far.
        sums: (n_pairs,) of outcomes: 1 for the first arm, 0.5 for a tie, 0 for the second.
        sums_squares: (n_pairs,) of squared outcomes.
        floor: in (0, 1]; 1 is uniform sampling.

    Source: Chiang et al. (2024), §5 (active sampling); differs: the shrinkage and the floor.
    """
    if not 0 < floor <= 1:
        raise ValueError(f"floor must lie in (0, 1], got {floor}: without it estimates may be lost")
    n = np.asarray(n_votes, np.float64) + 1
    means = (np.asarray(sums, np.float64) + 0.5) / n
    # One imagined outcome at 0.5 with the largest variance there is, 1/4.
    variances = np.maximum((np.asarray(sums_squares, np.float64) + 0.5) / n - means**2, 0.0)
    gains = np.sqrt(variances) * (1 / np.sqrt(n) - 1 / np.sqrt(n + 1))
    n_pairs = len(n)
    greedy = gains / gains.sum() if gains.sum() > 0 else np.full(n_pairs, 1 / n_pairs)
    return np.asarray(floor / n_pairs + (1 - floor) * greedy)


def choose_pair(propensities: FloatArray, *, rng: np.random.Generator) -> Choice:
    """Return a pair drawn with these probabilities, and its own."""
    pair = int(rng.choice(len(propensities), p=propensities))
    return Choice(pair, float(propensities[pair]))


def inverse_propensity_means(
    choices: Sequence[Choice], outcomes: Sequence[float] | FloatArray, *, n_pairs: int
) -> WeightedMeans:
    """Return each pair's mean outcome, unbiased although the choice of pairs looked at votes.

    ``mean_k = (1/T) Σ_t 1[pair_t = k] (outcome_t − 1/2) / propensity_t + 1/2``. Every vote's
    propensity was fixed before its outcome, so each term has the pair's mean whatever the past
    was. Subtracting the constant 1/2 keeps that and shrinks the variance. A plain mean per pair
    is biased under adaptive choice.

    Raises:
        UndefinedStatisticError: there are no votes.

    Source: Horvitz and Thompson (1952); Hadad et al. (2021), §2, for adaptive designs.
    """
    n_votes = len(choices)
    if n_votes != len(outcomes):
        raise ValueError(f"{n_votes} choices but {len(outcomes)} outcomes")
    if not n_votes:
        raise UndefinedStatisticError("no weighted mean: there are no votes")
    pairs = np.array([choice.pair for choice in choices])
    propensities = np.array([choice.propensity for choice in choices])
    if not ((propensities > 0) & (propensities <= 1)).all():
        raise ValueError("a propensity lies in (0, 1]")
    terms = (np.asarray(outcomes, np.float64) - 0.5) / propensities
    means = np.bincount(pairs, weights=terms, minlength=n_pairs) / n_votes
    squares = np.bincount(pairs, weights=terms**2, minlength=n_pairs) / n_votes
    errors = np.sqrt(np.maximum(squares - means**2, 0.0) / n_votes)
    return WeightedMeans(means + 0.5, errors)
