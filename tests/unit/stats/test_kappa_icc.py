import numpy as np
import pytest

from qingting.core.errors import DataError, UndefinedStatisticError
from qingting.stats.icc import ICC_FORMS, intraclass_correlation
from qingting.stats.kappa import KAPPA_WEIGHTS, cohen_kappa, fleiss_kappa
from qingting.stats.krippendorff import krippendorff_alpha

N = np.nan


def pair(n=60, seed=1):
    r = np.random.default_rng(seed)
    first = r.integers(1, 6, n).astype(float)
    return first, np.clip(first + r.integers(-1, 2, n), 1, 5)


def counts(n=200, m=4, seed=2):
    r = np.random.default_rng(seed)
    p = r.dirichlet([0.6, 0.6, 0.6], n)
    return np.array([r.multinomial(m, row) for row in p])


@pytest.mark.parametrize("weights", KAPPA_WEIGHTS)
def test_swapping_raters_or_permuting_items_changes_nothing(weights):
    first, second = pair()
    order = np.random.default_rng(0).permutation(len(first))
    one = cohen_kappa(first, second, weights=weights)
    other = cohen_kappa(second[order], first[order], weights=weights)
    assert other.value == pytest.approx(one.value, abs=1e-12)
    assert other.interval == pytest.approx(one.interval, abs=1e-12)


def test_an_unused_step_of_the_scale_keeps_its_place():
    # 1 and 5 are four steps apart although nobody said 2 or 4: po = 1 − (2/4)/4, and by hand
    # pe = 1 − mean of |a − b| / 4 over the marginals {1,1,3,5} × {1,3,3,5} = 1 − 28/64.
    found = cohen_kappa([1, 1, 3, 5], [1, 3, 3, 5], weights="linear").value
    assert found == pytest.approx(1 - (2 / 16) / (28 / 64), abs=1e-12)


def test_items_without_one_of_the_ratings_are_missing():
    first, second = pair()
    found = cohen_kappa([*first, 1, N], [*second, N, N])
    assert (found.n_valid, found.n_missing) == (60, 2)
    assert found.value == cohen_kappa(first, second).value


@pytest.mark.parametrize("weights", KAPPA_WEIGHTS)
def test_a_dialogue_twice_is_no_new_evidence_for_kappa(weights):
    first, second = pair()
    once = cohen_kappa(first, second, weights=weights)
    twice = cohen_kappa(
        np.tile(first, 2), np.tile(second, 2), weights=weights, clusters=[*range(60)] * 2
    )
    assert twice.value == pytest.approx(once.value, abs=1e-12)
    assert twice.interval == pytest.approx(once.interval, abs=1e-12)


def test_undefined_kappas_say_why():
    with pytest.raises(UndefinedStatisticError, match="no item was rated by both"):
        cohen_kappa([1, N], [N, 1])
    for weights in KAPPA_WEIGHTS:
        with pytest.raises(UndefinedStatisticError, match="the same value"):
            cohen_kappa([2, 2], [2, 2], weights=weights)
    with pytest.raises(UndefinedStatisticError, match="items have 2 to 3 ratings"):
        fleiss_kappa(np.array([[2, 0], [1, 2]]))
    with pytest.raises(UndefinedStatisticError, match="one category"):
        fleiss_kappa(np.array([[2, 0], [2, 0]]))
    with pytest.raises(UndefinedStatisticError, match="no item has two"):
        fleiss_kappa(np.array([[1, 0], [0, 1]]))
    with pytest.raises(DataError, match="infinite"):
        cohen_kappa([1, np.inf], [1, 2])


def test_perfect_agreement_and_few_items_have_no_interval():
    found = cohen_kappa([1, 2] * 10, [1, 2] * 10)
    assert found.value == 1.0
    assert "no spread" in found.interval.reason
    assert "too few" in cohen_kappa([1, 2, 2], [1, 2, 1]).interval.reason


