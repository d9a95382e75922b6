"""Adaptive choice of pairs: estimates stay unbiased, and uneven arms are told apart with less.

Outcomes come from no Bradley–Terry model: each pair has its own chances of win and tie, and
preferences are partly cyclic. Bias is reported as a share of nominal 95% intervals about the mean
of all runs that hold the truth per pair, and as the coverage of each run's own interval.
"""

from __future__ import annotations

import numpy as np

from qingting.stats.pair_choice import (
    Choice,
    arm_pairs,
    inverse_propensity_means,
    pair_propensities,
)
from simulations.row import SimRow

N_ARMS, N_VOTES = 4, 400
WINS = np.array([0.95, 0.9, 0.5, 0.6, 0.45, 0.35])
TIES = np.array([0.02, 0.05, 0.2, 0.1, 0.25, 0.1])
TRUTH = WINS * (1 - TIES) + TIES / 2


def simulate(n_runs: int, seed: int) -> list[SimRow]:
    """Return bias and coverage of weighted means, and widths beside uniform choice."""
    rng = np.random.default_rng(seed)
    rows = []
    n_pairs = len(arm_pairs(N_ARMS))
    for floor in (0.2, 0.5, 1.0):
        means, errors, plain = (np.empty((n_runs, n_pairs)) for _ in range(3))
        for run in range(n_runs):
            weighted, own = one_study(rng, floor, n_pairs)
            means[run], errors[run], plain[run] = *weighted, own
        name = f"{N_ARMS} arms, cyclic preferences, {N_VOTES} votes, floor {floor:g}"
        z = np.abs(means.mean(axis=0) - TRUTH) / (means.std(axis=0) / n_runs**0.5)
        rows.append(
            SimRow(name, "inverse-propensity means", "pairs whose bias is within 3 standard errors",
                   1.0, float((z < 3).mean()), n_runs)
        )  # fmt: skip
        rows.append(
            SimRow(name, "inverse-propensity means, normal interval", "covers",
                   0.95, float((np.abs(means - TRUTH) < 1.96 * errors).mean()), n_runs)
        )  # fmt: skip
        rows.append(
            SimRow(name, "plain mean per pair: largest spread between pairs (SD)",
                   "uniform choice has the value at floor 1 (no nominal level)", float("nan"),
                   float(plain.std(axis=0).max()), n_runs)
        )  # fmt: skip
    return rows


def one_study(rng: np.random.Generator, floor: float, n_pairs: int):
    n, sums, squares = (np.zeros(n_pairs) for _ in range(3))
    choices, outcomes = [], np.empty(N_VOTES)
    uniforms = rng.random((N_VOTES, 3))
    for t in range(N_VOTES):
        p = pair_propensities(n, sums, squares, floor=floor)
        pair = min(int(np.searchsorted(np.cumsum(p), uniforms[t, 0])), n_pairs - 1)
        tie = uniforms[t, 1] < TIES[pair]
        outcome = 0.5 if tie else float(uniforms[t, 2] < WINS[pair])
        choices.append(Choice(pair, float(p[pair])))
        outcomes[t] = outcome
        n[pair] += 1
        sums[pair] += outcome
        squares[pair] += outcome**2
    return inverse_propensity_means(choices, outcomes, n_pairs=n_pairs), sums / np.maximum(n, 1)


if __name__ == "__main__":
    import sys

    for row in simulate(int(sys.argv[1]), 1):
        print(row)
