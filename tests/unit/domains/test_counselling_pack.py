"""The counselling pack keeps its promises: shapes, counts, variety, sound keys."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from qingting.data.near_duplicates import group_near_duplicates
from qingting.domains.packs import find_pack

KINDS = {"counselling", "psychoeducation", "crisis", "refusal"}
OUTCOMES = {
    "disagrees",
    "emergency_help",
    "follow_up",
    "insight",
    "leaves",
    "leaves_annoyed",
    "referral_accepted",
    "referral_declined",
    "relief",
    "safety_plan",
    "small_step",
    "switch_to_real_concern",
    "trusted_adult",
    "undecided",
}
DIALOGUE_KEYS = {
    "id",
    "language",
    "kind",
    "topics",
    "client_age",
    "style",
    "outcome",
    "techniques",
    "synthetic",
    "messages",
}
QUESTION_KEYS = {
    "id",
    "language",
    "subfield",
    "kind",
    "question",
    "options",
    "answer",
    "explanation",
    "reference",
    "checked",
}
SLUG = re.compile(r"[a-z]+(?:[-_][a-z]+)*")
SENTENCE_END = re.compile(r"[。！？!?…\n]|\. ")
LONG_DIGITS = re.compile(r"(?:[0-9０-９][\s\-－()（）]*){5,}")


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@cache
def dialogues() -> list[dict[str, Any]]:
    files = sorted(find_pack("counselling").dialogues.glob("*.jsonl"))
    return [dialogue for file in files for dialogue in read(file)]


@cache
def questions() -> list[dict[str, Any]]:
    return read(find_pack("counselling").knowledge)


def text_of(dialogue: dict[str, Any]) -> str:
    return "\n".join(message["content"] for message in dialogue["messages"])


def counsellor_sentences(dialogue: dict[str, Any]) -> Iterator[str]:
    for message in dialogue["messages"]:
        if message["role"] == "assistant":
            for sentence in SENTENCE_END.split(message["content"]):
                yield sentence.strip()


def test_dialogues_have_their_shape() -> None:
    for dialogue in dialogues():
        name = dialogue["id"]
        assert set(dialogue) == DIALOGUE_KEYS, name
        assert dialogue["language"] in {"zh", "en"}, name
        assert dialogue["kind"] in KINDS, name
        assert dialogue["outcome"] in OUTCOMES, name
        assert dialogue["synthetic"] is True, name
        assert isinstance(dialogue["client_age"], int) and 10 <= dialogue["client_age"] <= 100, name
        for field in ("topics", "techniques"):
            assert dialogue[field], name
            assert len(set(dialogue[field])) == len(dialogue[field]), name
            assert all(SLUG.fullmatch(slug) for slug in dialogue[field]), name
    ids = [dialogue["id"] for dialogue in dialogues()]
    assert len(set(ids)) == len(ids)


def test_messages_alternate_and_end_with_the_counsellor() -> None:
    for dialogue in dialogues():
        messages = dialogue["messages"]
        assert len(messages) >= 8, dialogue["id"]
        assert all(set(message) == {"role", "content"} for message in messages), dialogue["id"]
        roles = [message["role"] for message in messages]
        assert roles == ["user", "assistant"] * (len(messages) // 2), dialogue["id"]
        for message in messages:
            assert message["content"] and message["content"] == message["content"].strip()


def test_there_are_enough_dialogues_of_each_kind() -> None:
    languages = Counter(dialogue["language"] for dialogue in dialogues())
    kinds = Counter(dialogue["kind"] for dialogue in dialogues())
    assert len(dialogues()) >= 300
    assert languages["zh"] >= 240
    assert languages["en"] >= 40
    assert kinds["refusal"] >= 40
    assert kinds["crisis"] >= 20
    n_messages = sum(len(dialogue["messages"]) for dialogue in dialogues())
    assert n_messages / len(dialogues()) >= 12


def test_kinds_and_techniques_agree() -> None:
    for dialogue in dialogues():
        if dialogue["kind"] == "crisis":
            assert "safety_check" in dialogue["techniques"], dialogue["id"]
        if dialogue["kind"] == "refusal":
            assert "refusal" in dialogue["techniques"], dialogue["id"]
        if dialogue["outcome"] in {"emergency_help", "safety_plan"}:
            assert dialogue["kind"] == "crisis", dialogue["id"]


def test_the_counsellor_has_no_stock_sentences() -> None:
    used_in: dict[str, set[str]] = defaultdict(set)
    for dialogue in dialogues():
        for sentence in counsellor_sentences(dialogue):
            if len(sentence) >= 12:
                used_in[sentence].add(dialogue["id"])
    assert {sentence: ids for sentence, ids in used_in.items() if len(ids) > 3} == {}


def test_no_two_dialogues_are_alike() -> None:
    groups = group_near_duplicates([text_of(dialogue) for dialogue in dialogues()], threshold=0.5)
    assert len(set(groups)) == len(dialogues())


def test_no_dialogue_shows_a_phone_number() -> None:
    found = {d["id"]: m.group() for d in dialogues() if (m := LONG_DIGITS.search(text_of(d)))}
    assert found == {}


def test_questions_have_their_shape() -> None:
    for question in questions():
        name = question["id"]
        assert set(question) == QUESTION_KEYS, name
        assert question["language"] in {"zh", "en"}, name
        assert question["kind"] in {"single", "multiple"}, name
        assert question["checked"] == 2, name
        options = question["options"]
        assert list(options) == list("ABCDE"[: len(options)]) and len(options) >= 4, name
        assert all(option.strip() for option in options.values()), name
        assert len(set(options.values())) == len(options), name
        for field in ("question", "explanation", "reference"):
            assert question[field].strip(), name
    ids = [question["id"] for question in questions()]
    assert len(set(ids)) == len(ids)


def test_there_are_enough_questions() -> None:
    assert len(questions()) >= 200
    assert len({question["subfield"] for question in questions()}) >= 12
    kinds = Counter((question["language"], question["kind"]) for question in questions())
    assert all(kinds[language, "single"] >= 40 for language in ("zh", "en"))
    assert all(kinds[language, "multiple"] >= 10 for language in ("zh", "en"))


def test_keys_name_options() -> None:
    for question in questions():
        key = question["answer"]
        assert key == sorted(set(key)), question["id"]
        assert set(key) <= set(question["options"]), question["id"]
        if question["kind"] == "single":
            assert len(key) == 1, question["id"]
        else:
            assert len(key) >= 2, question["id"]


@pytest.mark.parametrize(
    ("kind", "low", "high"), [("single", 0.22, 0.28), ("multiple", 0.20, 0.30)]
)
def test_keys_are_spread_over_the_letters(kind: str, low: float, high: float) -> None:
    letters = Counter(
        letter
        for question in questions()
        if question["kind"] == kind
        for letter in question["answer"]
        if letter in "ABCD"
    )
    shares = {letter: letters[letter] / letters.total() for letter in "ABCD"}
    assert all(low <= share <= high for share in shares.values()), shares


def test_the_longest_option_is_not_the_tell() -> None:
    singles = [question for question in questions() if question["kind"] == "single"]
    n_longest = 0
    for question in singles:
        lengths = {letter: len(option) for letter, option in question["options"].items()}
        key = lengths.pop(question["answer"][0])
        n_longest += key > max(lengths.values())
    assert n_longest / len(singles) <= 0.30


def test_no_question_is_asked_twice() -> None:
    stems = ["".join(question["question"].split()).casefold() for question in questions()]
    assert len(set(stems)) == len(stems)
    assert len(set(group_near_duplicates(stems, threshold=0.6))) == len(stems)
