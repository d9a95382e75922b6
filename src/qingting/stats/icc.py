"""Intraclass correlations: how much of the spread of numeric ratings lies between items."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from scipy import stats as distributions

from qingting.core.errors import DataError, UndefinedStatisticError
from qingting.core.missing import Missing
from qingting.stats.clusters import FloatArray, Interval, require_level
from qingting.stats.estimates import Estimate

IccForm = Literal["1", "1,k", "A,1", "A,k", "C,1", "C,k"]
ICC_FORMS: tuple[IccForm, ...] = ("1", "1,k", "A,1", "A,k", "C,1", "C,k")


class MeanSquares(NamedTuple):
    """Analysis of variance of items by raters, one rating a cell.

    ``within`` is of ratings within items whoever gave them; ``error`` what remains after raters.
    """

    items: float
    raters: float
    error: float
    within: float
    n_items: int
    n_raters: int


def intraclass_correlation(
    ratings_items_raters: FloatArray, *, form: IccForm, confidence_level: float = 0.95
) -> Estimate:
    """Return an intraclass correlation with its F interval.

    Args:
        ratings_items_raters: (n_items, n_raters) numbers, NaN = not rated. Items that lack a
            rating are left out and counted as missing; for many of those use Krippendorff's
            interval alpha instead.
        form: ``"1"``: each item has raters of its own; ``"A"``: the same raters, and their
            severity counts as disagreement; ``"C"``: the same raters, severity taken out. For
            ``"1"`` it suffices that items have equally many ratings, by whomever. ``",1"`` speaks
            of one rating, ``",k"`` of the mean over the raters.
        confidence_level: of the interval, which assumes normal effects; for ``A`` it is
            Satterthwaite's approximation.

    Raises:
        UndefinedStatisticError: fewer than two raters or two complete items, or no spread.
        DataError: a rating is infinite.

    Source: McGraw and Wong (1996), Tables 4 and 7 with their correction (1996b); Shrout and
    Fleiss (1979), whose ICC(1), (2) and (3) are ``1``, ``A`` and ``C``.
    """
    require_level(confidence_level)
    ratings = np.asarray(ratings_items_raters, np.float64)
    if ratings.ndim != 2:
        raise ValueError(f"expected items by raters, got shape {ratings.shape}")
    complete = _own_raters(ratings) if form[0] == "1" else None
    if complete is None:
        complete = ratings[~np.isnan(ratings).any(axis=1)]
    squares = mean_squares(complete)
    value = _value(squares, form)
    return Estimate(
        value,
        _interval(squares, form, confidence_level),
        confidence_level,
        n_valid=len(complete),
        n_missing=len(ratings) - len(complete),
        method="F" if form[0] != "A" else "F, Satterthwaite",
        signature=f"icc|form:{form}|raters:{squares.n_raters}|v:1",
    )


def mean_squares(ratings_items_raters: FloatArray) -> MeanSquares:
    """Return the mean squares of a complete table.

    Raises:
        UndefinedStatisticError: fewer than two raters or items, or all ratings are equal.
    """
    ratings = np.asarray(ratings_items_raters, np.float64)
    n_items, n_raters = ratings.shape
    if n_raters < 2:
        raise UndefinedStatisticError("no intraclass correlation: one rater agrees with nobody")
    if n_items < 2:
        raise UndefinedStatisticError(
            f"no intraclass correlation: {n_items} items were rated by all {n_raters} raters; it "
            "needs two"
        )
    if not np.isfinite(ratings).all():
        raise DataError("a rating is infinite or absent; mean squares need a complete table")
    if np.ptp(ratings) == 0:
        raise UndefinedStatisticError("no intraclass correlation: all ratings are the same")
    centred = ratings - ratings.mean()
    items, raters = centred.mean(axis=1), centred.mean(axis=0)
    error = np.square(centred - items[:, None] - raters).sum()
    within = np.square(centred - items[:, None]).sum()
    # What only rounding leaves over is nothing.
    floor = 1e-24 * float(np.square(ratings).max()) * ratings.size
    sum_items = n_raters * float(items @ items)
    sum_raters = n_items * float(raters @ raters)
    squares = [x if x > floor else 0.0 for x in (sum_items, sum_raters, error, within)]
    return MeanSquares(
        squares[0] / (n_items - 1),
        squares[1] / (n_raters - 1),
        float(squares[2]) / ((n_items - 1) * (n_raters - 1)),
        float(squares[3]) / (n_items * (n_raters - 1)),
        n_items,
        n_raters,
    )


def _own_raters(ratings: FloatArray) -> FloatArray | None:
    """Return (n_items, n_ratings) without gaps where all items with two ratings have as many."""
    rated = ~np.isnan(ratings)
    per_item = rated.sum(axis=1)
    enough = per_item >= 2
    if not enough.any() or np.ptp(per_item[enough]) > 0:
        return None
    kept = ratings[enough]
    compact: FloatArray = kept[rated[enough]].reshape(len(kept), -1)
    return compact


def _value(s: MeanSquares, form: IccForm) -> float:
    k, n = s.n_raters, s.n_items
    if form in ("1", "1,k"):
        noise, rest = s.within, 0.0
    elif form in ("C,1", "C,k"):
        noise, rest = s.error, 0.0
    elif form in ("A,1", "A,k"):
        noise, rest = s.error, (s.raters - s.error) / n
    else:
        raise ValueError(f"there is no form {form!r}; known are {', '.join(ICC_FORMS)}")
    average = form.endswith("k")
    bottom = s.items + rest if average else s.items + (k - 1) * noise + k * rest
    if bottom <= 0:
        raise UndefinedStatisticError(
            f"ICC({form}) is undefined: the ratings do not differ between items"
        )
    return (s.items - noise) / bottom


def _interval(s: MeanSquares, form: IccForm, confidence_level: float) -> Interval | Missing:
    noise = s.within if form[0] == "1" else s.error
    if noise == 0:
        return Missing("the raters agree perfectly, so there is no spread")
    if s.items == 0:
        return Missing("the items do not differ, so there is no spread between them")
    single = (
        _agreement_interval(s, confidence_level)
        if form[0] == "A"
        else _ratio_interval(s, noise, form, confidence_level)
    )
    if isinstance(single, Missing) or not form.endswith("k"):
        return single
    # Spearman and Brown: the mean of k ratings, from one of them.
    k = s.n_raters
    return Interval(*(k * limit / (1 + (k - 1) * limit) for limit in single))


def _ratio_interval(
    s: MeanSquares, noise: float, form: IccForm, confidence_level: float
) -> Interval:
    n, k = s.n_items, s.n_raters
    between, rest = n - 1, n * (k - 1) if form[0] == "1" else (n - 1) * (k - 1)
    tail = (1 + confidence_level) / 2
    ratio = s.items / noise
    low = ratio / float(distributions.f.ppf(tail, between, rest))
    high = ratio * float(distributions.f.ppf(tail, rest, between))
    return Interval((low - 1) / (low + k - 1), (high - 1) / (high + k - 1))


def _agreement_interval(s: MeanSquares, confidence_level: float) -> Interval | Missing:
    n, k = s.n_items, s.n_raters
    value = _value(s, "A,1")
    weight_raters = k * value / (n * (1 - value))
    weight_error = 1 + k * value * (n - 1) / (n * (1 - value))
    parts = weight_raters * s.raters, weight_error * s.error
    squares = parts[0] ** 2 / (k - 1) + parts[1] ** 2 / ((n - 1) * (k - 1))
    if squares <= 0:
        return Missing("the degrees of freedom of ICC(A) are undefined on these mean squares")
    freedom = sum(parts) ** 2 / squares
    tail = (1 + confidence_level) / 2
    below = float(distributions.f.ppf(tail, n - 1, freedom))
    above = float(distributions.f.ppf(tail, freedom, n - 1))
    both = k * s.raters + (k * n - k - n) * s.error
    return Interval(
        n * (s.items - below * s.error) / (below * both + n * s.items),
        n * (above * s.items - s.error) / (both + n * above * s.items),
    )
