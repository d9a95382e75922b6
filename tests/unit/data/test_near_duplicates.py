"""Near-duplicates are found whatever their order, and nothing else is."""

from __future__ import annotations

import random
from itertools import combinations

import pytest

from qingting.data.near_duplicates import group_near_duplicates


def random_text(rng: random.Random, length: int) -> str:
    return "".join(chr(rng.randrange(0x4E00, 0x4E00 + 2000)) for _ in range(length))


def jaccard(left: str, right: str) -> float:
    first, second = ({text[i : i + 5] for i in range(len(text) - 4)} for text in (left, right))
    return len(first & second) / len(first | second)


def test_edited_copies_share_a_group_and_others_do_not() -> None:
    rng = random.Random(0)
    originals = [random_text(rng, 300) for _ in range(50)]
    edited = [text[:150] + "新" + text[151:] for text in originals]
    groups = group_near_duplicates(originals + edited)
    assert groups == list(range(50)) * 2


def test_groups_do_not_depend_on_order() -> None:
    rng = random.Random(1)
    base = [random_text(rng, 200) for _ in range(20)]
    texts = base + [text[: rng.randrange(120, 200)] for text in base for _ in range(3)]
    order = list(range(len(texts)))
    rng.shuffle(order)
    straight = group_near_duplicates(texts)
    shuffled = group_near_duplicates([texts[i] for i in order])
    back = dict(zip(order, shuffled, strict=True))
    for left, right in combinations(range(len(texts)), 2):
        assert (straight[left] == straight[right]) == (back[left] == back[right])


def test_the_threshold_is_that_of_the_exact_jaccard_similarity() -> None:
    rng = random.Random(2)
    for _ in range(40):
        text = random_text(rng, 400)
        other = text[: rng.randrange(230, 330)] + random_text(rng, 40)
        near = len(set(group_near_duplicates([text, other]))) == 1
        assert near == (jaccard(text, other) >= 0.7)


def test_groups_are_connected_chains() -> None:
    text = random_text(random.Random(3), 400)
    chain = [text[i * 50 : i * 50 + 250] for i in range(4)]
    assert jaccard(chain[0], chain[3]) < 0.5
    assert group_near_duplicates(chain, threshold=0.6) == [0, 0, 0, 0]


def test_white_space_is_ignored_and_short_texts_equal_only_themselves() -> None:
    texts = ["你 好", "你好\n", "你好吗", "", " ", "a", "今天天气很好", "今天\t天气很好"]
    assert group_near_duplicates(texts) == [0, 0, 2, 3, 3, 5, 6, 6]


def test_nothing_makes_no_groups() -> None:
    assert group_near_duplicates([]) == []


@pytest.mark.parametrize("threshold", [0.0, 1.5, -1.0])
def test_a_threshold_outside_its_range_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold"):
        group_near_duplicates(["a"], threshold=threshold)
