"""Numbers are written for people, and what is small does not become nothing."""

from __future__ import annotations

import pytest

from qingting.report import quantities
from qingting.report.measures import Measure


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0.000"), (1.23456, "1.235"), (-0.5, "−0.500"), (0.0004, "0.0004"), (2e-7, "2e−7")],
)
def test_decimals_keep_a_significant_digit(value: float, shown: str) -> None:
    assert quantities.decimal(value) == shown


def test_signed_decimals_show_their_sign() -> None:
    assert quantities.decimal(0.5, signed=True) == "+0.500"
    assert quantities.decimal(0.0, signed=True) == "0.000"


@pytest.mark.parametrize(
    ("seconds", "zh", "en"),
    [
        (0.0114, "11.4 毫秒", "11.4 ms"),
        (21.4, "21.4 秒", "21.4 s"),
        (133, "2 分 13 秒", "2 min 13 s"),
        (7260, "2 小时 1 分", "2 h 1 min"),
    ],
)
def test_durations_have_fitting_units(seconds: float, zh: str, en: str) -> None:
    assert quantities.duration(seconds) == (zh, en)


@pytest.mark.parametrize(
    ("value", "shown"), [(2_412_288, "2.41M"), (7_615_616_512, "7.62B"), (950, "950")]
)
def test_parameters_are_abbreviated(value: int, shown: str) -> None:
    assert quantities.parameters(value) == shown


def test_memory_is_in_binary_units() -> None:
    assert quantities.memory(3 * 2**30) == "3.00 GiB"
    assert quantities.memory(420 * 2**20) == "420 MiB"


def test_accuracies_are_percentages_and_their_differences_points() -> None:
    accuracy = Measure("knowledge-likelihood-exact", None)
    assert accuracy.show(0.2345) == "23.4%" or accuracy.show(0.2345) == "23.5%"
    assert accuracy.show_difference(-0.012) == "−1.2"
    assert accuracy.amount("1.2").en == "1.2 percentage points"


@pytest.mark.parametrize(
    ("metric", "group", "name"),
    [
        ("bits_per_byte", "likelihood", "bits per byte"),
        ("rouge-l-f", "overlap", "ROUGE-L"),
        ("rouge-2-recall", "detail", "ROUGE-2 recall"),
        ("distinct-2", "form", "distinct-2"),
        (
            "choice-elastic-text",
            "knowledge",
            "knowledge accuracy (by written answer, partial credit)",
        ),
        ("brand-new", "other", "brand-new"),
    ],
)
def test_metrics_are_recognised_by_name(metric: str, group: str, name: str) -> None:
    measure = Measure(metric, None)
    assert (measure.group, measure.name.en) == (group, name)
