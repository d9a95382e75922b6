"""Coverage of intervals of strengths, and type I error of contrasts, on crossed votes.

Votes come from utilities, not from the fitted model: each rater sees the quality of each reply
(an arm's quality, what the prompt does to it, what the rater likes) with normal noise of its own
size, prefers the left by a bias of its own, calls a tie when the difference is below a threshold
of its own, and drops some votes. The truth is what the same fit finds on 4 million votes whose
prompts and raters are all different.
"""

from __future__ import annotations

import numpy as np

from qingting.stats.bradley_terry import PairLikelihood
from qingting.stats.vote_ranking import rank_votes
from qingting.stats.votes import Votes, count_cells
from simulations.row import SimRow

QUALITY = np.array([0.5, 0.5, 0.0, -0.3, -0.7])
N_ARMS = len(QUALITY)
N_TRUTH = 4_000_000
N_RESAMPLES = 300
Rng = np.random.Generator


def draw(rng: Rng, n_votes: int, n_prompts: int, n_raters: int) -> Votes:
    prompts = rng.integers(0, n_prompts, n_votes)
    raters = rng.integers(0, n_raters, n_votes)
    left = rng.integers(0, N_ARMS, n_votes)
    right = (left + rng.integers(1, N_ARMS, n_votes)) % N_ARMS
    of_prompts = rng.normal(0, 0.5, (n_prompts, N_ARMS))
    of_raters = rng.normal(0, 0.35, (n_raters, N_ARMS))
    bias = 0.2 + rng.normal(0, 0.2, n_raters)
    threshold = rng.uniform(0.2, 0.6, n_raters)
    noise = rng.uniform(0.8, 1.3, n_raters)
    quality = QUALITY + of_prompts[prompts] + of_raters[raters]
    rows = np.arange(n_votes)
    seen = quality[rows, left] - quality[rows, right] + bias[raters]
    seen += noise[raters] * rng.normal(size=n_votes)
    winners = np.where(np.abs(seen) < threshold[raters], 2, np.where(seen > 0, 0, 1))
    kept = rng.random(n_votes) < 0.85
    return Votes(
        tuple("abcde"),
        left[kept].astype(np.int32),
        right[kept].astype(np.int32),
        winners[kept].astype(np.int8),
        prompts[kept].astype(np.int32),
        raters[kept].astype(np.int32),
    )


def truths(rng: Rng) -> tuple[np.ndarray, float]:
    """Return the strengths and the order effect that the fit aims at."""
    found = []
    for _ in range(N_TRUTH // 500_000):
        votes = draw(rng, 500_000, 500_000, 500_000)
        cells = count_cells(votes, order_effect=True)
        found.append(PairLikelihood(cells, np.zeros(N_ARMS, int), "davidson").fit().parameters)
    mean = np.mean(found, axis=0)
    strengths = mean[:N_ARMS].copy()
    # The first two arms have the same quality.
    strengths[:2] = strengths[:2].mean()
    return strengths, float(mean[N_ARMS])


def simulate(n_runs: int, seed: int) -> list[SimRow]:
    """Return coverage of strengths and the order effect, of ranks, and error of a true null."""
    rng = np.random.default_rng(seed)
    strengths, order = truths(rng)
    rows = []
    for n_prompts, n_raters, n_votes, method, cluster in (
        (10, 10, 600, "sandwich", "both"),
        (20, 20, 1000, "sandwich", "both"),
        (20, 20, 1000, "bootstrap", "both"),
        (30, 30, 1500, "sandwich", "both"),
        (60, 40, 3000, "sandwich", "both"),
        (60, 40, 3000, "sandwich", "none"),
    ):
        rows += _rows(rng, n_runs, strengths, order, n_prompts, n_raters, n_votes, method, cluster)
    return rows


def _rows(rng, n_runs, strengths, order, n_prompts, n_raters, n_votes, method, cluster):
    covered = np.zeros(N_ARMS)
    ordered = ranks = rejected = any_false = 0
    for _ in range(n_runs):
        votes = draw(rng, n_votes, n_prompts, n_raters)
        found = rank_votes(
            votes,
            rng=rng,
            method=method,
            cluster=cluster,
            n_resamples=N_RESAMPLES,
            model="davidson",
            order_effect="yes",
        )
        by_arm = {arm.arm: arm for arm in found.arms}
        for n, name in enumerate("abcde"):
            low, high = by_arm[name].interval
            covered[n] += low <= strengths[n] <= high
        low, high = found.order_effect.interval
        ordered += low <= order <= high
        # Ranks count the arms truly better; the two best tie at 1.
        true_ranks = dict(zip("abcde", (1, 1, 3, 4, 5), strict=True))
        ranks += all(
            by_arm[name].rank_low <= rank <= by_arm[name].rank_high
            for name, rank in true_ranks.items()
        )
        null = next(one for one in found.contrasts if (one.first, one.second) == ("a", "b"))
        rejected += null.p_value <= 0.05
        any_false += null.p_holm <= 0.05
    design = f"{n_prompts} prompts x {n_raters} raters crossed, {n_votes} votes, position bias"
    name = f"{method} by {'prompt and rater' if cluster == 'both' else 'vote'}"
    # Crossed votes are not independent; counting them so is shown and claims nothing.
    prefix = "" if cluster == "both" else "claims nothing: "
    return [
        SimRow(
            design,
            f"strength, {name}",
            f"{prefix}covers",
            0.95,
            float(covered.mean() / n_runs),
            n_runs,
        ),
        SimRow(design, f"order effect, {name}", f"{prefix}covers", 0.95, ordered / n_runs, n_runs),
        SimRow(design, f"ranks, {name}", f"{prefix}covers at least", 0.95, ranks / n_runs, n_runs),
        SimRow(
            design,
            f"contrast, {name}",
            f"{prefix}rejects a true null",
            0.05,
            rejected / n_runs,
            n_runs,
        ),
        SimRow(
            design,
            f"contrast by Holm, {name}",
            f"{prefix}rejects a true null at most",
            0.05,
            any_false / n_runs,
            n_runs,
        ),
    ]
