"""Coverage and type I error of comparisons of arms by ratings, on crossed prompts and raters.

Ratings come from a generator other than the fitted model. Each rater has thresholds of his own,
stretched and shifted about common ones; favours the reply that was shown first, each by a bias of
his own; leaves with probability 0.4 before the end of his list of prompts; and skips one rating in
twenty. Effects of prompts are Laplace, those of a rater on one arm uniform, those of a prompt on
one arm normal. The noise is logistic, so the log-odds by which the arms differ for a given rater
and prompt, averaged over both, are the same at every threshold: that is the estimand of the
log-odds. Superiority and difference of means are those of a new rater on a new prompt, from 2
million draws of the generator.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qingting.stats.arm_difference import arm_difference
from qingting.stats.arm_ratings import ArmRatings
from qingting.stats.rating_model import fit_ordinal_mixed
from simulations.row import SimRow

THRESHOLDS = np.array([-2.0, -0.7, 0.6, 2.0])
N_TRUTH = 2_000_000
Rng = np.random.Generator


class Design(NamedTuple):
    """``by_prompt``, ``by_rater``: standard deviations of effects on one arm, in log-odds."""

    n_raters: int
    n_prompts: int
    gain: float
    by_prompt: float
    by_rater: float

    def __str__(self) -> str:
        return (
            f"{self.n_prompts} prompts x {self.n_raters} raters crossed, 2 arms, log-odds "
            f"{self.gain:g}, SD of arm by prompt {self.by_prompt:g}, by rater {self.by_rater:g}"
        )


DESIGNS = (
    Design(6, 24, 0.0, 0.5, 0.4),
    Design(12, 24, 0.0, 0.5, 0.4),
    Design(6, 60, 0.0, 0.5, 0.4),
    Design(12, 60, 0.0, 0.5, 0.4),
    Design(6, 24, 0.6, 0.5, 0.4),
    Design(12, 60, 0.6, 0.5, 0.4),
)
LITTLE = Design(12, 24, 0.0, 0.2, 0.15)


def thresholds(rng: Rng, n: int) -> np.ndarray:
    own = THRESHOLDS * np.exp(rng.normal(0, 0.2, (n, 1))) + rng.normal(0, 0.25, (n, 4))
    return np.sort(own, axis=1)


def draw(rng: Rng, design: Design) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return arms, prompts, raters and ratings of one study."""
    n_raters, n_prompts = design.n_raters, design.n_prompts
    of_prompts = rng.laplace(0, 0.8 / np.sqrt(2), n_prompts)
    severity = rng.normal(0, 0.6, n_raters)
    by_prompt = rng.normal(0, design.by_prompt, (n_prompts, 2))
    by_rater = rng.uniform(-1, 1, (n_raters, 2)) * np.sqrt(3) * design.by_rater
    bias = rng.normal(0.25, 0.15, n_raters)
    limits = thresholds(rng, n_raters)
    parts = []
    for rater in range(n_raters):
        stays = rng.random() < 0.6
        n_seen = n_prompts if stays else rng.integers(n_prompts // 3, n_prompts)
        seen = rng.permutation(n_prompts)[:n_seen]
        shown_first = rng.integers(0, 2, n_seen)
        for arm in (0, 1):
            eta = design.gain * arm + of_prompts[seen] + by_prompt[seen, arm] - severity[rater]
            eta += by_rater[rater, arm] + bias[rater] * (shown_first == arm)
            given = 1 + np.searchsorted(limits[rater], eta + rng.logistic(size=n_seen))
            kept = rng.random(n_seen) < 0.95
            parts.append(
                np.column_stack(
                    [np.full(n_seen, arm), seen, np.full(n_seen, rater), given]
                )[kept]
            )  # fmt: skip
    arms, prompts, raters, ratings = np.concatenate(parts).T
    return arms, prompts, raters, ratings


def truths(rng: Rng, design: Design) -> tuple[float, float]:
    """Return P(second above first) + ½ P(equal), and the difference of means, of new pairs."""
    if design.gain == 0:
        return 0.5, 0.0
    n = N_TRUTH
    limits = thresholds(rng, n)
    shared = rng.laplace(0, 0.8 / np.sqrt(2), n) - rng.normal(0, 0.6, n)
    bias, shown_first = rng.normal(0.25, 0.15, n), rng.integers(0, 2, n)
    given = []
    for arm in (0, 1):
        eta = shared + design.gain * arm + rng.normal(0, design.by_prompt, n)
        eta += rng.uniform(-1, 1, n) * np.sqrt(3) * design.by_rater
        eta += bias * (shown_first == arm) + rng.logistic(size=n)
        given.append((limits < eta[:, None]).sum(axis=1))
    first, second = given
    chance = np.mean(second > first) + np.mean(second == first) / 2
    return float(chance), float(second.mean() - first.mean())


def simulate(n_runs: int, seed: int) -> list[SimRow]:
    """Return coverage and error of log-odds, superiority and difference of means."""
    rng = np.random.default_rng(seed)
    rows = []
    for design in DESIGNS:
        # 6 raters tell little of how arms vary between raters: the t quantile errs on the safe side
        claim = "covers at least" if (design.n_prompts, design.n_raters) == (24, 6) else "covers"
        rows += _rows(rng, n_runs, design, claim)
    # Where arms hardly vary between prompts and raters, their variation is over-estimated.
    rows += _rows(rng, n_runs, LITTLE, "covers at least")
    rows += _without_remedy(rng, n_runs, DESIGNS[3])
    return rows


def _rows(rng: Rng, n_runs: int, design: Design, claim: str) -> list[SimRow]:
    chance, difference = truths(rng, design)
    covered = np.zeros(3)
    rejected = np.zeros(2)
    n_fitted = 0
    for _ in range(n_runs):
        arms, prompts, raters, ratings = draw(rng, design)
        table = ArmRatings.of(
            arms.tolist(), prompts.tolist(), raters.tolist(), ratings.astype(float)
        )
        fit = fit_ordinal_mixed(table)
        mean = arm_difference(
            arms == 1, prompts.tolist(), ratings.astype(float), raters=raters.tolist()
        )
        if not fit.convergence.converged:
            continue
        n_fitted += 1
        found = fit.contrast("1", "0")
        for n, (estimate, truth) in enumerate(
            ((found.log_odds, design.gain), (found.superiority, chance), (mean, difference))
        ):
            covered[n] += estimate.interval.low <= truth <= estimate.interval.high
        rejected += [found.p_value <= 0.05, not mean.interval.low <= 0 <= mean.interval.high]
    model, means = "mixed model, t", "two-way clustered mean difference, t"
    rows = [
        SimRow(str(design), f"log-odds, {model}", claim, 0.95, covered[0] / n_fitted, n_fitted),
        SimRow(str(design), f"superiority, {model}", claim, 0.95, covered[1] / n_fitted, n_fitted),
        SimRow(str(design), means, "covers at least", 0.95, covered[2] / n_fitted, n_fitted),
    ]
    if design.gain == 0:
        rows += [
            SimRow(str(design), name, "rejects a true null", 0.05, count / n_fitted, n_fitted)
            for name, count in zip((model, means), rejected, strict=True)
        ]
    return rows


def _without_remedy(rng: Rng, n_runs: int, design: Design) -> list[SimRow]:
    """Return how often models that leave out what varies reject a true null."""
    left_out = {
        "mixed model of rater and prompt alone": ("rater", "prompt"),
        "model of independent ratings": (),
    }
    rejected = dict.fromkeys(left_out, 0)
    for _ in range(n_runs):
        arms, prompts, raters, ratings = draw(rng, design)
        table = ArmRatings.of(
            arms.tolist(), prompts.tolist(), raters.tolist(), ratings.astype(float)
        )
        for name, effects in left_out.items():
            rejected[name] += fit_ordinal_mixed(table, effects=effects).contrasts[0].p_value <= 0.05
    return [
        SimRow(
            str(design),
            name,
            "claims nothing: rejects a true null",
            0.05,
            count / n_runs,
            n_runs,
        )
        for name, count in rejected.items()
    ]
