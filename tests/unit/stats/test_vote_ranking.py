"""Ranking by votes: invariances, what cannot be compared, and clusters."""

import dataclasses

import numpy as np
import pytest

from qingting.core.errors import DataError, UndefinedStatisticError
from qingting.core.missing import Missing
from qingting.stats.vote_ranking import rank_votes
from qingting.stats.votes import LEFT, RIGHT, TIE, Votes, votes_of

TRUE = np.array([0.8, 0.2, -0.3, -0.7])


def simulated(seed=1, n_prompts=40, n_raters=12, per_prompt=12, ties=0.2):
    rng = np.random.default_rng(seed)
    n = n_prompts * per_prompt
    left = rng.integers(0, 4, n)
    right = (left + rng.integers(1, 4, n)) % 4
    prompts, raters = np.repeat(np.arange(n_prompts), per_prompt), rng.integers(0, n_raters, n)
    taste = rng.normal(0, 0.5, (n_prompts, 4))
    eta = TRUE[left] - TRUE[right] + taste[prompts, left] - taste[prompts, right] + 0.2
    winners = np.where(rng.random(n) < 1 / (1 + np.exp(-eta)), LEFT, RIGHT)
    winners = np.where(rng.random(n) < ties, TIE, winners)
    return Votes(
        ("a", "b", "c", "d"),
        left.astype(np.int32),
        right.astype(np.int32),
        winners.astype(np.int8),
        prompts.astype(np.int32),
        raters.astype(np.int32),
    )


def ranked(votes, **options):
    options = {"method": "sandwich", **options}
    return rank_votes(votes, rng=np.random.default_rng(3), **options)


def strengths(ranking):
    return {arm.arm: arm.strength for arm in ranking.arms}


def half_widths(ranking):
    return {arm.arm: arm.interval.high - arm.strength for arm in ranking.arms}


@pytest.mark.parametrize("model", ["bradley-terry", "davidson"])
def test_swapping_sides_changes_only_the_sign_of_the_order_effect(model):
    votes = simulated()
    swapped = dataclasses.replace(
        votes,
        left=votes.right,
        right=votes.left,
        winners=np.array([RIGHT, LEFT, TIE], np.int8)[votes.winners],
    )
    one, other = ranked(votes, model=model), ranked(swapped, model=model)
    assert strengths(other) == pytest.approx(strengths(one), abs=1e-9)
    assert other.order_effect.value == pytest.approx(-one.order_effect.value, abs=1e-9)
    assert half_widths(other) == pytest.approx(half_widths(one), abs=1e-9)


def test_turning_every_preference_flips_every_strength():
    votes = simulated()
    turned = dataclasses.replace(
        votes, winners=np.array([RIGHT, LEFT, TIE], np.int8)[votes.winners]
    )
    flipped = {arm: -strength for arm, strength in strengths(ranked(votes)).items()}
    assert strengths(ranked(turned)) == pytest.approx(flipped, abs=1e-9)


def test_the_order_of_votes_changes_nothing():
    votes = simulated()
    order = np.random.default_rng(5).permutation(len(votes))
    mixed = Votes(
        votes.arms,
        votes.left[order],
        votes.right[order],
        votes.winners[order],
        votes.prompts[order],
        votes.raters[order],
    )
    assert strengths(ranked(mixed)) == pytest.approx(strengths(ranked(votes)), abs=1e-9)
    assert half_widths(ranked(mixed)) == pytest.approx(half_widths(ranked(votes)), abs=1e-9)


def test_repeating_every_vote_within_its_prompt_is_no_new_evidence():
    votes = simulated()
    twice = Votes(
        votes.arms,
        *(np.tile(x, 2) for x in (votes.left, votes.right, votes.winners, votes.prompts)),
    )
    once = ranked(votes, cluster="prompt")
    again = ranked(twice, cluster="prompt")
    assert half_widths(again) == pytest.approx(half_widths(once), rel=1e-9)
    assert half_widths(ranked(twice, cluster="none"))["a"] == pytest.approx(
        half_widths(ranked(votes, cluster="none"))["a"] / np.sqrt(2), rel=1e-9
    )


def test_one_more_win_raises_an_arm():
    votes = simulated()
    lost = np.flatnonzero((votes.left == 2) & (votes.winners == RIGHT))[0]
    winners = votes.winners.copy()
    winners[lost] = LEFT
    more = strengths(ranked(dataclasses.replace(votes, winners=winners)))
    assert more["c"] > strengths(ranked(votes))["c"]


@pytest.mark.parametrize("cluster", ["none", "prompt", "both"])
@pytest.mark.parametrize("model", ["bradley-terry", "davidson"])
def test_bootstrap_and_sandwich_agree(cluster, model):
    votes = simulated(n_prompts=120, n_raters=60)
    sandwich = ranked(votes, cluster=cluster, model=model)
    bootstrap = ranked(votes, cluster=cluster, model=model, method="bootstrap")
    assert half_widths(bootstrap) == pytest.approx(half_widths(sandwich), rel=0.12)
    assert bootstrap.n_failed_resamples == 0


def test_arms_without_a_vote_between_them_are_not_compared():
    left = ["a", "b", "a", "c", "d", "c"] * 5
    right = ["b", "a", "b", "d", "c", "d"] * 5
    found = ranked(votes_of(left, right, [LEFT] * 30), order_effect="no")
    assert {(one.first, one.second) for one in found.contrasts} == {("a", "b"), ("c", "d")}
    assert "2 parts" in found.problems[0]
    assert "a, b; c, d" in found.problems[0]
    # Two wins in three: log 2 apart, 0 on average in each part.
    assert strengths(found) == pytest.approx(
        {"a": np.log(2) / 2, "b": -np.log(2) / 2, "c": np.log(2) / 2, "d": -np.log(2) / 2}
    )


