"""Choosing by several criteria: closed forms, draws against exact shares, and invariances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qingting.core.errors import UndefinedStatisticError
from qingting.stats.choosing import (
    firmness,
    normalised,
    order_of,
    pareto_front,
    rank_shares,
    scaled,
    weighted,
    winning_region,
    winning_shares,
)

UNIT = st.floats(0, 1, allow_nan=False).map(lambda x: round(x, 3))


def tables(n_criteria):
    return st.lists(st.tuples(*[UNIT] * n_criteria), min_size=1, max_size=6).map(
        lambda rows: np.array(rows, dtype=float)
    )


def rng():
    return np.random.default_rng(5)


def test_scaling_runs_from_worst_to_best_whichever_way_is_better():
    values = np.array([2.0, 4.0, 3.0])
    assert scaled(values, higher_is_better=True).tolist() == [0.0, 1.0, 0.5]
    assert scaled(values, higher_is_better=False).tolist() == [1.0, 0.0, 0.5]
    assert scaled(np.array([7.0, 7.0]), higher_is_better=False).tolist() == [1.0, 1.0]
    # worst 5, best 1: 3 is half-way, 9 is cut
    anchored = scaled(np.array([3.0, 9.0]), higher_is_better=False, anchors=(5.0, 1.0))
    assert anchored.tolist() == [0.5, 0.0]
    with pytest.raises(UndefinedStatisticError, match="equal"):
        scaled(values, higher_is_better=True, anchors=(1.0, 1.0))


def test_two_opposite_alternatives_share_the_weights_where_their_lines_cross():
    # w·1 against (1 - w)·1: the first wins for w > 1/2
    assert winning_shares(np.eye(2), rng=rng()).values.tolist() == [0.5, 0.5]
    # (0.8, 0) against (0, 0.2): 0.8 w > 0.2 (1 - w) for w > 0.2
    shares = winning_shares(np.array([[0.8, 0.0], [0.0, 0.2]]), rng=rng()).values
    assert shares == pytest.approx([0.8, 0.2])


def test_three_specialists_share_the_triangle_evenly_and_a_generalist_takes_its_middle():
    assert winning_shares(np.eye(3), rng=rng()).values == pytest.approx([1 / 3] * 3)
    # (1/2, 1/2, 1/2) beats specialist k where w_k < 1/2: all but three corner triangles of area 1/4
    table = np.vstack([np.eye(3), np.full(3, 0.5)])
    assert winning_shares(table, rng=rng()).values == pytest.approx([0.25] * 4)
    assert len(winning_region(table, 3)) == 3  # its region is the triangle between the midpoints


@pytest.mark.parametrize("n_criteria", [2, 3])
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_exact_shares_equal_draws_of_weights(n_criteria, data):
    table = data.draw(tables(n_criteria))
    exact = winning_shares(table, rng=rng()).values
    assert exact.sum() == pytest.approx(1.0)
    weights = rng().dirichlet(np.ones(n_criteria), size=20_000)
    scores = weights @ table.T
    first = scores >= scores.max(axis=1, keepdims=True) - 1e-12
    drawn = (first / first.sum(axis=1, keepdims=True)).mean(axis=0)
    assert exact == pytest.approx(drawn, abs=0.025)


@given(table=tables(4))
@settings(max_examples=20, deadline=None)
def test_more_criteria_are_drawn_and_say_how_exactly(table):
    shares = winning_shares(table, rng=rng(), n_draws=4000)
    assert shares.values.sum() == pytest.approx(1.0)
    assert shares.standard_errors is not None
    assert (shares.standard_errors <= 0.5 / np.sqrt(4000) + 1e-12).all()


@given(table=tables(3))
@settings(max_examples=40, deadline=None)
def test_what_is_beaten_everywhere_never_wins(table):
    shares = winning_shares(table, rng=rng()).values
    for i, row in enumerate(table):
        if any((other > row).all() for other in table):
            assert shares[i] == pytest.approx(0.0, abs=1e-9)
            assert not pareto_front(table)[i]
    assert pareto_front(table).any()


@given(table=tables(3), seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_the_order_of_the_alternatives_changes_nothing(table, seed):
    places = np.random.default_rng(seed).permutation(len(table))
    mixed = table[places]
    shares = winning_shares(table, rng=rng()).values
    assert winning_shares(mixed, rng=rng()).values == pytest.approx(shares[places], abs=1e-9)
    assert pareto_front(mixed).tolist() == pareto_front(table)[places].tolist()


@given(
    values=st.lists(st.integers(-1000, 1000), min_size=2, max_size=6),
    factor=st.floats(0.5, 50),
    shift=st.floats(-5, 5),
)
@settings(max_examples=40, deadline=None)
def test_the_unit_of_a_measure_changes_nothing(values, factor, shift):
    plain = scaled(np.array(values, dtype=float), higher_is_better=True)
    other = scaled(np.array(values) * factor + shift, higher_is_better=True)
    assert other == pytest.approx(plain, abs=1e-9)


def test_scores_are_weighted_means():
    table = np.array([[1.0, 0.0], [0.5, 0.5]])
    weights = normalised({"quality": 3, "cost": 1})
    assert weights == {"quality": 0.75, "cost": 0.25}
    scores = weighted(table, np.array(list(weights.values())))
    assert scores.tolist() == [0.75, 0.5]
    assert order_of(np.array([0.5, 0.5, 0.9]), ["b", "a", "c"]) == [2, 1, 0]
    for bad in ({"a": -1.0, "b": 2.0}, {"a": 0.0}, {"a": float("nan")}):
        with pytest.raises(UndefinedStatisticError):
            normalised(bad)


def test_draws_tell_what_is_settled():
    draws = np.array([[3.0, 2.0, 1.0]] * 95 + [[1.0, 2.0, 3.0]] * 5)
    firm = firmness(draws)
    assert firm.p_first.tolist() == [0.95, 0.0, 0.05]
    assert firm.p_above[0].tolist() == [0.5, 0.95, 0.95]
    assert firm.p_above + firm.p_above.T == pytest.approx(np.ones((3, 3)))
    assert firm.rank_low.tolist() == [1, 2, 1]
    assert firm.rank_high.tolist() == [3, 2, 3]


def test_rank_shares_add_up():
    shares = rank_shares(np.vstack([np.eye(3), np.full(3, 0.5)]), rng=rng(), n_draws=5000)
    assert shares.sum(axis=1) == pytest.approx(np.ones(4))
    assert shares[:, 0] == pytest.approx(np.full(4, 0.25), abs=0.03)
