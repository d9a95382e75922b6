import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qingting.core.errors import DataError, IncomparableError, SpecificationError
from qingting.core.missing import Missing
from qingting.stats.contrasts import ArmScores, contrast_arms

SIGNATURE = "bleu|tok:char|level:item|v:1"
ITEMS = [f"p{k:02}" for k in range(12)]


def rng():
    return np.random.default_rng(2)


def arm(values, *, items=ITEMS, signature=SIGNATURE):
    return ArmScores(dict(zip(items, values, strict=False)), signature)


def three_arms():
    noise = np.random.default_rng(0).normal(0, 0.05, (3, 12))
    prompts = np.linspace(0, 1, 12)
    return {
        "base": arm((prompts + noise[0]).tolist()),
        "lora": arm((prompts + 0.2 + noise[1]).tolist()),
        "full": arm((prompts + 0.01 + noise[2]).tolist()),
    }


def test_arms_are_contrasted_with_the_baseline_and_corrected_together():
    lora, full = contrast_arms(three_arms(), baseline="base", rng=rng())
    assert (lora.first, lora.second, lora.n_tests) == ("lora", "base", 2)
    assert lora.verdict == "first higher"
    # All twelve differences are positive: 2 of 2**12 patterns, doubled by Holm.
    assert lora.test.p_value == 2 / 2**12
    assert lora.p_adjusted == 2 * lora.test.p_value
    assert full.verdict == "inconclusive"
    assert full.p_adjusted == full.test.p_value
    assert lora.difference.interval.low > 0
    assert lora.difference.value == pytest.approx(lora.mean_first - lora.mean_second)


def test_without_pairs_every_pair_is_contrasted():
    found = contrast_arms(three_arms(), rng=rng())
    pairs = [("base", "lora"), ("base", "full"), ("lora", "full")]
    assert [(one.first, one.second) for one in found] == pairs
    assert {one.n_tests for one in found} == {3}


def test_swapping_a_pair_flips_signs_and_verdict():
    (one,) = contrast_arms(three_arms(), pairs=[("lora", "base")], rng=rng())
    (other,) = contrast_arms(three_arms(), pairs=[("base", "lora")], rng=rng())
    assert one.difference.value == -other.difference.value
    assert one.difference.interval == pytest.approx(
        (-other.difference.interval.high, -other.difference.interval.low)
    )
    assert one.p_adjusted == other.p_adjusted
    assert (one.verdict, other.verdict) == ("first higher", "second higher")


@given(st.randoms(use_true_random=False), st.sampled_from(["t", "bca", "percentile"]))
@settings(max_examples=20, deadline=None)
def test_the_order_of_items_changes_nothing(random, method):
    arms = three_arms()
    shuffled = {
        name: ArmScores(
            dict(random.sample(list(one.scores_items.items()), len(ITEMS))), one.signature
        )
        for name, one in arms.items()
    }
    one, other = (
        contrast_arms(those, rng=rng(), method=method, n_resamples=200)
        for those in (arms, shuffled)
    )
    assert one == other


def test_nothing_is_dropped_silently():
    first = {"a": 1.0, "b": 2.0, "c": Missing("timed out"), "d": Missing("x"), "only": 9.0}
    second = {"a": 0.0, "b": 2.5, "c": 3.0, "d": Missing("y")}
    arms = {"x": ArmScores(first, SIGNATURE), "y": ArmScores(second, SIGNATURE)}
    (found,) = contrast_arms(arms, rng=rng())
    assert (found.n_pairs, found.n_first_only, found.n_second_only, found.n_neither) == (2, 1, 1, 1)
    assert (found.difference.n_valid, found.difference.n_missing) == (2, 3)
    assert found.mean_first == 1.5


def test_arms_without_a_shared_item_stay_in_the_family():
    arms = {**three_arms(), "lost": arm([1.0], items=["elsewhere"])}
    found = contrast_arms(arms, baseline="base", rng=rng())
    lost = found[-1]
    assert isinstance(lost.difference, Missing)
    assert isinstance(lost.p_adjusted, Missing)
    assert lost.verdict == "inconclusive"
    assert found[0].p_adjusted == 3 * found[0].test.p_value


def test_one_shared_item_gives_a_difference_and_no_claim():
    arms = {"x": arm([1.0], items=["a"]), "y": arm([0.0], items=["a"])}
    (found,) = contrast_arms(arms, rng=rng())
    assert found.difference.value == 1.0
    assert isinstance(found.difference.interval, Missing)
    assert (found.test.p_value, found.verdict) == (1.0, "inconclusive")


def test_different_signatures_are_refused():
    arms = {"x": arm([1.0, 2.0]), "y": arm([1.0, 2.0], signature="bleu|tok:word|level:item|v:1")}
    with pytest.raises(IncomparableError, match="tok is char on one side and word on the other"):
        contrast_arms(arms, rng=rng())


def test_clusters_are_the_units():
    clusters = {item: k // 4 for k, item in enumerate(ITEMS)}
    (found,) = contrast_arms(three_arms(), pairs=[("lora", "base")], rng=rng(), clusters=clusters)
    assert (found.difference.n_clusters, found.test.n_units) == (3, 3)
    assert found.test.p_value == 2 / 2**3
    with pytest.raises(DataError, match="11 items have no cluster, the first is 'p01'"):
        contrast_arms(three_arms(), rng=rng(), clusters={"p00": 1})


def test_wrong_questions_are_refused():
    with pytest.raises(SpecificationError, match="Did you mean 'base'"):
        contrast_arms(three_arms(), baseline="bass", rng=rng())
    with pytest.raises(SpecificationError, match="no other arm"):
        contrast_arms(three_arms(), pairs=[("base", "base")], rng=rng())
    with pytest.raises(SpecificationError, match="not both"):
        contrast_arms(three_arms(), pairs=[("base", "lora")], baseline="base", rng=rng())


def test_a_score_that_is_no_number_names_arm_and_item():
    arms = {**three_arms(), "bad": arm([math.nan])}
    with pytest.raises(DataError, match="arm 'bad', item 'p00'"):
        contrast_arms(arms, rng=rng())


def test_contrasts_become_json():
    (found,) = contrast_arms(three_arms(), pairs=[("lora", "base")], rng=rng())
    record = found.to_record()
    assert record["verdict"] == "first higher"
    assert record["test"]["method"] == "sign-flip, exact"
    assert record["difference"]["signature"] == SIGNATURE
