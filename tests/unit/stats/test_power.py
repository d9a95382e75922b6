"""Power by simulation, held to closed forms."""

import numpy as np
import pytest
from scipy import stats

from qingting.core.missing import Missing
from qingting.stats.arm_difference import arm_difference
from qingting.stats.power import (
    Design,
    Question,
    VarianceModel,
    clustered_means,
    curve_of,
    power_of,
    rater_of,
    simulate_differences,
    smallest_design,
)

FINE = Question(scale=(-1000, 1000), centre=0.0, effect=40.0, analysis="prompts")
WIDE = VarianceModel(prompt=30, rater=20, arm_by_prompt=50, arm_by_rater=0, residual=60)


def test_power_on_a_fine_scale_is_that_of_the_paired_t_test():
    # On a scale so fine that rounding is nothing, a prompt's difference is normal with variance
    # 2 · 50² + 2 · 60² / 3, and the analysis by prompt is the paired t test.
    design = Design(40, 3, 3)
    noncentral = 40.0 / ((2 * 50**2 + 2 * 60**2 / 3) / 40) ** 0.5
    expected = stats.nct.sf(stats.t.ppf(0.975, 39), 39, noncentral)
    found = power_of(design, FINE, WIDE, seed=1, n_runs=4000)
    assert abs(found.power - expected) < 4 * found.standard_error
    assert found.mean_difference == pytest.approx(40, abs=1)
    assert found.interval.low < found.power < found.interval.high


def test_without_a_difference_half_of_the_error_points_upwards():
    found = power_of(Design(30, 3, 3), FINE.__class__(**{**_fields(FINE), "effect": 0.0}), WIDE,
                     seed=2, n_runs=4000)  # fmt: skip
    assert abs(found.power - 0.025) < 4 * (0.025 * 0.975 / 4000) ** 0.5


def test_the_fast_analysis_is_the_one_of_arm_difference():
    design, question = Design(12, 5, 3), Question()
    rng = np.random.default_rng(4)
    differences = simulate_differences(design, question, VarianceModel(), rng=rng, n_runs=6)
    means, halves = clustered_means(differences, design, question)
    raters = rater_of(design)
    for run, mean, half in zip(differences, means, halves, strict=True):
        first, prompts, scores, who = [], [], [], []
        for (p, k), value in np.ndenumerate(run):
            for is_first, score in ((True, value), (False, 0.0)):
                first.append(is_first)
                prompts.append(p)
                scores.append(score)
                who.append(raters[p, k])
        found = arm_difference(first, prompts, scores, raters=who)
        assert found.value == pytest.approx(mean)
        assert found.interval.high - found.value == pytest.approx(half)


def test_pairs_have_the_outcome_and_the_ties_asked_for():
    question = Question("pairs", effect=0.6, tie_share=0.3)
    rng = np.random.default_rng(5)
    model = VarianceModel(arm_by_rater=0.1)
    drawn = simulate_differences(Design(400, 200, 2), question, model, rng=rng, n_runs=60)
    assert drawn.mean() == pytest.approx(0.1, abs=0.006)
    even = Question("pairs", effect=0.5, tie_share=0.3)
    drawn = simulate_differences(Design(400, 200, 2), even, model, rng=rng, n_runs=60)
    assert (drawn == 0).mean() == pytest.approx(0.3, abs=0.006)


def test_the_smallest_design_reaches_the_power_and_much_smaller_ones_do_not():
    found = smallest_design(Design(2, 3, 3), FINE, WIDE, seed=3, n_runs=1000)
    assert found.smallest.power >= 0.8
    fewer = [p for p in found.tried if p.design.n_prompts < found.smallest.design.n_prompts]
    assert fewer
    assert all(p.power < 0.8 for p in fewer)


def test_a_power_that_raters_forbid_is_missing_and_says_so():
    stubborn = VarianceModel(arm_by_rater=1.0)
    found = smallest_design(
        Design(2, 3, 3), Question(effect=0.3), stubborn, seed=3, n_runs=400, most=500
    )
    assert isinstance(found.smallest, Missing)
    assert "500 prompts reach a power of" in found.smallest.reason
    assert "the raters or the effect limit it" in found.smallest.reason


def test_a_curve_holds_the_design_itself_and_is_the_same_for_the_same_seed():
    one, other = (curve_of(Design(40, 8, 2), Question(), VarianceModel(), seed=1, n_runs=300)
                  for _ in range(2))  # fmt: skip
    assert one == other
    assert [p.design.n_prompts for p in one.tried] == [10, 20, 40, 60, 80]
    assert one.smallest.design.n_prompts == 40


@pytest.mark.parametrize(
    ("design", "question", "message"),
    [
        (Design(1, 3, 3), Question(), "at least two prompts"),
        (Design(9, 3, 4), Question(), "need as many raters"),
        (Design(9, 28, 3), Question(), "more than there are ratings"),
        (Design(9, 1, 1), Question(), "one rater"),
        (Design(9, 3, 1), Question("pairs", effect=1.2), "between 0 and 1"),
    ],
)
def test_a_study_that_cannot_be_is_refused(design, question, message):
    with pytest.raises(ValueError, match=message):
        power_of(design, question, VarianceModel(), seed=1, n_runs=200)


def _fields(question):
    return {name: getattr(question, name) for name in question.__slots__}
