"""A cumulative link mixed model of 4,800 ratings, prompts crossed with raters, against interlace."""

from __future__ import annotations

import time
from collections.abc import Iterable

import numpy as np
from evidence_row import Row

THRESHOLDS = np.array([-2.0, -0.7, 0.6, 2.0])
N_PROMPTS, N_RATERS = 60, 40
# The other's likelihood is compared up to its own tolerance.
SLACK = 1e-6


def draw(
    rng: np.random.Generator, n_prompts: int, n_raters: int, *, nested: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return arms, prompts, raters and ratings of a complete study of two arms."""
    arms, prompts, raters = (
        axis.ravel()
        for axis in np.meshgrid(
            np.arange(2), np.arange(n_prompts), np.arange(n_raters), indexing="ij"
        )
    )
    eta = 0.3 * arms + rng.normal(0, 0.8, n_prompts)[prompts] + rng.normal(0, 0.6, n_raters)[raters]
    eta += rng.normal(0, nested, (n_prompts, 2))[prompts, arms]
    eta += rng.normal(0, nested, (n_raters, 2))[raters, arms]
    ratings = 1 + np.searchsorted(THRESHOLDS, eta + rng.logistic(size=len(eta)))
    return arms, prompts, raters, ratings


def rows(scale: float = 1.0) -> Iterable[Row]:
    """Yield a row for crossed intercepts, and one with the effects of both on each arm."""
    n_raters = max(6, round(N_RATERS * scale))
    for effects, nested in (
        (("rater", "prompt"), 0.0),
        (("rater", "prompt", "arm:prompt", "arm:rater"), 0.35),
    ):
        yield _row(effects, draw(np.random.default_rng(6), N_PROMPTS, n_raters, nested=nested))


def _row(effects: tuple[str, ...], data: tuple[np.ndarray, ...]) -> Row:
    import pandas as pd
    from interlace import clmm

    from qingting.stats.arm_ratings import ArmRatings
    from qingting.stats.rating_model import fit_ordinal_mixed

    arms, prompts, raters, ratings = data
    frame = pd.DataFrame(
        {
            "rating": ratings,
            "arm": arms,
            "prompt": [f"p{i}" for i in prompts],
            "rater": [f"r{i}" for i in raters],
        }
    )
    frame["arm_prompt"] = frame["prompt"] + "." + frame["arm"].astype(str)
    frame["arm_rater"] = frame["rater"] + "." + frame["arm"].astype(str)
    table = ArmRatings.of(arms.tolist(), prompts.tolist(), raters.tolist(), ratings.astype(float))

    seconds_ours = []
    for _ in range(5):
        start = time.perf_counter()
        fit = fit_ordinal_mixed(table, effects=effects)
        seconds_ours.append(time.perf_counter() - start)
    start = time.perf_counter()
    other = clmm("rating ~ arm", frame, groups=[name.replace(":", "_") for name in effects])
    seconds_other = time.perf_counter() - start

    better = fit.log_likelihood - float(other.llf)
    apart = abs(float(fit.effects[0]) - float(other.fe_params["arm"]))
    verdict = "not below" if better >= -SLACK else "BELOW"
    return Row(
        f"CLMM, {len(ratings):,} ratings, {', '.join(effects)}",
        "interlace-lme",
        seconds_other,
        min(seconds_ours),
        seconds_other / min(seconds_ours),
        "≥ 15×, log-likelihood not below theirs",
        f"log-likelihood {better:+.1e} ({verdict}); arm effect within {apart:.0e}",
    )
