import pytest

from qingting.core.errors import UndefinedStatisticError
from qingting.stats.proportions import (
    clopper_pearson_interval,
    proportion_estimate,
    upper_bound,
    wilson_interval,
)


def test_no_event_in_sixty_trials_proves_below_five_percent():
    assert upper_bound(0, 60) == pytest.approx(1 - 0.05 ** (1 / 60))
    assert upper_bound(60, 60) == 1.0


@pytest.mark.parametrize("interval", [wilson_interval, clopper_pearson_interval])
def test_intervals_are_proper_at_the_ends_and_mirror_each_other(interval):
    assert interval(0, 9).low == 0.0
    assert 0 < interval(0, 9).high < 1
    assert interval(9, 9).high == 1.0
    assert interval(2, 9).low == pytest.approx(1 - interval(7, 9).high)


def test_the_estimate_says_how_it_was_made():
    found = proportion_estimate(3, 12, method="clopper-pearson", n_missing=2)
    assert (found.value, found.n_valid, found.n_missing) == (0.25, 12, 2)
    assert found.method == "Clopper–Pearson"
    assert proportion_estimate(3, 12).method == "Wilson"


def test_no_trials_have_no_proportion():
    for ask in (wilson_interval, clopper_pearson_interval, upper_bound, proportion_estimate):
        with pytest.raises(UndefinedStatisticError, match="no trials"):
            ask(0, 0)
        with pytest.raises(ValueError, match="4 successes in 3 trials"):
            ask(4, 3)
