"""Which unit a rater gets next, so that the design stays balanced whoever comes and goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_FEW_PARTNERS = 2
"""From so many on an arm's partners do not count: caring for more costs evenness over all raters."""

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """The units of one language, column by column; what does not change while a study runs.

    ``ids``, ``items``, ``n_wanted``: (n_units,) int; ``is_crisis``: (n_units,) bool; ``arms``:
    (n_units, 1 or 2) places in ``arm_ids``.
    """

    ids: IntArray
    items: IntArray
    arms: IntArray
    n_wanted: IntArray
    is_crisis: NDArray[np.bool_]
    arm_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RaterHistory:
    """What one rater has had of the study's main part."""

    n_by_arm: Mapping[int, int]
    n_first_by_arm: Mapping[int, int]
    seen_units: frozenset[int]
    seen_items: frozenset[int]
    n_crisis_in_a_row: int
    n_done: int


@dataclass(frozen=True, slots=True)
class Overall:
    """How often each arm was shown, and shown first, over all raters."""

    n_by_arm: Mapping[int, int]
    n_first_by_arm: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a choice keeps to."""

    items_may_return: bool = True
    max_crisis_in_a_row: int = 2


class Choice(NamedTuple):
    """A unit, the order of its arms, and the probability of the choice.

    ``p_chosen``: of the unit, among those that fit equally well; where pairs are chosen actively,
    of the pair of arms, which is what a vote is weighted by.
    """

    unit_id: int
    arms_in_order: tuple[int, ...]
    p_chosen: float


PairPropensities = Callable[[IntArray], FloatArray]
"""From the numbers of the pairs that can be shown (places in ``stats.pair_choice.arm_pairs``) to
the probability of each, summing to 1."""


def open_units(
    units: Units, n_taken: IntArray, history: RaterHistory, rules: Rules
) -> NDArray[np.bool_]:
    """Return which units a rater may be given now, (n_units,) bool.

    A unit is open while it has a free place and the rater has not had it. Items of crisis do not
    come more than ``max_crisis_in_a_row`` times in a row.
    """
    may = n_taken < units.n_wanted
    if history.seen_units:
        may &= ~np.isin(units.ids, list(history.seen_units))
    if not rules.items_may_return and history.seen_items:
        may &= ~np.isin(units.items, list(history.seen_items))
    if history.n_crisis_in_a_row >= rules.max_crisis_in_a_row:
        may &= ~units.is_crisis
    return may


def choose_unit(
    units: Units,
    n_taken: IntArray,
    history: RaterHistory,
    overall: Overall,
    rules: Rules,
    rng: np.random.Generator,
) -> Choice | None:
    """Return what a rater judges next, or None when nothing is left for this rater.

    First come units that keep the rater's own exposure to the arms even (the least sum of squares);
    of those, pairs of arms that only one or two others can still be paired with for this rater, so
    that none is left over alone; then units of the arms that were shown least. Among what is left, a
    coin says whether the units that lack the fewest judgments are finished or those that lack most
    are begun; the rest is drawn evenly. To finish only would give raters who work one after another
    the same units, and others none in common; to begin only would leave those who come late without
    fresh ones, and so without units of every arm.

    Args:
        n_taken: (n_units,) places that are taken.
    """
    places = np.flatnonzero(open_units(units, n_taken, history, rules))
    if not len(places):
        return None
    own = np.array([history.n_by_arm.get(arm, 0) for arm in units.arm_ids])
    everyone = np.array([overall.n_by_arm.get(arm, 0) for arm in units.arm_ids])
    arms = units.arms[places]
    # one more of an arm adds 2n + 1 to the sum of squares, so the sum of n says which is least
    keep = np.arange(len(places))
    for key in (
        own[arms].sum(axis=1),
        np.minimum(_n_partners(arms, len(own)), _FEW_PARTNERS)[arms].sum(axis=1),
        everyone[arms].sum(axis=1),
    ):
        values = key[keep]
        keep = keep[values == values.min()]
    n_lacking = (units.n_wanted - n_taken)[places[keep]]
    p_each = sum(
        half / half.sum() / 2
        for half in (n_lacking == n_lacking.min(), n_lacking == n_lacking.max())
    )
    at = int(rng.choice(len(keep), p=p_each))
    return _choice(units, int(places[keep[at]]), float(p_each[at]), history, overall, rng)


def _n_partners(arms: IntArray, n_arms: int) -> IntArray:
    """Return with how many others each arm stands in a unit, (n_arms,); with itself where alone."""
    together = np.zeros((n_arms, n_arms), dtype=np.int64)
    together[arms[:, 0], arms[:, -1]] = together[arms[:, -1], arms[:, 0]] = 1
    return np.asarray(together.sum(axis=1), dtype=np.int64)


def choose_pair_unit(
    units: Units,
    n_taken: IntArray,
    history: RaterHistory,
    overall: Overall,
    rules: Rules,
    rng: np.random.Generator,
    *,
    propensities: PairPropensities,
) -> Choice | None:
    """Return what a rater judges next where pairs are chosen actively, or None when nothing is left.

    The pair of arms is drawn first, by its probability among the pairs that have an open unit for
    this rater, however many; then one of its units, of those that fewest have judged. The rater's
    own exposure has no say, so the probability of the pair is exactly what is logged.
    """
    places = np.flatnonzero(open_units(units, n_taken, history, rules))
    if not len(places):
        return None
    pairs, pair_of = np.unique(_pair_numbers(units)[places], return_inverse=True)
    p_pairs = propensities(pairs)
    drawn = int(rng.choice(len(pairs), p=p_pairs))
    among = places[pair_of == drawn]
    taken_share = n_taken[among] / units.n_wanted[among]
    among = among[taken_share == taken_share.min()]
    place = int(among[rng.integers(len(among))])
    return _choice(units, place, float(p_pairs[drawn]), history, overall, rng)


def _pair_numbers(units: Units) -> IntArray:
    """Return the place of every unit's pair in ``stats.pair_choice.arm_pairs``, (n_units,)."""
    first, second = units.arms.min(axis=1), units.arms.max(axis=1)
    n_arms = len(units.arm_ids)
    return np.asarray(first * (2 * n_arms - first - 1) // 2 + second - first - 1, dtype=np.int64)


def _choice(
    units: Units,
    place: int,
    p_chosen: float,
    history: RaterHistory,
    overall: Overall,
    rng: np.random.Generator,
) -> Choice:
    arms = tuple(units.arm_ids[at] for at in units.arms[place])
    return Choice(int(units.ids[place]), _order(arms, history, overall, rng), p_chosen)


def _order(
    arms: tuple[int, ...], history: RaterHistory, overall: Overall, rng: np.random.Generator
) -> tuple[int, ...]:
    """Return the arms with the one first that has stood first too seldom.

    Over all raters first, then for this rater; a draw where both are equal.
    """
    if len(arms) == 1:
        return arms
    for counts in (overall, history):
        lead = [2 * counts.n_first_by_arm.get(arm, 0) - counts.n_by_arm.get(arm, 0) for arm in arms]
        if lead[0] != lead[1]:
            return arms[::-1] if lead[1] < lead[0] else arms
    return arms[::-1] if rng.integers(2) else arms
