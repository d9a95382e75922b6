"""Adaptive choice of pairs: weighted estimates stay unbiased; plain means beside them.

Outcomes come from no Bradley–Terry model: each pair has its own chances of win and tie, and
preferences are partly cyclic.
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
CLAIM = "covers: pairs whose mean over all runs is within 3 standard errors of the truth"
TRUTH = WINS * (1 - TIES) + TIES / 2


def simulate(n_runs: int, seed: int) -> list[SimRow]:
    """Return bias and coverage of weighted means, and the bias of plain ones."""
    rng = np.random.default_rng(seed)
    rows = []
    n_pairs = len(arm_pairs(N_ARMS))
    for floor in (0.2, 0.5, 1.0):
        means, errors, plain = (np.empty((n_runs, n_pairs)) for _ in range(3))
        for run in range(n_runs):
            weighted, own = one_study(rng, floor, n_pairs)
            means[run], errors[run], plain[run] = *weighted, own
        name = f"{N_ARMS} arms, cyclic preferences, {N_VOTES} votes, floor {floor:g}"
        rows.append(SimRow(name, "inverse-propensity means", CLAIM, 1.0, near_truth(means), n_runs))
        rows.append(
            SimRow(name, "inverse-propensity means, normal interval", "covers",
                   0.95, float((np.abs(means - TRUTH) < 1.96 * errors).mean()), n_runs)
        )  # fmt: skip
        rows.append(
            SimRow(name, "plain mean per pair", CLAIM.replace("covers", "claims nothing"), 1.0,
                   near_truth(plain), n_runs)
        )  # fmt: skip
    return rows


def near_truth(means: np.ndarray) -> float:
    """Return the share of pairs whose mean over all runs is within 3 standard errors of the truth."""
    z = np.abs(means.mean(axis=0) - TRUTH) / (means.std(axis=0) / len(means) ** 0.5)
    return float((z < 3).mean())


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
