"""Rankings of studies that choose their pairs by the votes so far, plain and weighted.

Votes come from a generator other than the fitted model: arms vary from item to item and from rater
to rater, the left answer is favoured and near differences are ties. In half of the designs
preferences are partly cyclic, which no strengths describe. The estimand is the strength that the
same model gives for 60,000 votes of the generator on evenly chosen pairs.
"""

from __future__ import annotations

import numpy as np

from qingting.stats.pair_choice import arm_pairs, pair_propensities
from qingting.stats.vote_ranking import rank_votes
from qingting.stats.votes import LEFT, RIGHT, TIE, Votes, votes_of
from simulations.row import SimRow

ARMS = ("a", "b", "c", "d")
QUALITY = np.array([0.9, 0.3, -0.3, -0.9])
PAIRS = arm_pairs(len(ARMS))
N_VOTES, N_RATERS, N_ITEMS = 400, 20, 30
Rng = np.random.Generator


def study(rng: Rng, floor: float, cycle: float, *, n_votes: int, n_clusters: tuple[int, int]):
    """Return the votes of one study with their weights, one over the propensity of the pair."""
    n_raters, n_items = n_clusters
    n, sums, squares = (np.zeros(len(PAIRS)) for _ in range(3))
    of_items, of_raters = rng.normal(0, 0.4, (n_items, 4)), rng.normal(0, 0.4, (n_raters, 4))
    left, right, winners, items, raters, weights = [], [], [], [], [], []
    for _ in range(n_votes):
        p = pair_propensities(n, sums, squares, floor=floor)
        at = int(rng.choice(len(PAIRS), p=p))
        pair = PAIRS[at] if rng.integers(2) else PAIRS[at][::-1]
        item, rater = int(rng.integers(n_items)), int(rng.integers(n_raters))
        worth = QUALITY + of_items[item] + of_raters[rater]
        eta = worth[pair[0]] - worth[pair[1]] + 0.25
        eta += cycle * {1: -1, -1: 1, 3: 1, -3: -1}.get(pair[0] - pair[1], 0)
        value = eta + rng.logistic()
        winner = TIE if abs(value) < 0.4 else LEFT if value > 0 else RIGHT
        won = 0.5 if winner == TIE else float((winner == LEFT) == (pair == PAIRS[at]))
        n[at] += 1
        sums[at] += won
        squares[at] += won * won
        left.append(ARMS[pair[0]])
        right.append(ARMS[pair[1]])
        winners.append(winner)
        items.append(item)
        raters.append(rater)
        weights.append(1 / (len(PAIRS) * p[at]))
    plain = votes_of(left, right, winners, prompts=items, raters=raters)
    weighted = votes_of(
        left, right, winners, prompts=items, raters=raters, weights=np.array(weights)
    )
    return plain, weighted


def strengths(votes: Votes, rng: Rng) -> dict[str, float]:
    """Return the strengths of very many votes, taken as independent."""
    found = rank_votes(votes, rng=rng, method="sandwich", cluster="none")
    return {one.arm: float(one.strength) for one in found.arms}


def simulate(n_runs: int, seed: int) -> list[SimRow]:
    """Return how often intervals of contrasts hold what evenly chosen pairs would estimate."""
    rng = np.random.default_rng(seed)
    rows = []
    for cycle in (0.0, 0.8):
        many, _ = study(rng, 1.0, cycle, n_votes=60_000, n_clusters=(20_000, 20_000))
        truth = strengths(many, rng)
        for floor in (0.2, 0.3, 1.0):
            covered = np.zeros(2)
            n_intervals = 0
            for _ in range(n_runs):
                both = study(rng, floor, cycle, n_votes=N_VOTES, n_clusters=(N_RATERS, N_ITEMS))
                for at, votes in enumerate(both):
                    for one in rank_votes(votes, rng=rng, method="sandwich").contrasts:
                        was = truth[one.first] - truth[one.second]
                        covered[at] += one.interval.low <= was <= one.interval.high
                n_intervals += len(PAIRS)
            kind = "partly cyclic preferences" if cycle else "transitive preferences"
            name = f"4 arms, {kind}, {N_VOTES} votes, {N_ITEMS} prompts x {N_RATERS} raters, floor {floor:g}"
            rows += [
                SimRow(name, method, "covers", 0.95, float(n / n_intervals), n_runs)
                for method, n in zip(("likelihood", "weighted likelihood"), covered, strict=True)
            ]
    return rows


if __name__ == "__main__":
    import sys

    for row in simulate(int(sys.argv[1]), 1):
        print(row)
