"""The plan of a study: its units, and which of a rater's judgments are checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from heapq import heappop, heappush
from math import ceil, floor
from typing import NamedTuple

import numpy as np

from qingting.spec.judging import CampaignSpec

LARGEST_ERROR = Fraction(2, 100)
"""How far an arm's exposure may lie from the mean of all arms, as a share of it."""

CHECKS = ("calibration", "attention", "repeat")
"""The roles of checks among the judgments of the main part."""


class PlannedUnit(NamedTuple):
    """An item with one arm or two, and how many raters it is meant for."""

    item: int
    arms: tuple[int, ...]
    n_wanted: int


def units_of(
    items: Sequence[int],
    arms: Sequence[int],
    *,
    mode: str,
    raters_per_unit: int,
    n_judgments: int | None = None,
    seed: int = 0,
) -> tuple[PlannedUnit, ...]:
    """Return the units of a study: no unit twice, every arm as often as the others.

    Pairs within a budget are balanced by one walk: the items, in an order that is drawn, take the
    pairs one after the other in the order of ``pair_order``, each item a stretch of it. Whatever
    the budget, arms differ by one unit at most, pairs and items too, and the arms within one item
    by two; and ``n_arms − 1`` units are enough to connect all arms. Which arms have the one unit
    more is drawn as well.
    """
    if mode != "pair":
        return tuple(PlannedUnit(item, (arm,), raters_per_unit) for item in items for arm in arms)
    n_units = n_units_within(
        n_judgments, n_items=len(items), n_arms=len(arms), raters_per_unit=raters_per_unit
    )
    rng = np.random.default_rng(seed)
    drawn_arms = [arms[int(at)] for at in rng.permutation(len(arms))]
    drawn_items = [items[int(at)] for at in rng.permutation(len(items))]
    order = pair_order(len(arms))
    least, n_more = divmod(n_units, len(items))
    units: list[PlannedUnit] = []
    for place, item in enumerate(drawn_items):
        for _ in range(least + (place < n_more)):
            one, other = (drawn_arms[at] for at in order[len(units) % len(order)])
            pair = (one, other) if arms.index(one) < arms.index(other) else (other, one)
            units.append(PlannedUnit(item, pair, raters_per_unit))
    return tuple(units)


