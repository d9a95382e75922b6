"""Type I error of the equivalence tests at their margin, and of clustered tests of no difference.

Ratings 1–5 of two arms come from latent normal qualities that share a prompt effect and, in the
clustered designs, a dialogue effect; thresholds are unequal. The margin is set to the true
difference of the means, where equivalence is just false. In the clustered null both arms have the
same distribution, with a dialogue-by-arm effect.
"""

from __future__ import annotations

import numpy as np

from qingting.core.errors import UndefinedStatisticError
from qingting.stats.equivalence import equivalence_test
from qingting.stats.paired import mcnemar_test, sign_flip_test, wilcoxon_test
from simulations.row import SimRow

THRESHOLDS = np.array([-1.5, -0.6, 0.1, 1.1])
N_RESAMPLES = 999
Rng = np.random.Generator


def draw(
    rng: Rng, sizes: np.ndarray, shift: float, *, dialogue: float, by_arm: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return both arms' ratings and the dialogue of each prompt."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    shared = dialogue * rng.standard_normal(len(sizes))[labels]
    shared = shared + 0.8 * rng.standard_normal(len(labels))
    arms = []
    for arm in (0, 1):
        own = by_arm * rng.standard_normal(len(sizes))[labels]
        latent = shared + own + rng.standard_normal(len(labels)) + shift * (arm == 0)
        arms.append(1.0 + (latent[:, None] > THRESHOLDS).sum(axis=1))
    return arms[0], arms[1], labels


def simulate(n_runs: int, seed: int) -> list[SimRow]:
    """Return how often each test rejects what is true."""
    rng = np.random.default_rng(seed)
    return [*margin_rows(n_runs, rng), *null_rows(n_runs, rng)]


def margin_rows(n_runs: int, rng: Rng) -> list[SimRow]:
    rows = []
    for n_dialogues, most, by_arm in (
        (20, 1, 0.0), (30, 1, 0.0), (100, 1, 0.0), (20, 6, 0.5), (40, 6, 0.5)
    ):  # fmt: skip
        clustered = most > 1
        large = np.full(400_000, 1) if not clustered else np.full(120_000, 4)
        first, second, _ = draw(rng, large, 0.6, dialogue=0.6, by_arm=by_arm)
        margin = float((first - second).mean())
        rejected = np.zeros(2, int)
        for _ in range(n_runs):
            sizes = rng.integers(1, most + 1, n_dialogues)
            for k in (0, 1):
                a, b, labels = draw(rng, sizes, 0.6, dialogue=0.6, by_arm=by_arm)
                if k == 1:
                    a, b = b, a
                try:
                    found = equivalence_test(
                        a, b, margin=margin, clusters=labels.tolist() if clustered else None
                    )
                except UndefinedStatisticError:
                    continue
                p = found.p_equivalent if k == 0 else found.p_not_inferior
                rejected[k] += int(p <= 0.05)
        design = (
            f"{n_dialogues} dialogues of 1–{most} prompts"
            if clustered
            else f"{n_dialogues} prompts"
        )
        for name, count in zip(("equivalence (TOST)", "non-inferiority"), rejected, strict=True):
            rows.append(
                SimRow(f"{design}, true difference at the margin", name, "rejects a true null",
                       0.05, int(count) / n_runs, n_runs)
            )  # fmt: skip
    return rows


def null_rows(n_runs: int, rng: Rng) -> list[SimRow]:
    rows = []
    for n_dialogues in (8, 20, 50):
        counts: dict[str, int] = {}
        for _ in range(n_runs):
            sizes = rng.integers(1, 7, n_dialogues)
            a, b, of_prompts = draw(rng, sizes, 0.0, dialogue=0.6, by_arm=0.6)
            labels = of_prompts.tolist()
            options = {"rng": rng, "clusters": labels, "n_resamples": N_RESAMPLES}
            for name, p in (
                ("permutation, clustered", sign_flip_test(a, b, **options).p_value),
                ("Wilcoxon, clustered", wilcoxon_test(a, b, **options).p_value),
                ("McNemar, clustered", mcnemar_test(a > 3, b > 3, **options).p_value),
                ("Wilcoxon, as if independent", wilcoxon_test(a, b).p_value),
            ):
                counts[name] = counts.get(name, 0) + int(p <= 0.05)
        rows += [
            SimRow(
                f"{n_dialogues} dialogues of 1–6 prompts, no difference",
                name,
                "rejects a true null"
                if "independent" not in name
                else "claims nothing: dialogues are the units",
                0.05,
                count / n_runs,
                n_runs,
            )
            for name, count in counts.items()
        ]
    return rows


if __name__ == "__main__":
    import sys

    for row in simulate(int(sys.argv[1]), 1):
        print(row)
