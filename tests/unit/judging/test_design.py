"""The plan of a study: units within any budget, and the places of checks."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qingting.judging.design import (
    CHECKS,
    Shares,
    exposure_error,
    n_units_within,
    next_balanced,
    owed_checks,
    pair_order,
    planned_checks,
    role_of,
    units_of,
)
from qingting.stats.comparison_graph import comparison_graph
from qingting.stats.votes import votes_of

USUAL = Shares(calibration=0.10, attention=0.04, repeat=0.05)


def pairs_of(n_items: int, n_arms: int, n_judgments: int | None, *, raters: int = 1, seed: int = 0):
    return units_of(
        [100 + item for item in range(n_items)],
        [7 * arm + 3 for arm in range(n_arms)],
        mode="pair",
        raters_per_unit=raters,
        n_judgments=n_judgments,
        seed=seed,
    )


def n_parts(n_arms: int, pairs) -> int:
    """Return how many parts the graph of compared arms falls into."""
    votes = votes_of(*zip(*[(str(a), str(b)) for a, b in pairs], strict=True), [2] * len(pairs))
    lonely = n_arms - len(votes.arms)
    return lonely + len(set(comparison_graph(votes).components.tolist()))


@pytest.mark.parametrize("n_arms", range(2, 13))
def test_pairs_come_once_with_every_prefix_even_and_soon_connected(n_arms: int):
    order = pair_order(n_arms)
    assert sorted(order) == list(combinations(range(n_arms), 2))
    shown = np.zeros(n_arms, int)
    for pair in order:
        shown[list(pair)] += 1
        assert np.ptp(shown) <= 1
    assert n_parts(n_arms, order[: n_arms - 1]) == 1


@settings(max_examples=150, deadline=None)
@given(
    n_items=st.integers(1, 30),
    n_arms=st.integers(2, 8),
    share=st.floats(0, 1.1),
    seed=st.integers(0, 2**31),
)
def test_a_budget_is_spent_evenly_whatever_it_is(n_items, n_arms, share, seed):
    every = n_items * n_arms * (n_arms - 1) // 2
    budget = max(1, round(share * every))
    units = pairs_of(n_items, n_arms, budget, seed=seed)
    assert len({(one.item, one.arms) for one in units}) == len(units) == min(budget, every)
    arms = sorted({7 * arm + 3 for arm in range(n_arms)})
    table = np.zeros((n_items, n_arms), int)
    for one in units:
        for arm in one.arms:
            table[one.item - 100, arms.index(arm)] += 1
    assert np.ptp(table.sum(axis=0)) <= 1
    assert np.ptp(table.sum(axis=1)) <= 2, "one pair more is two arms more"
    assert np.ptp(table, axis=1).max() <= 2
    assert np.ptp(table, axis=0).max() <= 3
    by_pair = Counter(one.arms for one in units)
    all_pairs = [by_pair[pair] for pair in combinations(arms, 2)]
    assert max(all_pairs) - min(all_pairs) <= 1
    if len(units) >= n_arms - 1:
        assert n_parts(n_arms, [one.arms for one in units]) == 1


def test_small_and_middling_budgets_that_once_favoured_arms_are_even():
    for budget in range(5, 12):
        shown = Counter(arm for one in pairs_of(24, 4, budget) for arm in one.arms)
        assert max(shown.values()) - min(shown.values()) <= 1
    shown = Counter(arm for one in pairs_of(24, 8, 600) for arm in one.arms)
    assert set(shown.values()) == {150}


def test_the_seed_draws_which_arm_and_which_items_have_one_more():
    more = {
        Counter(a for u in pairs_of(9, 3, 1, seed=s) for a in u.arms).most_common(1)[0][0]
        for s in range(20)
    }
    assert len(more) == 2, "the first arm of one pair, in the order of arms"
    assert len({pairs_of(9, 3, 1, seed=s)[0].item for s in range(40)}) > 4
    assert pairs_of(9, 3, 7, seed=5) == pairs_of(9, 3, 7, seed=5)


def test_a_budget_counts_judgments_and_not_units():
    units = pairs_of(10, 3, 20, raters=3)
    assert len(units) == 6 and {one.n_wanted for one in units} == {3}
    assert n_units_within(2, n_items=10, n_arms=3, raters_per_unit=3) == 1
    assert n_units_within(None, n_items=10, n_arms=5, raters_per_unit=3) == 100


def test_other_modes_judge_every_arm_on_every_item():
    units = units_of([1, 2], [5, 6, 7], mode="single", raters_per_unit=3)
    assert [(one.item, one.arms) for one in units] == [(i, (a,)) for i in (1, 2) for a in (5, 6, 7)]


def test_the_error_of_exposure_and_the_next_budget_without_it():
    # 7 pairs of 3 arms: 14 places, 14/3 each; one arm has 4 or 5: at most (14/3 - 4) / (14/3)
    assert exposure_error(7, 3) == Fraction(1, 7)
    assert exposure_error(9, 3) == 0
    assert next_balanced(7, 3) == 9
    assert next_balanced(9, 3) == 9
    # 101 pairs of 4 arms: 50.5 each, half a unit is less than 2 %
    assert next_balanced(101, 4) == 101


def prefix_counts(n: int, shares: Shares, seed) -> list[dict[str, int]]:
    counts, found = Counter(), []
    for place in range(n):
        counts[role_of(place, shares=shares, seed=seed)] += 1
        found.append({role: counts[role] for role in CHECKS})
    return found


@settings(max_examples=40, deadline=None)
@given(
    percents=st.tuples(*[st.integers(0, 49)] * 3).filter(lambda three: sum(three) < 100),
    seed=st.tuples(st.integers(0, 2**31), st.integers(1, 10_000)),
)
def test_every_share_holds_within_one_over_every_prefix(percents, seed):
    shares = Shares(*(percent / 100 for percent in percents))
    for n, counts in enumerate(prefix_counts(120, shares, seed), start=1):
        assert counts == planned_checks(n, shares=shares, seed=seed)
        for role, share in zip(CHECKS, shares, strict=True):
            assert abs(counts[role] - n * share) <= 1 + 1e-9, (role, n)


def test_no_rater_goes_without_a_kind_of_check():
    for rater in range(300):
        counts = planned_checks(60, shares=USUAL, seed=(7, rater))
        assert counts["calibration"] >= 5 and counts["attention"] >= 2 and counts["repeat"] >= 2


def test_raters_begin_their_checks_at_different_places():
    for at in range(3):
        firsts = Counter(
            next(
                n for n in range(40) if planned_checks(n, shares=USUAL, seed=(7, rater))[CHECKS[at]]
            )
            for rater in range(200)
        )
        assert len(firsts) >= 6
        assert max(firsts.values()) < 80


def test_a_check_that_could_not_be_given_stays_owed_the_most_pressing_first():
    seed = (7, 1)
    assert (
        owed_checks(59, planned_checks(60, shares=USUAL, seed=seed), shares=USUAL, seed=seed) == ()
    )
    # of 60: 6 calibration, of which one is missing (last place 60), and no repeat (last place 20)
    given = planned_checks(60, shares=USUAL, seed=seed) | {"repeat": 0}
    given["calibration"] = 5
    owed = owed_checks(59, given, shares=USUAL, seed=seed)
    assert owed[0] == "repeat" and set(owed) <= {"repeat", "calibration"}


def test_a_study_without_checks_has_none():
    none = Shares(0.0, 0.0, 0.0)
    assert {role_of(n, shares=none, seed=(7, 1)) for n in range(50)} == {"main"}
