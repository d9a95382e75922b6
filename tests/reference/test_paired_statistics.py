"""Statistics of two arms against scipy, statsmodels and published examples."""

import warnings

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from qingting.stats.corrections import benjamini_hochberg, holm
from qingting.stats.estimates import mean_estimate
from qingting.stats.paired import mcnemar_test, paired_difference, sign_flip_test, wilcoxon_test
from qingting.stats.proportions import clopper_pearson_interval, wilson_interval

# Benjamini and Hochberg (1995), §4.1, thrombolysis in myocardial infarction: at 5% their
# procedure rejects four hypotheses and Bonferroni's three; Holm's rejects three.
THROMBOLYSIS = [
    0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262,
    0.5719, 0.6528, 0.7590, 1.0000,
]  # fmt: skip

# Darwin's self- and cross-fertilised maize (Fisher 1935, §17): differences in eighths of an inch.
# The two-sided t test on 14 degrees of freedom has p = 0.0497; of the 32,768 sign patterns 1,726
# are as extreme, p = 0.0527.
MAIZE = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]


def rng():
    return np.random.default_rng(20)


def sample(n=40):
    r = np.random.default_rng(8)
    return r.normal(0.2, 1, n), r.normal(0, 1, n)


def test_thrombolysis_rejections_are_the_published_ones():
    assert (benjamini_hochberg(THROMBOLYSIS) <= 0.05).sum() == 4
    assert (holm(THROMBOLYSIS) <= 0.05).sum() == 3


@pytest.mark.parametrize(("ours", "theirs"), [(holm, "holm"), (benjamini_hochberg, "fdr_bh")])
def test_corrections_equal_statsmodels(ours, theirs):
    for p_values in (THROMBOLYSIS, THROMBOLYSIS[::-1], [0.2], [0.03, 0.03, 0.5, 0.01]):
        expected = multipletests(p_values, method=theirs)[1]
        assert ours(p_values) == pytest.approx(expected, abs=1e-12)


def test_darwins_maize():
    zeros = [0] * len(MAIZE)
    found = sign_flip_test(MAIZE, zeros, rng=rng())
    assert found.p_value == 1726 / 32768
    # Fisher's t of 2.148 is just significant at 5%, so the interval just leaves out zero.
    interval = paired_difference(MAIZE, zeros).interval
    assert 0 < interval.low < 0.05
    assert np.mean(MAIZE) == pytest.approx(20.933, abs=5e-4)


def test_the_exact_sign_flip_test_equals_scipy():
    first, second = (side[:11] for side in sample())
    expected = stats.permutation_test(
        (first, second),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf,
    )
    found = sign_flip_test(first, second, rng=rng())
    assert found.p_value == pytest.approx(expected.pvalue, abs=1e-12)


@pytest.mark.parametrize(("ours", "theirs"), [("bca", "BCa"), ("percentile", "percentile")])
@pytest.mark.parametrize("n", [8, 40])
def test_bootstrap_intervals_equal_scipy_given_the_same_draws(ours, theirs, n):
    first, second = sample(n)
    expected = stats.bootstrap(
        (first - second,), np.mean, n_resamples=3000, method=theirs, rng=rng(), vectorized=True
    ).confidence_interval
    found = paired_difference(first, second, method=ours, rng=rng(), n_resamples=3000).interval
    assert found == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_the_t_interval_equals_scipy():
    first, second = sample()
    expected = stats.ttest_rel(first, second).confidence_interval()
    found = paired_difference(first, second).interval
    assert found == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_the_clustered_standard_error_equals_statsmodels():
    import statsmodels.api as sm

    r = np.random.default_rng(3)
    labels = np.repeat(np.arange(9), r.integers(1, 6, 9))
    values = r.normal(size=9)[labels] + r.normal(size=len(labels))
    fitted = sm.OLS(values, np.ones((len(values), 1))).fit(
        cov_type="cluster", cov_kwds={"groups": labels, "use_correction": False}, use_t=True
    )
    # statsmodels' own small-sample factor is G/(G−1) · (N−1)/(N−k); ours is the first part.
    error = fitted.bse[0] * (9 / 8) ** 0.5
    half = error * stats.t.ppf(0.975, 8)
    found = mean_estimate(values.tolist(), clusters=labels.tolist()).interval
    assert found == pytest.approx((values.mean() - half, values.mean() + half), abs=1e-12)


def test_mcnemar_equals_statsmodels():
    r = np.random.default_rng(6)
    first, second = r.random(60) < 0.7, r.random(60) < 0.5
    table = [[(first & second).sum(), (first & ~second).sum()],
             [(~first & second).sum(), (~first & ~second).sum()]]  # fmt: skip
    found = mcnemar_test(first, second)
    assert found.p_value == pytest.approx(mcnemar(table, exact=True).pvalue, abs=1e-12)


def test_wilcoxon_equals_scipy():
    first, second = sample()
    expected = stats.wilcoxon(first, second).pvalue
    assert wilcoxon_test(first, second).p_value == pytest.approx(expected, abs=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tied = stats.wilcoxon(np.round(first), np.round(second), method="asymptotic").pvalue
    found = wilcoxon_test(np.round(first), np.round(second))
    assert found.p_value == pytest.approx(tied, abs=1e-12)


@pytest.mark.parametrize(("n_successes", "n_trials"), [(0, 8), (3, 8), (8, 8), (47, 100)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_proportions_equal_statsmodels(n_successes, n_trials, level):
    for interval, method in ((wilson_interval, "wilson"), (clopper_pearson_interval, "beta")):
        expected = proportion_confint(n_successes, n_trials, alpha=1 - level, method=method)
        found = interval(n_successes, n_trials, confidence_level=level)
        assert found == pytest.approx(expected, abs=1e-12)
