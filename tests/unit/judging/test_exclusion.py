"""What leaves a rater out: each rule at its edge, and what is honest stays in."""

from __future__ import annotations

from typing import Any

import pytest

from qingting.judging.exclusion import RaterChecks, apply_rules, checks_of, passes_attention
from qingting.spec.judging import ExclusionSpec

NO_RULES = ExclusionSpec(max_failed_attention=None, min_median_s=None)
CLEAN = RaterChecks("r", 10, 2, 0, 1.0, 0.0, 30.0, 0.1)


def row(scores: dict[str, Any], *, role: str = "main", item: str = "s1", **more: Any):
    return {
        "rater": "r",
        "role": role,
        "item": item,
        "language": "zh",
        "arm": "a",
        "other_arm": None,
        "scores": scores,
        "safety": {"answer": {"verdict": "pass", "reasons": []}},
        "duration_ms": 20_000,
        **more,
    }


def pair(side: str, *, warmth: str | None = None, **more: Any):
    return row({"overall": side, "warmth": warmth or side}, **{"other_arm": "b", **more})


def only(rows, references=()) -> RaterChecks:
    (found,) = checks_of(rows, references)
    return found


def rules_broken(checks: RaterChecks, **rules: Any) -> list[str]:
    found = apply_rules([checks], NO_RULES.model_copy(update=rules))
    return [one.rule for one in found]


def test_one_stroke_through_all_scores_is_counted():
    rows = [
        row({"a": 3, "b": 3}),
        row({"a": 3, "b": 4}),
        row({"a": 5, "b": 5}),
        row({"a": 1, "b": 2}),
    ]
    assert only(rows).same_answers == 0.5


def test_an_honest_rater_of_pairs_prefers_one_answer_in_every_respect():
    honest = [pair(side) for side in ("left", "right") * 10]
    assert only(honest).same_answers == 0.5
    assert rules_broken(only(honest), max_same_answers=0.9) == []


@pytest.mark.parametrize("side", ["left", "right", "tie"])
def test_the_same_side_nearly_every_time_is_straight_lining(side: str):
    other = "right" if side == "left" else "left"
    stroke = [pair(side)] * 19 + [pair(other)]
    assert only(stroke).same_answers == 0.95
    assert rules_broken(only(stroke), max_same_answers=0.9) == ["max_same_answers"]
    weighed = [pair(side, warmth=other)] * 12 + [pair(side)] * 8
    assert only(weighed).same_answers == 0.4


def test_one_criterion_shows_no_stroke():
    assert only([row({"overall": 3})] * 5).same_answers is None
    assert only([row({"overall": "left"}, other_arm="b")] * 5).same_answers == 1.0


def test_checks_and_training_are_no_part_of_speed_and_strokes():
    rows = [
        row({"a": 1, "b": 2}, duration_ms=30_000),
        row({"a": 1, "b": 2}, duration_ms=None),
        row({"a": 5, "b": 5}, role="training", duration_ms=10),
        row({"a": 5, "b": 5}, role="repeat", duration_ms=10),
    ]
    found = only(rows)
    assert (found.n_judgments, found.median_s, found.same_answers) == (2, 30.0, 0.0)


def test_an_attention_check_has_ranges_and_a_verdict():
    reference = {"ranges": {"a": [1, 2]}, "safety": "fail"}
    failed = {"answer": {"verdict": "fail", "reasons": ["missed_risk"]}}
    assert passes_attention(row({"a": 2}, safety=failed), reference)
    assert not passes_attention(row({"a": 3}, safety=failed), reference)
    assert not passes_attention(row({"a": 2}), reference)
    assert passes_attention(row({"a": 1}), {"ranges": {"a": [1, 2]}})
    rows = [row({"a": a}, role="attention", item="att", safety=failed) for a in (1, 3, 4)]
    found = only(rows, [{"item": "att", "language": "zh", "reference": reference}])
    assert (found.n_attention, found.n_failed_attention) == (3, 2)
    assert found.median_s is None and found.same_answers is None


def test_repeats_agree_within_a_point_and_pairs_on_the_arm_not_the_side():
    first = row({"a": 3, "b": 5})
    assert only([first, row({"a": 4, "b": 3}, role="repeat")]).repeat_agreement == 0.5
    assert only([first, row({"a": 4}, role="repeat", item="s9")]).repeat_agreement is None
    swapped = pair("right", arm="b", other_arm="a", role="repeat")
    assert only([pair("left"), swapped]).repeat_agreement == 1.0
    kept_side = pair("left", arm="b", other_arm="a", role="repeat")
    assert only([pair("left"), kept_side]).repeat_agreement == 0.0
    assert only([pair("tie"), pair("tie", role="repeat")]).repeat_agreement == 1.0


def test_calibration_is_the_mean_distance_from_the_reference():
    reference = [{"item": "cal", "language": "zh", "reference": {"scores": {"a": 2, "b": 4}}}]
    rows = [row({"a": 3, "b": 2}, role="calibration", item="cal")]
    assert only(rows, reference).calibration_error == 1.5  # (1 + 2) / 2


@pytest.mark.parametrize(
    ("rule", "limit", "field", "at_limit", "beyond"),
    [
        ("max_failed_attention", 1, "n_failed_attention", 1, 2),
        ("min_repeat_agreement", 0.6, "repeat_agreement", 0.6, 0.59),
        ("min_median_s", 5.0, "median_s", 5.0, 4.9),
        ("max_same_answers", 0.9, "same_answers", 0.9, 0.91),
        ("max_calibration_error", 1.0, "calibration_error", 1.0, 1.1),
    ],
)
def test_a_rule_breaks_beyond_its_limit_only_and_says_why(rule, limit, field, at_limit, beyond):
    from dataclasses import replace

    assert rules_broken(replace(CLEAN, **{field: at_limit}), **{rule: limit}) == []
    broken = replace(CLEAN, **{field: beyond})
    (found,) = apply_rules([broken], NO_RULES.model_copy(update={rule: limit}))
    assert (found.rater, found.rule, found.value, found.limit) == ("r", rule, beyond, limit)
    assert found.reason and "{" not in found.reason
    assert rules_broken(broken, **{rule: None}) == []


def test_a_rule_with_nothing_to_look_at_leaves_nobody_out():
    unknown = RaterChecks("r", 0, 0, 0, None, None, None, None)
    strict = ExclusionSpec(
        max_failed_attention=0,
        min_repeat_agreement=1.0,
        min_median_s=60.0,
        max_same_answers=0.0,
        max_calibration_error=0.1,
    )
    assert apply_rules([unknown], strict) == ()


def test_every_rule_that_a_rater_breaks_is_named():
    bad = RaterChecks("r", 10, 3, 3, 0.1, 3.0, 1.0, 1.0)
    strict = ExclusionSpec(
        max_failed_attention=0,
        min_repeat_agreement=0.5,
        min_median_s=5.0,
        max_same_answers=0.9,
        max_calibration_error=1.0,
    )
    assert len(apply_rules([CLEAN, bad], strict)) == 5
