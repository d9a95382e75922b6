"""A registered rule on scores and on preferences."""

from __future__ import annotations

from typing import Any

import pytest
from scipy.stats import t as student_t

from qingting.core.missing import Missing
from qingting.judging.analysis import analyse
from qingting.judging.deciding import as_judgments, study_decision
from qingting.report.judging_words import first_page, study_markdown
from qingting.stats.decision_rule import DecisionRule
from qingting.stats.more_ratings import More
from unit.judging.written_study import FAIL, PASS, row, study


def rule(**changes: Any) -> dict[str, Any]:
    return {
        "candidate": "new",
        "baseline": "old",
        "primary": {"criterion": "overall"},
        "safety": {"at_most": 0.2},
        "minimum": {"prompts": 10, "raters": 3, "safety_answers": 10},
        **changes,
    }


def comparisons(
    win: Any, *, raters: int = 4, items: int = 20, safety: Any = None
) -> list[dict[str, Any]]:
    """Return preferences between new and old; ``win(r, i)``: what new wins; sides alternate."""
    rows = []
    for r in range(raters):
        for i in range(items):
            new_is_left = (r + i) % 2 == 0
            points = win(r, i) if new_is_left else 1 - win(r, i)
            side = {1: "left", 0: "right", 0.5: "tie"}[points]
            arms = ("new", "old") if new_is_left else ("old", "new")
            one = row(f"r{r}", f"i{i}", arms[0], {"overall": side}, other_arm=arms[1])
            if safety is not None:
                verdicts = safety(r, i)
                left = "new" if new_is_left else "old"
                right = "old" if new_is_left else "new"
                one["safety"] = {"left": verdicts[left], "right": verdicts[right]}
            rows.append(one)
    return rows


def decided(rows: list[dict[str, Any]], **changes: Any) -> Any:
    data = study(rows, mode="pair", arms=("new", "old"), rule=rule(**changes))
    return study_decision(data, data.judgments, seed=7)


def test_the_difference_of_win_rates_is_what_a_pairwise_rule_speaks_of() -> None:
    # New wins 3 of 4 raters' comparisons of every scenario: 0.75 − 0.25, over raters who always
    # (three) or never (one) prefer it: 1, 1, 1, −1 with mean 0.5 and standard error 1/2.
    found = decided(comparisons(lambda r, i: 1 if r else 0))
    quality = next(one for one in found.clauses if one.kind == "primary")
    assert quality.value == pytest.approx(0.5)
    half = student_t.ppf(0.975, 3) * 0.5
    assert (quality.interval.low, quality.interval.high) == pytest.approx((0.5 - half, 0.5 + half))
    assert found.answer == "inconclusive"


def test_a_candidate_that_wins_is_promoted_and_one_that_loses_is_not() -> None:
    def mostly(r: int, i: int) -> float:
        return 0 if (i + 3 * r) % 7 == 0 else 1

    assert decided(comparisons(mostly)).answer == "promote"
    assert decided(comparisons(lambda r, i: 1 - mostly(r, i))).answer == "do not promote"


def test_safety_counts_the_candidates_side_alone() -> None:
    def one_sided(unsafe: str) -> Any:
        return lambda r, i: {"new": PASS, "old": PASS} | {unsafe: FAIL}

    wins = lambda r, i: 0 if (i + 3 * r) % 7 == 0 else 1  # noqa: E731
    baseline_fails = decided(comparisons(wins, safety=one_sided("old")))
    assert baseline_fails.answer == "promote"
    candidate_fails = decided(comparisons(wins, safety=one_sided("new")))
    assert candidate_fails.answer == "do not promote"
    assert candidate_fails.because.startswith("safety: 20 of 20 answers failed")


def test_the_candidates_safety_counts_beside_any_arm_but_its_quality_beside_the_baseline() -> None:
    beside = row("r0", "i0", "new", {"overall": "right"}, other_arm="third")
    beside["safety"] = {"left": FAIL, "right": PASS}
    data = study([beside], mode="pair", arms=("new", "old", "third"), rule=rule())
    read = as_judgments(
        data.judgments, DecisionRule.model_validate(rule(), strict=False), [], is_pair=True
    )
    assert read.scores["overall"] == ()
    assert [(one.arm, one.label) for one in read.safety] == [("new", "fail")]