@pytest.mark.parametrize("unequal", [False, True])
def test_the_standard_error_of_fleiss_kappa_is_the_jackknifes(unequal):
    table = counts(400)
    if unequal:
        table[::3] += np.array([1, 0, 1])
    found = fleiss_kappa(table, allow_unequal=unequal)
    left_out = [
        fleiss_kappa(np.delete(table, i, axis=0), allow_unequal=unequal).value for i in range(400)
    ]
    error = np.sqrt(399 / 400 * np.square(np.array(left_out) - np.mean(left_out)).sum())
    logs = np.log(1 - np.array(found.interval))
    half = 1.9659 * error / (1 - found.value)  # t(0.975, 399)
    assert abs(logs[0] - logs[1]) / 2 == pytest.approx(half, rel=0.01)


def test_fleiss_kappa_is_nominal_alpha_but_for_its_small_sample_term():
    table = counts()
    ratings = np.array([np.repeat([1.0, 2, 3], row) for row in table])
    alpha = krippendorff_alpha(ratings, level="nominal").value
    # Alpha pairs n ratings without replacement, kappa with: D_e differs by n / (n − 1).
    n = table.sum()
    assert 1 - alpha == pytest.approx((1 - fleiss_kappa(table).value) * (n - 1) / n, abs=1e-12)


def test_severity_counts_as_disagreement_only_in_the_agreement_forms():
    r = np.random.default_rng(5)
    ratings = r.normal(size=(30, 1)) + 0.3 * r.normal(size=(30, 3))
    severe = ratings + np.array([0, 1, 3])
    for form in ("C,1", "C,k"):
        assert intraclass_correlation(severe, form=form).value == pytest.approx(
            intraclass_correlation(ratings, form=form).value, abs=1e-10
        )
    for form in ("1", "A,1"):
        assert (
            intraclass_correlation(severe, form=form).value
            < intraclass_correlation(ratings, form=form).value - 0.2
        )


@pytest.mark.parametrize("form", ICC_FORMS)
def test_icc_ignores_unit_origin_and_order(form):
    r = np.random.default_rng(6)
    ratings = r.normal(size=(20, 1)) + r.normal(size=(20, 4))
    one = intraclass_correlation(ratings, form=form)
    other = intraclass_correlation(7 - 3 * ratings[::-1][:, [2, 0, 3, 1]], form=form)
    assert other.value == pytest.approx(one.value, abs=1e-12)
    assert other.interval == pytest.approx(one.interval, abs=1e-9)
    assert one.interval.low < one.value < one.interval.high


@pytest.mark.parametrize("form", ICC_FORMS)
def test_undefined_intraclass_correlations_say_why(form):
    for ratings, why in (
        ([[1], [2]], "one rater"),
        ([[1, 2], [1, N]], "1 items were rated by all"),
        ([[2, 2], [2, 2]], "all ratings are the same"),
    ):
        with pytest.raises(UndefinedStatisticError, match=why):
            intraclass_correlation(np.array(ratings, float), form=form)


def test_perfect_raters_have_icc_one_without_an_interval():
    found = intraclass_correlation(np.array([[1, 1], [2, 2], [4, 4]], float), form="C,1")
    assert found.value == 1.0
    assert "agree perfectly" in found.interval.reason
    incomplete = np.array([[1, 1.5], [2, 2], [4, 3], [1, N]])
    found = intraclass_correlation(incomplete, form="A,1")
    assert (found.n_valid, found.n_missing) == (3, 1)


def test_icc_one_needs_equally_many_ratings_but_not_the_same_raters():
    r = np.random.default_rng(8)
    ratings = r.normal(size=(20, 1)) + 0.5 * r.normal(size=(20, 3))
    wide = np.full((20, 9), N)
    for item in range(20):
        wide[item, r.permutation(9)[:3]] = r.permutation(ratings[item])
    wide = np.vstack([wide, [1.0, *[N] * 8]])
    found = intraclass_correlation(wide, form="1")
    assert found.value == pytest.approx(intraclass_correlation(ratings, form="1").value, abs=1e-12)
    assert (found.n_valid, found.n_missing) == (20, 1)
    with pytest.raises(UndefinedStatisticError, match="0 items were rated by all 9 raters"):
        intraclass_correlation(wide, form="A,1")
    wide[0, np.flatnonzero(np.isnan(wide[0]))[0]] = 1.0
    with pytest.raises(UndefinedStatisticError, match="0 items were rated by all 9 raters"):
        intraclass_correlation(wide, form="1")
