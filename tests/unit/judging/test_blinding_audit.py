"""The blinding audit: intervals that know raters and scenarios, and guesses beside chance."""

from __future__ import annotations

import math
from typing import Any

import pytest
from scipy.stats import t as student_t

from qingting.core.missing import Missing
from qingting.judging.blinding_audit import (
    LiveDelays,
    blinding_audit,
    delays_of,
    form_audit,
    guesses_by_arm,
    share_left,
)
from qingting.judging.guessing import FAMILIES, family_of
from qingting.judging.leakage import LeakageAudit
from qingting.spec.judging import CampaignSpec
from unit.judging.written_study import FORM, row

SIDES = {1: "left", 0: "right", 0.5: "tie"}


def votes(table: list[list[float]]) -> list[dict[str, Any]]:
    """Return rater i's preference on item j: 1 left, 0 right."""
    return [
        row(f"r{i}", f"i{j}", "a", {"overall": SIDES[value]}, other_arm="b")
        for i, values in enumerate(table)
        for j, value in enumerate(values)
    ]


def test_the_interval_of_the_left_is_clustered_by_rater_and_scenario() -> None:
    # Raters 0 and 2 always take the left, rater 1 the right: p = 2/3 in every one of four scenarios.
    # Residuals summed by rater are 4/3, -8/3, 4/3, and 0 by scenario. Of 12 votes the variance is
    # by rater 3/2 · (16 + 64 + 16)/9/12² = 1/9, by scenario 0, and by both together
    # 4 · (1 + 4 + 1)/9/12² = 1/54. By rater + by scenario − both lies below the one by rater, which
    # therefore holds: a standard error of 1/3 with 2 degrees of freedom.
    found = share_left(votes([[1] * 4, [0] * 4, [1] * 4]), criterion="overall")
    assert not isinstance(found, Missing)
    assert found.value == pytest.approx(2 / 3)
    half = student_t.ppf(0.975, 2) / 3
    assert half > 2 / 3  # three raters say next to nothing, so the interval ends where shares end
    assert found.interval == (0.0, 1.0)
    # taking the twelve votes for independent would have claimed 0.667 ± 0.27
    assert found.n_valid == 12 and found.n_clusters == 3


def test_the_interval_of_the_left_from_its_derivation() -> None:
    # Six raters with two lefts of four each but for one with three: as above, by hand.
    table = [[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0], [0, 1, 0, 1], [1, 1, 0, 0], [1, 0, 1, 1]]
    n, p = 24, 13 / 24
    by_rater = 6 / 5 * sum((sum(v) - 4 * p) ** 2 for v in table) / n**2
    columns = [sum(v[j] for v in table) for j in range(4)]
    by_item = 4 / 3 * sum((c - 6 * p) ** 2 for c in columns) / n**2
    cells = sum((value - p) ** 2 for v in table for value in v) / n**2
    variance = max(by_rater + by_item - cells, by_rater, by_item)
    half = student_t.ppf(0.975, 3) * math.sqrt(variance)
    found = share_left(votes(table), criterion="overall")
    assert not isinstance(found, Missing)
    assert found.value == pytest.approx(p)
    assert found.interval == pytest.approx((p - half, p + half))


def test_ties_count_half_and_other_criteria_do_not_count() -> None:
    rows = votes([[0.5, 1], [0.5, 1]])
    rows.append(row("r0", "i9", "a", {"other": "left"}, other_arm="b"))
    found = share_left(rows, criterion="overall")
    assert not isinstance(found, Missing)
    assert found.value == pytest.approx(0.75)
    assert found.n_missing == 1


def guessed(rater: str, item: str, arm: str, said: str | None) -> dict[str, Any]:
    return row(rater, item, arm, {"overall": 3}, guess={} if said is None else {"answer": said})


def audit_of(guess: Any, *, raters: int = 6) -> dict[str, Any]:
    """Return the guesses by arm where every rater guesses four answers of each of two arms."""
    rows = [
        guessed(f"r{r}", f"i{i}", arm, guess(r, i, arm))
        for r in range(raters)
        for i in range(4)
        for arm in ("qwen2.5-tiny/lora", "llama3.1-tiny/base")
    ]
    return {one.arm: one for one in guesses_by_arm(rows)}


def test_a_rater_who_always_says_the_same_name_recognises_nothing() -> None:
    found = audit_of(lambda r, i, arm: "qwen" if r % 2 else "llama")
    for one in found.values():
        assert one.n_named == one.n_answered == 24
        assert one.n_right == 12
        assert one.above_chance.value == 0


def test_raters_who_always_know_are_one_above_chance() -> None:
    found = audit_of(lambda r, i, arm: family_of(arm))
    assert [one.above_chance.value for one in found.values()] == [1, 1]
    assert {one.n_right for one in found.values()} == {24}


def test_half_of_the_raters_knowing_is_half_above_chance_with_an_interval_over_raters() -> None:
    found = audit_of(lambda r, i, arm: family_of(arm) if r < 3 else "no_idea")
    one = found["qwen2.5-tiny/lora"]
    assert one.above_chance.value == pytest.approx(0.5)
    # Six raters of 1, 1, 1, 0, 0, 0: mean 1/2, s = 0.5477, s/√6 = 0.2236; items show no spread.
    # Two arms, so 97.5 % each; degrees of freedom: four scenarios less one.
    half = student_t.ppf(0.9875, 3) * 0.2236068
    assert one.above_chance.interval == pytest.approx((0.5 - half, min(1, 0.5 + half)), abs=1e-6)
    assert one.above_chance.confidence_level == 0.975


