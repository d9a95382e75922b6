import math

import pytest

from qingting.core.errors import DataError, UndefinedStatisticError
from qingting.core.missing import Missing
from qingting.metrics.efficiency import (
    bits_per_byte,
    bits_per_byte_signature,
    summarise_latency,
    tokens_per_second,
)


def test_speed_is_tokens_over_seconds():
    assert tokens_per_second(300, 2.0) == 150.0


@pytest.mark.parametrize(("n_tokens", "duration_s"), [(0, 1.0), (5, 0.0)])
def test_speed_without_tokens_or_time_is_undefined(n_tokens, duration_s):
    with pytest.raises(UndefinedStatisticError):
        tokens_per_second(n_tokens, duration_s)


@pytest.mark.parametrize("duration_s", [-1.0, math.nan, math.inf])
def test_impossible_durations_are_refused(duration_s):
    with pytest.raises(DataError):
        tokens_per_second(5, duration_s)


def test_failed_requests_are_counted_and_not_timed():
    found = summarise_latency([0.1, 0.3, Missing("refused"), 0.2])
    assert found.median_s == pytest.approx(0.2)
    assert found.mean_s == pytest.approx(0.2)
    assert (found.max_s, found.n_valid, found.n_missing) == (0.3, 3, 1)
    assert isinstance(found.p99_s, Missing)


def test_the_99th_percentile_needs_a_hundred_requests():
    assert summarise_latency([k / 100 for k in range(1, 102)]).p99_s == pytest.approx(1.0)


def test_latency_without_an_answer_is_undefined():
    with pytest.raises(UndefinedStatisticError, match="none of 1 requests"):
        summarise_latency([Missing("refused")])
    with pytest.raises(DataError):
        summarise_latency([-0.1])


def test_a_uniform_byte_costs_eight_bits():
    assert bits_per_byte(100 * math.log(256), 100) == pytest.approx(8.0)


def test_bits_of_nothing_are_undefined():
    with pytest.raises(UndefinedStatisticError):
        bits_per_byte(0.0, 0)
    with pytest.raises(DataError):
        bits_per_byte(math.nan, 10)


def test_the_signature_says_which_bytes():
    assert str(bits_per_byte_signature("counsellor-turns")) == (
        "bits-per-byte|agg:pooled|bytes:utf8:counsellor-turns|level:corpus|v:1"
    )
