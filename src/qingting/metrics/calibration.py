"""Calibration: whether a model that says 80% is right 80% of the time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qingting.core.errors import DataError, UndefinedStatisticError
from qingting.core.missing import Missing
from qingting.core.signature import Signature
from qingting.metrics.choice import Choice
from qingting.metrics.scores import FloatArray


class Calibration(NamedTuple):
    """Calibration over ``n_valid`` items; ``n_missing`` have no usable key or probabilities.

    ``ece``: expected calibration error in [0, 1], lower is better. ``brier``: multiclass Brier
    score in [0, 2], lower is better. ``mean_confidence`` beside ``accuracy`` shows the direction.
    """

    ece: float
    brier: float
    mean_confidence: float
    accuracy: float
    n_valid: int
    n_missing: int
    signature: Signature


def calibrate_choices(
    probabilities: Sequence[Mapping[str, float] | Missing],
    keys: Sequence[Choice | Missing],
    *,
    n_bins: int = 10,
) -> Calibration:
    """Return the calibration of single-answer choices.

    Args:
        probabilities: (n_items,) letter → probability, each summing to 1, from
            ``choice.option_probabilities``.
        keys: (n_items,) right options; items whose key is not one letter are missing.
        n_bins: equal-width bins of the confidence.

    Raises:
        UndefinedStatisticError: no item has both.
        DataError: a key names an option without a probability.
    """
    if len(probabilities) != len(keys):
        raise ValueError(f"{len(probabilities)} items with probabilities but {len(keys)} keys")
    confidences, right, squares = [], [], []
    for index, (options, key) in enumerate(zip(probabilities, keys, strict=True)):
        if isinstance(options, Missing) or isinstance(key, Missing) or len(key) != 1:
            continue
        (letter,) = key
        if letter not in options:
            raise DataError(f"item {index}: the key {letter!r} has no probability")
        chosen = max(options, key=lambda one: options[one])
        confidences.append(options[chosen])
        right.append(chosen == letter)
        squares.append(sum((p - (one == letter)) ** 2 for one, p in options.items()))
    if not confidences:
        raise UndefinedStatisticError("no calibration: no item has probabilities and a usable key")
    return Calibration(
        expected_calibration_error(confidences, right, n_bins=n_bins),
        float(np.mean(squares)),
        float(np.mean(confidences)),
        float(np.mean(right)),
        n_valid=len(confidences),
        n_missing=len(keys) - len(confidences),
        signature=Signature(
            "calibration", parameters=(("bins", f"{n_bins}-equal-width"),), level="corpus"
        ),
    )


def expected_calibration_error(
    confidences: Sequence[float] | FloatArray,
    correct: Sequence[bool] | NDArray[np.bool_],
    *,
    n_bins: int = 10,
) -> float:
    """Return the mean gap between confidence and accuracy over equal-width bins.

    Bins are open below and closed above; each weighs as many items as it holds. It is biased
    upwards when bins hold few items, so compare arms on the same items and bins only.

    Source: Naeini, Cooper and Hauskrecht (2015); Guo et al. (2017), eq. 3.

    Raises:
        UndefinedStatisticError: there are no items.
        DataError: a confidence lies outside [0, 1].
    """
    p, hits = _paired(confidences, correct)
    bins = np.clip(np.ceil(p * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    gaps = np.bincount(bins, weights=p - hits, minlength=n_bins)
    return float(np.abs(gaps).sum() / len(p))


def brier_score(
    probabilities: Sequence[float] | FloatArray, correct: Sequence[bool] | NDArray[np.bool_]
) -> float:
    """Return the mean squared gap between a probability and what happened, in [0, 1].

    Source: Brier (1950), two-class form; equals scikit-learn's ``brier_score_loss``.

    Raises:
        UndefinedStatisticError: there are no items.
        DataError: a probability lies outside [0, 1].
    """
    p, hits = _paired(probabilities, correct)
    return float(np.mean(np.square(p - hits)))


def _paired(
    probabilities: Sequence[float] | FloatArray, correct: Sequence[bool] | NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray]:
    p, hits = np.asarray(probabilities, np.float64), np.asarray(correct, bool).astype(float)
    if p.shape != hits.shape:
        raise ValueError(f"{len(p)} probabilities but {len(hits)} outcomes")
    if not len(p):
        raise UndefinedStatisticError("no calibration: there are no items")
    if not ((p >= 0) & (p <= 1)).all():
        raise DataError("a probability lies outside 0 to 1")
    return p, hits
