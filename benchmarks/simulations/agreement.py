"""Coverage of intervals of agreement, on data that none of them assumes.

Ratings 1–5 come from items' latent qualities (skewed) with rater-specific thresholds and
noise; a share of ratings is dropped. Truths are computed from 400,000 items of the same panel,
for ICC from the variances that the ratings are drawn with.
"""

from __future__ import annotations

import numpy as np

from qingting.core.errors import UndefinedStatisticError
from qingting.core.missing import Missing
from qingting.stats.icc import intraclass_correlation
from qingting.stats.kappa import cohen_kappa, fleiss_kappa
from qingting.stats.krippendorff import krippendorff_alpha
from simulations.row import SimRow

N_RESAMPLES = 1000
N_TRUTH = 400_000
# From so many items on the intervals claim their level.
FEWEST_FOR_ALPHA = 30
FEWEST_FOR_KAPPA = 50
Rng = np.random.Generator


class Panel:
    """Raters with thresholds and noise of their own."""

    def __init__(self, rng: Rng, n_raters: int, *, noise: float) -> None:
        base = np.array([-1.2, -0.4, 0.4, 1.2])
        self.thresholds = np.sort(base + 0.25 * rng.normal(size=(n_raters, 4)), axis=1)
        self.noise = noise * rng.uniform(0.8, 1.25, n_raters)

    def rate(self, rng: Rng, n_items: int, *, dropped: float, n_levels: int = 5) -> np.ndarray:
        quality = (rng.gamma(4, 1, n_items) - 4) / 2
        seen = quality[:, None] + self.noise * rng.standard_normal((n_items, len(self.noise)))
        ratings = 1.0 + (seen[:, :, None] > self.thresholds).sum(axis=2)
        if n_levels == 2:
            ratings = 1.0 + (ratings > 3)
        if dropped:
            ratings[rng.random(ratings.shape) < dropped] = np.nan
        return ratings


def simulate(n_runs: int, seed: int) -> list[SimRow]:
    """Return the coverage of each interval under each design."""
    rng = np.random.default_rng(seed)
    return [*alpha_rows(n_runs, rng), *kappa_rows(n_runs, rng), *icc_rows(n_runs, rng)]


def alpha_rows(n_runs: int, rng: Rng) -> list[SimRow]:
    rows = []
    for n_items, n_raters, level, noise, dropped in (
        (20, 3, "ordinal", 0.6, 0.2),
        (30, 3, "ordinal", 0.6, 0.2),
        (50, 3, "ordinal", 0.6, 0.2),
        (100, 3, "ordinal", 0.6, 0.2),
        (50, 2, "ordinal", 1.2, 0.0),
        (50, 3, "nominal", 0.6, 0.2),
        (50, 8, "interval", 0.6, 0.5),
        (50, 3, "ratio", 0.6, 0.2),
    ):
        panel = Panel(rng, n_raters, noise=noise)
        truth = krippendorff_alpha(panel.rate(rng, N_TRUTH, dropped=dropped), level=level).value
        covered = {"bca": 0, "percentile": 0}
        n_defined = dict.fromkeys(covered, 0)
        for _ in range(n_runs):
            ratings = panel.rate(rng, n_items, dropped=dropped)
            for method in covered:
                found = krippendorff_alpha(
                    ratings, level=level, rng=rng, method=method, n_resamples=N_RESAMPLES
                ).interval
                n_defined[method] += not isinstance(found, Missing)
                covered[method] += holds(found, truth)
        rows += [
            SimRow(
                f"{n_items} items, {n_raters} raters, {dropped:.0%} dropped, "
                f"{level} alpha {truth:.2f}",
                f"alpha, {method} bootstrap",
                claimed(n_items, FEWEST_FOR_ALPHA),
                0.95,
                int(count) / n_defined[method],
                n_defined[method],
            )
            for method, count in covered.items()
        ]
    return rows


def kappa_rows(n_runs: int, rng: Rng) -> list[SimRow]:
    rows = []
    for n_items in (30, 50, 100):
        pair = Panel(rng, 2, noise=0.6)
        five = Panel(rng, 5, noise=0.6)
        large = pair.rate(rng, N_TRUTH, dropped=0.0)
        truths = {w: cohen_kappa(*large.T, weights=w).value for w in ("none", "quadratic")}
        truths["fleiss"] = fleiss_kappa(counted(five.rate(rng, N_TRUTH, dropped=0.0))).value
        covered = dict.fromkeys(truths, 0)
        n_defined = dict.fromkeys(truths, 0)
        for _ in range(n_runs):
            ratings = pair.rate(rng, n_items, dropped=0.0)
            for name, truth in truths.items():
                try:
                    if name == "fleiss":
                        found = fleiss_kappa(counted(five.rate(rng, n_items, dropped=0.0)))
                    else:
                        found = cohen_kappa(*ratings.T, weights=name)
                except UndefinedStatisticError:
                    continue
                n_defined[name] += 1
                covered[name] += holds(found.interval, truth)
        for name, truth in truths.items():
            method = "Fleiss' kappa" if name == "fleiss" else f"Cohen's kappa, weights {name}"
            n_raters = 5 if name == "fleiss" else 2
            rows.append(
                SimRow(
                    f"{n_items} items, {n_raters} raters, kappa {truth:.2f}",
                    method,
                    claimed(n_items, FEWEST_FOR_KAPPA),
                    0.95,
                    covered[name] / n_defined[name],
                    n_defined[name],
                )
            )
    return rows


def icc_rows(n_runs: int, rng: Rng) -> list[SimRow]:
    """Raters and items drawn anew; ratings rounded to 0.5, item effects mildly skewed."""
    rows = []
    items, raters, error = 1.0, 0.3, 0.6
    for n_items, n_raters in ((20, 3), (30, 3), (50, 5), (50, 10), (100, 10)):
        # Rounding to halves adds the variance of a uniform error.
        left = error + 0.5**2 / 12
        noise = raters + left
        truths = {
            "1": items / (items + noise),
            "A,1": items / (items + noise),
            "C,1": items / (items + left),
            "A,k": items / (items + noise / n_raters),
            "C,k": items / (items + left / n_raters),
        }
        covered = dict.fromkeys(truths, 0)
        for _ in range(n_runs):
            quality = (rng.gamma(16, 1, n_items) - 16) / 4
            own = error**0.5 * rng.uniform(-(3**0.5), 3**0.5, (n_items, n_raters))
            crossed = quality[:, None] + raters**0.5 * rng.standard_normal(n_raters) + own
            nested = quality[:, None] + raters**0.5 * rng.standard_normal((n_items, n_raters)) + own
            for form, truth in truths.items():
                ratings = np.round(2 * (nested if form == "1" else crossed)) / 2
                covered[form] += holds(intraclass_correlation(ratings, form=form).interval, truth)
        rows += [
            SimRow(
                f"{n_items} items, {n_raters} raters drawn anew, true {truths[form]:.2f}",
                f"ICC({form})",
                "covers",
                0.95,
                int(count) / n_runs,
                n_runs,
            )
            for form, count in covered.items()
        ]
    return rows


def claimed(n_items: int, fewest: int) -> str:
    return "covers" if n_items >= fewest else f"claims nothing below {fewest} items"


def counted(ratings: np.ndarray) -> np.ndarray:
    return (ratings[:, :, None] == np.arange(1, 6)).sum(axis=1)


def holds(interval: object, truth: float) -> bool:
    return not isinstance(interval, Missing) and interval.low <= truth <= interval.high


if __name__ == "__main__":
    import sys

    for row in simulate(int(sys.argv[1]), 1):
        print(row)
