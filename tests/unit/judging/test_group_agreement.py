"""Agreement of groups with the reference ratings, and of experts with the others."""

from __future__ import annotations

from typing import Any

import pytest

from qingting.core.missing import Missing
from qingting.judging.group_agreement import agreement_with_reference, experts_and_others
from unit.judging.written_study import row

RATERS = [
    {"rater": "e", "role": "expert", "credential": "licensed"},
    {"rater": "x", "role": "rater", "credential": "lay"},
    {"rater": "y", "role": "rater", "credential": "lay"},
]
REFERENCES = [
    {"item": f"c{n}", "language": "zh", "role": "calibration",
     "reference": {"scores": {"overall": 1 + n % 5}}}
    for n in range(10)
]  # fmt: skip


def checked(rater: str, shift: int) -> list[dict[str, Any]]:
    """Return ratings of every calibration item that lie ``shift`` from the reference."""
    return [
        row(rater, one["item"], None,
            {"overall": one["reference"]["scores"]["overall"] + shift}, role="calibration")
        for one in REFERENCES
    ]  # fmt: skip


def groups(rows: list[dict[str, Any]], references: Any = REFERENCES) -> dict[str, Any]:
    found = agreement_with_reference(rows, references, RATERS, criterion="overall", seed=1)
    return {one.group: one for one in found}


def test_a_group_that_says_what_the_reference_says_agrees_perfectly() -> None:
    expert = groups(checked("e", 0))["expert"]
    assert (expert.n_raters, expert.n_judgments) == (1, 10)
    assert expert.alpha.value == 1
    assert expert.same.value == 1
    assert expert.bias.value == 0


def test_leniency_is_a_bias_of_the_group_and_lowers_agreement() -> None:
    found = groups([*checked("e", 0), *checked("x", 1), *checked("y", 0)])
    assert found["lay"].bias.value == pytest.approx(0.5)
    assert found["lay"].same.value == pytest.approx(0.5)
    assert found["lay"].alpha.value < found["licensed"].alpha.value
    assert (found["rater"].n_raters, found["rater"].n_judgments) == (2, 20)


def test_pairs_are_turned_to_the_reference() -> None:
    reference = [{"item": "c", "language": "zh", "role": "calibration",
                  "reference": {"preferences": {"overall": "left"}}}]  # fmt: skip
    rows = [
        row("e", "c", None, {"overall": "right"}, role="calibration", mode="pair", is_swapped=True),
        row(
            "x", "c", None, {"overall": "right"}, role="calibration", mode="pair", is_swapped=False
        ),
    ]
    found = groups(rows, reference)
    assert found["expert"].same.value == 1
    assert found["lay"].same.value == 0
    assert isinstance(found["expert"].bias, Missing)
    del rows[0]["is_swapped"], rows[1]["is_swapped"]  # earlier snapshots do not tell the order
    assert groups(rows, reference) == {}


def judged(shift: int) -> list[dict[str, Any]]:
    """Return scores of an expert and of two others ``shift`` below it, on ten answers each."""
    return [
        row(rater, f"i{n}", "a", {"overall": 3 + n % 3 - (shift if rater != "e" else 0)})
        for rater in ("e", "x", "y")
        for n in range(10)
    ]


def test_experts_and_others_are_compared_on_the_same_answers() -> None:
    same = experts_and_others(judged(0), RATERS, criterion="overall", seed=1)
    assert not isinstance(same, Missing)
    assert (same.n_experts, same.n_others, same.n_answers) == (1, 2, 10)
    assert same.alpha.value == 1
    milder = experts_and_others(judged(2), RATERS, criterion="overall", seed=1)
    assert milder.bias.value == pytest.approx(2)
    assert milder.alpha.value < 0.5


def test_without_experts_or_shared_answers_the_reason_is_told() -> None:
    others = [one for one in judged(0) if one["rater"] != "e"]
    none = experts_and_others(others, RATERS, criterion="overall", seed=1)
    assert isinstance(none, Missing) and none.reason == "no expert is among the raters"
    apart = [*others, row("e", "elsewhere", "a", {"overall": 3})]
    none = experts_and_others(apart, RATERS, criterion="overall", seed=1)
    assert isinstance(none, Missing) and "by an expert and by another" in none.reason
