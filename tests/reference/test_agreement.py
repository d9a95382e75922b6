"""Agreement, equivalence and prediction-powered inference against published numbers."""

import csv
from pathlib import Path

import numpy as np
import pytest
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.inter_rater import fleiss_kappa as fleiss_of_statsmodels
from statsmodels.stats.weightstats import ttost_paired

from qingting.stats.equivalence import equivalence_test
from qingting.stats.icc import intraclass_correlation
from qingting.stats.kappa import cohen_kappa, fleiss_kappa
from qingting.stats.krippendorff import LEVELS, krippendorff_alpha
from qingting.stats.prediction_powered import rectified_mean

SHARED = Path(__file__).parents[3] / "shared" / "data"
N = np.nan

# Krippendorff (2011), Computing Krippendorff's Alpha-Reliability: four observers, twelve
# units. Published to three digits; the digits beyond are those of the krippendorff package.
CANONICAL = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, 3],
    [N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, N],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N],
]  # fmt: skip
CANONICAL_ALPHA = {
    "nominal": (0.743, 0.743421052631579),
    "ordinal": (0.815, 0.8153875037548814),
    "interval": (0.849, 0.8491071428571428),
    "ratio": (0.797, 0.7974027747116121),
}

# Wikipedia, "Krippendorff's alpha", computational example: three coders, fifteen units.
THREE_CODERS = [
    [N, N, N, N, N, 3, 4, 1, 2, 1, 1, 3, 3, N, 3],
    [1, N, 2, 1, 3, 3, 4, 3, N, N, N, N, N, N, N],
    [N, N, 2, 1, 3, 4, 4, N, 2, 1, 1, 3, 3, N, 4],
]  # fmt: skip
THREE_CODERS_ALPHA = {
    "nominal": (0.691, 0.691358024691358),
    "ordinal": (None, 0.8067214199413153),
    "interval": (0.811, 0.8108448928121059),
    "ratio": (None, 0.8089436707842471),
}

# Fleiss (1971), Psychological Bulletin 76, Table 1: thirty patients, six psychiatrists each;
# depression, personality disorder, schizophrenia, neurosis, other.
PSYCHIATRISTS = [
    [0, 0, 0, 6, 0], [0, 3, 0, 0, 3], [0, 1, 4, 0, 1], [0, 0, 0, 0, 6], [0, 3, 0, 3, 0],
    [2, 0, 4, 0, 0], [0, 0, 4, 0, 2], [2, 0, 3, 1, 0], [2, 0, 0, 4, 0], [0, 0, 0, 0, 6],
    [1, 0, 0, 5, 0], [1, 1, 0, 4, 0], [0, 3, 3, 0, 0], [1, 0, 0, 5, 0], [0, 2, 0, 3, 1],
    [0, 0, 5, 0, 1], [3, 0, 0, 1, 2], [5, 1, 0, 0, 0], [0, 2, 0, 4, 0], [1, 0, 2, 0, 3],
    [0, 0, 0, 0, 6], [0, 1, 0, 5, 0], [0, 2, 0, 1, 3], [2, 0, 0, 4, 0], [1, 0, 0, 4, 1],
    [0, 5, 0, 1, 0], [4, 0, 0, 0, 2], [0, 2, 0, 4, 0], [1, 0, 5, 0, 0], [0, 0, 0, 0, 6],
]  # fmt: skip

# Wikipedia, "Fleiss' kappa", worked example: ten subjects, fourteen raters.
FOURTEEN_RATERS = [
    [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
]  # fmt: skip

# Shrout and Fleiss (1979), Table 2: six targets, four judges; coefficients from their Table 4,
# intervals as the R package psych prints them for the same data.
TARGETS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
TARGETS_ICC = {
    "1": (0.17, 0.1657417684054755, -0.133, 0.723),
    "A,1": (0.29, 0.28976377952755916, 0.019, 0.761),
    "C,1": (0.71, 0.7148407148407154, 0.342, 0.946),
    "1,k": (0.44, 0.44279713367926876, -0.884, 0.912),
    "A,k": (0.62, 0.6200505475989893, 0.071, 0.927),
    "C,k": (0.91, 0.9093155423770697, 0.676, 0.986),
}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("table", "published"),
    [(CANONICAL, CANONICAL_ALPHA), (THREE_CODERS, THREE_CODERS_ALPHA)],
    ids=["canonical", "three coders"],
)
def test_krippendorffs_tables(table, published, level):
    rounded, exact = published[level]
    found = krippendorff_alpha(np.transpose(table), level=level).value
    assert found == pytest.approx(exact, abs=1e-12)
    if rounded is not None:
        assert round(found, 3) == rounded


