import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qingting.core.errors import DataError, UndefinedStatisticError
from qingting.core.missing import Missing
from qingting.stats.krippendorff import LEVELS, bootstrap_alphas, krippendorff_alpha
from qingting.stats.rating_counts import count_judgments, count_ratings

N = np.nan
tables = st.integers(2, 8).flatmap(
    lambda n_raters: st.lists(
        st.lists(st.sampled_from([N, 0.0, 1.0, 2.0, 5.0]), min_size=n_raters, max_size=n_raters),
        min_size=2,
        max_size=9,
    )
)


def rng():
    return np.random.default_rng(7)


def panel(n_items=40, n_raters=3, n_steps=5, seed=1):
    r = np.random.default_rng(seed)
    seen = r.normal(size=(n_items, 1)) + 0.6 * r.normal(size=(n_items, n_raters))
    ratings = np.clip(np.round(n_steps / 2 + n_steps / 5 * seen), 0, n_steps)
    ratings[r.random(ratings.shape) < 0.2] = N
    return ratings


def by_definition(ratings, level):
    """Krippendorff (2011): every pair of values within units, and every pair of all values."""
    units = [[x for x in row if x == x] for row in np.asarray(ratings).tolist()]
    units = [unit for unit in units if len(unit) > 1]
    pooled = [x for unit in units for x in unit]

    def apart(a, b):
        if a == b:
            return 0.0
        if level == "nominal":
            return 1.0
        if level == "interval":
            return (a - b) ** 2
        if level == "ratio":
            return ((a - b) / (a + b)) ** 2
        low, high = min(a, b), max(a, b)
        between = sum(low <= x <= high for x in pooled)
        return (between - (pooled.count(low) + pooled.count(high)) / 2) ** 2

    n = len(pooled)
    observed = sum(sum(apart(a, b) for a in unit for b in unit) / (len(unit) - 1) for unit in units)
    expected = sum(apart(a, b) for a in pooled for b in pooled) / (n - 1) if n > 1 else 0.0
    return None if expected == 0 else 1 - observed / expected


@given(tables, st.sampled_from(LEVELS))
@settings(max_examples=150, deadline=None)
def test_alpha_is_its_definition_or_undefined(table, level):
    expected = by_definition(table, level)
    if expected is None:
        with pytest.raises(UndefinedStatisticError, match="undefined"):
            krippendorff_alpha(np.array(table), level=level)
    else:
        found = krippendorff_alpha(np.array(table), level=level).value
        assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("level", LEVELS)
def test_many_distinct_values_take_the_same_definition(level):
    ratings = panel(30, 4, n_steps=200)
    assert len(count_ratings(ratings).values) > 50
    found = krippendorff_alpha(ratings, level=level, rng=rng(), n_resamples=200)
    assert found.value == pytest.approx(by_definition(ratings, level), abs=1e-12)
    assert found.interval.low < found.value < found.interval.high


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("n_steps", [5, 200])
def test_a_resample_is_alpha_of_the_drawn_items(level, n_steps):
    ratings = panel(12, 4, n_steps=n_steps)
    ratings = ratings[(~np.isnan(ratings)).sum(axis=1) > 1]
    found = bootstrap_alphas(count_ratings(ratings), level=level, rng=rng(), n_resamples=5)
    drawn = rng().integers(0, len(ratings), (5, len(ratings)))
    expected = [by_definition(ratings[rows], level) for rows in drawn]
    assert found == pytest.approx(expected, abs=1e-12)


@given(st.permutations(range(12)), st.permutations(range(3)), st.sampled_from(LEVELS))
@settings(max_examples=30, deadline=None)
def test_order_of_items_and_raters_changes_nothing(items, raters, level):
    ratings = panel(12)
    other = ratings[items][:, raters]
    assert krippendorff_alpha(other, level=level).value == pytest.approx(
        krippendorff_alpha(ratings, level=level).value, abs=1e-12
    )


