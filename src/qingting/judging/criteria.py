"""One criterion of a study: the model of its ratings or votes, and how far raters agree."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from qingting.core.errors import DataError, UndefinedStatisticError
from qingting.core.missing import Missing
from qingting.judging.propensity import propensity_weights
from qingting.judging.rows import Row, prompt_of, unit_of, value_of
from qingting.stats.arm_ratings import ArmRatings
from qingting.stats.clusters import FloatArray
from qingting.stats.corrections import holm
from qingting.stats.estimates import Estimate
from qingting.stats.krippendorff import MeasurementLevel, krippendorff_alpha
from qingting.stats.rating_model import fit_ordinal_mixed
from qingting.stats.rating_results import OrdinalMixedFit
from qingting.stats.repeats import IntraRater, intra_rater_consistency
from qingting.stats.vote_ranking import rank_votes
from qingting.stats.vote_results import VoteRanking
from qingting.stats.votes import votes_of

T = TypeVar("T")
SIGNIFICANCE = 0.05
_WINNER = {"left": 0, "right": 1, "tie": 2}


@dataclass(frozen=True, slots=True)
class CriterionResult:
    """One criterion: agreement, and the arms' ratings or the ranking of pairs."""

    criterion: str
    n_judgments: int
    alpha: Estimate | Missing
    repeats: IntraRater | Missing
    ratings: OrdinalMixedFit | Missing | None
    means: Mapping[str, float] | None
    """Single and conversation: mean score of each arm, to read; the model decides."""
    ranking: VoteRanking | Missing | None
    reweighted: VoteRanking | Missing | None = None
    """Pairs that were chosen actively: the ranking with every vote weighted by one over the
    propensity of its pair, to set beside ``ranking``. See ``propensity_weights``."""


def defined(compute: Callable[[], T]) -> T | Missing:
    """Return what is computed, or why the data do not define it."""
    try:
        return compute()
    except (UndefinedStatisticError, DataError) as error:
        return Missing(str(error))


def criterion_result(
    rows: Sequence[Row],
    criterion: str,
    *,
    is_pair: bool,
    seed: int,
    active_floor: float | None = None,
) -> CriterionResult:
    """Return what judgments say on one criterion; repeats count for consistency only.

    Args:
        active_floor: of a study that chose its pairs actively; adds ``reweighted``.
    """
    main = [row for row in rows if row["role"] == "main" and criterion in row["scores"]]
    again = [
        row for row in rows if row["role"] in ("main", "repeat") and criterion in row["scores"]
    ]
    level: MeasurementLevel = "nominal" if is_pair else "ordinal"
    if not main:
        none = Missing("no judgment is left")
        return CriterionResult(criterion, 0, none, none, none, None, none)
    return CriterionResult(
        criterion=criterion,
        n_judgments=len(main),
        alpha=defined(lambda: _alpha(main, criterion, level, seed)),
        repeats=defined(lambda: _repeats(again, criterion, level, seed)),
        ratings=None if is_pair else defined(lambda: rating_fit(main, criterion)),
        means=None if is_pair else mean_scores(main, criterion),
        ranking=defined(lambda: pair_ranking(main, criterion, seed=seed)) if is_pair else None,
        reweighted=None
        if active_floor is None
        else defined(lambda: pair_ranking(main, criterion, seed=seed, active_floor=active_floor)),
    )


def rating_fit(
    main: Sequence[Row], criterion: str, *, confidence_level: float = 0.95
) -> OrdinalMixedFit:
    """Return the mixed model of the scores.

    Raises:
        UndefinedStatisticError, DataError: the scores do not determine it.
    """
    return fit_ordinal_mixed(
        ArmRatings.of(
            [row["arm"] for row in main],
            [prompt_of(row) for row in main],
            [row["rater"] for row in main],
            [float(row["scores"][criterion]) for row in main],
            scale=(1, 2, 3, 4, 5),
            criterion=criterion,
        ),
        confidence_level=confidence_level,
    )


