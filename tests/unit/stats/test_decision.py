"""A preregistered rule and the answers it gives."""

import dataclasses
import json

import numpy as np
import pytest
from scipy.stats import norm

from qingting.core.errors import SpecificationError
from qingting.core.missing import Missing
from qingting.stats.arm_difference import arm_difference
from qingting.stats.decision import decide
from qingting.stats.decision_rule import DecisionRule, load_rule
from qingting.stats.judgment_files import Judgments, Label, Score, read_judgments
from qingting.stats.more_ratings import More, more_for_difference, more_for_safety
from qingting.stats.proportions import clopper_pearson_interval, upper_bound

RULE = {
    "candidate": "new",
    "baseline": "old",
    "primary": {"criterion": "empathy"},
    "others": [{"criterion": "fluency", "margin": 0.5}],
    "safety": {"at_most": 0.05},
    "minimum": {"prompts": 20, "raters": 2},
}


def rule(**changes):
    return DecisionRule.model_validate_json(json.dumps(RULE | changes))


def judgments(gain=1.0, *, fluency=0.0, n=40, n_failed=0, n_safe=80, seed=1, spread=0.6, **more):
    rng = np.random.default_rng(seed)
    scores = {}
    for criterion, shift in (("empathy", gain), ("fluency", fluency)):
        scores[criterion] = tuple(
            Score(arm, f"p{p}", f"r{(p + k) % 6}", 3 + shift * (arm == "new") + noise)
            for p in range(n)
            for k in range(3)
            for arm, noise in zip(("new", "old"), spread * rng.normal(size=2), strict=True)
        )
    safety = tuple(
        Label("new", f"s{i}", "r0", "fail" if i < n_failed else "pass") for i in range(n_safe)
    )
    made = Judgments(scores, safety, (), 0, True, (), {})
    return dataclasses.replace(made, **more)


def answer(*arguments, **named):
    return decide(*arguments, rng=np.random.default_rng(0), **named)


def test_a_better_and_safe_candidate_is_promoted():
    found = answer(rule(), judgments())
    assert found.answer == "promote"
    assert found.more is None
    assert {clause.state for clause in found.clauses} == {"met"}


def test_an_unsafe_candidate_is_never_promoted_however_good():
    found = answer(rule(), judgments(5.0, n_failed=12))
    assert found.answer == "do not promote"
    assert "12 of 80 answers failed" in found.because


def test_any_failed_judgment_of_an_answer_fails_it():
    read = judgments()
    twice = tuple(one._replace(rater="r1", label="fail") for one in read.safety[:12])
    found = answer(rule(), dataclasses.replace(read, safety=read.safety + twice))
    assert found.answer == "do not promote"


def test_failures_of_the_baseline_are_not_the_candidates():
    read = judgments()
    theirs = tuple(Label("old", f"s{i}", "r0", "fail") for i in range(50))
    assert answer(rule(), dataclasses.replace(read, safety=read.safety + theirs)).answer == (
        "promote"
    )


def test_a_safety_judgment_that_cannot_be_read_holds_promotion_back():
    found = answer(rule(), judgments(n_unreadable_safety=1))
    assert found.answer == "inconclusive"
    assert isinstance(found.more, Missing)
    assert "cannot be read" in found.because


def test_a_worse_candidate_or_a_lost_criterion_is_not_promoted():
    assert answer(rule(), judgments(-1.0)).answer == "do not promote"
    found = answer(rule(), judgments(1.0, fluency=-1.5))
    assert found.answer == "do not promote"
    assert "fluency" in found.because


def test_too_little_evidence_is_inconclusive_with_a_number():
    primary = {"criterion": "empathy", "margin": 0.9}
    found = answer(rule(primary=primary), judgments(1.0, n=24))
    assert found.answer == "inconclusive"
    assert isinstance(found.more, More)
    assert found.more.n_ratings == 6 * found.more.n_prompts


def test_below_the_minimum_numbers_quality_decides_nothing():
    found = answer(rule(minimum={"prompts": 60, "raters": 2}), judgments(-2.0))
    assert found.answer == "inconclusive"
    assert found.more.n_prompts == 20
    found = answer(rule(minimum={"prompts": 20, "raters": 9}), judgments())
    assert found.answer == "inconclusive"
    assert "3 more raters" in found.more.reason


def test_raters_who_miss_attention_checks_decide_nothing_and_no_number_helps():
    attention = tuple(Label("old", f"c{i}", "r1", "fail" if i < 5 else "pass") for i in range(20))
    floor = {"attention": {"at_least": 0.9}}
    found = answer(rule(calibration=floor), judgments(attention=attention))
    assert found.answer == "inconclusive"
    assert "no number of ratings would" in found.more.reason
    found = answer(rule(calibration=floor), judgments(n_failed=20, attention=attention))
    assert found.answer == "do not promote"


def test_experts_are_compared_with_the_others():
    floor = {"expert_agreement": {"raters": ["r0", "r1"], "at_least": 0.6}}
    rng = np.random.default_rng(3)
    prompts = {f"p{p}": rng.normal() for p in range(40)}

    def of(noise):
        read = judgments(0.0)
        scores = tuple(
            s._replace(value=3 + prompts[s.prompt] + (s.arm == "new") + noise * rng.normal())
            for s in read.scores["empathy"]
        )
        made = dataclasses.replace(read, scores={**read.scores, "empathy": scores})
        return answer(rule(calibration=floor), made)

    assert of(0.1).answer == "promote"
    assert of(3.0).answer == "inconclusive"