def test_an_increasing_relabelling_keeps_ordinal_and_any_keeps_nominal():
    ratings = panel()
    value = {level: krippendorff_alpha(ratings, level=level).value for level in LEVELS}
    stretched, shuffled = np.exp(ratings), np.where(ratings == 2, 40, ratings)
    assert krippendorff_alpha(stretched, level="ordinal").value == pytest.approx(value["ordinal"])
    assert krippendorff_alpha(shuffled, level="nominal").value == pytest.approx(value["nominal"])
    assert krippendorff_alpha(3 * ratings + 8, level="interval").value == pytest.approx(
        value["interval"], abs=1e-12
    )
    assert krippendorff_alpha(3 * ratings, level="ratio").value == pytest.approx(value["ratio"])


def test_items_with_one_rating_are_counted_and_do_not_enter():
    ratings = panel()
    more = np.vstack([ratings, [[5, N, N], [N, N, N]]])
    one, other = (krippendorff_alpha(x, level="ordinal") for x in (ratings, more))
    assert other.value == pytest.approx(one.value, abs=1e-12)
    assert (other.n_valid, other.n_missing) == (one.n_valid, one.n_missing + 2)


def test_a_long_table_counts_as_the_wide_one():
    ratings = panel()
    items, raters = np.nonzero(~np.isnan(ratings))
    counts = count_judgments(items, ratings[items, raters], n_items=len(ratings))
    one = krippendorff_alpha(counts, level="ordinal", rng=rng())
    assert one == krippendorff_alpha(ratings, level="ordinal", rng=rng())


@pytest.mark.parametrize(
    ("ratings", "why"),
    [
        ([[1, N], [N, 2]], "no item has ratings by two raters"),
        ([[1], [2]], "no item has ratings by two raters"),
        ([[N, N]], "no item has ratings by two raters"),
        ([[3, 3], [3, 3]], "all 4 ratings are the same"),
        ([[3, 3], [3, 3], [1, N]], "all 4 ratings are the same"),
    ],
)
@pytest.mark.parametrize("level", LEVELS)
def test_undefined_cases_say_why(ratings, why, level):
    with pytest.raises(UndefinedStatisticError, match=why):
        krippendorff_alpha(np.array(ratings, float), level=level, rng=rng())


def test_an_interval_that_cannot_be_claimed_is_missing():
    assert "too few" in krippendorff_alpha(panel(6), level="ordinal", rng=rng()).interval.reason
    rare = np.ones((40, 2))
    rare[0, 0] = 2
    found = krippendorff_alpha(rare, level="nominal", rng=rng()).interval
    assert isinstance(found, Missing)
    assert "undefined in" in found.reason
    perfect = np.repeat(np.arange(40)[:, None] % 3, 2, axis=1).astype(float)
    found = krippendorff_alpha(perfect, level="nominal", rng=rng())
    assert found.value == 1.0
    assert "no spread" in found.interval.reason


def test_duplicating_a_dialogue_is_no_new_evidence():
    ratings = panel(30)
    twice, labels = np.vstack([ratings] * 4), list(range(30)) * 4
    once = krippendorff_alpha(ratings, level="ordinal", rng=rng())
    clustered = krippendorff_alpha(twice, level="ordinal", rng=rng(), clusters=labels)
    naive = krippendorff_alpha(twice, level="ordinal", rng=rng())
    width = [one.interval.high - one.interval.low for one in (once, clustered, naive)]
    assert width[1] == pytest.approx(width[0], rel=0.1)
    assert width[2] < 0.6 * width[0]
    assert clustered.n_clusters == once.n_valid


def test_bad_ratings_are_refused():
    with pytest.raises(DataError, match="infinite"):
        krippendorff_alpha(np.array([[1, np.inf], [2, 2]]), level="interval")
    with pytest.raises(DataError, match="negative"):
        krippendorff_alpha(np.array([[-1.0, 2], [2, 2]]), level="ratio")