def test_a_margin_in_points_is_refused_for_pairs_with_its_reason() -> None:
    noninferior = {"criterion": "overall", "claim": "non-inferiority", "margin": 1.0}
    found = decided(comparisons(lambda r, i: 1), primary=noninferior)
    assert isinstance(found, Missing) and "difference of win rates" in found.reason
    lower = decided(
        comparisons(lambda r, i: 1), primary={"criterion": "overall", "direction": "lower"}
    )
    assert isinstance(lower, Missing) and "no lower" in lower.reason


def test_advice_counts_comparisons_and_not_their_two_sides() -> None:
    # Prompts alone are short, at one comparison for each: ten more comparisons are enough.
    found = decided(
        comparisons(lambda r, i: 1 if i % 7 else 0, raters=1, items=20),
        minimum={"prompts": 30, "raters": 1, "safety_answers": 20},
    )
    assert isinstance(found.more, More)
    assert (found.more.n_prompts, found.more.n_ratings) == (10, 10)


def test_verdicts_that_the_rule_does_not_know_are_counted_as_unreadable() -> None:
    rows = [
        row(f"r{r}", f"i{i}", arm, {"overall": 4 + (arm == "new") * (1 - i % 2)})
        for r in range(3)
        for i in range(20)
        for arm in ("new", "old")
    ]
    rows[0]["safety"] = {}  # nothing was said
    words = {"at_most": 0.5, "labels": ["pass", "fail"], "failures": ["fail"]}
    read = as_judgments(
        rows, DecisionRule.model_validate(rule(safety=words), strict=False), [], is_pair=False
    )
    assert read.n_unreadable_safety == 1
    rows[2]["safety"] = {"answer": {"verdict": "concern", "reasons": ["missed_risk"]}}
    read = as_judgments(
        rows, DecisionRule.model_validate(rule(safety=words), strict=False), [], is_pair=False
    )
    assert read.n_unreadable_safety == 2
    data = study(rows, arms=("new", "old"), rule=rule(safety=words))
    assert study_decision(data, rows, seed=7).answer == "inconclusive"


def test_experts_may_be_named_by_role_or_credential() -> None:
    rows = [
        row(f"r{r}", f"i{i}", arm, {"overall": 1 + (r + i + (arm == "new")) % 5})
        for r in range(4)
        for i in range(20)
        for arm in ("new", "old")
    ]
    floor = {"expert_agreement": {"raters": ["expert"], "at_least": 0.1}}
    data = study(rows, arms=("new", "old"), rule=rule(calibration=floor), experts=("r0", "r1"))
    found = study_decision(data, rows, seed=7)
    assert not isinstance(found, Missing)
    clause = next(one for one in found.clauses if one.name == "expert agreement")
    assert not isinstance(clause.value, Missing)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_decision_and_its_clauses_stand_in_words_of_the_page(language: Any) -> None:
    rows = comparisons(lambda r, i: 0 if (i + 3 * r) % 7 == 0 else 1)
    result = analyse(study(rows, mode="pair", arms=("new", "old"), rule=rule()), digest="d" * 64)
    page, first = (f(result, language=language) for f in (study_markdown, first_page))
    if language == "zh":
        assert "**采用候选模型**（候选 new，基线 old）。所有条款都满足。" in first
        assert (
            "| 最低数量 | 20 个场景（至少 10），20 条经安全判断的回复（至少 10），4 位评价者（至少 3） | 满足 |"
            in page
        )
        assert "候选减基线胜率之差" in page
    else:
        assert (
            "**promote the candidate** (candidate new, baseline old). All clauses are met." in first
        )
        assert "candidate minus baseline, difference of win rates" in page


def test_an_open_rule_says_in_chinese_what_would_settle_it() -> None:
    rows = comparisons(lambda r, i: 1 if (i + r) % 2 else 0, items=12)
    result = analyse(study(rows, mode="pair", arms=("new", "old"), rule=rule()), digest="d" * 64)
    words = first_page(result, language="zh")
    assert "还不能下结论" in words
    assert "inconclusive" not in words and "because" not in words
