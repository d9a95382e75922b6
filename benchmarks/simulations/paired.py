"""Two arms on the same prompts: what intervals and tests claim, and how often it is true.

    cd benchmarks; OMP_NUM_THREADS=1 python -m simulations.paired [--replicates 3000] [--seed 1]

Coverage is the share of simulated experiments whose interval holds the true value; type I error
the share in which a test at 5% rejects a true null. With 3,000 replicates the standard error of a
figure near 95% is 0.4 points. The figures stand in docs/explanation/statistics.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from scipy.stats import binom

from qingting.core.missing import Missing
from qingting.stats.clusters import cluster_sums
from qingting.stats.contrasts import ArmScores
from qingting.stats.intervals import bca_interval, bootstrap_means, percentile_interval, t_interval
from qingting.stats.paired import mcnemar_test, sign_flip_test, wilcoxon_test
from qingting.stats.proportions import clopper_pearson_interval, upper_bound, wilson_interval
from qingting.stats.ranking import rank_arms

RESAMPLES = 1000
LEVEL = 0.95
LIKERT = np.array([1.0, 2, 3, 4, 5])
LIKERT_P = np.array([0.05, 0.15, 0.30, 0.35, 0.15])
Rng = np.random.Generator


def likert_difference(rng: Rng, n: int):
    first = rng.choice(LIKERT, n, p=LIKERT_P)
    return first - rng.choice(LIKERT, n, p=LIKERT_P[::-1])


POPULATIONS: dict[str, tuple[Callable[[Rng, int], np.ndarray], float]] = {
    "normal": (lambda rng, n: rng.normal(size=n), 0.0),
    "1-5 ratings, difference": (
        likert_difference,
        float(LIKERT @ LIKERT_P - LIKERT @ LIKERT_P[::-1]),
    ),
    "right/wrong, difference": (
        lambda rng, n: rng.choice([-1.0, 0, 1], n, p=[0.1, 0.7, 0.2]),
        0.1,
    ),
    "gamma(4), mild skew": (lambda rng, n: rng.gamma(4, 1, n), 4.0),
    "lognormal(0, 1), extreme skew": (lambda rng, n: rng.lognormal(0, 1, n), float(np.exp(0.5))),
}


def three_intervals(units, rng):
    means = bootstrap_means(units, rng=rng, n_resamples=RESAMPLES)
    return {
        "t": t_interval(units, confidence_level=LEVEL),
        "bca": bca_interval(units, means, confidence_level=LEVEL),
        "percentile": percentile_interval(means, confidence_level=LEVEL),
    }


def holds(interval, truth: float) -> bool:
    return not isinstance(interval, Missing) and interval.low <= truth <= interval.high


def verify_means(n_replicates: int, rng: Rng) -> None:
    print("\n## Coverage of a mean difference, nominal 95% (undefined ones left out)\n")
    print("| population | prompts | t | BCa | percentile | no interval |")
    print("|---|---|---|---|---|---|")
    for name, (draw, truth) in POPULATIONS.items():
        for n in (8, 16, 30, 100):
            covered = dict.fromkeys(("t", "bca", "percentile"), 0)
            n_defined = 0
            for _ in range(n_replicates):
                units = cluster_sums(draw(rng, n))
                if not units.has_spread:
                    continue
                n_defined += 1
                for method, interval in three_intervals(units, rng).items():
                    covered[method] += holds(interval, truth)
            row(name, n, *(share(k, n_defined) for k in covered.values()),
                share(n_replicates - n_defined, n_replicates))  # fmt: skip


def verify_clusters(n_replicates: int, rng: Rng) -> None:
    print("\n## Prompts within dialogues: 1-8 prompts each, half the variance between dialogues\n")
    print("| dialogues | t clustered | BCa clustered | t as if independent | sign-flip clustered, "
          "type I | sign-flip as if independent, type I |")  # fmt: skip
    print("|---|---|---|---|---|---|")
    for n_clusters in (8, 20, 50):
        counts = np.zeros(5, int)
        for _ in range(n_replicates):
            sizes = rng.integers(1, 9, n_clusters)
            labels = np.repeat(np.arange(n_clusters), sizes)
            values = rng.normal(size=n_clusters)[labels] + rng.normal(size=len(labels))
            zeros = np.zeros(len(values))
            units = cluster_sums(values, labels.tolist())
            intervals = three_intervals(units, rng)
            clustered = sign_flip_test(
                values, zeros, rng=rng, clusters=labels.tolist(), n_resamples=RESAMPLES
            )
            naive = sign_flip_test(values, zeros, rng=rng, n_resamples=RESAMPLES)
            counts += [
                holds(intervals["t"], 0.0),
                holds(intervals["bca"], 0.0),
                holds(t_interval(cluster_sums(values), confidence_level=LEVEL), 0.0),
                clustered.p_value <= 0.05,
                naive.p_value <= 0.05,
            ]
        row(n_clusters, *(share(k, n_replicates) for k in counts))


def verify_tests(n_replicates: int, rng: Rng) -> None:
    print("\n## Type I error at 5%\n")
    print("| prompts | sign-flip, ratings | Wilcoxon, ratings | McNemar, right/wrong |")
    print("|---|---|---|---|")
    for n in (8, 16, 30, 100):
        rejected = np.zeros(3, int)
        for _ in range(n_replicates):
            prompts = rng.normal(size=n)
            first, second = (
                np.clip(np.round(3 + prompts + rng.normal(size=n)), 1, 5) for _ in range(2)
            )
            flip = sign_flip_test(first, second, rng=rng, n_resamples=RESAMPLES)
            ranks = 1.0 if (first == second).all() else wilcoxon_test(first, second).p_value
            rejected += [
                flip.p_value <= 0.05,
                ranks <= 0.05,
                mcnemar_test(first > 3, second > 3).p_value <= 0.05,
            ]
        row(n, *(share(k, n_replicates) for k in rejected))


def verify_ranks(n_replicates: int, rng: Rng) -> None:
    print("\n## Five arms on the same prompts: all true ranks within their intervals\n")
    print("| true means | prompts | simultaneous (claims 95%) | bootstrap (claims nothing) |")
    print("|---|---|---|---|")
    for truth in ((0.0, 0, 0, 0, 0), (0.6, 0.3, 0.3, 0.0, 0.0), (2.0, 1.5, 1.0, 0.5, 0.0)):
        means = np.array(truth)
        low = 1 + (means[None] > means[:, None]).sum(axis=1)
        high = len(means) - (means[None] < means[:, None]).sum(axis=1)
        for n in (8, 30, 100):
            covered = np.zeros(2, int)
            for _ in range(n_replicates // 3):
                scores = means + rng.normal(size=(n, 1)) + rng.normal(size=(n, len(means)))
                arms = {
                    f"{k}": ArmScores(
                        {f"{i}": float(x) for i, x in enumerate(scores[:, k])}, "simulated"
                    )
                    for k in range(len(means))
                }
                for m, method in enumerate(("simultaneous", "bootstrap")):
                    ranked = rank_arms(
                        arms, higher_is_better=True, method=method, rng=rng, n_resamples=500
                    )
                    covered[m] += all(
                        arm.rank_low <= low[int(arm.arm)] and high[int(arm.arm)] <= arm.rank_high
                        for arm in ranked.arms
                    )
            row(truth, n, *(share(k, n_replicates // 3) for k in covered))


def verify_proportions() -> None:
    print("\n## Coverage of a proportion, nominal 95%, computed exactly\n")
    print("| trials | probability | Wilson | Clopper–Pearson | upper bound, one-sided |")
    print("|---|---|---|---|---|")
    for n in (20, 60, 200):
        k = np.arange(n + 1)
        for p in (0.02, 0.1, 0.5):
            weights = binom.pmf(k, n, p)
            wilson = [holds(wilson_interval(int(x), n), p) for x in k]
            exact = [holds(clopper_pearson_interval(int(x), n), p) for x in k]
            upper = [upper_bound(int(x), n) >= p for x in k]
            row(
                n, p, *(f"{100 * float(weights @ np.array(c)):.1f}" for c in (wilson, exact, upper))
            )


def share(count: int, total: int) -> str:
    return f"{100 * count / total:.1f}"


def row(*cells: object) -> None:
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    print(f"{options.replicates} replicates, {RESAMPLES} resamples, seed {options.seed}")
    verify_means(options.replicates, rng)
    verify_clusters(options.replicates, rng)
    verify_tests(options.replicates, rng)
    verify_ranks(options.replicates, rng)
    verify_proportions()


if __name__ == "__main__":
    main()
