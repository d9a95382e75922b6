"""The mean difference of two arms, clustered by prompt and rater."""

import numpy as np
import pytest
from scipy import stats

from qingting.core.errors import UndefinedStatisticError
from qingting.core.missing import Missing
from qingting.stats.arm_difference import arm_difference


def study(seed=1, n_prompts=12, n_raters=4):
    rng = np.random.default_rng(seed)
    rows = []
    for p in range(n_prompts):
        for r in range(n_raters):
            for arm in (True, False):
                rows.append((arm, p, 0.4 * arm + 0.3 * p + rng.normal() + 0.2 * r, r))
    first, prompts, scores, raters = map(list, zip(*rows, strict=True))
    return first, prompts, np.array(scores), raters


def test_by_prompt_it_is_the_paired_t_interval():
    first, prompts, scores, _ = study()
    found = arm_difference(first, prompts, scores)
    table = scores.reshape(12, 4, 2).mean(axis=1)
    expected = stats.ttest_rel(table[:, 0], table[:, 1]).confidence_interval()
    assert found.interval == pytest.approx((expected.low, expected.high))
    assert (found.n_prompts, found.n_ratings) == (12, 96)


def test_two_ways_it_is_the_regression_clustered_by_both_groups():
    # Cameron, Gelbach and Miller through statsmodels: V(prompt) + V(rater) − V(cell), each with
    # G/(G − 1) but for the cells, which hold one difference each.
    import statsmodels.api as sm

    first, prompts, scores, raters = study(3, 14, 6)
    differences = scores.reshape(-1, 2) @ [1, -1]
    p, r = np.array(prompts)[::2], np.array(raters)[::2]

    def variance(groups, n):
        fit = sm.OLS(differences, np.ones(len(p))).fit(
            cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False}
        )
        return float(fit.cov_params()[0, 0]) * (n / (n - 1) if n else 1)

    parts = variance(p, 14), variance(r, 6), variance(np.arange(len(p)), 0)
    expected = max(parts[0] + parts[1] - parts[2], parts[0], parts[1])
    found = arm_difference(first, prompts, scores, raters=raters)
    half = stats.t.ppf(0.975, 5) * expected**0.5
    assert found.interval.high - found.value == pytest.approx(half, rel=1e-10)


def test_swapping_arms_flips_signs_and_order_changes_nothing():
    first, prompts, scores, raters = study(5)
    found = arm_difference(first, prompts, scores, raters=raters)
    swapped = arm_difference([not one for one in first], prompts, scores, raters=raters)
    assert swapped.value == pytest.approx(-found.value)
    assert swapped.interval == pytest.approx((-found.interval.high, -found.interval.low))
    order = np.random.default_rng(1).permutation(len(first))
    mixed = arm_difference(
        [first[i] for i in order],
        [prompts[i] for i in order],
        scores[order],
        raters=[raters[i] for i in order],
    )
    assert mixed.interval == pytest.approx(found.interval)


def test_repeating_every_rating_is_no_new_evidence():
    first, prompts, scores, raters = study(6)
    once = arm_difference(first, prompts, scores, raters=raters)
    twice = arm_difference(2 * first, 2 * prompts, np.tile(scores, 2), raters=2 * raters)
    assert twice.interval == pytest.approx(once.interval)


def test_prompts_of_one_arm_only_do_not_enter():
    first, prompts, scores, raters = study(7)
    more = arm_difference(
        [*first, True], [*prompts, 99], np.append(scores, 1e6), raters=[*raters, 0]
    )
    assert more == arm_difference(first, prompts, scores, raters=raters)


def test_what_has_no_interval_or_no_difference_says_so():
    with pytest.raises(UndefinedStatisticError, match="no prompt has ratings of both"):
        arm_difference([True, False], ["a", "b"], [1.0, 2.0])
    one = arm_difference([True, False], ["a", "a"], [3.0, 2.0])
    assert one.value == 1.0
    assert isinstance(one.interval, Missing)
    same = arm_difference([True, False] * 3, ["a", "a", "b", "b", "c", "c"], [2.0, 1.0] * 3)
    assert isinstance(same.interval, Missing)


def test_no_rating_at_all_is_undefined():
    with pytest.raises(UndefinedStatisticError, match="no prompt has ratings of both arms"):
        arm_difference([], [], [])
