"""Confidence sequences: intervals of a bounded mean that hold at every moment one looks."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from qingting.core.errors import DataError
from qingting.core.missing import Missing
from qingting.stats.clusters import FloatArray, Interval, finite, require_level

N_GRID = 1001
_MOST_AT_STAKE = 0.5


class Bounds(NamedTuple):
    """The smallest and largest value that one unit can have; they are known, not estimated."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class ConfidenceSequence:
    """Intervals of the mean after each unit, true all at once with ``confidence_level``.

    ``lows``, ``highs``, ``means``: (n_units,). Intervals only shrink. From ``empty_from`` units on
    no mean is left, which contradicts one constant mean; ``None`` when that never happened.
    """

    lows: FloatArray
    highs: FloatArray
    means: FloatArray
    bounds: Bounds
    confidence_level: float
    empty_from: int | None

    @property
    def interval(self) -> Interval | Missing:
        """Return the interval after the last unit."""
        if not len(self.means):
            return Missing("no unit is complete yet")
        if self.empty_from is not None:
            return Missing(
                f"from unit {self.empty_from} on every mean is refuted: the units do not share one"
            )
        return Interval(float(self.lows[-1]), float(self.highs[-1]))

    def excludes_since(self, value: float) -> int | None:
        """Return after how many units ``value`` was first outside, or None."""
        outside = np.flatnonzero((self.lows > value) | (self.highs < value))
        return int(outside[0]) + 1 if len(outside) else None

    def to_record(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "n_units": len(self.means),
            "confidence_level": self.confidence_level,
            "bounds": [*self.bounds],
            "means": self.means.tolist(),
            "lows": self.lows.tolist(),
            "highs": self.highs.tolist(),
            "empty_from": self.empty_from,
            "method": "hedged betting, predictable plug-in",
        }


def confidence_sequence(
    values: Sequence[float] | FloatArray,
    *,
    bounds: Bounds,
    confidence_level: float = 0.95,
    n_grid: int = N_GRID,
) -> ConfidenceSequence:
    """Return the intervals of the mean of bounded units, valid however often one looks.

    Each value is one independent unit (a prompt with all its votes averaged), in the order in
    which units were completed. Given the past, each must have the same mean; nothing else is
    assumed. A candidate mean is refuted once a gambler who bets against it has multiplied the
    stake by ``1 / (1 − confidence_level)``, which under the true mean happens with at most
    ``1 − confidence_level`` ever (Ville's inequality).

    Args:
        values: (n_units,) within ``bounds``.
        bounds: what a unit can be at least and at most.
        confidence_level: for all moments together.
        n_grid: candidate means; the ends are rounded outwards to this grid.

    Raises:
        DataError: a value lies outside the bounds.

    Source: Waudby-Smith and Ramdas (2024), hedged capital process with predictable plug-in bets
    (their §4); differs: evaluated on a grid, with the running intersection.
    """
    require_level(confidence_level)
    units = _scaled(finite(values), bounds)
    grid = np.linspace(0.0, 1.0, n_grid)
    bar = np.log(1 / (1 - confidence_level))
    up, down = np.zeros(n_grid), np.zeros(n_grid)
    alive = np.ones(n_grid, bool)
    n_units = len(units)
    lows, highs = np.zeros(n_units), np.ones(n_units)
    empty_from: int | None = None
    for t, (unit, bet) in enumerate(zip(units, _bets(units, confidence_level), strict=True)):
        up += np.log1p(_stake(bet, grid) * (unit - grid))
        down += np.log1p(-_stake(bet, 1 - grid) * (unit - grid))
        alive &= np.maximum(up, down) - np.log(2) < bar
        left = np.flatnonzero(alive)
        if not len(left):
            empty_from = t + 1
            lows[t:], highs[t:] = lows[t - 1], highs[t - 1]
            break
        # A survivor's rejected neighbour bounds what lies between grid points.
        lows[t] = grid[max(left[0] - 1, 0)]
        highs[t] = grid[min(left[-1] + 1, n_grid - 1)]
    width = bounds.high - bounds.low
    means = np.cumsum(units) / np.arange(1, n_units + 1)
    return ConfidenceSequence(
        bounds.low + width * lows,
        bounds.low + width * highs,
        bounds.low + width * means,
        bounds,
        confidence_level,
        empty_from,
    )


