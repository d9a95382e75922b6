"""What a ranking by votes consists of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from qingting.core.missing import Missing
from qingting.stats.bradley_terry import PairModel
from qingting.stats.clusters import Interval

Remedy = Literal["none", "half-votes"]


class Effect(NamedTuple):
    """An effect in log-odds; the interval is ``Missing`` where none can be claimed."""

    value: float
    standard_error: float | Missing
    interval: Interval | Missing


class ArmStrength(NamedTuple):
    """An arm's strength in log-odds, 0 on average over its group; rank 1 is best.

    ``strength`` is ``Missing`` for an arm that no finite estimate compares with another. Ranks
    are within the group; both ends of a rank interval are included.
    """

    arm: str
    group: int
    strength: float | Missing
    standard_error: float | Missing
    interval: Interval | Missing
    elo: float | Missing
    rank: int | Missing
    rank_low: int | Missing
    rank_high: int | Missing
    n_votes: int
    n_won: int
    n_lost: int
    n_tied: int


class ArmContrast(NamedTuple):
    """The first arm's strength less the second's; ``p_holm`` is adjusted over all contrasts.

    ``p_first_wins``: the probability that the first is preferred, ties aside, in neutral order.
    ``p_tie`` is None without a model of ties.
    """

    first: str
    second: str
    difference: float
    interval: Interval | Missing
    p_value: float | Missing
    p_holm: float | Missing
    p_first_wins: float
    p_tie: float | None


@dataclass(frozen=True, slots=True)
class VoteRanking:
    """What votes say about arms, from best to worst within each group of comparable arms.

    ``problems``: disconnected parts and separation; ``warnings``: what speaks against taking the
    intervals at their word. ``n_one_sided`` votes cross groups, all in one direction, and say
    nothing about finite distances.
    """

    arms: tuple[ArmStrength, ...]
    contrasts: tuple[ArmContrast, ...]
    model: PairModel
    order_effect: Effect | None
    covariates: dict[str, Effect]
    log_nu: Effect | None
    method: str
    remedy: Remedy
    confidence_level: float
    rank_claim: str
    n_votes: int
    n_one_sided: int
    n_clusters: dict[str, int]
    n_failed_resamples: int
    log_likelihood: float
    deviance: float
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
