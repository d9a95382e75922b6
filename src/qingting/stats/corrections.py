"""Corrections for looking at several p values at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from qingting.core.errors import DataError, UndefinedStatisticError

FloatArray = NDArray[np.float64]
Family = Literal["holm", "benjamini-hochberg", "none"]


def holm(p_values: Sequence[float] | FloatArray) -> FloatArray:
    """Return Holm's adjusted p values, (n_tests,) in the order given.

    Rejecting those at or below alpha keeps the chance of *any* false rejection at alpha, however
    the tests depend on one another. Source: Holm (1979).
    """
    p, order = _sorted(p_values)
    n_tests = len(p)
    stepped = np.maximum.accumulate(p * (n_tests - np.arange(n_tests)))
    return _unsorted(stepped, order)


def benjamini_hochberg(p_values: Sequence[float] | FloatArray) -> FloatArray:
    """Return Benjamini–Hochberg adjusted p values, (n_tests,) in the order given.

    Rejecting those at or below q keeps the expected *share* of false rejections among the
    rejected at q, for independent or positively dependent tests. Source: Benjamini and Hochberg
    (1995).
    """
    p, order = _sorted(p_values)
    n_tests = len(p)
    scaled = p * (n_tests / np.arange(1, n_tests + 1))
    return _unsorted(np.minimum.accumulate(scaled[::-1])[::-1], order)


def adjust(p_values: Sequence[float] | FloatArray, family: Family) -> FloatArray:
    """Return p values adjusted by the named method; ``"none"`` returns them unchanged."""
    if family == "holm":
        return holm(p_values)
    if family == "benjamini-hochberg":
        return benjamini_hochberg(p_values)
    p, order = _sorted(p_values)
    return _unsorted(p, order)


def _sorted(p_values: Sequence[float] | FloatArray) -> tuple[FloatArray, NDArray[np.int64]]:
    p = np.asarray(p_values, np.float64)
    if p.ndim != 1 or not len(p):
        raise UndefinedStatisticError("no p values to adjust")
    if not ((p >= 0) & (p <= 1)).all():
        raise DataError(f"p values must lie between 0 and 1, got {p[~((p >= 0) & (p <= 1))][0]}")
    order = np.argsort(p, kind="stable")
    return p[order], order


def _unsorted(adjusted: FloatArray, order: NDArray[np.int64]) -> FloatArray:
    result = np.empty_like(adjusted)
    result[order] = np.minimum(adjusted, 1.0)
    return result