def test_lower_may_be_better():
    primary = {"criterion": "empathy", "direction": "lower"}
    assert answer(rule(primary=primary), judgments(-1.0)).answer == "promote"
    assert answer(rule(primary=primary), judgments(1.0)).answer == "do not promote"


def test_non_inferiority_holds_with_a_margin_and_superiority_needs_more():
    read = judgments(0.0, seed=2)
    primary = {"criterion": "empathy", "claim": "non-inferiority", "margin": 0.8}
    assert answer(rule(primary=primary), read).answer == "promote"
    assert answer(rule(primary={"criterion": "empathy", "margin": 0.8}), read).answer == (
        "do not promote"
    )


def test_each_planned_look_is_held_to_its_share_of_the_error():
    one, two = rule(), rule(looks=2)
    assert two.level_of_a_look == pytest.approx(0.975)
    read = judgments()
    narrow, wide = (
        next(c for c in answer(r, read).clauses if c.kind == "primary").interval for r in (one, two)
    )
    assert wide.low < narrow.low
    assert wide.high > narrow.high


def test_renaming_arms_and_order_of_rows_change_nothing():
    read = judgments(0.3)
    mixed = dataclasses.replace(
        read, scores={k: v[::-1] for k, v in read.scores.items()}, safety=read.safety[::-1]
    )
    one, other = answer(rule(), read), answer(rule(), mixed)
    assert one.answer == other.answer
    for a, b in zip(one.clauses, other.clauses, strict=True):
        assert a.value == pytest.approx(b.value)


# -- what would settle it


def test_four_times_the_study_halves_the_interval():
    scores = judgments(0.4, n=30, seed=8).scores["empathy"]
    found = arm_difference(
        [s.arm == "new" for s in scores], [s.prompt for s in scores], [s.value for s in scores]
    )
    half = (found.interval.high - found.interval.low) / 2
    # A gap of the reach over two needs four times as much, so three times as much again.
    z, chance = norm.ppf(0.975), norm.ppf(0.8)
    more = more_for_difference(found, found.value - half * (1 + chance / z) / 2)
    assert more.n_prompts == 90
    assert more.n_ratings == 90 * 6
    assert more.is_met
    assert not more_for_difference(found, found.value + half / 2).is_met
    assert isinstance(more_for_difference(found, found.value), Missing)


def test_clean_answers_need_what_the_rule_of_three_says():
    more = more_for_safety(0, 30, 60, at_most=0.05, confidence_level=0.95)
    assert upper_bound(0, 30 + more.n_prompts) <= 0.05 < upper_bound(0, 29 + more.n_prompts)
    assert more.n_prompts == 59 - 30
    assert more.n_ratings == 58
    assert more.is_met


def test_many_failures_need_more_to_be_proven():
    more = more_for_safety(3, 30, 30, at_most=0.05, confidence_level=0.95)
    assert not more.is_met
    assert clopper_pearson_interval(3, 30, confidence_level=0.9).low <= 0.05
    on_the_bound = more_for_safety(5, 100, 100, at_most=0.05, confidence_level=0.95)
    assert isinstance(on_the_bound, Missing) or on_the_bound.n_prompts > 1000


# -- files


def test_every_problem_of_a_rule_is_told_at_once_with_its_place(tmp_path):
    path = tmp_path / "rule.yaml"
    path.write_text(
        "candidate: new\nbaseline: old\nprimary:\n  criterion: empathy\n  margn: 0.1\n"
        "safety:\n  at_most: 5%\nconfidence_level: 95\nlooks: two\n",
        "utf-8",
    )
    with pytest.raises(SpecificationError) as caught:
        load_rule(path)
    text = str(caught.value)
    assert "rule.yaml:5 primary.margn: unknown key 'margn'. Did you mean 'margin'?" in text
    assert "rule.yaml:7 safety.at_most: must be" in text
    assert "rule.yaml:8 confidence_level" in text
    assert "rule.yaml:9 looks" in text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"baseline": "new"}, "the same arm"),
        ({"primary": {"criterion": "safety"}}, "two clauses"),
        ({"primary": {"criterion": "e", "claim": "non-inferiority"}}, "needs a margin"),
        ({"safety": {"at_most": 0.1, "failures": ["bad"]}}, "not among the labels"),
        ({"safety": {"at_most": 0.1, "failures": ["pass", "concern", "fail"]}}, "nothing could"),
        ({"scale": [5, 1]}, "the smallest and then"),
    ],
)
def test_a_rule_that_contradicts_itself_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        rule(**changes)


def test_rows_that_cannot_be_read_are_named_and_never_coerced(tmp_path):
    path = tmp_path / "judgments.csv"
    path.write_text(
        "model,item,worker,criterion,score\n"
        "new,a,r1,empathy,4\nnew,a,r1,empathy,5\nold,a,r1,empathy,9\nold,a,r2,empathy,3\n"
        "old,b,r2,empathy,good\nold,b,r3,empathy,\nnew,a,r1,fluency,3\nother,a,r1,empathy,3\n"
        "new,a,r1,safety,garbage\nnew,b,r1,safety,pass\nnew,b,r1,humour,2\n",
        "utf-8",
    )
    read = read_judgments(path, rule(scale=[1, 5]))
    assert [(s.arm, s.value) for s in read.scores["empathy"]] == [("new", 4.0), ("old", 3.0)]
    assert [problem.line for problem in read.problems] == [3, 4, 6, 10]
    assert read.n_unreadable_safety == 1
    assert read.ignored == {"an empty score": 1, "arm 'other'": 1, "criterion 'humour'": 1}
    with pytest.raises(SpecificationError, match="no judgments of arm 'nwe'"):
        read_judgments(path, rule(candidate="nwe"))
