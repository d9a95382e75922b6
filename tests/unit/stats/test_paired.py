import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qingting.core.errors import UndefinedStatisticError
from qingting.stats.paired import (
    mcnemar_test,
    paired_difference,
    sign_flip_test,
    wilcoxon_test,
)

scores = st.lists(
    st.tuples(st.integers(-20, 20), st.integers(-20, 20)).map(lambda p: (p[0] / 8, p[1] / 8)),
    min_size=2,
    max_size=14,
)


def rng():
    return np.random.default_rng(11)


@given(scores)
@settings(max_examples=50, deadline=None)
def test_swapping_arms_flips_the_difference_and_keeps_the_p_value(pairs):
    a, b = (list(side) for side in zip(*pairs, strict=True))
    one, other = paired_difference(a, b), paired_difference(b, a)
    assert one.value == -other.value
    if not hasattr(one.interval, "reason"):
        assert one.interval == pytest.approx((-other.interval.high, -other.interval.low))
    assert sign_flip_test(a, b, rng=rng()).p_value == sign_flip_test(b, a, rng=rng()).p_value


@given(scores, st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_permuting_items_changes_nothing(pairs, random):
    shuffled = random.sample(pairs, len(pairs))
    (a, b), (c, d) = zip(*pairs, strict=True), zip(*shuffled, strict=True)
    assert paired_difference(a, b).value == pytest.approx(paired_difference(c, d).value)
    one, other = sign_flip_test(a, b, rng=rng()), sign_flip_test(c, d, rng=rng())
    assert one.p_value == pytest.approx(other.p_value)


def test_the_sign_flip_test_by_hand():
    # Differences 1, 2, 3: of eight sign patterns two reach |6|.
    found = sign_flip_test([1, 2, 3], [0, 0, 0], rng=rng())
    assert found.p_value == 2 / 8
    assert (found.n_units, found.n_informative, found.method) == (3, 3, "sign-flip, exact")


def test_items_without_a_difference_carry_no_evidence():
    found = sign_flip_test([1, 2, 3, 5, 5], [0, 0, 0, 5, 5], rng=rng())
    assert (found.p_value, found.n_units, found.n_informative) == (2 / 8, 5, 3)
    assert sign_flip_test([1, 2], [1, 2], rng=rng()).p_value == 1.0


def test_a_monte_carlo_p_value_is_never_zero():
    found = sign_flip_test(np.ones(40), np.zeros(40), rng=rng(), n_resamples=99)
    assert found.p_value == 1 / 100
    assert found.method == "sign-flip, 99 random patterns"


def test_clusters_flip_together():
    # Two dialogues of two prompts each: four patterns, two of them as extreme.
    labels = ["a", "a", "b", "b"]
    found = sign_flip_test([1, 1, 2, 2], [0] * 4, rng=rng(), clusters=labels)
    assert (found.p_value, found.n_units) == (2 / 4, 2)


def test_mcnemar_by_hand():
    # Five discordant items, one of them for the second arm: 2 · (1 + 5) / 32.
    first = [True] * 4 + [False] + [True] * 3
    second = [False] * 4 + [True] + [True] * 3
    found = mcnemar_test(first, second)
    assert found.p_value == pytest.approx(12 / 32)
    assert (found.n_units, found.n_informative) == (8, 5)
    assert mcnemar_test(second, first).p_value == found.p_value


def test_arms_that_agree_everywhere():
    assert mcnemar_test([True, False], [True, False]).p_value == 1.0
    with pytest.raises(UndefinedStatisticError, match="agree on every item"):
        wilcoxon_test([1.0, 2.0], [1.0, 2.0])


def test_no_items_and_unpaired_items_are_refused():
    for test in (paired_difference, wilcoxon_test, mcnemar_test):
        with pytest.raises(UndefinedStatisticError, match="no items"):
            test([], [])
        with pytest.raises(ValueError, match="2 scores of one arm but 1"):
            test([1, 0], [1])
    with pytest.raises(UndefinedStatisticError, match="no items"):
        sign_flip_test([], [], rng=rng())
