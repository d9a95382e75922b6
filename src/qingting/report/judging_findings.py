"""From the analysis of a study to its part of ``results.json``."""

from __future__ import annotations

from typing import Any, Literal

from qingting.core.missing import Missing
from qingting.judging.analysis import StudyAnalysis
from qingting.judging.criteria import CriterionResult
from qingting.report.judging_words import first_page
from qingting.report.results_judging import (
    JudgedArm,
    JudgedContrast,
    JudgedCriterion,
    SafetyGate,
    StudyDecision,
    StudyFindings,
    StudyName,
    StudyWords,
)
from qingting.report.results_values import Interval, MissingValue, Number
from qingting.stats.estimates import Estimate
from qingting.stats.rating_results import OrdinalMixedFit, RatingContrast
from qingting.stats.vote_results import ArmContrast, VoteRanking

_LEVEL = 0.95
Verdict = Literal["better", "worse", "inconclusive", "undefined"]


def study_findings(result: StudyAnalysis) -> StudyFindings:
    """Return what the report shows of a study; the whole analysis stands in its own files."""
    decision = result.decision
    names = {one["id"]: one["name"] for one in result.study["rubric"]["criteria"]}
    return StudyFindings(
        snapshot=result.digest,
        state=result.study["state"],
        n_judgments=result.n_judgments,
        n_raters=result.n_raters,
        n_raters_left_out=len({one.rater for one in result.exclusions}),
        words=StudyWords(zh=summary_of(result, "zh"), en=summary_of(result, "en")),
        decision=MissingValue(missing=decision.reason)
        if isinstance(decision, Missing)
        else StudyDecision(answer=decision.answer, because=decision.because),
        criteria=tuple(
            _criterion(one, StudyName(**names[one.criterion])) for one in result.criteria
        ),
        safety=tuple(
            SafetyGate(
                arm=one.arm,
                n_answers=one.n_answers,
                n_failed=one.n_failed,
                n_concern=one.n_concern,
                failed=Interval(
                    low=one.failed_low,
                    high=one.failed_high,
                    confidence_level=_LEVEL,
                    method="Clopper–Pearson",
                ),
                upper_bound=one.upper_bound,
                reasons=dict(one.reasons),
            )
            for one in result.safety
        ),
    )


def summary_of(result: StudyAnalysis, language: Literal["zh", "en"]) -> tuple[str, ...]:
    """Return the words of the first page of a study, without its headings."""
    lines = (line.strip() for line in first_page(result, language=language).splitlines())
    return tuple(line.removeprefix("- ") for line in lines if line and not line.startswith("#"))


def _criterion(one: CriterionResult, name: StudyName) -> JudgedCriterion:
    alpha, interval = _estimate(one.alpha)
    same = one.repeats
    return JudgedCriterion(
        criterion=one.criterion,
        name=name,
        n_judgments=one.n_judgments,
        alpha=alpha,
        alpha_interval=interval,
        share_same=_number(same if isinstance(same, Missing) else same.share_same.value),
        arms=_arms(one),
        contrasts=_contrasts(one),
        notes=_notes(one),
    )


def _arms(one: CriterionResult) -> tuple[JudgedArm, ...]:
    if isinstance(one.ranking, VoteRanking):
        return tuple(
            JudgedArm(
                arm=arm.arm,
                strength=_number(arm.strength),
                interval=_interval(arm.interval, one.ranking.confidence_level, one.ranking.method),
                rank_low=None if isinstance(arm.rank_low, Missing) else arm.rank_low,
                rank_high=None if isinstance(arm.rank_high, Missing) else arm.rank_high,
            )
            for arm in one.ranking.arms
        )
    means = sorted((one.means or {}).items(), key=lambda pair: -pair[1])
    return tuple(JudgedArm(arm=arm, mean=mean) for arm, mean in means)


def _contrasts(one: CriterionResult) -> tuple[JudgedContrast, ...] | MissingValue:
    if isinstance(one.ranking, VoteRanking):
        ranking = one.ranking
        return tuple(_of_votes(pair, ranking) for pair in ranking.contrasts)
    if isinstance(one.ratings, OrdinalMixedFit):
        pairs = one.ratings.contrasts
        return tuple(_of_ratings(pair, n_pairs=len(pairs)) for pair in pairs)
    absent = one.ratings if isinstance(one.ratings, Missing) else one.ranking
    return MissingValue(missing=absent.reason if isinstance(absent, Missing) else "not computed")


def _notes(one: CriterionResult) -> tuple[str, ...]:
    if isinstance(one.ranking, VoteRanking):
        return (*one.ranking.problems, *one.ranking.warnings)
    return one.ratings.notes if isinstance(one.ratings, OrdinalMixedFit) else ()


def _of_votes(pair: ArmContrast, ranking: VoteRanking) -> JudgedContrast:
    return JudgedContrast(
        arm=pair.first,
        other=pair.second,
        log_odds=pair.difference,
        interval=_interval(pair.interval, ranking.confidence_level, ranking.method),
        p_first_higher=pair.p_first_wins,
        p_first_higher_interval=MissingValue(missing="the log-odds carry the interval"),
        p=_number(pair.p_value),
        p_adjusted=_number(pair.p_holm),
        verdict=_verdict(pair.difference, pair.p_holm),
    )


def _of_ratings(pair: RatingContrast, *, n_pairs: int) -> JudgedContrast:
    log_odds, interval = _estimate(pair.log_odds)
    p_first_higher, p_interval = _estimate(pair.superiority)
    p = pair.p_value
    p_adjusted: float | Missing = p if isinstance(p, Missing) else min(1.0, p * n_pairs)
    value: float | Missing = (
        pair.log_odds if isinstance(pair.log_odds, Missing) else pair.log_odds.value
    )
    return JudgedContrast(
        arm=pair.first,
        other=pair.second,
        log_odds=log_odds,
        interval=interval,
        p_first_higher=p_first_higher,
        p_first_higher_interval=p_interval,
        p=_number(p),
        p_adjusted=_number(p_adjusted),
        verdict=_verdict(value, p_adjusted),
    )


def _verdict(difference: float | Missing, p_adjusted: float | Missing) -> Verdict:
    if isinstance(difference, Missing) or isinstance(p_adjusted, Missing):
        return "undefined"
    if p_adjusted > 1 - _LEVEL:
        return "inconclusive"
    return "better" if difference > 0 else "worse"


def _number(value: float | Missing) -> Number:
    return MissingValue(missing=value.reason) if isinstance(value, Missing) else float(value)


def _estimate(one: Estimate | Missing) -> tuple[Number, Interval | MissingValue]:
    if isinstance(one, Missing):
        return _number(one), MissingValue(missing=one.reason)
    return float(one.value), _interval(one.interval, one.confidence_level, one.method)


def _interval(found: Any, confidence_level: float, method: str) -> Interval | MissingValue:
    if isinstance(found, Missing):
        return MissingValue(missing=found.reason)
    return Interval(
        low=float(found.low),
        high=float(found.high),
        confidence_level=confidence_level,
        method=method,
    )