def pair_ranking(
    main: Sequence[Row],
    criterion: str,
    *,
    seed: int,
    confidence_level: float = 0.95,
    active_floor: float | None = None,
) -> VoteRanking:
    """Return the ranking by preferences.

    Args:
        active_floor: where given, votes are weighted as ``propensity_weights`` says.

    Raises:
        UndefinedStatisticError, DataError: the preferences do not determine it.
    """
    return rank_votes(
        votes_of(
            [row["arm"] for row in main],
            [row["other_arm"] for row in main],
            [_WINNER[row["scores"][criterion]] for row in main],
            prompts=[prompt_of(row) for row in main],
            raters=[row["rater"] for row in main],
            weights=None if active_floor is None else propensity_weights(main, floor=active_floor),
        ),
        rng=np.random.default_rng(seed),
        confidence_level=confidence_level,
    )


def mean_scores(main: Sequence[Row], criterion: str) -> dict[str, float]:
    """Return each arm's mean score, names in order."""
    given: dict[str, list[float]] = {}
    for row in main:
        if criterion in row["scores"]:
            given.setdefault(row["arm"], []).append(float(row["scores"][criterion]))
    return {arm: float(np.mean(scores)) for arm, scores in sorted(given.items())}


def _alpha(main: Sequence[Row], criterion: str, level: MeasurementLevel, seed: int) -> Estimate:
    units, raters = [unit_of(row) for row in main], [row["rater"] for row in main]
    values = [value_of(row, criterion) for row in main]
    table = _table(units, raters, values)
    return krippendorff_alpha(table, level=level, rng=np.random.default_rng(seed))


def _repeats(
    again: Sequence[Row], criterion: str, level: MeasurementLevel, seed: int
) -> IntraRater:
    return intra_rater_consistency(
        [unit_of(row) for row in again],
        [row["rater"] for row in again],
        [value_of(row, criterion) for row in again],
        level=level,
        rng=np.random.default_rng(seed),
    )


def _table(units: Sequence[str], raters: Sequence[str], values: Sequence[float]) -> FloatArray:
    """Return (n_units, n_raters) values, NaN where a rater did not judge."""
    rows, columns = sorted(set(units)), sorted(set(raters))
    place, column = {u: n for n, u in enumerate(rows)}, {r: n for n, r in enumerate(columns)}
    table: FloatArray = np.full((len(rows), len(columns)), math.nan)
    for unit, rater, value in zip(units, raters, values, strict=True):
        table[place[unit], column[rater]] = value
    return table


def settled_pairs(
    found: OrdinalMixedFit | VoteRanking | Missing | None,
) -> tuple[tuple[str, str], ...]:
    """Return the pairs of arms that surely differ, better first (5 %, Holm over all pairs)."""
    contrasts: list[tuple[str, str, float, float]] = []
    if isinstance(found, OrdinalMixedFit):
        contrasts = [
            (c.first, c.second, c.log_odds.value, c.p_value)
            for c in found.contrasts
            if not isinstance(c.log_odds, Missing) and not isinstance(c.p_value, Missing)
        ]
    elif isinstance(found, VoteRanking):
        contrasts = [
            (c.first, c.second, c.difference, c.p_value)
            for c in found.contrasts
            if not isinstance(c.p_value, Missing)
        ]
    if not contrasts:
        return ()
    adjusted = holm(np.array([p for *_, p in contrasts]))
    return tuple(
        (first, second) if difference > 0 else (second, first)
        for (first, second, difference, _), p in zip(contrasts, adjusted, strict=True)
        if p <= SIGNIFICANCE
    )


def contrast_intervals(
    found: OrdinalMixedFit | VoteRanking | Missing | None,
) -> dict[tuple[str, str], Any]:
    """Return the interval of each pair's difference in log-odds, or ``Missing``, by pair."""
    if isinstance(found, OrdinalMixedFit):
        return {
            (c.first, c.second): c.log_odds
            if isinstance(c.log_odds, Missing)
            else c.log_odds.interval
            for c in found.contrasts
        }
    if isinstance(found, VoteRanking):
        return {(c.first, c.second): c.interval for c in found.contrasts}
    return {}
