"""Rules by which a rater's judgments are left out, fixed before the first judgment; and by hand."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

from qingting.judging.checks import as_shown
from qingting.judging.hand_exclusion import LATE, kind_of
from qingting.spec.judging import ExclusionSpec


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A rater and the rule that leaves the rater out, with the figure that decided it.

    ``value`` and ``limit`` are None where the owner decided, by hand.
    """

    rater: str
    rule: str
    value: float | None
    limit: float | None
    reason: str

    @property
    def is_by_hand(self) -> bool:
        """Return whether the owner decided, not a rule that was registered."""
        return bool(kind_of(self.rule))

    @property
    def is_late(self) -> bool:
        """Return whether the owner decided after the first snapshot."""
        return kind_of(self.rule) == LATE


@dataclass(frozen=True, slots=True)
class RaterChecks:
    """What the checks say of one rater; ``None`` where there was nothing to check."""

    rater: str
    n_judgments: int
    n_attention: int
    n_failed_attention: int
    repeat_agreement: float | None
    """Share of repeated scores within one point (pairs: equal)."""
    calibration_error: float | None
    """Mean distance from the reference ratings, in points."""
    median_s: float | None
    same_answers: float | None
    """Share of judgments that give every criterion the same score. Pairs: that name one and the
    same side on every criterion, the side that is named so most often; preferring one answer in
    every respect is honest, preferring the left one every time is not."""


def checks_of(
    judgments: Sequence[Mapping[str, Any]], references: Sequence[Mapping[str, Any]]
) -> tuple[RaterChecks, ...]:
    """Return what attention checks, repeats, calibration and times say of every rater.

    Args:
        judgments: rows of a snapshot.
        references: its calibration items and attention checks.
    """
    expected = {(one["item"], one["language"]): one["reference"] for one in references}
    by_rater: dict[str, list[Mapping[str, Any]]] = {}
    for row in judgments:
        if row["role"] != "training":
            by_rater.setdefault(row["rater"], []).append(row)
    return tuple(_checks(rater, by_rater[rater], expected) for rater in sorted(by_rater))


def _checks(
    rater: str, rows: Sequence[Mapping[str, Any]], expected: Mapping[tuple[str, str], Any]
) -> RaterChecks:
    attention = [row for row in rows if row["role"] == "attention"]
    failed = sum(
        not passes_attention(row, expected[row["item"], row["language"]]) for row in attention
    )
    errors = [
        abs(row["scores"][criterion] - point)
        for row in rows
        if row["role"] == "calibration"
        for criterion, point in expected[row["item"], row["language"]].get("scores", {}).items()
        if isinstance(row["scores"].get(criterion), int)
    ]
    main = [row for row in rows if row["role"] == "main"]
    times = [row["duration_ms"] / 1000 for row in main if row["duration_ms"] is not None]
    return RaterChecks(
        rater=rater,
        n_judgments=len(main),
        n_attention=len(attention),
        n_failed_attention=failed,
        repeat_agreement=_repeats(rows),
        calibration_error=mean(errors) if errors else None,
        median_s=median(times) if times else None,
        same_answers=_same_answers(main),
    )


def _same_answers(main: Sequence[Mapping[str, Any]]) -> float | None:
    """Return how large a share of judgments follows one stroke; None where that shows nothing."""
    is_pair = any(row["other_arm"] is not None for row in main)
    told = [row["scores"] for row in main if is_pair or len(row["scores"]) > 1]
    if not told:
        return None  # with one criterion every judgment is of one stroke
    strokes = Counter(
        next(iter(scores.values())) for scores in told if len(set(scores.values())) == 1
    )
    n_same = max(strokes.values(), default=0) if is_pair else strokes.total()
    return n_same / len(told)


def passes_attention(row: Mapping[str, Any], reference: Mapping[str, Any]) -> bool:
    """Return whether a judgment is the one that an attention check has right."""
    right = as_shown(reference, is_swapped=bool(row.get("is_swapped")))
    for criterion, (low, high) in right.get("ranges", {}).items():
        if not low <= row["scores"][criterion] <= high:
            return False
    for criterion, side in right.get("preferences", {}).items():
        if row["scores"][criterion] != side:
            return False
    verdict = right.get("safety")
    by_side = verdict if isinstance(verdict, Mapping) else {"answer": verdict}
    return all(
        wanted is None or row["safety"][side]["verdict"] == wanted
        for side, wanted in by_side.items()
    )


def _repeats(rows: Sequence[Mapping[str, Any]]) -> float | None:
    first = {_unit(row): row for row in rows if row["role"] == "main"}
    close: list[bool] = []
    for row in rows:
        before = first.get(_unit(row)) if row["role"] == "repeat" else None
        if before is None:
            continue
        for criterion, score in row["scores"].items():
            earlier = before["scores"].get(criterion)
            if isinstance(score, int) and isinstance(earlier, int):
                close.append(abs(score - earlier) <= 1)
            else:
                close.append(_of_arm(row, score) == _of_arm(before, earlier))
    return mean(close) if close else None


def _unit(row: Mapping[str, Any]) -> tuple[Any, ...]:
    arms = sorted(arm for arm in (row["arm"], row["other_arm"]) if arm is not None)
    return (row["item"], row["language"], *arms)


def _of_arm(row: Mapping[str, Any], side: Any) -> Any:
    """Return the arm that was preferred, for sides may be swapped between two judgments."""
    return {"left": row["arm"], "right": row["other_arm"]}.get(side, side)


def apply_rules(checks: Sequence[RaterChecks], rules: ExclusionSpec) -> tuple[Exclusion, ...]:
    """Return who is left out and why; a rule that has nothing to look at leaves nobody out."""
    found = []
    above: Callable[[float, float], bool] = operator.gt
    below: Callable[[float, float], bool] = operator.lt
    for one in checks:
        for rule, value, limit, is_broken, words in (
            (
                "max_failed_attention",
                one.n_failed_attention,
                rules.max_failed_attention,
                above,
                "failed {value:g} of its attention checks, more than {limit:g}",
            ),
            (
                "min_repeat_agreement",
                one.repeat_agreement,
                rules.min_repeat_agreement,
                below,
                "agrees with itself in {value:.0%} of repeats, less than {limit:.0%}",
            ),
            (
                "min_median_s",
                one.median_s,
                rules.min_median_s,
                below,
                "takes {value:.1f} s for a judgment, less than {limit:g}",
            ),
            (
                "max_same_answers",
                one.same_answers,
                rules.max_same_answers,
                above,
                "gives every criterion the same answer in {value:.0%} of judgments, "
                "more than {limit:.0%}",
            ),
            (
                "max_calibration_error",
                one.calibration_error,
                rules.max_calibration_error,
                above,
                "is {value:.2f} points from the reference ratings on average",
            ),
        ):
            if value is None or limit is None or not is_broken(value, limit):
                continue
            reason = words.format(value=value, limit=limit)
            found.append(Exclusion(one.rater, rule, float(value), float(limit), reason))
    return tuple(found)


def by_hand(raters: Sequence[Mapping[str, Any]]) -> tuple[Exclusion, ...]:
    """Return whom the owner left out, from the raters of a snapshot."""
    found = []
    for one in raters:
        for rule in one["exclusions"]:
            if kind := kind_of(rule):
                reason = rule.partition(":")[2].replace("_", " ")
                when = ", after results could be seen" if kind == LATE else ""
                words = f"left out by the owner: {reason}{when}"
                found.append(Exclusion(one["rater"], rule, None, None, words))
    return tuple(found)
