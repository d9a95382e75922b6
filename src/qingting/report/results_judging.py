"""Human judging in ``results.json``: how a study stands and what people said."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qingting.report.results_values import Interval, MissingValue, Number
from qingting.spec.base import Frozen


class StudyName(Frozen):
    """What a criterion is called."""

    zh: str
    en: str


class StudyWords(Frozen):
    """What people found, in words: paragraphs with `**bold**` and `code` and no other marks."""

    zh: tuple[str, ...]
    en: tuple[str, ...]


class JudgedArm(Frozen):
    """One arm by one criterion: a mean score (single answers, conversations), or a strength."""

    arm: str
    mean: float | None = Field(None, description="Mean of the scores 1 to 5, to read.")
    strength: Number | None = Field(
        None, description="Pairs: log-odds of being preferred, 0 on average."
    )
    interval: Interval | MissingValue | None = Field(None, description="Of the strength.")
    rank_low: int | None = Field(None, description="Pairs: the best rank that remains possible.")
    rank_high: int | None = Field(None, description="Pairs: the worst rank that remains possible.")


class JudgedContrast(Frozen):
    """`arm` against `other` by one criterion, raters and scenarios allowed for."""

    arm: str
    other: str
    log_odds: Number = Field(
        description="Of a higher score for the same rater and scenario; in pairs of being preferred."
    )
    interval: Interval | MissingValue
    p_first_higher: Number = Field(
        description="Probability that the first is scored higher, equal scores counted half; in "
        "pairs that it is preferred, ties aside."
    )
    p_first_higher_interval: Interval | MissingValue
    p: Number
    p_adjusted: Number = Field(
        description="Over all pairs of arms: Bonferroni for scores, Holm for pairs."
    )
    verdict: Literal["better", "worse", "inconclusive", "undefined"]


class JudgedCriterion(Frozen):
    """One criterion of the rubric."""

    criterion: str
    name: StudyName
    n_judgments: int
    alpha: Number = Field(description="Krippendorff's alpha; 1 is perfect, 0 chance.")
    alpha_interval: Interval | MissingValue
    share_same: Number = Field(description="Answers that the same rater scored the same again.")
    arms: tuple[JudgedArm, ...]
    contrasts: tuple[JudgedContrast, ...] | MissingValue
    notes: tuple[str, ...] = Field(
        (), description="What a reader must know before believing the intervals."
    )


class SafetyGate(Frozen):
    """Verdicts on one arm's answers. An answer fails when any rater fails it; none is averaged."""

    arm: str
    n_answers: int
    n_failed: int
    n_concern: int = Field(description="Answers with a concern and no failure.")
    failed: Interval = Field(description="Of the share of answers that fail.")
    upper_bound: float = Field(description="One-sided 95 % bound of that share.")
    reasons: dict[str, int] = Field(description="Reason codes and how many judgments gave them.")


class StudyDecision(Frozen):
    """What the rule says that was registered before the first judgment."""

    answer: Literal["promote", "do not promote", "inconclusive"]
    because: str


class StudyFindings(Frozen):
    """What a snapshot of the judgments says, raters left out by the registered rules."""

    snapshot: str = Field(description="sha256 of the snapshot that was read.")
    state: Literal["draft", "open", "paused", "closed"] = Field(
        description="Of the study when it was frozen; open or paused: people were still at work."
    )
    n_judgments: int
    n_raters: int
    n_raters_left_out: int
    words: StudyWords
    decision: StudyDecision | MissingValue
    criteria: tuple[JudgedCriterion, ...]
    safety: tuple[SafetyGate, ...]


class StudyResult(Frozen):
    """The study of an experiment, judged or not yet."""

    name: str
    mode: Literal["single", "pair", "conversation"]
    status: Literal["done", "waiting", "failed"]
    waits_for: Literal["study", "draft", "open", "paused", "superseded"] | None = Field(
        None,
        description="While waiting: draft, a person has to open it; open or paused, people have "
        "not finished; superseded, what was frozen holds judgments that were withdrawn.",
    )
    reason: str | None = Field(None, description="Why there is no result, where it failed.")
    registered_digest: str | None = Field(
        None, description="sha256 of what was fixed before the first judgment."
    )
    n_items: int | None = None
    n_items_left_out: int | None = Field(
        None, description="Not judged, for some arm gave no answer."
    )
    n_unanswered: dict[str, int] = Field(
        default_factory=dict, description="Arm → items that it left without an answer."
    )
    n_judgments_planned: int | None = None
    findings: StudyFindings | None = None
