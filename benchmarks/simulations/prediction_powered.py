"""Coverage of prediction-powered intervals with 100 human labels and more.

Human ratings 1–5 come from thresholds on a latent quality; the judge is biased, compresses the
scale, likes one arm, and is wrong in a way that depends on the prompt. Labels are a random part
of the replies, or of the prompts.
"""

from __future__ import annotations

import numpy as np

from qingting.core.missing import Missing
from qingting.stats.prediction_powered import (
    JudgedScores,
    prediction_powered_difference,
    prediction_powered_mean,
)
from simulations.row import SimRow

THRESHOLDS = np.array([-1.5, -0.6, 0.1, 1.1])
N_TRUTH = 400_000
Rng = np.random.Generator


def replies(
    rng: Rng, n_prompts: int, per_prompt: int, *, skill: float, arm: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return human and judge scores and the prompt of each reply."""
    prompts = np.repeat(np.arange(n_prompts), per_prompt)
    effect = 0.8 * rng.standard_normal(n_prompts)[prompts]
    odd = rng.standard_normal(n_prompts)[prompts]
    quality = effect + arm + 0.7 * rng.standard_normal(len(prompts))
    human = 1.0 + (quality[:, None] + 0.4 * rng.standard_normal((len(prompts), 1))
                   > THRESHOLDS).sum(axis=1)  # fmt: skip
    seen = skill * quality + 0.4 * odd + 0.5 * rng.standard_normal(len(prompts)) + 0.3 * arm
    judge = np.clip(np.round(3.6 + 0.8 * seen), 1, 5)
    return human, judge, prompts


def simulate(n_runs: int, seed: int) -> list[SimRow]:
    """Return the coverage of means and of differences."""
    rng = np.random.default_rng(seed)
    return [*mean_rows(n_runs, rng), *difference_rows(n_runs, rng)]


def mean_rows(n_runs: int, rng: Rng) -> list[SimRow]:
    rows = []
    for n_labels, n_all, per_prompt, skill in (
        (100, 1000, 1, 1.0),
        (100, 1000, 1, 0.0),
        (100, 300, 1, 1.0),
        (300, 3000, 1, 1.0),
        (100, 1000, 5, 1.0),
        (100, 200, 5, 1.0),
        (100, 600, 20, 1.0),
    ):
        truth = float(replies(rng, N_TRUTH // per_prompt, per_prompt, skill=skill, arm=0)[0].mean())
        covered, gains = 0, []
        for _ in range(n_runs):
            human, judge, prompts = replies(
                rng, n_all // per_prompt, per_prompt, skill=skill, arm=0
            )
            human[rng.permutation(n_all)[n_labels:]] = np.nan
            found = prediction_powered_mean(
                JudgedScores(human, judge, prompts.tolist() if per_prompt > 1 else None),
                labels_chosen_at_random=True,
            )
            gains.append(found.gain)
            covered += holds(found.estimate.interval, truth)
        rows.append(
            SimRow(
                f"{n_labels} labels of {n_all} replies, {per_prompt} a prompt, "
                f"judge of skill {skill:g} (gain {np.median(gains):.2f})",
                "PPI++ mean",
                "covers",
                0.95,
                int(covered) / n_runs,
                n_runs,
            )
        )
    return rows


def difference_rows(n_runs: int, rng: Rng) -> list[SimRow]:
    rows = []
    for n_labelled, n_prompts, together in (
        (100, 1000, True),
        (100, 1000, False),
        (300, 1000, True),
    ):
        truths = [replies(rng, N_TRUTH, 1, skill=1.0, arm=arm)[0].mean() for arm in (0.4, 0.0)]
        truth = float(truths[0] - truths[1])
        covered, gains = 0, []
        for _ in range(n_runs):
            shared = int(rng.integers(2**31))
            chosen = rng.permutation(n_prompts)[:n_labelled]
            arms = []
            for arm in (0.4, 0.0):
                # The same seed gives both arms the same prompts' effects; the rest is drawn anew.
                human, judge, prompts = paired_replies(rng, shared, n_prompts, arm)
                labelled = chosen if together else rng.permutation(n_prompts)[:n_labelled]
                kept = np.full(n_prompts, np.nan)
                kept[labelled] = human[labelled]
                arms.append(JudgedScores(kept, judge, prompts.tolist()))
            found = prediction_powered_difference(*arms, labels_chosen_at_random=True)
            gains.append(found.gain)
            covered += holds(found.estimate.interval, truth)
        which = "the same prompts" if together else "other prompts"
        rows.append(
            SimRow(
                f"{n_labelled} labels an arm on {which} of {n_prompts} "
                f"(gain {np.median(gains):.2f})",
                "PPI++ difference",
                "covers",
                0.95,
                int(covered) / n_runs,
                n_runs,
            )
        )
    return rows


def paired_replies(
    rng: Rng, shared: int, n_prompts: int, arm: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    common = np.random.default_rng(shared)
    effect, odd = 0.8 * common.standard_normal(n_prompts), common.standard_normal(n_prompts)
    quality = effect + arm + 0.7 * rng.standard_normal(n_prompts)
    noisy = quality + 0.4 * rng.standard_normal(n_prompts)
    human = 1.0 + (noisy[:, None] > THRESHOLDS).sum(axis=1)
    seen = quality + 0.4 * odd + 0.5 * rng.standard_normal(n_prompts) + 0.3 * arm
    return human, np.clip(np.round(3.6 + 0.8 * seen), 1, 5), np.arange(n_prompts)


def holds(interval: object, truth: float) -> bool:
    return not isinstance(interval, Missing) and interval.low <= truth <= interval.high


if __name__ == "__main__":
    import sys

    for row in simulate(int(sys.argv[1]), 1):
        print(row)
