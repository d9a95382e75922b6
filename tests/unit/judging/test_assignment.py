"""Which unit comes next: open ones only, even for the rater and overall, pairs by propensity."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qingting.judging.assignment import (
    Overall,
    RaterHistory,
    Rules,
    Units,
    choose_pair_unit,
    choose_unit,
    open_units,
)
from qingting.judging.information import PairVotes
from qingting.stats.pair_choice import arm_pairs

ARM_IDS = (11, 12, 13, 14)
NOBODY = Overall({}, {})


def single_units(n_items: int = 6, n_arms: int = 3, n_wanted: int = 2) -> Units:
    arms = [(arm,) for _ in range(n_items) for arm in range(n_arms)]
    return units_from(np.repeat(np.arange(n_items), n_arms), arms, n_arms, n_wanted)


def pair_units(n_items: int = 6, n_arms: int = 4, n_wanted: int = 2) -> Units:
    pairs = list(combinations(range(n_arms), 2))
    arms = [pair for _ in range(n_items) for pair in pairs]
    return units_from(np.repeat(np.arange(n_items), len(pairs)), arms, n_arms, n_wanted)


def units_from(items, arms, n_arms: int, n_wanted: int) -> Units:
    n = len(arms)
    return Units(
        ids=100 + np.arange(n),
        items=np.asarray(items, np.int64),
        arms=np.array(arms, np.int64),
        n_wanted=np.full(n, n_wanted),
        is_crisis=np.asarray(items) % 3 == 2,
        arm_ids=ARM_IDS[:n_arms],
    )


def history(by=None, first=None, units=(), items=(), crisis=0) -> RaterHistory:
    return RaterHistory(
        by or {}, first or {}, frozenset(units), frozenset(items), crisis, len(units)
    )


def none_taken(units: Units) -> np.ndarray:
    return np.zeros(len(units.ids), np.int64)


def test_full_seen_and_crisis_units_are_closed():
    units = single_units()
    taken = none_taken(units)
    taken[0] = 2
    rater = history(units={101}, items={0}, crisis=2)
    may = open_units(units, taken, rater, Rules())
    assert not may[0] and not may[1] and may[2]
    assert not may[units.is_crisis].any() and may[~units.is_crisis].sum() == 10
    once = open_units(units, taken, rater, Rules(items_may_return=False))
    assert not once[units.items == 0].any() and once.sum() == 9
    rested = open_units(units, taken, history(crisis=1), Rules())
    assert rested.sum() == 17


def test_nothing_left_is_none():
    units = single_units()
    full = units.n_wanted.copy()
    rng = np.random.default_rng(0)
    assert choose_unit(units, full, history(), NOBODY, Rules(), rng) is None
    assert (
        choose_pair_unit(
            units, full, history(), NOBODY, Rules(), rng, propensities=lambda pairs: pairs / 0
        )
        is None
    )


def test_the_raters_own_evenness_comes_before_that_of_all():
    units = single_units()
    overall = Overall({11: 50, 12: 0, 13: 0}, {})
    rng = np.random.default_rng(0)
    choice = choose_unit(
        units, none_taken(units), history({11: 0, 12: 1, 13: 1}), overall, Rules(), rng
    )
    assert choice.arms_in_order == (11,)
    choice = choose_unit(
        units, none_taken(units), history({11: 1, 12: 1, 13: 1}), overall, Rules(), rng
    )
    assert choice.arms_in_order[0] in (12, 13)
    assert choice.p_chosen == pytest.approx(1 / 12)


def test_a_coin_finishes_what_is_begun_or_begins_afresh():
    units = single_units(n_wanted=3)
    taken = none_taken(units)
    taken[[1, 4, 7]] = (1, 2, 1)  # of arm 1, the least shown; 10, 13 and 16 are fresh
    overall = Overall({11: 1, 12: 0, 13: 1}, {})
    rng = np.random.default_rng(0)
    drawn = [choose_unit(units, taken, history(), overall, Rules(), rng) for _ in range(1200)]
    p = {choice.unit_id: choice.p_chosen for choice in drawn}
    assert p == pytest.approx({104: 1 / 2, 110: 1 / 6, 113: 1 / 6, 116: 1 / 6})
    count = Counter(choice.unit_id for choice in drawn)
    assert all(abs(count[u] - 1200 * q) < 4 * np.sqrt(1200 * q * (1 - q)) for u, q in p.items())


def test_ties_are_drawn_evenly():
    units = single_units(n_items=2)
    rng = np.random.default_rng(5)
    drawn = Counter(
        choose_unit(units, none_taken(units), history(), NOBODY, Rules(), rng).unit_id
        for _ in range(3000)
    )
    # 500 expected of each, standard deviation 20.4
    assert set(drawn) == set(range(100, 106))
    assert all(abs(n - 500) < 4 * 20.4 for n in drawn.values())


@pytest.mark.parametrize("n_arms", [2, 3, 4])
def test_a_rater_is_even_after_every_judgment_where_all_is_open(n_arms: int):
    for units in (single_units(24, n_arms), pair_units(24, n_arms)):
        rng = np.random.default_rng(n_arms)
        by, seen = dict.fromkeys(units.arm_ids, 0), set()
        for _ in range(40):
            choice = choose_unit(
                units, none_taken(units), history(by, units=seen), NOBODY, Rules(), rng
            )
            if choice is None:
                break
            seen.add(choice.unit_id)
            for arm in choice.arms_in_order:
                by[arm] += 1
            # of 4 arms in pairs, 3 1 1 1 could never happen, nor could 2 0 0 0 of single ones
            assert max(by.values()) - min(by.values()) <= 1


def test_the_arm_that_stood_first_too_seldom_stands_first():
    units = pair_units(n_items=1, n_arms=2)
    rng = np.random.default_rng(1)

    def order(overall: Overall, own: RaterHistory) -> tuple[int, ...]:
        return choose_unit(units, none_taken(units), own, overall, Rules(), rng).arms_in_order

    assert order(Overall({11: 10, 12: 10}, {11: 6, 12: 4}), history()) == (12, 11)
    assert order(Overall({11: 10, 12: 10}, {11: 4, 12: 6}), history()) == (11, 12)
    even = Overall({11: 10, 12: 10}, {11: 5, 12: 5})
    own = history({11: 3, 12: 3}, {11: 2, 12: 1})
    assert order(even, own) == (12, 11), "then what this rater saw first too seldom"
    drawn = Counter(order(even, history()) for _ in range(400))
    assert abs(drawn[11, 12] - 200) < 40, "else a draw: standard deviation 10"


def lopsided() -> PairVotes:
    """Return votes that make the first of six pairs all but certain and the second the least."""
    n = np.array([900, 1, 40, 40, 40, 40])
    sums = n * np.array([1.0, 0.5, 0.5, 0.6, 0.4, 0.5])
    return PairVotes(n, sums, n * 0.5, floor=0.3)


def draws(units: Units, taken: np.ndarray, votes: PairVotes, n: int) -> tuple[Counter, dict]:
    rng = np.random.default_rng(8)
    number = {pair: at for at, pair in enumerate(arm_pairs(4))}
    count, said = Counter(), {}
    for _ in range(n):
        choice = choose_pair_unit(
            units, taken, history(), NOBODY, Rules(), rng, propensities=votes.propensities
        )
        pair = number[tuple(sorted(ARM_IDS.index(arm) for arm in choice.arms_in_order))]
        count[pair] += 1
        said.setdefault(pair, set()).add(choice.p_chosen)
    return count, said


def test_a_pair_is_drawn_by_its_propensity_however_many_units_it_has_open():
    units, votes = pair_units(n_items=6), lopsided()
    taken = none_taken(units)
    taken[np.flatnonzero(units.arms.sum(axis=1) == 2)[1:]] = 2  # pair (0, 2): one unit is open
    n = 4000
    count, said = draws(units, taken, votes, n)
    p = votes.propensities(np.arange(6))
    for pair in range(6):
        assert said[pair] == {float(p[pair])}
        assert abs(count[pair] - n * p[pair]) < 4 * np.sqrt(n * p[pair] * (1 - p[pair]))
    assert p.min() >= 0.3 / 6


def test_the_floor_is_over_the_pairs_that_have_an_open_unit():
    units, votes = pair_units(n_items=6), lopsided()
    taken = none_taken(units)
    taken[~np.isin(units.arms.sum(axis=1), (1, 2))] = 2  # pairs (0, 1) and (0, 2) are left
    count, said = draws(units, taken, votes, 2000)
    assert set(count) == {0, 1}
    (p_settled,) = said[0]
    (p_open,) = said[1]
    assert p_settled + p_open == pytest.approx(1)
    assert p_settled >= 0.3 / 2
    assert abs(count[0] - 2000 * p_settled) < 4 * np.sqrt(2000 * p_settled * p_open)


def test_of_a_pair_the_least_judged_unit_comes_and_the_raters_past_does_not_move_the_pair():
    units, votes = pair_units(n_items=4), lopsided()
    taken = none_taken(units)
    taken[units.items != 2] = 1
    rng = np.random.default_rng(2)
    for own in (history(), history({11: 40, 12: 0, 13: 0, 14: 0})):
        choice = choose_pair_unit(
            units, taken, own, NOBODY, Rules(), rng, propensities=votes.propensities
        )
        assert units.items[choice.unit_id - 100] == 2
        assert choice.p_chosen in votes.propensities(np.arange(6)).tolist()


@settings(max_examples=60, deadline=None)
@given(
    n_arms=st.integers(2, 4),
    n_items=st.integers(1, 6),
    is_pair=st.booleans(),
    data=st.data(),
)
def test_what_is_chosen_is_always_open_and_names_do_not_matter(n_arms, n_items, is_pair, data):
    units = (pair_units if is_pair else single_units)(n_items, n_arms)
    n = len(units.ids)
    taken = np.array(data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)))
    seen = data.draw(st.sets(st.sampled_from(units.ids.tolist())))
    by = {arm: data.draw(st.integers(0, 9)) for arm in units.arm_ids}
    rater = history(by, units=seen, crisis=data.draw(st.integers(0, 2)))
    found = choose_unit(units, taken, rater, NOBODY, Rules(), np.random.default_rng(3))
    may = open_units(units, taken, rater, Rules())
    if found is None:
        assert not may.any()
        return
    place = found.unit_id - 100
    assert may[place] and 0 < found.p_chosen <= 1
    # no open unit would leave the rater more even
    cost = [sum(by[units.arm_ids[at]] for at in arms) for arms in units.arms]
    assert cost[place] == min(np.array(cost)[may])
    # other ids of the same arms choose the same unit
    renamed = Units(
        units.ids, units.items, units.arms, units.n_wanted, units.is_crisis,
        tuple(arm + 70 for arm in units.arm_ids),
    )  # fmt: skip
    other = history(
        {arm + 70: k for arm, k in by.items()}, units=seen, crisis=rater.n_crisis_in_a_row
    )
    again = choose_unit(renamed, taken, other, NOBODY, Rules(), np.random.default_rng(3))
    assert again.unit_id == found.unit_id
    assert again.arms_in_order == tuple(arm + 70 for arm in found.arms_in_order)
