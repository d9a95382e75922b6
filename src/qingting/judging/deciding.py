"""A registered rule applied to a study's judgments: to its scores, or to its preferences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil
from typing import Any

import numpy as np

from qingting.core.missing import Missing
from qingting.judging.blinding_audit import sides_of
from qingting.judging.criteria import defined
from qingting.judging.exclusion import passes_attention
from qingting.judging.rows import POINTS, Row, prompt_of
from qingting.judging.snapshot import SnapshotData
from qingting.stats.decision import Decision, decide
from qingting.stats.decision_rule import DecisionRule, Other, Primary
from qingting.stats.judgment_files import Judgments, Label, Score
from qingting.stats.more_ratings import More


def study_decision(data: SnapshotData, rows: Sequence[Row], *, seed: int) -> Decision | Missing:
    """Return what the registered rule says to the judgments in ``rows``.

    In pairs the quality of an arm is what it wins (1, a tie one half, 0) in comparisons with the
    other arm of the rule, so that a margin is a difference of win rates between -1 and 1.
    """
    if data.study["rule"] is None:
        return Missing("no rule was registered before the first judgment")
    rule = DecisionRule.model_validate(data.study["rule"], strict=False)
    rule = _with_experts(rule, data.raters)
    is_pair = data.study["spec"]["mode"] == "pair"
    if is_pair and (why := _unfit_for_pairs(rule)):
        return Missing(why)
    judgments = as_judgments(rows, rule, data.references, is_pair=is_pair)
    found = defined(lambda: decide(rule, judgments, rng=np.random.default_rng(seed)))
    return _in_comparisons(found) if is_pair and isinstance(found, Decision) else found


def _unfit_for_pairs(rule: DecisionRule) -> str | None:
    clauses: list[Primary | Other] = [rule.primary, *rule.others]
    if any(one.margin >= 1 for one in clauses):
        return (
            "the rule's margin is in points of a scale; in pairs it is a difference of win rates, "
            "below 1"
        )
    if any(one.direction == "lower" for one in clauses):
        return "the rule wants a lower score; a preference has no lower"
    return None


def _with_experts(rule: DecisionRule, raters: Sequence[Mapping[str, str]]) -> DecisionRule:
    """Return the rule with roles and credentials in its list of experts made pseudonyms.

    A rule is registered before there are pseudonyms, so it names ``expert`` or ``licensed``.
    """
    floor = rule.calibration.expert_agreement
    if floor is None:
        return rule
    named = set(floor.raters)
    of_group = [one["rater"] for one in raters if named & {one["role"], one["credential"]}]
    widened = floor.model_copy(update={"raters": (*floor.raters, *of_group)})
    calibration = rule.calibration.model_copy(update={"expert_agreement": widened})
    return rule.model_copy(update={"calibration": calibration})


def _in_comparisons(found: Decision) -> Decision:
    """Return the decision with its advice in comparisons; each was entered for both its sides."""

    def halved(more: More | Missing | None) -> More | Missing | None:
        if not isinstance(more, More):
            return more
        return more._replace(n_ratings=ceil(more.n_ratings / 2))

    clauses = tuple(
        replace(one, more=halved(one.more)) if one.kind in ("primary", "other") else one
        for one in found.clauses
    )
    return replace(found, clauses=clauses, more=halved(found.more))


def as_judgments(
    rows: Sequence[Row],
    rule: DecisionRule,
    references: Sequence[Mapping[str, Any]],
    *,
    is_pair: bool,
) -> Judgments:
    """Return a study's judgments as the rule reads them."""
    main = [row for row in rows if row["role"] == "main"]
    arms = {rule.candidate, rule.baseline}
    entered = (
        [row for row in main if {row["arm"], row["other_arm"]} == arms]
        if is_pair
        else [row for row in main if row["arm"] in arms]
    )
    scores = {
        criterion: tuple(
            Score(arm, prompt_of(row), row["rater"], _won(row, side, criterion))
            for row in entered
            if criterion in row["scores"]
            for side, arm in sides_of(row)
        )
        for criterion in rule.criteria
    }
    # the candidate's safety counts in every comparison, whatever stood beside it
    verdicts = [
        Label(arm, prompt_of(row), row["rater"], row["safety"].get(side, {}).get("verdict", ""))
        for row in main
        for side, arm in sides_of(row)
        if arm == rule.candidate
    ]
    readable = tuple(one for one in verdicts if one.label in rule.safety.labels)
    return Judgments(
        scores=scores,
        safety=readable,
        attention=_attention(rows, rule, references),
        n_unreadable_safety=len(verdicts) - len(readable),
        has_raters=True,
        problems=(),
        ignored={},
    )


def _won(row: Row, side: str, criterion: str) -> float:
    given = row["scores"][criterion]
    if given not in POINTS:
        return float(given)
    return POINTS[given] if side == "left" else 1 - POINTS[given]


def _attention(
    rows: Sequence[Row], rule: DecisionRule, references: Sequence[Mapping[str, Any]]
) -> tuple[Label, ...]:
    check = rule.calibration.attention
    if check is None:
        return ()
    expected = {(one["item"], one["language"]): one["reference"] for one in references}
    return tuple(
        Label(
            row["item"],
            prompt_of(row),
            row["rater"],
            check.passed
            if passes_attention(row, expected[row["item"], row["language"]])
            else check.failed,
        )
        for row in rows
        if row["role"] == "attention"
    )
