"""Seen dialogues are recognised after the edits that data preparation makes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from qingting.core.dialogue import Dialogue, Message
from qingting.core.errors import DataError
from qingting.data.leakage import (
    PretrainingRecord,
    PretrainingSource,
    fingerprints,
    held_out_tenth,
    was_seen,
)


def random_dialogue(rng: random.Random, name: str, n_turns: int = 4) -> Dialogue:
    turns = [
        Message(
            "user" if turn % 2 == 0 else "assistant",
            "".join(chr(rng.randrange(0x4E00, 0x5E00)) for _ in range(60)),
        )
        for turn in range(n_turns)
    ]
    return Dialogue(name, tuple(turns))


def record_of(*dialogues: Dialogue) -> PretrainingRecord:
    seen = frozenset[str]().union(*map(fingerprints, dialogues))
    source = PretrainingSource("a", "MIT", "someone", "r1", 1, 0, is_trained_on=True)
    return PretrainingRecord((source,), seen, frozenset({"00"}))


def test_edited_forms_of_a_seen_dialogue_are_recognised() -> None:
    seen = random_dialogue(random.Random(0), "a")
    record = record_of(seen)
    messages = seen.messages
    merged = Message("user", messages[0].content + "\n" + messages[1].content)
    forms = {
        "cut": messages[:3],
        "merged": (merged, *messages[2:]),
        "spaced": tuple(Message(role, f" {text[:9]}\n{text[9:]} ") for role, text in messages),
        "swapped": tuple(Message("user", text) for _, text in messages),
        "with system": (Message("system", "别的"), *messages),
    }
    for name, form in forms.items():
        assert was_seen(Dialogue("b", form), record), name
    assert not was_seen(random_dialogue(random.Random(1), "c"), record)


def test_fingerprints_are_two_digests_of_sixteen_digits() -> None:
    prints = fingerprints(random_dialogue(random.Random(0), "a"))
    assert len(prints) == 2
    assert all(len(x) == 16 and int(x, 16) >= 0 for x in prints)


def test_a_record_survives_its_file(tmp_path: Path) -> None:
    record = record_of(random_dialogue(random.Random(0), "a"))
    record.save(tmp_path / "record.json")
    assert PretrainingRecord.load(tmp_path / "record.json") == record
    (tmp_path / "record.json").write_text("[]")
    with pytest.raises(DataError, match=r"record\.json"):
        PretrainingRecord.load(tmp_path / "record.json")


def test_a_tenth_of_each_source_is_held_out_with_its_copies() -> None:
    rng = random.Random(4)
    first = [random_dialogue(rng, f"first-{i}") for i in range(95)]
    copies = [Dialogue(f"copy-{i}", first[i].messages[:3]) for i in range(40)]
    second = copies + [random_dialogue(rng, f"second-{i}") for i in range(20)]
    held = held_out_tenth({"first": first, "second": second})
    assert sum(d.id in held for d in first) >= 10
    assert 6 <= sum(d.id in held for d in second) <= 12
    for original, copy in zip(first, copies, strict=False):
        assert (original.id in held) == (copy.id in held)
    rng.shuffle(first)
    rng.shuffle(second)
    assert held_out_tenth({"second": second, "first": first}) == held


def test_nothing_held_out_shares_a_fingerprint_with_the_rest() -> None:
    rng = random.Random(5)
    opening = random_dialogue(rng, "x", 2).messages
    alike = [
        Dialogue(f"alike-{i}", (*opening, *random_dialogue(rng, "y", 8).messages)) for i in range(3)
    ]
    rest = [random_dialogue(rng, f"rest-{i}") for i in range(27)]
    held = held_out_tenth({"all": alike + rest})
    kept = frozenset[str]().union(*(fingerprints(d) for d in alike + rest if d.id in held))
    seen = frozenset[str]().union(*(fingerprints(d) for d in alike + rest if d.id not in held))
    assert kept.isdisjoint(seen)
    assert len({d.id in held for d in alike}) == 1


def test_ids_must_be_unique() -> None:
    dialogue = random_dialogue(random.Random(6), "a")
    with pytest.raises(DataError, match="unique"):
        held_out_tenth({"a": [dialogue], "b": [dialogue]})
