"""The plan of a study: its units, and which of a rater's judgments are checks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np


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
    """Return the units of a study, every arm (or pair) equally often on every item."""
    if mode != "pair":
        return tuple(PlannedUnit(item, (arm,), raters_per_unit) for item in items for arm in arms)
    pairs = list(combinations(arms, 2))
    every = len(items) * len(pairs)
    n_units = every if n_judgments is None else min(every, max(1, n_judgments // raters_per_unit))
    order = np.random.default_rng(seed).permutation(len(pairs))
    units = []
    for at in range(n_units):
        round_, place = divmod(at, len(items))
        pair = pairs[int(order[(place + round_) % len(pairs)])]
        units.append(PlannedUnit(items[place], pair, raters_per_unit))
    return tuple(units)


def role_of(
    n_before: int,
    *,
    share_calibration: float,
    share_repeats: float,
    share_attention: float,
    seed: tuple[int, ...],
) -> str:
    """Return the role of a rater's next judgment: ``main`` or a check, spaced evenly."""
    phase = np.random.default_rng(seed).random(3)
    for role, share, start in (
        ("calibration", share_calibration, phase[0]),
        ("attention", share_attention, phase[1]),
        ("repeat", share_repeats, phase[2]),
    ):
        if int((n_before + 1) * share + start) > int(n_before * share + start):
            return role
    return "main"
