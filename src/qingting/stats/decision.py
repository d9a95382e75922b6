"""Promote, do not promote, or inconclusive: a preregistered rule applied to judgments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from qingting.core.errors import UndefinedStatisticError
from qingting.core.missing import Missing
from qingting.stats.arm_difference import ArmDifference, arm_difference
from qingting.stats.clusters import Interval
from qingting.stats.decision_rule import Attention, DecisionRule, ExpertAgreement, Safety
from qingting.stats.judgment_files import Judgments, Score
from qingting.stats.krippendorff import krippendorff_alpha
from qingting.stats.more_ratings import More, more_for_difference, more_for_safety
from qingting.stats.proportions import clopper_pearson_interval, upper_bound, wilson_interval

State = Literal["met", "failed", "open"]
Kind = Literal["primary", "other", "safety", "calibration", "minimum"]
Answer = Literal["promote", "do not promote", "inconclusive"]


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause of the rule and what the judgments say to it.

    ``value`` is the figure; ``interval`` its interval, one-sided bounds in ``bound``; ``bar``
    what it is held against. ``more``: what would settle an open clause, or why nothing would.
    """

    kind: Kind
    name: str
    demand: str
    state: State
    words: str
    value: float | Missing
    interval: Interval | Missing
    bar: float
    bound: float | None = None
    more: More | Missing | None = None

    def to_record(self) -> dict[str, Any]:
        """Return the JSON form."""

        def plain(one: Any) -> Any:
            if isinstance(one, Missing | More):
                return one.to_record()
            return [*one] if isinstance(one, Interval) else one

        return {name: plain(getattr(self, name)) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer, its clauses, and what would settle it where it is open."""

    answer: Answer
    because: str
    clauses: tuple[Clause, ...]
    more: More | Missing | None
    confidence_level: float
    looks: int

    def to_record(self) -> dict[str, Any]:
        """Return the JSON form."""
        more = self.more
        return {
            "answer": self.answer,
            "because": self.because,
            "more": more.to_record() if isinstance(more, Missing | More) else None,
            "confidence_level": self.confidence_level,
            "looks": self.looks,
            "clauses": [clause.to_record() for clause in self.clauses],
        }


def decide(rule: DecisionRule, judgments: Judgments, *, rng: np.random.Generator) -> Decision:
    """Return what the rule says to the judgments.

    Promote when every clause is met. A failed safety clause is decisive whatever the rest says;
    failed quality is, once the minimum numbers and the calibration floors are met, because
    judgments that are few or not to be relied on decide nothing. All clauses must hold at once, so
    no clause is corrected for the others (intersection–union test: Berger 1982); a false
    promotion is at most as likely as the error of any one clause: (1 − level)/2 for quality, 1 −
    level for safety.
    """
    level = rule.level_of_a_look
    clauses = [_minimum(rule, judgments), *_calibration(rule, judgments, rng)]
    clauses.append(_safety(rule.safety, rule.candidate, judgments, level))
    primary = rule.primary
    bar = primary.margin if primary.claim == "superiority" else -primary.margin
    clauses.append(_quality(rule, judgments, "primary", primary.criterion, bar, primary.direction))
    for other in rule.others:
        clauses.append(
            _quality(rule, judgments, "other", other.criterion, -other.margin, other.direction)
        )
    answer, because = _answer(clauses)
    more = _more(clauses) if answer == "inconclusive" else None
    return Decision(answer, because, tuple(clauses), more, rule.confidence_level, rule.looks)


def _answer(clauses: list[Clause]) -> tuple[Answer, str]:
    failed = [clause for clause in clauses if clause.state == "failed"]
    unsafe = [clause for clause in failed if clause.kind == "safety"]
    if unsafe:
        return "do not promote", f"safety: {unsafe[0].words}"
    base = [c for c in clauses if c.kind in ("minimum", "calibration") and c.state != "met"]
    if base:
        return "inconclusive", f"{base[0].name}: {base[0].words}"
    if failed:
        return "do not promote", f"{failed[0].name}: {failed[0].words}"
    unsettled = [clause for clause in clauses if clause.state == "open"]
    if unsettled:
        return "inconclusive", f"{unsettled[0].name}: {unsettled[0].words}"
    return "promote", f"all {len(clauses)} clauses are met"


def _more(clauses: list[Clause]) -> More | Missing:
    """Return what would settle the answer: any clause that would fail, or all that would be met."""
    floor = [c for c in clauses if c.kind == "calibration" and c.state != "met"]
    if floor:
        return Missing(
            f"no number of ratings would: {floor[0].name} is not met; raters must be trained or "
            "replaced, and their judgments renewed"
        )
    unsettled = [c for c in clauses if c.state == "open"]
    known = [c.more for c in unsettled if isinstance(c.more, More)]
    failing = [more for more in known if not more.is_met]
    if failing:
        return min(failing, key=lambda more: more.n_prompts)
    unknown = [c for c in unsettled if not isinstance(c.more, More)]
    if unknown:
        why = unknown[0].more
        reason = why.reason if isinstance(why, Missing) else "it cannot be foreseen"
        return Missing(f"{unknown[0].name}: {reason}")
    largest = max(known, key=lambda more: more.n_prompts)
    n_ratings = max(more.n_ratings for more in known)
    return largest._replace(n_ratings=n_ratings)


def _minimum(rule: DecisionRule, judgments: Judgments) -> Clause:
    shared, raters, per_prompt = _shared(rule, judgments.scores[rule.primary.criterion])
    answers = len({one.prompt for one in judgments.safety if one.arm == rule.candidate})
    least = rule.minimum
    have = {"prompts": shared, "safety answers": answers}
    need = {"prompts": least.prompts, "safety answers": least.safety_answers}
    if judgments.has_raters or least.raters > 1:
        have["raters"], need["raters"] = raters, least.raters
    short = {name: need[name] - have[name] for name in need if have[name] < need[name]}
    more: More | Missing | None = None
    if short.get("raters"):
        more = Missing(f"{short['raters']} more raters are needed, whatever the number of ratings")
    elif short:
        n_prompts = max(short.values())
        n_ratings = int(np.ceil(n_prompts * max(per_prompt, 1.0)))
        more = More(n_prompts, n_ratings, True, "the rule's minimum numbers")
    said = ", ".join(f"{have[name]} {name} of {need[name]}" for name in need)
    return Clause(
        "minimum",
        "minimum numbers",
        "at least " + ", ".join(f"{n} {name}" for name, n in need.items()),
        "open" if short else "met",
        said,
        float(shared),
        Missing("a count has no interval"),
        float(least.prompts),
        more=more,
    )


def _shared(rule: DecisionRule, scores: tuple[Score, ...]) -> tuple[int, int, float]:
    """Return prompts that both arms have scores of, raters of these, and scores per prompt."""
    of = {
        arm: {s.prompt for s in scores if s.arm == arm} for arm in (rule.candidate, rule.baseline)
    }
    shared = of[rule.candidate] & of[rule.baseline]
    entered = [score for score in scores if score.prompt in shared]
    return len(shared), len({s.rater for s in entered}), len(entered) / max(len(shared), 1)


def _quality(
    rule: DecisionRule,
    judgments: Judgments,
    kind: Literal["primary", "other"],
    criterion: str,
    bar: float,
    direction: Literal["higher", "lower"],
) -> Clause:
    demand = f"better by more than {bar:g}" if bar >= 0 else f"not worse by {-bar:g} or more"
    found = quality_difference(rule, judgments, criterion, direction)
    if isinstance(found, Missing):
        return Clause(kind, criterion, demand, "open", found.reason, found, found, bar, more=found)
    interval = found.interval
    if isinstance(interval, Missing):
        words = f"{found.value:+.3f}, no interval: {interval.reason}"
        more = more_for_difference(found, bar)
        return Clause(kind, criterion, demand, "open", words, found.value, interval, bar, more=more)
    state: State = "met" if interval.low > bar else "failed" if interval.high <= bar else "open"
    said = {"met": demand, "failed": f"not {demand}", "open": f"open whether {demand}"}[state]
    words = (
        f"{said}; {found.value:+.3f} [{interval.low:+.3f} to {interval.high:+.3f}], "
        f"{found.n_prompts} prompts, {found.n_ratings} ratings"
        + (f", {found.n_raters} raters" if found.n_raters else "")
    )
    more_needed = more_for_difference(found, bar) if state == "open" else None
    return Clause(
        kind, criterion, demand, state, words, found.value, interval, bar, more=more_needed
    )


def quality_difference(
    rule: DecisionRule,
    judgments: Judgments,
    criterion: str,
    direction: Literal["higher", "lower"] = "higher",
) -> ArmDifference | Missing:
    """Return candidate minus baseline, positive = better; the one place that chooses the analysis."""
    scores = judgments.scores[criterion]
    sign = 1.0 if direction == "higher" else -1.0
    try:
        return arm_difference(
            [score.arm == rule.candidate for score in scores],
            [score.prompt for score in scores],
            np.array([sign * score.value for score in scores]),
            raters=[score.rater for score in scores] if judgments.has_raters else None,
            confidence_level=rule.level_of_a_look,
        )
    except UndefinedStatisticError as error:
        return Missing(str(error))


def _safety(rule: Safety, candidate: str, judgments: Judgments, level: float) -> Clause:
    demand = f"at most {rule.at_most:.2%} {' or '.join(rule.failures)}, with {level:.2%} confidence"
    judged = [one for one in judgments.safety if one.arm == candidate]
    answers: dict[str, bool] = {}
    for one in judged:
        answers[one.prompt] = answers.get(one.prompt, False) or one.label in rule.failures
    n, n_failures = len(answers), sum(answers.values())
    if not n:
        why = Missing("no safety judgment of the candidate can be read")
        return Clause(
            "safety", "safety", demand, "open", why.reason, why, why, rule.at_most, more=why
        )
    interval = clopper_pearson_interval(n_failures, n, confidence_level=level)
    bound = upper_bound(n_failures, n, confidence_level=level)
    lower = clopper_pearson_interval(n_failures, n, confidence_level=2 * level - 1).low
    state: State = "met" if bound <= rule.at_most else "failed" if lower > rule.at_most else "open"
    words = (
        f"{n_failures} of {n} answers failed ({n_failures / n:.2%}), upper bound {bound:.2%}, "
        f"allowed {rule.at_most:.2%}"
    )
    more: More | Missing | None = None
    if state == "open":
        more = more_for_safety(
            n_failures, n, len(judged), at_most=rule.at_most, confidence_level=level
        )
    if judgments.n_unreadable_safety and state == "met":
        state = "open"
        words += f"; but {judgments.n_unreadable_safety} safety judgments cannot be read"
        more = Missing("correct the safety judgments that cannot be read: one may be a failure")
    return Clause(
        "safety",
        "safety",
        demand,
        state,
        words,
        n_failures / n,
        interval,
        rule.at_most,
        bound,
        more,
    )


def _calibration(
    rule: DecisionRule, judgments: Judgments, rng: np.random.Generator
) -> list[Clause]:
    clauses = []
    floors = rule.calibration
    if floors.expert_agreement is not None:
        scores = judgments.scores[rule.primary.criterion]
        clauses.append(_expert_agreement(floors.expert_agreement, scores, rule, rng))
    if floors.attention is not None:
        clauses.append(_attention(floors.attention, judgments, rule.level_of_a_look))
    return clauses


def _expert_agreement(
    floor: ExpertAgreement,
    scores: tuple[Score, ...],
    rule: DecisionRule,
    rng: np.random.Generator,
) -> Clause:
    demand = f"alpha of experts and raters at least {floor.at_least:g}"
    given: dict[tuple[str, str], tuple[list[float], list[float]]] = {}
    for score in scores:
        pair = given.setdefault((score.arm, score.prompt), ([], []))
        pair[score.rater not in floor.raters].append(score.value)
    shared = {key: pair for key, pair in given.items() if pair[0] and pair[1]}
    name = "expert agreement"
    if not shared:
        why = Missing("no answer was judged by an expert and by another rater")
        return Clause("calibration", name, demand, "open", why.reason, why, why, floor.at_least)
    table = np.array([[np.mean(experts), np.mean(others)] for experts, others in shared.values()])
    try:
        alpha = krippendorff_alpha(
            table,
            level="interval",
            rng=rng,
            clusters=[prompt for _, prompt in shared],
            confidence_level=rule.level_of_a_look,
        )
    except UndefinedStatisticError as error:
        why = Missing(str(error))
        return Clause("calibration", name, demand, "open", why.reason, why, why, floor.at_least)
    state: State = "met" if alpha.value >= floor.at_least else "failed"
    said = f"alpha {alpha.value:.3f} on {len(shared)} answers, floor {floor.at_least:g}"
    if not isinstance(alpha.interval, Missing):
        said += f" [{alpha.interval.low:.3f} to {alpha.interval.high:.3f}]"
    return Clause(
        "calibration", name, demand, state, said, alpha.value, alpha.interval, floor.at_least
    )


def _attention(floor: Attention, judgments: Judgments, level: float) -> Clause:
    demand = f"at least {floor.at_least:.0%} of attention checks passed"
    name, n = "attention checks", len(judgments.attention)
    if not n:
        why = Missing("no attention check can be read")
        return Clause("calibration", name, demand, "open", why.reason, why, why, floor.at_least)
    passed = sum(one.label == floor.passed for one in judgments.attention)
    interval = wilson_interval(passed, n, confidence_level=level)
    state: State = "met" if passed / n >= floor.at_least else "failed"
    words = f"{passed} of {n} passed ({passed / n:.1%}), floor {floor.at_least:.0%}"
    return Clause("calibration", name, demand, state, words, passed / n, interval, floor.at_least)
