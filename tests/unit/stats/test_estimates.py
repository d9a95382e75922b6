import math

import numpy as np
import pytest

from qingting.core.errors import DataError, UndefinedStatisticError
from qingting.core.missing import Missing
from qingting.stats.clusters import Interval
from qingting.stats.estimates import mean_estimate


def rng():
    return np.random.default_rng(5)


def test_an_estimate_counts_what_entered_and_what_did_not():
    found = mean_estimate([1.0, 2.0, Missing("timed out"), 3.0], signature="x|level:item|v:1")
    assert (found.value, found.n_valid, found.n_missing) == (2.0, 3, 1)
    # 2 ± t(0.975; 2) · 1/√3, with t = 4.302653 from tables.
    assert found.interval == pytest.approx((2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5), abs=1e-6)
    assert (found.method, found.signature) == ("Student t", "x|level:item|v:1")


@pytest.mark.parametrize("method", ["t", "bca", "percentile"])
def test_one_item_has_a_value_and_no_interval(method):
    found = mean_estimate([0.7], method=method, rng=rng())
    assert found.value == 0.7
    assert isinstance(found.interval, Missing)


@pytest.mark.parametrize("method", ["t", "bca", "percentile"])
@pytest.mark.parametrize("value", [0.0, 1.0, 0.1])
def test_equal_values_have_no_interval(method, value):
    interval = mean_estimate([value] * 7, method=method, rng=rng()).interval
    assert isinstance(interval, Missing)
    assert "no spread" in interval.reason


def test_no_values_have_no_mean():
    with pytest.raises(UndefinedStatisticError, match="none of 1 values"):
        mean_estimate([Missing("x")])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_no_number_is_refused(bad):
    with pytest.raises(DataError, match="mark absent values as missing"):
        mean_estimate([1.0, bad])


def test_the_bootstrap_needs_an_rng_and_repeats_with_its_seed():
    values = [0.1, 0.5, 0.2, 0.9, 0.4]
    with pytest.raises(ValueError, match="needs an rng"):
        mean_estimate(values, method="bca")
    one, other = (mean_estimate(values, method="bca", rng=rng()) for _ in range(2))
    assert one == other
    assert "BCa bootstrap (10000 resamples)" in one.method


@pytest.mark.parametrize("method", ["t", "bca", "percentile"])
def test_duplicating_every_item_of_a_cluster_is_no_new_evidence(method):
    values, clusters = [0.1, 0.5, 0.2, 0.9, 0.4], list("abcde")
    once = mean_estimate(values, method=method, rng=rng(), clusters=clusters)
    twice = mean_estimate(values * 2, method=method, rng=rng(), clusters=clusters * 2)
    assert twice.value == pytest.approx(once.value)
    assert twice.interval == pytest.approx(once.interval)
    assert (twice.n_valid, twice.n_clusters) == (10, 5)
    assert twice.method.endswith("clustered")


def test_clusters_of_one_item_are_no_clusters():
    values = [0.1, 0.5, 0.2, 0.9, 0.4]
    assert mean_estimate(values, clusters=range(5)).interval == mean_estimate(values).interval


def test_a_higher_level_gives_a_wider_interval():
    values = [0.1, 0.5, 0.2, 0.9, 0.4]
    narrow, wide = (mean_estimate(values, confidence_level=c).interval for c in (0.8, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high
    with pytest.raises(ValueError, match="confidence_level"):
        mean_estimate(values, confidence_level=95)


def test_estimates_become_json():
    record = mean_estimate([1.0]).to_record()
    assert record["interval"] == {"missing": "one independent unit has no spread"}
    assert mean_estimate([1.0, 2.0]).to_record()["interval"] == pytest.approx(
        [1.5 - 12.706205 / 2, 1.5 + 12.706205 / 2]
    )
    assert isinstance(mean_estimate([1.0, 2.0]).interval, Interval)
