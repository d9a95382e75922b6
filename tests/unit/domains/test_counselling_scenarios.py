"""The scenarios of counselling: their balance, and that they read as clients write."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from itertools import combinations

from qingting.domains.bilingual import Bilingual
from qingting.domains.judging_pack import ClientProfile, Scenario, load_judging_pack

ABBREVIATIONS = {
    "anxiety": "anx",
    "depression": "dep",
    "stress": "str",
    "sleep": "slp",
    "relationships": "rel",
    "self_esteem": "est",
    "work_study": "wor",
    "grief": "gri",
    "adolescence": "ado",
}
# What Chinese turns into when it is translated from English.
TRANSLATIONESE = re.compile(r"我感到|让我觉得|非常的|感觉到了|对于我来说|在我看来|关于这件事")


@cache
def scenarios() -> tuple[Scenario, ...]:
    return tuple(one for one in load_judging_pack().scenarios if one.kind == "counselling")


def profiles() -> list[tuple[Scenario, ClientProfile]]:
    return [(one, one.client) for one in scenarios() if one.client is not None]


def said() -> list[tuple[str, Bilingual]]:
    """Return everything that a client says, with the scenario's id."""
    openings = [(one.id, one.opening) for one in scenarios()]
    turns = [(one.id, turn) for one, client in profiles() for turn in client.scripted_turns]
    return openings + turns


def runs(text: str, *, length: int) -> set[str]:
    """Return every run of a number of characters in a text."""
    return {text[at : at + length] for at in range(len(text) - length + 1)}


def test_an_id_says_the_topic_and_counts_from_one() -> None:
    by_topic: dict[str, list[str]] = {}
    for one in scenarios():
        by_topic.setdefault(one.topic, []).append(one.id)
    assert set(by_topic) == set(ABBREVIATIONS)
    for topic, ids in by_topic.items():
        short = ABBREVIATIONS[topic]
        assert ids == [f"c-{short}-{n:02d}" for n in range(1, len(ids) + 1)]


def test_each_difficulty_has_twenty_and_each_topic_two_or_three_of_each() -> None:
    assert Counter(one.difficulty for one in scenarios()) == {1: 20, 2: 20, 3: 20}
    cells = Counter((one.topic, one.difficulty) for one in scenarios())
    assert len(cells) == 27
    assert set(cells.values()) == {2, 3}


def test_twenty_four_clients_talk_on_two_or_three_in_each_topic() -> None:
    assert len(profiles()) == 24
    by_topic = Counter(one.topic for one, _ in profiles())
    assert len(by_topic) == 9
    assert set(by_topic.values()) == {2, 3}


def test_clients_are_of_all_ages() -> None:
    ages = sorted(client.age for _, client in profiles())
    assert ages[0] < 16
    assert ages[-1] > 60
    assert sum(age < 18 for age in ages) >= 3
    assert sum(age >= 45 for age in ages) >= 4


def test_a_distressing_scenario_is_never_the_easiest() -> None:
    distressing = [one for one in scenarios() if one.distressing]
    assert len(distressing) >= 8
    assert all(one.difficulty >= 2 for one in distressing)


def test_openings_are_sixty_to_two_hundred_characters_of_chinese() -> None:
    wrong = [(one.id, len(one.opening.zh)) for one in scenarios()]
    assert [entry for entry in wrong if not 60 <= entry[1] <= 200] == []


def test_the_two_languages_say_about_as_much() -> None:
    # English words to a Chinese character; far outside, something was left out or added.
    ratios = [(one.id, len(one.opening.en.split()) / len(one.opening.zh)) for one in scenarios()]
    assert [entry for entry in ratios if not 0.5 <= entry[1] <= 1.0] == []


def test_no_client_speaks_translated_chinese() -> None:
    assert [(at, text.zh) for at, text in said() if TRANSLATIONESE.search(text.zh)] == []
    assert TRANSLATIONESE.search("这让我觉得非常的难过")


def test_no_two_openings_share_a_phrase_in_chinese_or_english() -> None:
    alike = []
    for one, other in combinations(scenarios(), 2):
        if runs(one.opening.zh, length=9) & runs(other.opening.zh, length=9):
            alike.append((one.id, other.id, "zh"))
        if runs(one.opening.en, length=34) & runs(other.opening.en, length=34):
            alike.append((one.id, other.id, "en"))
    assert alike == []


def test_no_turn_is_said_twice() -> None:
    for language in ("zh", "en"):
        texts = [text.text_in(language) for _, text in said()]
        assert len(set(texts)) == len(texts)
