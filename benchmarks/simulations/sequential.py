"""Looking after every prompt: error and coverage of the confidence sequence, and of tests that are not made for it.

Votes on a prompt depend on each other: each prompt has its own chance of a win, from a
two-humped distribution, ties occur, and three votes on a prompt make its unit. Differences of
ratings are those of two arms with rater-specific thresholds, or two extreme values only. One looks
after every unit up to the last; the sequence fails a run when it excludes the true mean at any
look.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from qingting.stats.confidence_sequences import Bounds, confidence_sequence, first_refutations
from simulations.row import SimRow

UNIT = Bounds(0.0, 1.0)
N_UNITS = 400
VOTES_PER_PROMPT = 3
Rng = np.random.Generator


def votes(rng: Rng, n_runs: int, mean: float) -> np.ndarray:
    """Return single votes, (n_runs, N_UNITS, VOTES_PER_PROMPT), of this mean."""
    humps = rng.choice([-0.25, 0.25], (n_runs, N_UNITS, 1)) + rng.uniform(
        -0.05, 0.05, (n_runs, N_UNITS, 1)
    )
    wins = rng.random((n_runs, N_UNITS, VOTES_PER_PROMPT)) < mean + humps
    # A tie stands for a coin, so that it leaves the mean where it is only when the mean is 1/2.
    ties = rng.random(wins.shape) < 0.2
    return np.where(ties, mean, wins.astype(float)) if mean != 0.5 else np.where(ties, 0.5, wins)


def ratings(rng: Rng, n_runs: int) -> np.ndarray:
    """Return differences of two ratings from 1 to 5 by one rater each, (n_runs, N_UNITS), mean 0."""
    limits = np.array([-1.5, -0.6, 0.1, 1.1])
    own = rng.normal(0, 0.4, (n_runs, N_UNITS, 1)) + limits
    shared = rng.standard_t(5, (n_runs, N_UNITS))
    arms = [shared + rng.logistic(0, 0.7, (n_runs, N_UNITS)) for _ in range(2)]
    first, second = ((latent[..., None] > own).sum(axis=-1) for latent in arms)
    return (first - second).astype(float)


def simulate(n_runs: int, seed: int) -> list[SimRow]:
    """Return how often each method is wrong at any look."""
    rng = np.random.default_rng(seed)
    rows = []
    designs = {
        "votes, 3 a prompt, no difference": (votes(rng, n_runs, 0.5).mean(axis=2), 0.5, UNIT),
        "votes, 3 a prompt, mean outcome 0.7": (votes(rng, n_runs, 0.7).mean(axis=2), 0.7, UNIT),
        "single votes without ties, no difference": (
            (rng.random((n_runs, N_UNITS)) < 0.5).astype(float), 0.5, UNIT,
        ),
        "rare wins, mean outcome 0.02": (
            (rng.random((n_runs, N_UNITS)) < 0.02).astype(float), 0.02, UNIT,
        ),
        "differences of ratings 1–5, none": (ratings(rng, n_runs), 0.0, Bounds(-4.0, 4.0)),
        "differences of ratings, all of them ±4": (
            rng.choice([-4.0, 4.0], (n_runs, N_UNITS)), 0.0, Bounds(-4.0, 4.0),
        ),
    }  # fmt: skip
    looks = f"looked at after each of {N_UNITS} prompts"
    for design, (values, mean, bounds) in designs.items():
        wrong = np.isfinite(first_refutations(values, mean, bounds=bounds))
        rows.append(
            SimRow(f"{design}, {looks}", "confidence sequence", "covers at least",
                   0.95, 1 - float(wrong.mean()), n_runs)
        )  # fmt: skip
        if mean == (0.5 if bounds == UNIT else 0.0):
            rows.append(
                SimRow(f"{design}, {looks}", "confidence sequence", "rejects a true null at most",
                       0.05, float(wrong.mean()), n_runs)
            )  # fmt: skip
            rows.append(
                SimRow(f"{design}, {looks}", "Student t at each look (claims nothing here)",
                       "rejects a true null (for contrast)", 0.05,
                       float(any_look_rejects(values - mean).mean()), n_runs)
            )  # fmt: skip
    rows += whole_interval(n_runs, rng)
    rows.append(per_vote(n_runs, rng))
    rows.append(stopped(n_runs, rng))
    return rows


def any_look_rejects(values: np.ndarray, *, first_look: int = 5) -> np.ndarray:
    """Return whether a t test at 5% rejects at any look from the fifth unit on, (n_runs,)."""
    n = np.arange(1, values.shape[1] + 1)
    means = np.cumsum(values, axis=1) / n
    squares = np.cumsum(values**2, axis=1)
    variances = (squares - n * means**2) / np.maximum(n - 1, 1)
    bars = special.stdtrit(np.maximum(n - 1, 1), 0.975)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.abs(means) / np.sqrt(variances / n) > bars
    return found[:, first_look - 1 :].any(axis=1)


def whole_interval(n_runs: int, rng: Rng) -> list[SimRow]:
    """Return coverage of the intervals as printed (on their grid), at all looks at once."""
    wrong = 0
    for values in votes(rng, n_runs, 0.7)[:, :150].mean(axis=2):
        found = confidence_sequence(values, bounds=UNIT, n_grid=201)
        wrong += found.empty_from is not None or bool(
            ((found.lows > 0.7) | (found.highs < 0.7)).any()
        )
    return [
        SimRow("votes, 3 a prompt, mean outcome 0.7, looked at after each of 150 prompts",
               "confidence sequence, printed ends", "covers at least", 0.95, 1 - wrong / n_runs,
               n_runs)
    ]  # fmt: skip


def per_vote(n_runs: int, rng: Rng) -> SimRow:
    """Return how often a binomial test after every vote rejects: the practice in the field."""
    wins = rng.random((n_runs, 1000)) < 0.5
    n = np.arange(1, 1001)
    z = np.abs(2 * np.cumsum(wins, axis=1) - n) / np.sqrt(n)
    wrong = (z[:, 9:] > special.ndtri(0.975)).any(axis=1)
    return SimRow(
        "single independent votes, no difference, looked at after each of 1,000 from the tenth",
        "normal test at each look (claims nothing here)",
        "rejects a true null (for contrast)",
        0.05,
        float(wrong.mean()),
        n_runs,
    )


def stopped(n_runs: int, rng: Rng) -> SimRow:
    """Return how often the sequence finds a difference within 400 prompts: what peeking costs."""
    values = votes(rng, n_runs, 0.6).mean(axis=2)
    found = np.isfinite(first_refutations(values, 0.5, bounds=UNIT))
    return SimRow(
        "votes, 3 a prompt, mean outcome 0.6, 400 prompts",
        "confidence sequence",
        "claims nothing: finds the difference",
        0.8,
        float(found.mean()),
        n_runs,
    )


if __name__ == "__main__":
    import sys

    for row in simulate(int(sys.argv[1]), 1):
        print(row)
