import numpy as np
import pytest

from qingting.core.errors import IncomparableError, UndefinedStatisticError
from qingting.core.missing import Missing
from qingting.stats.contrasts import ArmScores
from qingting.stats.ranking import rank_arms


def arms_of(columns, signature="s|level:item|v:1"):
    return {
        name: ArmScores({f"i{k}": float(v) for k, v in enumerate(values)}, signature)
        for name, values in columns.items()
    }


def separated():
    noise = np.random.default_rng(4).normal(0, 0.1, (3, 20))
    return arms_of({"low": noise[0], "high": 2 + noise[1], "middle": 1 + noise[2]})


@pytest.mark.parametrize("method", ["simultaneous", "bootstrap"])
def test_well_separated_arms_have_sharp_ranks(method):
    found = rank_arms(
        separated(), higher_is_better=True, method=method, rng=np.random.default_rng(0)
    )
    assert [(a.arm, a.rank, a.rank_low, a.rank_high) for a in found.arms] == [
        ("high", 1, 1, 1),
        ("middle", 2, 2, 2),
        ("low", 3, 3, 3),
    ]
    assert found.n_items == 20


def test_where_lower_is_better_ranks_turn_round():
    found = rank_arms(separated(), higher_is_better=False)
    assert [one.arm for one in found.arms] == ["low", "middle", "high"]
    assert found.arms[0].mean < found.arms[1].mean


def test_equal_arms_share_the_rank_and_may_stand_anywhere():
    values = np.random.default_rng(1).normal(size=10)
    found = rank_arms(arms_of({"a": values, "b": values, "c": values}), higher_is_better=True)
    assert [(one.rank, one.rank_low, one.rank_high) for one in found.arms] == [(1, 1, 3)] * 3


def test_the_claim_of_each_method_is_told():
    ranked = rank_arms(separated(), higher_is_better=True)
    assert "all true ranks" in ranked.claim
    stable = rank_arms(
        separated(), higher_is_better=True, method="bootstrap", rng=np.random.default_rng(0)
    )
    assert "not a confidence interval" in stable.claim


def test_items_that_an_arm_lacks_are_dropped_for_all_and_counted():
    arms = separated()
    arms["low"] = ArmScores(
        {**arms["low"].scores_items, "i0": Missing("x"), "extra": 5.0}, "s|level:item|v:1"
    )
    found = rank_arms(arms, higher_is_better=True)
    assert (found.n_items, found.n_dropped) == (19, 2)


def test_ranks_that_cannot_be_are_undefined():
    with pytest.raises(UndefinedStatisticError, match="needs two"):
        rank_arms(arms_of({"a": [1, 2]}), higher_is_better=True)
    with pytest.raises(UndefinedStatisticError, match="needs two"):
        rank_arms(arms_of({"a": [1], "b": [2]}), higher_is_better=True)
    mixed = {**arms_of({"a": [1, 2]}), **arms_of({"b": [1, 2]}, "t|level:item|v:1")}
    with pytest.raises(IncomparableError):
        rank_arms(mixed, higher_is_better=True)