def test_no_answer_is_no_guess_and_not_asked_is_neither() -> None:
    rows = [
        guessed("r0", "i0", "qwen/base", None),
        guessed("r0", "i1", "qwen/base", "no_idea"),
        row("r0", "i2", "qwen/base", {"overall": 3}),
    ]
    (one,) = guesses_by_arm(rows)
    assert (one.n_asked, one.n_answered, one.n_named) == (2, 1, 0)
    assert isinstance(one.above_chance, Missing)


def test_both_sides_of_a_pair_are_guessed_apart() -> None:
    said = {"left": "qwen", "right": "no_idea"}
    pair = row("r0", "i0", "qwen/x", {"overall": "left"}, other_arm="llama/x", guess=said)
    found = {one.arm: one for one in guesses_by_arm([pair])}
    assert (found["qwen/x"].n_right, found["llama/x"].n_named) == (1, 0)


def test_arms_of_one_family_cannot_be_told_apart_by_its_name() -> None:
    rows = [guessed("r0", f"i{i}", arm, "qwen") for i in (0, 1) for arm in ("qwen/a", "qwen/b")]
    for one in guesses_by_arm(rows):
        assert isinstance(one.above_chance, Missing)


def test_studies_of_earlier_versions_were_not_asked() -> None:
    old = {k: v for k, v in row("r0", "i0", "qwen", {"overall": 3}).items() if k != "guess"}
    assert blinding_audit([old], {}, criterion="overall").guesses == ()


@pytest.mark.parametrize(
    ("arm", "family"),
    [
        ("Qwen/Qwen2.5-7B-Instruct", "qwen"),
        ("chatglm3-tiny/lora", "glm"),
        ("gpt-oss-tiny/base", "gpt"),
        ("internlm2.5-tiny/base", "internlm"),
        ("my-model", None),
        ("llama-distilled-from-qwen", None),
    ],
)
def test_the_family_of_an_arm_comes_from_its_name_alone(arm: str, family: str | None) -> None:
    assert family_of(arm) == family


def test_every_family_of_the_cards_that_answer_is_on_the_list() -> None:
    from qingting.models.catalogue import load_cards

    answering = [one for one in load_cards() if "dialogue" in one.tasks]
    assert len(answering) > 10
    for card in answering:
        assert family_of(card.name) in FAMILIES, card.name


def test_the_question_is_on_unless_the_study_says_otherwise() -> None:
    assert CampaignSpec().quality.share_guess > 0
    off = CampaignSpec.model_validate({"quality": {"share_guess": 0}})
    assert off.quality.share_guess == 0


def test_the_form_of_answers_is_audited_once_per_answer() -> None:
    """Arm a always writes more: every exchange of arms within items shows less."""
    rows = [
        row(
            f"r{rater}",
            f"i{item}",
            arm,
            {"overall": 3},
            form=[FORM | {"characters": float(100 * (arm == "a") + item)}],
        )
        for rater in range(3)
        for item in range(12)
        for arm in ("a", "b")
    ]
    found = form_audit(rows, seed=1)
    assert isinstance(found, LeakageAudit)
    assert (found.n_answers, found.n_items) == (24, 12)
    assert (found.strongest.feature, found.p_value) == ("characters", pytest.approx(0, abs=0.01))


def test_conversations_of_different_raters_are_answers_of_their_own() -> None:
    rows = [
        row(f"r{n}", f"i{n % 4}", arm, {"overall": 3}, form=[FORM | {"characters": float(n)}])
        for n in range(16)
        for arm in ("a", "b")
    ]
    found = form_audit(rows, seed=1)
    assert isinstance(found, LeakageAudit) and found.n_answers == 32


def test_late_and_missing_answers_are_counted_by_arm() -> None:
    turns = [{"role": "user"}, {"role": "assistant"}, {"role": "user"}, {"role": "assistant"}]
    talks = [
        {"arm": "b", "turns": turns, "n_late_answers": 1, "n_silent": 0},
        {"arm": "b", "turns": turns[:3], "n_late_answers": 0, "n_silent": 1},
        {"arm": "a", "turns": turns, "n_late_answers": 0, "n_silent": 0},
    ]
    assert delays_of(talks) == (LiveDelays("a", 2, 0, 0), LiveDelays("b", 3, 1, 1))


def test_what_tells_arms_apart_is_seen_within_each_language() -> None:
    """English answers are far longer; in each language arm a writes more, always."""
    rows = [
        row(
            "r",
            f"i{item}",
            arm,
            {"overall": 3},
            language=language,
            form=[FORM | {"characters": base + item / 10 + (arm == "a") * 5}],
        )
        for item in range(12)
        for arm in ("a", "b")
        for language, base in (("zh", 100.0), ("en", 400.0))
    ]
    found = form_audit(rows, seed=1)
    assert isinstance(found, LeakageAudit)
    most = found.strongest
    assert most.auroc.value == 1.0
    assert most.mean - most.other_mean == pytest.approx(5.0)