def first_refutations(
    values_runs: FloatArray, mean: float, *, bounds: Bounds, confidence_level: float = 0.95
) -> FloatArray:
    """Return after how many units each run's sequence first excludes ``mean``, inf if never.

    ``values_runs``: (n_runs, n_units). The same bets as ``confidence_sequence``, at one candidate
    mean only, so that many studies can be simulated.
    """
    require_level(confidence_level)
    units = _scaled(np.asarray(values_runs, np.float64), bounds)
    at = (mean - bounds.low) / (bounds.high - bounds.low)
    bets = _bets(units, confidence_level)
    up = np.cumsum(np.log1p(_stake(bets, np.float64(at)) * (units - at)), axis=-1)
    down = np.cumsum(np.log1p(-_stake(bets, np.float64(1 - at)) * (units - at)), axis=-1)
    refuted = np.maximum(up, down) - np.log(2) >= np.log(1 / (1 - confidence_level))
    first = refuted.argmax(axis=-1) + 1.0
    return np.where(refuted.any(axis=-1), first, np.inf)


class Units(NamedTuple):
    """Independent units in the order in which they were completed.

    ``values``: (n_units,). ``names``: the prompts. ``n_open``: prompts begun but not complete.
    ``n_surplus``: votes beyond the number fixed for a prompt; they do not enter.
    """

    values: FloatArray
    names: tuple[Hashable, ...]
    n_open: int
    n_surplus: int


def completed_units(
    prompts: Sequence[Hashable],
    values: Sequence[float],
    *,
    votes_per_prompt: int,
    sides: Sequence[int] | None = None,
) -> Units:
    """Return one value per prompt, made when its last planned vote arrives.

    Votes on one prompt depend on each other, and a prompt whose value still changes would change
    the past; so a prompt enters with its first ``votes_per_prompt`` votes and then stays. With
    ``sides`` (0 for the first arm, 1 for the second) it needs as many scores of each, and its
    value is the mean of the first minus the mean of the second.
    """
    needed = (0,) if sides is None else (0, 1)
    begun: dict[Hashable, dict[int, list[float]]] = {}
    done: dict[Hashable, float] = {}
    n_surplus = 0
    for row, (prompt, value) in enumerate(zip(prompts, values, strict=True)):
        side = 0 if sides is None else sides[row]
        votes = begun.setdefault(prompt, {s: [] for s in needed})
        if len(votes[side]) == votes_per_prompt:
            n_surplus += 1
            continue
        votes[side].append(value)
        if all(len(of_side) == votes_per_prompt for of_side in votes.values()):
            means = [sum(votes[s]) / votes_per_prompt for s in needed]
            done[prompt] = means[0] if sides is None else means[0] - means[1]
    return Units(np.array([*done.values()]), tuple(done), len(begun) - len(done), n_surplus)


def _scaled(values: FloatArray, bounds: Bounds) -> FloatArray:
    if not bounds.low < bounds.high:
        raise ValueError(f"bounds must ascend, got {bounds}")
    bad = values[(values < bounds.low) | (values > bounds.high)]
    if bad.size:
        raise DataError(f"value {bad.flat[0]:g} lies outside {bounds.low:g} to {bounds.high:g}")
    return np.asarray((values - bounds.low) / (bounds.high - bounds.low))


def _bets(units: FloatArray, confidence_level: float) -> FloatArray:
    """Return each unit's bet, made from the units before it; the last axis is time."""
    t = np.arange(1, units.shape[-1] + 1)
    means = (0.5 + np.cumsum(units, axis=-1)) / (t + 1)
    variances = (0.25 + np.cumsum((units - means) ** 2, axis=-1)) / (t + 1)
    before = np.concatenate([np.full((*units.shape[:-1], 1), 0.25), variances[..., :-1]], axis=-1)
    bets = np.sqrt(2 * np.log(2 / (1 - confidence_level)) / (before * t * np.log1p(t)))
    return np.asarray(bets)


def _stake(bet: FloatArray, distance: FloatArray | np.float64) -> FloatArray:
    """Return a bet cut so that no outcome can lose more than half of the capital."""
    return np.minimum(bet, _MOST_AT_STAKE / np.maximum(distance, 1e-12))
