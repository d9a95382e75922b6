"""The calibration answers and attention checks that ship: their span, their words, their fairness."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import combinations

import numpy as np
import pytest
from pydantic import ValidationError
from rapidfuzz import fuzz

from qingting.domains.bilingual import Bilingual
from qingting.domains.judging_checks import AttentionCheck, AttentionPair, CalibrationItem
from qingting.domains.judging_pack import CRITERIA, JudgingPack, load_judging_pack

LANGUAGES = ("zh", "en")
ENDS = {"zh": re.compile(r"[。！？]"), "en": re.compile(r"[.!?](?=[”’]?(?:\s|$))")}
ANCHOR = {"zh": re.compile(r"[一二两三四五]分"), "en": re.compile(r"\b[1-5]\b")}


@cache
def pack() -> JudgingPack:
    return load_judging_pack()


def answers() -> list[CalibrationItem]:
    """Return the calibration items that are single answers."""
    return [one for one in pack().calibration if not one.turns]


def said(language: str) -> Iterator[tuple[str, str]]:
    """Yield every text of the checks with the id of its item."""
    for one in (*pack().calibration, *pack().attention_checks):
        for turn in one.said_in(language):
            yield one.id, turn["content"]
    for pair in pack().attention_pairs:
        yield pair.id, pair.first.text_in(language)
        yield pair.id, pair.second.text_in(language)


def test_calibration_covers_the_three_kinds_and_most_scenarios_have_several_answers() -> None:
    kind_of = {one.id: one.kind for one in pack().scenarios}
    assert len(answers()) >= 24
    kinds = Counter(kind_of[one.scenario] for one in answers())
    assert set(kinds) == {"counselling", "psychoeducation", "crisis"}
    assert min(kinds.values()) >= 12
    n_of_scenario = Counter(one.scenario for one in answers())
    assert sum(n >= 2 for n in n_of_scenario.values()) >= 10


def test_answers_to_one_scenario_differ_in_quality() -> None:
    by_scenario: dict[str, list[CalibrationItem]] = {}
    for one in answers():
        by_scenario.setdefault(one.scenario, []).append(one)
    for scenario, group in by_scenario.items():
        ranges = [
            max(one.reference[name] for one in group) - min(one.reference[name] for one in group)
            for name in CRITERIA
        ]
        assert len(group) == 1 or max(ranges) >= 2, scenario


@pytest.mark.parametrize("criterion", CRITERIA)
def test_every_point_of_every_criterion_is_shown_several_times(criterion: str) -> None:
    counts = Counter(one.reference[criterion] for one in pack().calibration)
    assert set(counts) == {1, 2, 3, 4, 5}
    assert min(counts.values()) >= 5


def test_criteria_come_apart_so_that_a_rater_learns_to_keep_them_apart() -> None:
    def n_where(high: str, low: str) -> int:
        return sum(
            one.reference[high] >= 3 and one.reference[low] <= one.reference[high] - 2
            for one in pack().calibration
        )

    assert n_where("empathy", "safety") >= 2  # warm and unsafe
    assert n_where("professionalism", "empathy") >= 3  # correct and cold
    assert n_where("safety", "overall") >= 2  # harmless and of little use


def test_every_verdict_and_every_reason_is_shown() -> None:
    assert {one.safety for one in pack().calibration} == {"pass", "concern", "fail"}
    shown = {reason for one in pack().calibration for reason in one.reasons}
    codes = {one.id for one in pack().rubric.safety_gate.reason_codes}
    assert shown == codes - {"other"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_length_does_not_give_the_rating_away(language: str) -> None:
    lengths = [len(str(one.said_in(language)[0]["content"])) for one in answers()]
    overall = [one.reference["overall"] for one in answers()]
    assert abs(float(np.corrcoef(lengths, overall)[0, 1])) < 0.5
    middle = float(np.median(lengths))
    assert sum(n < middle and point >= 4 for n, point in zip(lengths, overall, strict=True)) >= 5
    assert sum(n > middle and point <= 2 for n, point in zip(lengths, overall, strict=True)) >= 5


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_why_is_two_to_four_sentences_and_names_points_of_the_rubric(language: str) -> None:
    wrong = []
    for one in pack().calibration:
        why = one.why.text_in(language)
        if not 2 <= len(ENDS[language].findall(why)) <= 4 or not ANCHOR[language].search(why):
            wrong.append(one.id)
    assert wrong == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_two_texts_are_nearly_the_same(language: str) -> None:
    is_order = re.compile("提交|submit")  # what asks for a certain judgment has set words
    texts = [(at, text) for at, text in said(language) if not is_order.search(text)]
    alike = [
        (one[0], other[0])
        for one, other in combinations(texts, 2)
        if fuzz.ratio(one[1], other[1]) > 70
    ]
    assert alike == []
    assert fuzz.ratio(texts[0][1], texts[0][1][:-9]) > 70


def test_the_two_languages_say_about_as_much() -> None:
    for one in (*pack().calibration, *pack().attention_checks):
        for zh, en in zip(one.said_in("zh"), one.said_in("en"), strict=True):
            words = len(en["content"].split())
            assert 0.4 <= words / len(zh["content"]) <= 1.1, (one.id, en["content"][:30])


def test_conversations_alternate_and_span_good_and_bad() -> None:
    talks = [one for one in pack().calibration if one.turns]
    assert len(talks) >= 4
    overall = {one.reference["overall"] for one in talks}
    assert overall >= {1, 3, 5}
    kind_of = {one.id: one.kind for one in pack().scenarios}
    assert {kind_of[one.scenario] for one in talks} == {"counselling", "psychoeducation", "crisis"}
    for one in talks:
        roles = [turn["role"] for turn in one.said_in("zh")]
        assert roles[0] == roles[-1] == "assistant"
        assert set(roles[1::2]) == {"user"}
    assert sum(bool(one.turns) for one in pack().attention_checks) >= 2


def test_pairs_that_test_attention_expect_each_outcome_and_name_no_side() -> None:
    pairs = pack().attention_pairs
    assert len(pairs) >= 2
    assert {choice for one in pairs for choice in one.expected.values()} == {
        "first",
        "tie",
        "second",
    }
    for one in pairs:
        for text in (one.first, one.second):
            assert not re.search("左|右", text.zh), one.id
            assert not re.search(r"\b(left|right)\b", text.en), one.id


# What the schema refuses


BASE = {
    "id": "x",
    "scenario": "s",
    "reference": {"overall": 1},
    "safety": "pass",
    "why": {"zh": "因为", "en": "because"},
}
TEXT = {"zh": "好", "en": "good"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "either a response or turns"),
        ({"response": TEXT, "turns": [TEXT] * 3}, "either a response or turns"),
        ({"turns": [TEXT] * 4}, "4 turns: a conversation begins and ends with the counsellor"),
        ({"turns": [TEXT]}, "1 turns"),
        ({"response": TEXT, "safety": "fail"}, "reasons belong to concern and fail"),
        ({"response": TEXT, "reasons": ["missed_risk"]}, "safety is pass"),
    ],
)
def test_a_calibration_item_that_says_nothing_clear_is_refused(
    change: dict[str, object], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        CalibrationItem.model_validate(BASE | change, strict=False)


def test_a_conversation_is_told_turn_by_turn() -> None:
    turns = [{"zh": f"第{n}句", "en": f"turn {n}"} for n in range(3)]
    item = CalibrationItem.model_validate(BASE | {"turns": turns}, strict=False)
    assert item.said_in("en") == (
        {"role": "assistant", "content": "turn 0"},
        {"role": "user", "content": "turn 1"},
        {"role": "assistant", "content": "turn 2"},
    )


def test_a_pair_that_expects_nothing_is_refused() -> None:
    text = Bilingual(zh="好", en="good")
    with pytest.raises(ValidationError, match="at least 1"):
        AttentionPair(id="x", scenario="s", first=text, second=text, expected={})
    with pytest.raises(ValidationError, match="expects nothing"):
        AttentionCheck(id="x", scenario="s", response=text)
