"""Whole studies of human judging: units given by the desk's own rule, analysed as the product does.

Raters come in random order and each unit goes to whom ``judging.assignment`` gives it, so every
study is incomplete and balanced as a real one. Ratings come from a generator other than the fitted
model: each rater has thresholds and a severity of its own and one in four leaves before the end;
items differ by a Laplace effect; arms vary from item to item and from rater to rater. Pairs favour
the left answer by a bias of the rater's own and are ties within a band. The estimand of ratings is
the difference of arms in log-odds, which the logistic noise makes the same at every threshold. That
of pairs is the strength which the same model gives for 300,000 votes of the generator.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from qingting.judging.assignment import (
    Overall,
    RaterHistory,
    Rules,
    Units,
    choose_unit,
)
from qingting.judging.criteria import contrast_intervals, defined, pair_ranking, rating_fit
from qingting.judging.design import units_of
from qingting.stats.clusters import Interval
from qingting.stats.vote_ranking import rank_votes
from qingting.stats.votes import votes_of
from simulations.row import SimRow

QUALITY = np.array([0.6, 0.0, -0.6])
ARMS = ("a", "b", "c")
CRITERION = "overall"
Rng = np.random.Generator


class Design(NamedTuple):
    """One study; ``n_places`` raters judge every unit."""

    mode: str
    n_raters: int
    n_items: int
    n_places: int

    def __str__(self) -> str:
        what = "pairs" if self.mode == "pair" else "answers"
        return (
            f"{self.n_items} items x 3 arms, {what} by {self.n_places} of {self.n_raters} raters, "
            "given by the desk, a quarter leaves early"
        )


DESIGNS = (
    Design("single", 12, 24, 3),
    Design("single", 12, 60, 3),
    Design("pair", 20, 30, 3),
)


def assigned(design: Design, rng: Rng) -> list[tuple[int, int, tuple[int, ...]]]:
    """Return (rater, item, arms in order) of every judgment of one study."""
    planned = units_of(
        range(design.n_items),
        range(3),
        mode=design.mode,
        raters_per_unit=design.n_places,
        seed=int(rng.integers(1 << 30)),
    )
    units = Units(
        ids=np.arange(len(planned)),
        items=np.array([one.item for one in planned]),
        arms=np.array([one.arms for one in planned]),
        n_wanted=np.array([one.n_wanted for one in planned]),
        is_crisis=np.zeros(len(planned), dtype=bool),
        arm_ids=(0, 1, 2),
    )
    taken = np.zeros(len(planned), dtype=np.int64)
    own = [{"by": {}, "units": set(), "left": 10**9} for _ in range(design.n_raters)]
    share = len(planned) * design.n_places / design.n_raters
    for one in own:
        if rng.random() < 0.25:
            one["left"] = int(rng.integers(share / 3, share))
    by, first = dict.fromkeys(range(3), 0), dict.fromkeys(range(3), 0)
    given: list[tuple[int, int, tuple[int, ...]]] = []
    active = list(range(design.n_raters))
    while active:
        rater = int(rng.choice(active))
        one = own[rater]
        history = RaterHistory(one["by"], {}, frozenset(one["units"]), frozenset(), 0, 0)
        choice = choose_unit(units, taken, history, Overall(by, first), Rules(), rng)
        if choice is None or one["left"] <= 0:
            active.remove(rater)
            continue
        one["left"] -= 1
        one["units"].add(choice.unit_id)
        taken[choice.unit_id] += 1
        for arm in choice.arms_in_order:
            one["by"][arm] = one["by"].get(arm, 0) + 1
            by[arm] += 1
        first[choice.arms_in_order[0]] += 1
        given.append((rater, int(units.items[choice.unit_id]), choice.arms_in_order))
    return given


def rows_of(given: list, design: Design, rng: Rng) -> list[dict]:
    """Return the judgments that simulated raters give, as rows of a snapshot."""
    say = _preferences if design.mode == "pair" else _scores
    return [
        {
            "role": "main",
            "item": f"item{item}",
            "language": "zh",
            "rater": f"rater{rater}",
            "arm": ARMS[arms[0]],
            "other_arm": ARMS[arms[1]] if len(arms) > 1 else None,
            "scores": {CRITERION: said},
        }
        for (rater, item, arms), said in zip(given, say(given, design, rng), strict=True)
    ]


def _scores(given: list, design: Design, rng: Rng) -> list[int]:
    n_raters, n_items = design.n_raters, design.n_items
    severity, of_items = rng.normal(0, 0.6, n_raters), rng.laplace(0, 0.8 / np.sqrt(2), n_items)
    by_item, by_rater = rng.normal(0, 0.5, (n_items, 3)), rng.normal(0, 0.4, (n_raters, 3))
    cuts = np.array([-2.0, -0.7, 0.6, 2.0]) * np.exp(rng.normal(0, 0.2, (n_raters, 1)))
    cuts = np.sort(cuts + rng.normal(0, 0.25, (n_raters, 4)), axis=1)
    values = []
    for rater, item, (arm,) in given:
        eta = QUALITY[arm] + of_items[item] - severity[rater]
        eta += by_item[item, arm] + by_rater[rater, arm] + rng.logistic()
        values.append(int(1 + np.searchsorted(cuts[rater], eta)))
    return values


def _preferences(given: list, design: Design, rng: Rng) -> list[str]:
    n_raters, n_items = design.n_raters, design.n_items
    by_item, by_rater = rng.normal(0, 0.5, (n_items, 3)), rng.normal(0, 0.4, (n_raters, 3))
    bias = rng.normal(0.25, 0.15, n_raters)
    said = []
    for rater, item, (left, right) in given:
        worth = QUALITY + by_item[item] + by_rater[rater]
        value = worth[left] - worth[right] + bias[rater] + rng.logistic()
        said.append("tie" if abs(value) < 0.4 else "left" if value > 0 else "right")
    return said


def simulate(n_runs: int, seed: int) -> list[SimRow]:
    """Return how often intervals of analysed studies hold the differences that were set."""
    rng = np.random.default_rng(seed)
    return [_coverage(rng, n_runs, design) for design in DESIGNS]


def _coverage(rng: Rng, n_runs: int, design: Design) -> SimRow:
    """Return how often the analysis' own intervals hold the truth; one without is a miss."""
    truth = _strengths(rng) if design.mode == "pair" else dict(zip(ARMS, QUALITY, strict=True))
    covered = n_absent = 0
    for _ in range(n_runs):
        seed = int(rng.integers(1 << 30))
        found = _fitted(rows_of(assigned(design, rng), design, rng), design.mode, seed)
        intervals = contrast_intervals(found)
        for pair in combinations(ARMS, 2):
            first, second = pair if pair in intervals else pair[::-1]
            interval = intervals.get((first, second))
            if not isinstance(interval, Interval):
                n_absent += 1
                continue
            covered += interval.low <= truth[first] - truth[second] <= interval.high
    n_intervals = n_runs * len(list(combinations(ARMS, 2)))
    what = "difference of strengths" if design.mode == "pair" else "log-odds of arms, mixed model"
    return SimRow(
        str(design),
        f"{what}, as the analysis of a study; {n_absent} of {n_intervals} had no interval and "
        "count as missed",
        "covers",
        0.95,
        covered / n_intervals,
        n_runs,
    )


def _fitted(rows: list[dict], mode: str, seed: int) -> Any:
    if mode == "pair":
        return defined(lambda: pair_ranking(rows, CRITERION, seed=seed))
    return defined(lambda: rating_fit(rows, CRITERION))


def _strengths(rng: Rng) -> dict[str, float]:
    """Return the strengths that the model gives for very many votes of the generator."""
    n = 100_000
    big = Design("pair", n, n, 1)
    pairs = ((0, 1), (0, 2), (1, 2))
    given = [(at, at, pair if rng.integers(2) else pair[::-1]) for pair in pairs for at in range(n)]
    said = _preferences(given, big, rng)
    votes = votes_of(
        [ARMS[arms[0]] for _, _, arms in given],
        [ARMS[arms[1]] for _, _, arms in given],
        [("left", "right", "tie").index(one) for one in said],
    )
    found = rank_votes(votes, rng=rng, method="sandwich", cluster="none")
    return {one.arm: float(one.strength) for one in found.arms}