def n_units_within(
    n_judgments: int | None, *, n_items: int, n_arms: int, raters_per_unit: int
) -> int:
    """Return how many pairs a budget of judgments pays for; every pair on every item at most."""
    every = n_items * n_arms * (n_arms - 1) // 2
    return every if n_judgments is None else min(every, max(1, n_judgments // raters_per_unit))


def pair_order(n_arms: int) -> tuple[tuple[int, int], ...]:
    """Return every pair of arms once; in no prefix is an arm more than once ahead of another.

    An even number of arms plays the rounds of a tournament (the circle method: every arm once a
    round). An odd number goes through Walecki's Hamiltonian cycles, every arm twice a cycle: first
    every second edge of it, then the others. In both, the first ``n_arms − 1`` pairs are a path
    through all arms, so they connect them.

    Source: Lucas (1883), sixth recreation, for both constructions; Anderson (1997),
    *Combinatorial Designs and Tournaments*, on their balance.
    """
    last = n_arms - 1
    if n_arms % 2 == 0:
        rounds = [
            [(last, turn), *(((turn + d) % last, (turn - d) % last) for d in range(1, n_arms // 2))]
            for turn in range(last)
        ]
    else:
        rounds = [_cycle(turn, n_arms) for turn in range(n_arms // 2)]
    return tuple((min(pair), max(pair)) for pairs in rounds for pair in pairs)


def _cycle(turn: int, n_arms: int) -> list[tuple[int, int]]:
    """Return the edges of one of Walecki's cycles, every second one first."""
    last = n_arms - 1
    steps = [0]
    for d in range(1, n_arms // 2 + 1):
        steps += [d, -d]
    around = [last, *((turn + step) % last for step in steps[:last])]
    edges = list(zip(around, [*around[1:], around[0]], strict=True))
    return edges[::2] + edges[1::2]


def exposure_error(n_units: int, n_arms: int) -> Fraction:
    """Return how far an arm's exposure in so many pairs lies from the mean, as a share of it."""
    mean = Fraction(2 * n_units, n_arms)
    return max(ceil(mean) - mean, mean - floor(mean)) / mean


def next_balanced(n_units: int, n_arms: int) -> int:
    """Return the least number of pairs, from ``n_units`` on, that shows arms equally often.

    Equally is within ``LARGEST_ERROR``. A multiple of the number of arms always does.
    """
    while exposure_error(n_units, n_arms) > LARGEST_ERROR:
        n_units += 1
    return n_units


def design_warnings(
    spec: CampaignSpec, n_items_in: Mapping[str, int], *, n_arms: int
) -> tuple[str, ...]:
    """Return what a budget of pairs does not allow, and the next budget that does.

    Args:
        n_items_in: language to the number of its items; each has the budget for itself.
    """
    if spec.mode != "pair" or spec.n_judgments is None:
        return ()
    found = []
    if spec.active:
        found.append(
            "active with n_judgments: the budget fixes how often each pair is judged, so the choice "
            "decides the order alone; leave n_judgments out and close the study when it is enough"
        )
    for language, n_items in n_items_in.items():
        n_units = n_units_within(
            spec.n_judgments,
            n_items=n_items,
            n_arms=n_arms,
            raters_per_unit=spec.raters_per_unit,
        )
        error = exposure_error(n_units, n_arms)
        if error > LARGEST_ERROR:
            enough = next_balanced(n_units, n_arms)
            found.append(
                f"n_judgments {spec.n_judgments}: {n_units} pairs ({language}) show {n_arms} arms "
                f"unequally, by up to {float(error):.1%} of the mean (at most "
                f"{float(LARGEST_ERROR):.0%} is aimed at); the next budget that does not is "
                f"{enough * spec.raters_per_unit}"
            )
        if n_units < n_arms - 1:
            found.append(
                f"n_judgments {spec.n_judgments}: {n_units} pairs ({language}) cannot connect "
                f"{n_arms} arms, so not all can be ranked together; that takes "
                f"{(n_arms - 1) * spec.raters_per_unit} judgments"
            )
    return tuple(found)


class Shares(NamedTuple):
    """Shares of checks among a rater's judgments, in the order of ``CHECKS``."""

    calibration: float
    attention: float
    repeat: float


def role_of(n_before: int, *, shares: Shares, seed: Sequence[int]) -> str:
    """Return the planned role of a rater's next judgment: ``main`` or a check."""
    before, after = (planned_checks(n, shares=shares, seed=seed) for n in (n_before, n_before + 1))
    return next((role for role in CHECKS if after[role] > before[role]), "main")


def owed_checks(
    n_before: int, given: Mapping[str, int], *, shares: Shares, seed: Sequence[int]
) -> tuple[str, ...]:
    """Return the checks that are due at a rater's next judgment, the most pressing first.

    What could not be given when it was planned stays owed until it is.

    Args:
        n_before: judgments of this rater before it.
        given: checks among them, by role.
    """
    planned = planned_checks(n_before + 1, shares=shares, seed=seed)
    owed = [
        (floor((given.get(role, 0) + 1) / _exact(share)), role)
        for role, share in zip(CHECKS, shares, strict=True)
        if planned[role] > given.get(role, 0)
    ]
    return tuple(role for _, role in sorted(owed))


def planned_checks(n_places: int, *, shares: Shares, seed: Sequence[int]) -> dict[str, int]:
    """Return how many checks of each role a rater's first judgments hold as planned.

    Within one of ``share × n_places``, for every number of places. Each role becomes due at a
    regular pace, from a start that is drawn for the rater; one check is given at a place, the one
    with the earliest last place first, and what waits comes next. The n-th check's last place is
    ``⌊n / share⌋``: later, it would be more than one behind. Starts are drawn so early that
    nothing waits beyond its last place: with m roles, m places before it or more, so that no
    stretch of places is asked for more checks than it has (Hall's condition; that the earliest
    last place first then meets all: Jackson, 1955). Above a share of 1/m every check is due from
    its first possible place on, as in Baruah, Cohen, Plaxton and Varvel (1996).
    """
    exact = [_exact(share) for share in shares]
    n_roles = sum(share > 0 for share in exact)
    has_room = n_roles * max(exact) <= 1
    drawn = np.random.default_rng(list(seed)).random(len(CHECKS))
    coming = []
    for role, share, draw in zip(CHECKS, exact, drawn, strict=True):
        if not share:
            continue
        least = n_roles * share if has_room else Fraction(1)
        start = least + (1 - least) * int(1000 * draw) / 1000
        # the n-th is due at the first place whose end is (n - start) / share; in whole numbers,
        # which are many times faster than fractions
        step = share.denominator * start.denominator
        early = share.denominator * start.numerator
        pace = share.numerator * start.denominator
        for n in range(1, floor(n_places * share + start) + 1):
            latest = n * share.denominator // share.numerator
            coming.append((-((early - n * step) // pace) - 1, latest, role))
    counts = dict.fromkeys(CHECKS, 0)
    coming.sort(reverse=True)
    waiting: list[tuple[int, str]] = []
    place = 0
    while place < n_places and (coming or waiting):
        if not waiting:
            place = max(place, coming[-1][0])
        while coming and coming[-1][0] <= place:
            heappush(waiting, coming.pop()[1:])
        if place < n_places and waiting:
            counts[heappop(waiting)[1]] += 1
        place += 1
    return counts


def _exact(share: float) -> Fraction:
    return Fraction(share).limit_denominator(10_000)
