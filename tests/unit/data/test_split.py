"""Splits: groups whole, the same for any order, no silent surprises."""

import random
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qingting.core.dialogue import Dialogue, Message
from qingting.core.errors import DataError
from qingting.data.split import split


def dialogues(n):
    return [
        Dialogue(f"d{number}", (Message("user", f"问题{number}"), Message("assistant", "好")))
        for number in range(n)
    ]


def sides(found):
    return [
        [dialogue.id for dialogue in side]
        for side in (found.training, found.validation, found.test)
    ]


def test_sizes_as_shares_and_numbers():
    found = split(dialogues(100), validation=0.1, test=20, seed=0, groups=range(100))
    assert [len(side) for side in sides(found)] == [70, 10, 20]
    assert sorted(chain(*sides(found))) == sorted(dialogue.id for dialogue in dialogues(100))


def test_a_side_that_nobody_asked_for_is_empty():
    found = split(dialogues(10), validation=0, test=2, seed=0, groups=range(10))
    assert [len(side) for side in sides(found)] == [8, 0, 2]


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 8), min_size=10, max_size=40),
    st.integers(0, 5),
    st.integers(0, 4),
    st.randoms(use_true_random=False),
)
def test_groups_stay_whole_and_order_does_not_count(groups, seed, n_bound, rng):
    data = dialogues(len(groups))
    bound = {dialogue.id for dialogue in data[:n_bound]}
    numbered = list(zip(data, groups, strict=True))

    def run(items):
        return split(
            [dialogue for dialogue, _ in items],
            validation=3,
            test=3,
            seed=seed,
            groups=[group for _, group in items],
            may_be_held_out=lambda dialogue: dialogue.id not in bound,
        )

    try:
        found = run(numbered)
    except DataError as error:
        assert "would be empty" in str(error)
        return
    shuffled = numbered.copy()
    rng.shuffle(shuffled)
    assert run(shuffled) == found
    training, validation, test = sides(found)
    assert len(training) + len(validation) + len(test) == len(data)
    assert 0 < len(validation) <= 3 and 0 < len(test) <= 3
    assert bound <= set(training)
    group_of = {dialogue.id: group for dialogue, group in numbered}
    held = [{group_of[name] for name in side} for side in (training, validation, test)]
    assert not (held[0] & held[1] or held[0] & held[2] or held[1] & held[2])


def test_copies_stay_together_even_in_different_groups():
    data = [Dialogue(f"c{n}", dialogues(1)[0].messages) for n in range(5)] + dialogues(20)[1:]
    for seed in range(20):
        found = split(data, validation=4, test=6, seed=seed, groups=range(24))
        assert sum(any(name.startswith("c") for name in side) for side in sides(found)) == 1


def test_names_do_not_decide():
    data = dialogues(30)
    renamed = [Dialogue(f"x{n}", dialogue.messages) for n, dialogue in enumerate(data)]
    one = split(data, validation=3, test=3, seed=1, groups=range(30))
    two = split(renamed, validation=3, test=3, seed=1, groups=range(30))
    assert [d.messages for d in one.test] == [d.messages for d in two.test]


def test_the_seed_decides():
    data = dialogues(200)
    one, two = (split(data, validation=10, test=10, seed=s, groups=range(200)) for s in (1, 2))
    assert {d.id for d in one.test} != {d.id for d in two.test}


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"validation": 5, "test": 5}, "leave none"),
        ({"validation": 0.9, "test": 0.2}, "leave none"),
        ({"validation": -1, "test": 1}, "neither a share"),
        ({"validation": 1.5, "test": 1}, "neither a share"),
        ({"validation": 1, "test": float("nan")}, "neither a share"),
    ],
)
def test_impossible_sizes_are_refused(sizes, message):
    with pytest.raises(DataError, match=message):
        split(dialogues(10), seed=0, groups=range(10), **sizes)


def test_a_side_that_would_be_empty_is_refused():
    with pytest.raises(DataError, match="test side would be empty"):
        split(dialogues(10), validation=0, test=3, seed=0, groups=[0] * 5 + [1] * 5)
    with pytest.raises(DataError, match="0 may be held out"):
        split(
            dialogues(10),
            validation=1,
            test=1,
            seed=0,
            groups=range(10),
            may_be_held_out=lambda dialogue: False,
        )
    with pytest.raises(DataError):
        split([], validation=0, test=0, seed=0, groups=[])


def test_bound_dialogues_are_counted():
    data = dialogues(10)
    found = split(
        data,
        validation=1,
        test=1,
        seed=0,
        groups=[0, 0, *range(1, 9)],
        may_be_held_out=lambda dialogue: dialogue.id != "d0",
    )
    assert found.n_bound_to_training == 2
    assert {"d0", "d1"} <= {dialogue.id for dialogue in found.training}


def test_sides_are_drawn_evenly():
    data = dialogues(300)
    hits = sum(
        "d0" in {d.id for d in split(data, validation=0, test=100, seed=s, groups=range(300)).test}
        for s in random.Random(0).sample(range(10**6), 60)
    )
    assert 8 <= hits <= 34  # binomial(60, 1/3): each tail is below 0.0005
