"""Two arms on the same prompts: the mean difference, its interval, and tests of no difference."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats as distributions

from qingting.core.errors import DataError, UndefinedStatisticError
from qingting.core.signature import Signature
from qingting.stats.clusters import (
    DEFAULT_RESAMPLES,
    FloatArray,
    IntervalMethod,
    cluster_sums,
    finite,
)
from qingting.stats.estimates import Estimate, mean_estimate

TestName = Literal["permutation", "wilcoxon", "mcnemar"]

# Up to this many non-zero units all sign patterns are tried, 2**16 of them.
_EXACT_UNITS = 16
_SIGNS_AT_ONCE = 4_000_000


class PairedTest(NamedTuple):
    """A two-sided test of no difference.

    ``n_units`` independent units entered; ``n_informative`` of them differ between the arms and
    carry all the evidence. With none, ``p_value`` is 1: nothing speaks against no difference.
    """

    p_value: float
    n_units: int
    n_informative: int
    method: str


def paired_difference(
    first: Sequence[float] | FloatArray,
    second: Sequence[float] | FloatArray,
    *,
    rng: np.random.Generator | None = None,
    method: IntervalMethod = "t",
    clusters: Sequence[Hashable] | None = None,
    n_resamples: int = DEFAULT_RESAMPLES,
    confidence_level: float = 0.95,
    signature: Signature | str | None = None,
) -> Estimate:
    """Return the mean of ``first − second`` over items, with an interval.

    Args:
        first: (n_items,) finite scores of one arm.
        second: (n_items,) finite scores of the other arm on the same items, in the same order.
        rng: needed by the bootstraps.
        method: ``"t"``, ``"bca"`` or ``"percentile"``; what each covers at few prompts is told in
            ``docs/explanation/statistics.md``.
        clusters: (n_items,) labels; items of one dialogue are then resampled together.
        n_resamples: of the bootstrap.
        confidence_level: of the interval.
        signature: of both arms' scores.

    Raises:
        UndefinedStatisticError: there are no items.
    """
    return mean_estimate(
        _differences(first, second).tolist(),
        method=method,
        rng=rng,
        clusters=clusters,
        n_resamples=n_resamples,
        confidence_level=confidence_level,
        signature=signature,
    )


def sign_flip_test(
    first: Sequence[float] | FloatArray,
    second: Sequence[float] | FloatArray,
    *,
    rng: np.random.Generator,
    clusters: Sequence[Hashable] | None = None,
    n_resamples: int = DEFAULT_RESAMPLES,
) -> PairedTest:
    """Return the paired permutation test of no difference.

    Under the null the two arms are exchangeable within each prompt (within each cluster as a
    whole), so the sign of each difference is a coin. The p value is the share of sign patterns
    whose absolute mean difference is at least the observed one: over all patterns when at most
    16 units differ, otherwise over ``n_resamples`` random ones, the observed one counted among
    them, so that it is valid and never 0. With n differing units it cannot fall below 2 / 2**n.

    Source: Fisher (1935); Phipson and Smyth (2010) for the added one. Equals
    ``scipy.stats.permutation_test(permutation_type="samples")`` where exact.

    Raises:
        UndefinedStatisticError: there are no items.
    """
    sums = cluster_sums(_differences(first, second), clusters).sums
    return _flip_signs(sums, "sign-flip", rng=rng, n_resamples=n_resamples)


def mcnemar_test(
    first_correct: Sequence[bool] | NDArray[np.bool_],
    second_correct: Sequence[bool] | NDArray[np.bool_],
    *,
    clusters: Sequence[Hashable] | None = None,
    rng: np.random.Generator | None = None,
    n_resamples: int = DEFAULT_RESAMPLES,
) -> PairedTest:
    """Return McNemar's exact test for two arms' right and wrong answers to the same items.

    Only items that one arm has right and the other wrong inform it; given their number, each is
    a coin under the null. Equals ``statsmodels`` ``mcnemar(exact=True)``. Valid and conservative
    at any size; items must be independent.

    With ``clusters``, (n_items,) labels, the right answers one arm has more in a cluster take one
    sign together (``sign_flip_test`` of right and wrong answers), which needs ``rng``.

    Raises:
        UndefinedStatisticError: there are no items.
    """
    a, b = np.asarray(first_correct, bool), np.asarray(second_correct, bool)
    _require_paired(len(a), len(b))
    if clusters is not None:
        sums = cluster_sums(a.astype(float) - b.astype(float), clusters).sums
        return _flip_signs(sums, "McNemar, clustered", rng=rng, n_resamples=n_resamples)
    n_first_only, n_second_only = int((a & ~b).sum()), int((b & ~a).sum())
    n_discordant = n_first_only + n_second_only
    tail = distributions.binom.cdf(min(n_first_only, n_second_only), n_discordant, 0.5)
    return PairedTest(min(1.0, 2 * float(tail)), len(a), n_discordant, "McNemar, exact")


def wilcoxon_test(
    first: Sequence[float] | FloatArray,
    second: Sequence[float] | FloatArray,
    *,
    clusters: Sequence[Hashable] | None = None,
    rng: np.random.Generator | None = None,
    n_resamples: int = DEFAULT_RESAMPLES,
) -> PairedTest:
    """Return Wilcoxon's signed-rank test of differences symmetric about zero.

    Zero differences are left out (``zero_method="wilcox"``); the p value is exact for up to 50
    differences without ties, by normal approximation otherwise (scipy's ``auto``).

    With ``clusters``, (n_items,) labels, all differences are ranked together, the signed ranks
    are summed within each cluster, and each cluster's sum takes a sign as a whole: over all sign
    patterns or ``n_resamples`` random ones (needs ``rng``). Source: Rosner, Glynn and Lee (2006),
    whose large-sample variance of the same statistic is replaced by the permutation distribution.

    Raises:
        UndefinedStatisticError: no items, or no item on which the arms differ.
    """
    differences = _differences(first, second)
    informative = differences[differences != 0]
    if not len(informative):
        raise UndefinedStatisticError(
            "Wilcoxon's test is undefined: the arms agree on every item, so no rank has a sign"
        )
    if clusters is not None:
        signed = np.zeros(len(differences))
        ranks = distributions.rankdata(np.abs(informative))
        signed[differences != 0] = ranks * np.sign(informative)
        sums = cluster_sums(signed, clusters).sums
        name = "Wilcoxon signed rank, clustered"
        return _flip_signs(sums, name, rng=rng, n_resamples=n_resamples)
    tied = len(np.unique(np.abs(informative))) < len(informative)
    method = "exact" if len(informative) <= 50 and not tied else "asymptotic"
    result = distributions.wilcoxon(informative, method=method)
    return PairedTest(
        float(result.pvalue), len(differences), len(informative), f"Wilcoxon signed rank, {method}"
    )


def paired_test(
    first: Sequence[float] | FloatArray,
    second: Sequence[float] | FloatArray,
    *,
    test: TestName,
    rng: np.random.Generator,
    clusters: Sequence[Hashable] | None = None,
    n_resamples: int = DEFAULT_RESAMPLES,
) -> PairedTest:
    """Return the named test of no difference between two arms on the same items.

    Raises:
        UndefinedStatisticError: there are no items, or the test is undefined on these.
        DataError: McNemar's test of scores other than 0 and 1.
    """
    if test == "permutation":
        return sign_flip_test(first, second, rng=rng, clusters=clusters, n_resamples=n_resamples)
    if test == "wilcoxon":
        return wilcoxon_test(first, second, rng=rng, clusters=clusters, n_resamples=n_resamples)
    a, b = finite(first), finite(second)
    for score in (*a, *b):
        if score not in (0.0, 1.0):
            raise DataError(f"McNemar's test is of right (1) and wrong (0), not of {score:g}")
    return mcnemar_test(a == 1, b == 1, rng=rng, clusters=clusters, n_resamples=n_resamples)


def _flip_signs(
    sums: FloatArray, name: str, *, rng: np.random.Generator | None, n_resamples: int
) -> PairedTest:
    """Return the two-sided test of units' sums under independent signs."""
    informative = sums[sums != 0]
    n_units, n_informative = len(sums), len(informative)
    if not n_informative:
        return PairedTest(1.0, n_units, 0, f"{name}, exact")
    # Patterns equal but for rounding count as equal.
    bar = abs(float(informative.sum())) - 1e-10 * float(np.abs(informative).sum())
    if n_informative <= _EXACT_UNITS:
        patterns = np.arange(2**n_informative)[:, None] >> np.arange(n_informative) & 1
        n_extreme = int((np.abs((2 * patterns - 1) @ informative) >= bar).sum())
        return PairedTest(n_extreme / len(patterns), n_units, n_informative, f"{name}, exact")
    if rng is None:
        raise ValueError(f"{n_informative} units are too many for all sign patterns; pass an rng")
    n_extreme, done = 0, 0
    while done < n_resamples:
        n_rows = min(max(1, _SIGNS_AT_ONCE // n_informative), n_resamples - done)
        signs = rng.integers(0, 2, (n_rows, n_informative), dtype=np.int8)
        sums_rows = 2 * (signs @ informative) - informative.sum()
        n_extreme += int((np.abs(sums_rows) >= bar).sum())
        done += n_rows
    return PairedTest(
        (n_extreme + 1) / (n_resamples + 1),
        n_units,
        n_informative,
        f"{name}, {n_resamples} random patterns",
    )


def _differences(
    first: Sequence[float] | FloatArray, second: Sequence[float] | FloatArray
) -> FloatArray:
    a, b = finite(first), finite(second)
    _require_paired(len(a), len(b))
    return a - b


def _require_paired(n_first: int, n_second: int) -> None:
    if n_first != n_second:
        raise ValueError(f"{n_first} scores of one arm but {n_second} of the other")
    if not n_first:
        raise UndefinedStatisticError("no items to compare: both arms have no score")