@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is not here")
@pytest.mark.parametrize(("name", "expected"), [("codings.csv", 904 / 1216), ("gcl.csv", 0.083333)])
def test_nominal_alpha_of_the_tables_in_evalica(name, expected):
    with (SHARED / "evalica" / name).open(encoding="utf-8") as file:
        raters = list(csv.reader(file))
    labels = {label: i for i, label in enumerate(sorted({x for row in raters for x in row if x}))}
    table = [[labels[x] if x else N for x in row] for row in raters]
    found = krippendorff_alpha(np.transpose(table), level="nominal").value
    assert found == pytest.approx(expected, abs=5e-7)


def test_cohens_kappa_of_fifty_proposals():
    # Wikipedia, "Cohen's kappa": both yes 20, both no 15, 5 and 10 apart; kappa 0.4.
    first, second = [1] * 25 + [0] * 25, [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15
    assert cohen_kappa(first, second).value == pytest.approx(0.4, abs=1e-12)


@pytest.mark.parametrize(
    ("weights", "theirs"), [("none", None), ("linear", "linear"), ("quadratic", "quadratic")]
)
def test_kappa_and_its_standard_error_equal_statsmodels(weights, theirs):
    rng = np.random.default_rng(3)
    first = rng.integers(1, 6, 80)
    second = np.clip(first + rng.integers(-1, 2, 80), 1, 5)
    table = np.zeros((5, 5))
    np.add.at(table, (first - 1, second - 1), 1)
    expected = cohens_kappa(table, wt=theirs)
    found = cohen_kappa(first, second, weights=weights)
    assert found.value == pytest.approx(expected.kappa, abs=1e-10)
    # The interval is made on log(1 − kappa): its ends lie t × SE / (1 − kappa) apart from it.
    logs = np.log(1 - np.array(found.interval))
    half = 1.9904502102301287 * expected.std_kappa * np.sqrt(80 / 79)  # t(0.975, 79)
    assert abs(logs[0] - logs[1]) / 2 == pytest.approx(half / (1 - expected.kappa), abs=1e-10)


@pytest.mark.parametrize(("counts", "published"), [(PSYCHIATRISTS, 0.43), (FOURTEEN_RATERS, 0.21)])
def test_fleiss_kappa_is_the_published_one(counts, published):
    found = fleiss_kappa(np.array(counts)).value
    assert round(found, 2) == published
    assert found == pytest.approx(fleiss_of_statsmodels(np.array(counts)), abs=1e-12)
    # The generalisation to unequal numbers is the same where they are equal.
    assert fleiss_kappa(np.array(counts), allow_unequal=True).value == found


@pytest.mark.parametrize("form", TARGETS_ICC)
def test_shrout_and_fleiss(form):
    published, exact, low, high = TARGETS_ICC[form]
    found = intraclass_correlation(np.array(TARGETS), form=form)
    assert round(found.value, 2) == published
    assert found.value == pytest.approx(exact, abs=1e-12)
    assert found.interval == pytest.approx((low, high), abs=6e-4)


def test_equivalence_equals_statsmodels():
    rng = np.random.default_rng(2)
    first, second = rng.normal(0.1, 1, 30), rng.normal(0, 1, 30)
    expected = ttost_paired(first, second, -0.5, 0.5)
    found = equivalence_test(first, second, margin=0.5)
    assert found.p_equivalent == pytest.approx(expected[0], abs=1e-10)
    assert found.p_not_inferior == pytest.approx(expected[1][1], abs=1e-10)
    assert found.p_not_superior == pytest.approx(expected[2][1], abs=1e-10)


def test_the_rectified_mean_equals_ppi_python():
    # ppi-python 0.2.3, ppi_mean_ci(lam=1): point 2.925, 95% interval 2.4065 to 3.4434.
    human = [1, 2, 3, 4, 5, 4, 3, 2, 1, 5]
    judge = [1, 2, 4, 4, 4, 4, 3, 3, 2, 5]
    judge_only = [1, 2, 3, 4, 5, 4, 3, 3] * 5
    found = rectified_mean(human, judge, judge_only, tuning=1.0)
    assert found.value == pytest.approx(2.925, abs=1e-12)
    half = 1.959963984540054 * found.standard_error
    assert (found.value - half, found.value + half) == pytest.approx(
        (2.4065001498028034, 3.4434998501971963), abs=1e-12
    )
