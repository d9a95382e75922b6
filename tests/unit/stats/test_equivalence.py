import numpy as np
import pytest

from qingting.core.errors import DataError, UndefinedStatisticError
from qingting.stats.clusters import cluster_sums
from qingting.stats.contrasts import ArmScores, contrast_arms
from qingting.stats.equivalence import equivalence_test
from qingting.stats.independence import independence_warnings
from qingting.stats.intervals import small_sample_error, standard_error
from qingting.stats.paired import mcnemar_test, paired_test, sign_flip_test, wilcoxon_test


def rng():
    return np.random.default_rng(4)


def arms(n=40, shift=0.0, seed=3):
    r = np.random.default_rng(seed)
    prompts = r.normal(size=n)
    return prompts + shift + 0.3 * r.normal(size=n), prompts + 0.3 * r.normal(size=n)


def test_equivalence_is_the_interval_within_the_margins():
    first, second = arms()
    for margin in (0.05, 0.1, 0.2, 0.5):
        found = equivalence_test(first, second, margin=margin)
        inside = -margin < found.interval.low and found.interval.high < margin
        assert (found.verdict == "equivalent") == inside
    assert equivalence_test(first, second, margin=0.5).verdict == "equivalent"
    assert equivalence_test(first, second, margin=0.01).verdict == "inconclusive"


def test_swapping_arms_swaps_the_sides():
    first, second = arms(shift=0.4)
    one = equivalence_test(first, second, margin=0.3)
    other = equivalence_test(second, first, margin=0.3)
    assert one.verdict == "not inferior"
    assert other.verdict == "not superior"
    assert other.p_not_superior == pytest.approx(one.p_not_inferior, abs=1e-12)


def test_a_dialogue_twice_is_no_new_evidence():
    first, second = arms()
    once = equivalence_test(first, second, margin=0.3)
    labels = [*range(40)] * 2
    again = equivalence_test(np.tile(first, 2), np.tile(second, 2), margin=0.3, clusters=labels)
    assert again.p_equivalent == pytest.approx(once.p_equivalent, abs=1e-12)
    for test in (wilcoxon_test, sign_flip_test):
        one = test(first, second, rng=rng(), clusters=[*range(40)])
        two = test(np.tile(first, 2), np.tile(second, 2), rng=rng(), clusters=labels)
        # Ranks of doubled data are tied in pairs, so Wilcoxon's p moves a little.
        assert two.p_value == pytest.approx(one.p_value, abs=0.01)


def test_units_of_equal_size_have_the_plain_standard_error():
    units = cluster_sums(np.random.default_rng(1).normal(size=24), [*range(8)] * 3)
    found = small_sample_error(units)
    assert found.standard_error == pytest.approx(standard_error(units), abs=1e-14)
    assert found.freedom == pytest.approx(7, abs=1e-12)


def test_a_large_unit_costs_degrees_of_freedom():
    # Sizes 1, 1, 2: weights n²/(1 − n/4) are 4/3, 4/3, 8; the off-diagonal sum is
    # ((32/3)² − 32/9 − 64) / 16 = 26/9, and the freedom 16 / (6 + 26/9) = 1.8.
    units = cluster_sums([1.0, 2.0, 4.0, 5.0], ["a", "b", "c", "c"])
    assert small_sample_error(units).freedom == pytest.approx(16 / (6 + 26 / 9), abs=1e-12)


def test_no_equivalence_without_spread_units_or_margin():
    with pytest.raises(UndefinedStatisticError, match="by the same amount"):
        equivalence_test([1, 2, 3], [1, 2, 3], margin=1)
    with pytest.raises(UndefinedStatisticError, match="1 independent units"):
        equivalence_test([1, 2], [1, 3], margin=1, clusters=["d", "d"])
    with pytest.raises(ValueError, match="margin"):
        equivalence_test([1, 2], [1, 3], margin=0)


def test_clustered_wilcoxon_by_hand():
    # Differences 1, 2, -3 have signed ranks 1, 2, -3; dialogue d holds the first two: sums 3, -3.
    # Of the four sign patterns of (3, 3) two reach |0|: all do, so p = 1.
    found = wilcoxon_test([1, 2, 0], [0, 0, 3], clusters=["d", "d", "e"])
    assert (found.p_value, found.n_units) == (1.0, 2)
    # With 4 in place of -3 all ranks are positive: (3, 3), and two of four patterns reach 6.
    found = wilcoxon_test([1, 2, 4], [0, 0, 0], clusters=["d", "d", "e"])
    assert found.p_value == 2 / 4


def test_clusters_of_one_give_the_unclustered_tests():
    r = np.random.default_rng(1)
    first, second = r.normal(size=12), r.normal(size=12)
    one = wilcoxon_test(first, second)
    assert one.method.endswith("exact")
    assert wilcoxon_test(first, second, clusters=range(12)).p_value == pytest.approx(
        one.p_value, abs=1e-12
    )
    a, b = r.random(14) < 0.7, r.random(14) < 0.4
    assert mcnemar_test(a, b, clusters=range(14)).p_value == pytest.approx(
        mcnemar_test(a, b).p_value, abs=1e-12
    )


def test_named_tests_and_what_they_refuse():
    first, second = [1, 1, 0, 1], [0, 0, 0, 1]
    assert paired_test(first, second, test="mcnemar", rng=rng()).method == "McNemar, exact"
    with pytest.raises(DataError, match=r"not of 0\.5"):
        paired_test([0.5, 1], [0, 1], test="mcnemar", rng=rng())
    with pytest.raises(ValueError, match="pass an rng"):
        wilcoxon_test(range(1, 40), [0] * 39, clusters=range(39))


def test_an_undefined_test_keeps_the_difference():
    same = {f"p{i}": float(i) for i in range(5)}
    (found,) = contrast_arms(
        {"a": ArmScores(same, "s"), "b": ArmScores(same, "s")}, rng=rng(), test="wilcoxon"
    )
    assert found.difference.value == 0.0
    assert "agree on every item" in found.test.reason
    assert found.verdict == "inconclusive"


def test_crossed_and_repeated_scores_are_warned_of():
    items, both = ["p", "p", "q", "q"], ["a", "b", "a", "b"]
    assert independence_warnings(items, both) == ()
    assert independence_warnings(items, both, raters=["x", "x", "y", "y"]) == ()
    (crossed,) = independence_warnings(items, both, raters=["x", "y", "x", "y"])
    assert "crossed" in crossed
    (repeated,) = independence_warnings(["p", "p"], ["a", "a"])
    assert "1 of 1 replies have more than one score" in repeated
    (few,) = independence_warnings(items, both, clusters=["d", "d", "e", "e"])
    assert "only 2 independent units" in few