def test_an_arm_that_won_everything_has_no_strength():
    left = ["a", "b", "a", "star", "star"] * 4
    right = ["b", "a", "b", "a", "b"] * 4
    votes = votes_of(left, right, [LEFT] * 20)
    found = ranked(votes, order_effect="no")
    star = next(arm for arm in found.arms if arm.arm == "star")
    assert isinstance(star.strength, Missing)
    assert isinstance(star.rank, Missing)
    assert found.problems[0].startswith("separation: a, b lost all 8 votes")
    assert found.problems[1].startswith("separation: star won all 8 votes")
    assert found.n_one_sided == 8
    with_remedy = ranked(votes, order_effect="no", remedy="half-votes")
    assert "comes from the remedy alone" in with_remedy.problems[1]
    remedied = strengths(with_remedy)
    assert remedied["star"] > remedied["a"] > remedied["b"]


def test_votes_that_only_separate_are_refused():
    with pytest.raises(UndefinedStatisticError, match="no two arms have a finite distance"):
        ranked(votes_of(["a", "a"], ["b", "b"], [LEFT, LEFT]))
    with pytest.raises(UndefinedStatisticError, match="every vote is a tie"):
        ranked(votes_of(["a", "a"], ["b", "b"], [TIE, TIE]))


def test_independent_analysis_of_crossed_votes_warns():
    found = ranked(simulated(), cluster="none")
    assert sum("too narrow" in warning for warning in found.warnings) == 2
    assert not any("too narrow" in warning for warning in ranked(simulated()).warnings)


def test_an_order_effect_that_cannot_be_told_apart_is_left_out_or_refused():
    votes = votes_of(["a"] * 30, ["b"] * 30, [LEFT] * 20 + [RIGHT] * 10)
    found = ranked(votes)
    assert found.order_effect is None
    assert any("no order effect" in warning for warning in found.warnings)
    with pytest.raises(UndefinedStatisticError, match="cannot be told apart"):
        ranked(votes, order_effect="yes")


def test_a_covariate_is_found():
    votes = simulated(n_prompts=300, ties=0.0)
    rng = np.random.default_rng(8)
    length = rng.normal(size=len(votes))
    eta = TRUE[votes.left] - TRUE[votes.right] + 0.7 * length
    winners = np.where(rng.random(len(votes)) < 1 / (1 + np.exp(-eta)), LEFT, RIGHT)
    found = ranked(
        dataclasses.replace(
            votes,
            winners=winners.astype(np.int8),
            covariates=length[:, None],
            covariate_names=("length",),
        ),
        cluster="prompt",
    )
    low, high = found.covariates["length"].interval
    assert low < 0.7 < high
    assert high - low < 0.3


def test_ranks_and_probabilities_follow_from_strengths():
    found = ranked(simulated())
    assert [arm.rank for arm in found.arms] == [1, 2, 3, 4]
    for arm in found.arms:
        assert arm.rank_low <= arm.rank <= arm.rank_high
    for one in found.contrasts:
        assert (one.p_first_wins > 0.5) == (one.difference > 0)
        assert one.p_holm >= one.p_value
        assert 0 < one.p_tie < 1


def test_elo_scale_is_400_points_for_ten_to_one():
    votes = votes_of(["a"] * 11, ["b"] * 11, [LEFT] * 10 + [RIGHT])
    first, last = ranked(votes, order_effect="no").arms
    assert first.elo - last.elo == pytest.approx(400)
    assert (first.elo + last.elo) / 2 == pytest.approx(1000)


@pytest.mark.parametrize("model", ["bradley-terry", "davidson"])
@pytest.mark.parametrize("method", ["sandwich", "bootstrap"])
def test_a_vote_that_counts_double_is_a_vote_cast_twice(model, method):
    votes = simulated()
    doubled = np.arange(len(votes)) % 3 == 0
    weighted = dataclasses.replace(votes, weights=np.where(doubled, 2.0, 1.0))
    twice = votes.select(np.repeat(np.arange(len(votes)), np.where(doubled, 2, 1)))
    one, other = (ranked(v, model=model, method=method) for v in (weighted, twice))
    assert strengths(one) == pytest.approx(strengths(other), abs=1e-6)
    assert half_widths(one) == pytest.approx(half_widths(other), rel=1e-6)
    assert one.n_votes == len(votes)


def test_weights_that_are_all_alike_change_nothing():
    votes = simulated()
    even = dataclasses.replace(votes, weights=np.full(len(votes), 0.37))
    assert strengths(ranked(even)) == pytest.approx(strengths(ranked(votes)), abs=1e-9)
    assert half_widths(ranked(even)) == pytest.approx(half_widths(ranked(votes)), rel=1e-6)


def test_weighted_votes_without_clusters_are_clusters_of_their_own():
    votes = dataclasses.replace(simulated(), prompts=None, raters=None)
    even = ranked(dataclasses.replace(votes, weights=np.full(len(votes), 2.5)))
    assert even.n_clusters == {"vote": len(votes)}
    # n / (n - 1) is what clusters correct by, and Student's t with n - 1 is nearly normal
    assert half_widths(even) == pytest.approx(half_widths(ranked(votes)), rel=0.01)


@pytest.mark.parametrize("weight", [0.0, -1.0, np.nan, np.inf])
def test_a_weight_that_is_none_is_refused(weight):
    votes = simulated()
    with pytest.raises(DataError, match="weight of a vote"):
        dataclasses.replace(votes, weights=np.full(len(votes), weight))
