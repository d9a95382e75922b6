import pytest
from hypothesis import given
from hypothesis import strategies as st

from qingting.core.errors import DataError, UndefinedStatisticError
from qingting.stats.corrections import adjust, benjamini_hochberg, holm


def test_holm_by_hand():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])


def test_benjamini_hochberg_by_hand():
    assert benjamini_hochberg([0.04, 0.01, 0.03]) == pytest.approx([0.04, 0.03, 0.04])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_corrections_only_raise_and_holm_raises_more(p_values):
    ours, theirs = holm(p_values), benjamini_hochberg(p_values)
    assert (theirs >= p_values).all()
    assert (ours >= theirs - 1e-15).all()
    assert (ours <= 1).all()
    assert adjust(p_values, "none").tolist() == p_values
    assert adjust(p_values, "holm").tolist() == ours.tolist()


def test_no_p_values_and_impossible_ones_are_refused():
    with pytest.raises(UndefinedStatisticError):
        holm([])
    with pytest.raises(DataError, match="between 0 and 1"):
        benjamini_hochberg([0.5, float("nan")])
