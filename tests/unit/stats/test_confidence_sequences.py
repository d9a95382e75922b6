"""Intervals that hold at every look."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qingting.core.errors import DataError
from qingting.core.missing import Missing
from qingting.stats.confidence_sequences import (
    Bounds,
    completed_units,
    confidence_sequence,
    first_refutations,
)

UNIT = Bounds(0.0, 1.0)


def test_two_wins_refute_what_the_derivation_says():
    # First bet √(2 log 40 / (1/4 · 1 · log 2)). After a win the variance is estimated as
    # (1/4 + (1 − 3/4)²) / 2, hence the second bet; small candidates m do not cut either. Half of
    # the stake backs each side, so m is refuted once (1 + λ₁(1 − m))(1 + λ₂(1 − m)) / 2 ≥ 20.
    first = (2 * np.log(40) / (0.25 * np.log(2))) ** 0.5
    second = (2 * np.log(40) / (0.3125 / 2 * 2 * np.log(3))) ** 0.5
    distance = max(np.roots([first * second, first + second, 1 - 40]).real)
    found = confidence_sequence([1.0, 1.0], bounds=UNIT, n_grid=100_001)
    assert found.lows[0] == 0.0
    assert found.lows[1] == pytest.approx(1 - distance, abs=2e-5)
    assert found.highs[1] == 1.0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_swapping_the_arms_mirrors_the_sequence_and_intervals_only_shrink(values):
    found = confidence_sequence(values, bounds=UNIT, n_grid=201)
    mirrored = confidence_sequence([1 - v for v in values], bounds=UNIT, n_grid=201)
    assert found.lows == pytest.approx(1 - mirrored.highs, abs=1 / 200 + 1e-9)
    assert (np.diff(found.lows) >= 0).all()
    assert (np.diff(found.highs) <= 0).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([0.2, 0.5, 0.8]))
def test_the_fast_form_refutes_when_the_interval_does(seed, mean):
    values = np.random.default_rng(seed).random(80) ** 2
    sequence = confidence_sequence(values, bounds=UNIT, n_grid=2001)
    (first,) = first_refutations(values[None], mean, bounds=UNIT)
    since = sequence.excludes_since(mean)
    # The interval is rounded outwards by one step of the grid.
    assert first == np.inf if since is None and first > 78 else (since or np.inf) >= first


def test_the_unit_of_the_scale_does_not_matter():
    values = np.random.default_rng(3).random(50)
    one = confidence_sequence(values, bounds=UNIT)
    other = confidence_sequence(8 * values - 4, bounds=Bounds(-4, 4))
    assert other.lows == pytest.approx(8 * one.lows - 4)
    assert other.interval.high == pytest.approx(8 * one.interval.high - 4)


def test_a_clear_difference_lets_one_stop_early():
    found = confidence_sequence(np.tile([1.0, 1.0, 0.5, 1.0], 20), bounds=UNIT)
    assert found.interval.low > 0.5
    assert found.excludes_since(0.5) < 30


def test_units_that_share_no_mean_have_no_interval():
    found = confidence_sequence([0.0] * 300 + [1.0] * 300, bounds=UNIT)
    assert found.empty_from is not None
    assert isinstance(found.interval, Missing)
    assert isinstance(confidence_sequence([], bounds=UNIT).interval, Missing)


def test_a_value_outside_its_bounds_is_refused():
    with pytest.raises(DataError, match=r"1\.2 lies outside 0 to 1"):
        confidence_sequence([0.4, 1.2], bounds=UNIT)


def test_a_prompt_enters_once_when_its_last_planned_vote_arrives():
    prompts = ["a", "b", "b", "a", "a", "c"]
    votes = [1.0, 0.0, 0.5, 0.0, 1.0, 1.0]
    units = completed_units(prompts, votes, votes_per_prompt=2)
    assert units.names == ("b", "a")
    assert units.values.tolist() == [0.25, 0.5]
    assert (units.n_open, units.n_surplus) == (1, 1)


def test_later_votes_never_change_the_past():
    prompts = ["a", "b", "a", "c", "b", "a", "c"]
    votes = [1.0, 0.0, 0.5, 0.0, 1.0, 1.0, 1.0]
    whole = completed_units(prompts, votes, votes_per_prompt=2)
    for n in range(1, 8):
        part = completed_units(prompts[:n], votes[:n], votes_per_prompt=2)
        assert part.values.tolist() == whole.values[: len(part.values)].tolist()


def test_scores_wait_for_both_arms():
    units = completed_units(["a", "a", "b"], [5.0, 3.0, 4.0], votes_per_prompt=1, sides=[0, 1, 0])
    assert units.values.tolist() == [2.0]
    assert units.n_open == 1


def test_peeking_after_every_unit_refutes_the_truth_in_at_most_five_percent():
    rng = np.random.default_rng(5)
    runs = rng.choice([0.0, 0.5, 1.0], (1500, 300), p=[0.4, 0.2, 0.4])
    first = first_refutations(runs, 0.5, bounds=UNIT)
    assert np.isfinite(first).mean() < 0.05
