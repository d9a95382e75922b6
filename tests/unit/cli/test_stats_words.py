import pytest

from qingting.cli.stats_words import p_text, scale_of, signed
from qingting.core.errors import SpecificationError


@pytest.mark.parametrize(
    ("written", "low", "high"),
    [
        ("1:5", 1, 5),
        ("1-5", 1, 5),
        ("1–5", 1, 5),
        (" 0 - 10 ", 0, 10),
        ("-3:3", -3, 3),
        ("-3-3", -3, 3),
        ("-3--1", -3, -1),
        ("0:0.5", 0, 0.5),
    ],
)
def test_a_scale_is_two_numbers_with_a_colon_or_a_dash(written, low, high):
    assert scale_of(written) == (low, high)


@pytest.mark.parametrize("written", ["5:1", "1:1", "5", "a:b", "nan:5", "1:inf", "", "1:2:3"])
def test_what_is_no_scale_is_refused(written):
    with pytest.raises(SpecificationError, match="such as 1:5 or 1-5"):
        scale_of(written)


def test_no_p_value_is_printed_as_nothing():
    assert p_text(1e-9) == "p < 0.0001"
    assert p_text(0.0001) == "p = 0.0001"
    assert p_text(1.0) == "p = 1.0000"


def test_a_difference_that_rounds_to_nothing_has_no_minus():
    assert signed(-1e-9) == "+0.000"
    assert signed(-0.0006) == "-0.001"
