import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from qingting.core.errors import DataError, UndefinedStatisticError
from qingting.core.missing import Missing
from qingting.metrics.calibration import (
    brier_score,
    calibrate_choices,
    expected_calibration_error,
)


def test_brier_equals_scikit_learn():
    rng = np.random.default_rng(3)
    p, hit = rng.random(50), rng.random(50) < 0.5
    assert brier_score(p, hit) == pytest.approx(brier_score_loss(hit, p), abs=1e-12)


def test_calibration_error_by_hand():
    # Bin (0.8, 0.9]: confidence 0.85, accuracy 0.5, two items; bin (0.4, 0.5]: 0.5, 1, one item.
    error = expected_calibration_error([0.85, 0.85, 0.5], [True, False, True])
    assert error == pytest.approx((2 * 0.35 + 0.5) / 3)


def test_the_edges_of_confidence_belong_to_bins():
    assert expected_calibration_error([0.0, 1.0], [False, True]) == 0.0


def test_choices_are_calibrated_over_items_that_have_both():
    probabilities = [{"A": 0.7, "B": 0.3}, {"A": 0.4, "B": 0.6}, Missing("no likelihood")]
    keys = [frozenset("A"), frozenset("A"), frozenset("A")]
    found = calibrate_choices(probabilities, keys)
    assert found.brier == pytest.approx((2 * 0.3**2 + 2 * 0.6**2) / 2)
    assert found.mean_confidence == pytest.approx(0.65)
    assert (found.accuracy, found.n_valid, found.n_missing) == (0.5, 2, 1)
    assert "bins:10-equal-width" in str(found.signature)


def test_nothing_to_calibrate_is_undefined():
    with pytest.raises(UndefinedStatisticError):
        calibrate_choices([Missing("x")], [frozenset("A")])
    with pytest.raises(UndefinedStatisticError):
        brier_score([], [])


def test_impossible_input_is_refused():
    with pytest.raises(DataError, match="outside"):
        brier_score([1.5], [True])
    with pytest.raises(DataError, match="no probability"):
        calibrate_choices([{"A": 1.0}], [frozenset("B")])
