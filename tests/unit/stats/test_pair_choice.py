"""The choice of the next pair, and estimates that allow for it."""

import numpy as np
import pytest

from qingting.core.errors import UndefinedStatisticError
from qingting.stats.pair_choice import (
    Choice,
    arm_pairs,
    choose_pair,
    inverse_propensity_means,
    pair_propensities,
)


def test_every_pair_keeps_its_floor_and_propensities_sum_to_one():
    found = pair_propensities([1000, 0, 10], [500, 0, 9], [500, 0, 9], floor=0.3)
    assert found.sum() == pytest.approx(1)
    assert (found >= 0.1 - 1e-12).all()
    assert found[1] > found[2] > found[0]


def test_a_floor_of_one_is_uniform():
    assert pair_propensities([5, 0, 2], [1, 0, 2], [1, 0, 2], floor=1.0) == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="floor"):
        pair_propensities([1], [1], [1], floor=0.0)


def test_without_votes_all_pairs_are_alike_and_renaming_arms_changes_nothing():
    assert pair_propensities([0] * 6, [0] * 6, [0] * 6) == pytest.approx(1 / 6)
    n, sums = np.array([4, 9, 2]), np.array([1.0, 6.5, 2.0])
    squares = np.array([1.0, 6.0, 2.0])
    # Exchanging both arms of each pair turns the outcome y into 1 − y.
    mirrored = pair_propensities(n, n - sums, n - 2 * sums + squares)
    assert mirrored == pytest.approx(pair_propensities(n, sums, squares))


def test_a_drawn_pair_comes_with_its_own_propensity():
    p = np.array([0.2, 0.5, 0.3])
    drawn = [choose_pair(p, rng=np.random.default_rng(s)) for s in range(400)]
    assert all(choice.propensity == p[choice.pair] for choice in drawn)
    assert np.bincount([c.pair for c in drawn]) / 400 == pytest.approx(p, abs=0.08)
    assert arm_pairs(3) == ((0, 1), (0, 2), (1, 2))


def test_the_weighted_mean_is_the_sum_in_its_definition():
    choices = [Choice(0, 0.5), Choice(1, 0.25), Choice(0, 0.4)]
    found = inverse_propensity_means(choices, [1.0, 0.0, 0.5], n_pairs=2)
    assert found.means == pytest.approx([0.5 + (0.5 / 0.5) / 3, 0.5 + (-0.5 / 0.25) / 3])
    with pytest.raises(UndefinedStatisticError, match="no votes"):
        inverse_propensity_means([], [], n_pairs=2)


def test_weighting_removes_the_bias_that_adaptive_choice_gives_plain_means():
    # A choice that leaves a pair alone after a loss: the plain mean of the pair is too low.
    rng = np.random.default_rng(2)
    plain, weighted = [], []
    for _ in range(4000):
        choices, outcomes, sums, n = [], [], np.zeros(2), np.zeros(2)
        for _ in range(12):
            lost = n[0] > 0 and sums[0] / n[0] < 0.5
            p = np.array([0.1, 0.9]) if lost else np.array([0.8, 0.2])
            choice = choose_pair(p, rng=rng)
            outcome = float(rng.random() < 0.5)
            sums[choice.pair] += outcome
            n[choice.pair] += 1
            choices.append(choice)
            outcomes.append(outcome)
        weighted.append(inverse_propensity_means(choices, outcomes, n_pairs=2).means[0])
        plain.append(sums[0] / n[0] if n[0] else np.nan)
    error = np.std(weighted) / 4000**0.5
    assert abs(np.mean(weighted) - 0.5) < 3 * error
    assert np.nanmean(plain) < 0.5 - 5 * np.nanstd(plain) / 4000**0.5
