"""How many more judgments would settle an open clause, by extrapolating what was seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from scipy import special
from scipy import stats as distributions

from qingting.core.missing import Missing
from qingting.stats.arm_difference import ArmDifference
from qingting.stats.proportions import clopper_pearson_interval, upper_bound

CHANCE = 0.8
MOST_TIMES = 100


class More(NamedTuple):
    """What would settle a clause: ``n_prompts`` and ``n_ratings`` beyond those there are.

    ``is_met``: whether it would then be met. ``basis``: what the number rests on.
    """

    n_prompts: int
    n_ratings: int
    is_met: bool
    basis: str

    def to_record(self) -> dict[str, Any]:
        """Return the JSON form."""
        return self._asdict()


def more_for_difference(found: ArmDifference, bar: float) -> More | Missing:
    """Return what would move the whole interval to one side of ``bar``.

    The interval narrows with the root of the number of judgments when prompts and raters grow in
    proportion; more prompts for the same few raters may not narrow it. The number gives a chance
    of 80% if the true difference is the one seen. ``Missing`` beyond a hundredfold: then the
    difference lies so near the bar that no number would be honest.
    """
    if isinstance(found.interval, Missing):
        return Missing(f"no number would: {found.interval.reason}")
    half = (found.interval.high - found.interval.low) / 2
    gap = abs(found.value - bar)
    z = float(special.ndtri((1 + found.confidence_level) / 2))
    reach = half * (1 + float(special.ndtri(CHANCE)) / z)
    if gap * MOST_TIMES**0.5 < reach:
        return Missing(
            f"more than {MOST_TIMES} times as many judgments: the difference lies on the bar"
        )
    times = max((reach / gap) ** 2, 1 + 1 / found.n_prompts)
    n_prompts = _ceiling(found.n_prompts * (times - 1))
    per_prompt = found.n_ratings / found.n_prompts
    growing = "prompts and raters" if found.n_raters > 1 else "prompts"
    return More(
        n_prompts,
        _ceiling(n_prompts * per_prompt),
        found.value > bar,
        f"{CHANCE:.0%} chance if the true difference is the one seen and {growing} grow alike "
        f"({times:.2f} times as many)",
    )


def more_for_safety(
    n_failures: int, n_answers: int, n_judgments: int, *, at_most: float, confidence_level: float
) -> More | Missing:
    """Return how many more answers would prove the share of failures at most, or above, the bound.

    Exact: with the share seen so far, the bound is passed with a chance of 80%.
    """
    share = n_failures / n_answers
    is_met = share < at_most

    def settles(n_more: int) -> bool:
        n = n_answers + n_more
        if is_met:
            k = n_failures + int(distributions.binom.ppf(CHANCE, n_more, share))
            return upper_bound(k, n, confidence_level=confidence_level) <= at_most
        k = n_failures + int(distributions.binom.ppf(1 - CHANCE, n_more, share))
        low = clopper_pearson_interval(k, n, confidence_level=2 * confidence_level - 1).low
        return low > at_most

    n_more = _smallest(settles, most=MOST_TIMES * max(n_answers, 100))
    if n_more is None:
        return Missing("more than a hundred times as many answers: the share lies on the bound")
    return More(
        n_more,
        _ceiling(n_more * n_judgments / n_answers),
        is_met,
        f"{CHANCE:.0%} chance if the true share of failures is the one seen, {share:.1%}",
    )


def _smallest(settles: Callable[[int], bool], *, most: int) -> int | None:
    high = 1
    while not settles(high):
        if high >= most:
            return None
        high = min(2 * high, most)
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if settles(middle) else (middle, high)
    return high


def _ceiling(value: float) -> int:
    return int(-(-(value - 1e-9) // 1))
