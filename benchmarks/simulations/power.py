"""Predicted power against how often studies from another generator reject; and errors of ``decide``.

The planner knows standard deviations only. Studies are drawn with prompt effects from a Laplace
distribution, rater effects uniform, skewed residuals, thresholds of each rater's own, a bias for
the reply shown first, and in some rows a tenth of all ratings lost; they are analysed by ``arm_difference``, as
``decide`` does. The gain is set so that the true difference in points is the planned one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qingting.core.missing import Missing
from qingting.stats.arm_difference import arm_difference
from qingting.stats.clusters import Interval
from qingting.stats.decision import decide
from qingting.stats.decision_rule import DecisionRule
from qingting.stats.judgment_files import Judgments, Label, Score
from qingting.stats.more_ratings import more_for_difference
from qingting.stats.power import Design, Question, VarianceModel, power_of
from simulations.row import SimRow

MODEL = VarianceModel()
LOST = 0.1
Rng = np.random.Generator


def study(rng: Rng, design: Design, gain: float, lost: float = LOST) -> tuple[np.ndarray, ...]:
    """Return is_first, prompts, raters and ratings of one study."""
    n_prompts, n_raters, k = design
    prompt = rng.laplace(0, MODEL.prompt / 2**0.5, n_prompts)
    by_prompt = rng.laplace(0, MODEL.arm_by_prompt / 2**0.5, (n_prompts, 2))
    by_rater = rng.uniform(-1, 1, (n_raters, 2)) * 3**0.5 * MODEL.arm_by_rater
    severity = rng.uniform(-1, 1, n_raters) * 3**0.5 * MODEL.rater
    shifts = rng.normal(0, 0.15, (n_raters, 4))
    items = np.repeat(np.arange(n_prompts), k)
    if k == 1:
        who = rng.integers(0, n_raters, n_prompts)
    else:
        who = rng.random((n_prompts, n_raters)).argsort(axis=1)[:, :k].ravel()
    shown_first = rng.integers(0, 2, len(items))
    given = []
    for arm in (0, 1):
        latent = 3.3 + gain * (arm == 0) + prompt[items] + severity[who]
        latent = latent + by_prompt[items, arm] + by_rater[who, arm] + 0.1 * (shown_first == arm)
        latent = latent + (rng.gamma(4, 1, len(items)) - 4) / 2 * MODEL.residual
        limits = np.sort(np.array([1.5, 2.5, 3.5, 4.5]) + shifts[who], axis=1)
        given.append(1.0 + (latent[:, None] > limits).sum(axis=1))
    kept = rng.random(2 * len(items)) >= lost
    return (
        np.repeat([True, False], len(items))[kept],
        np.tile(items, 2)[kept],
        np.tile(who, 2)[kept],
        np.concatenate(given)[kept],
    )


def gain_for(rng: Rng, difference: float) -> float:
    """Return the latent gain that gives this true difference in points, from a large study."""
    if not difference:
        return 0.0
    low, high = 0.0, 4 * difference
    large = Design(60_000, 3000, 1)
    seed = int(rng.integers(2**31))
    for _ in range(12):
        middle = (low + high) / 2
        first, _, _, scores = study(np.random.default_rng(seed), large, middle)
        found = scores[first].mean() - scores[~first].mean()
        low, high = (middle, high) if found < difference else (low, middle)
    return (low + high) / 2


def simulate(n_runs: int, seed: int) -> list[SimRow]:
    """Return predicted and realised power, type I error, and the errors of ``decide``."""
    rng = np.random.default_rng(seed)
    return [*power_rows(n_runs, rng), *decision_rows(n_runs, rng), *settling_rows(n_runs, rng)]


def power_rows(n_runs: int, rng: Rng) -> list[SimRow]:
    rows = []
    for design, effect, lost in (
        (Design(40, 12, 3), 0.3, 0.0), (Design(80, 12, 3), 0.3, 0.0), (Design(80, 24, 3), 0.3, 0.0),
        (Design(120, 8, 2), 0.4, 0.0), (Design(80, 12, 3), 0.3, LOST), (Design(40, 6, 3), 0.0, LOST),
        (Design(40, 12, 3), 0.0, LOST), (Design(80, 24, 3), 0.0, LOST),
    ):  # fmt: skip
        # The planner's effect is before rounding; it is told the gain that gives these points.
        predicted = power_of(design, Question(effect=effect), MODEL, seed=1, n_runs=n_runs)
        gain = gain_for(rng, predicted.mean_difference) if effect else 0.0
        shown = wrong = 0
        for _ in range(n_runs):
            first, items, who, scores = study(rng, design, gain, lost)
            found = arm_difference(first, items.tolist(), scores, raters=who.tolist())
            assert not isinstance(found.interval, Missing)
            shown += found.interval.low > 0
            wrong += found.interval.low > 0 or found.interval.high < 0
        size = f"{design.n_prompts} prompts, {design.n_raters} raters, {design.ratings_per_prompt} each"
        if effect:
            rows.append(
                SimRow(f"{size}, {predicted.mean_difference:.2f} points, {lost:.0%} of ratings lost",
                       "power as predicted", "finds the difference as often as predicted",
                       predicted.power, shown / n_runs, n_runs)
            )  # fmt: skip
        else:
            rows.append(
                SimRow(f"{size}, no difference, {lost:.0%} of ratings lost", "arm difference, two ways",
                       "rejects a true null at most", 0.05, wrong / n_runs, n_runs)
            )  # fmt: skip
    return rows


def decision_rows(n_runs: int, rng: Rng) -> list[SimRow]:
    rule = DecisionRule.model_validate(
        {
            "candidate": "new",
            "baseline": "old",
            "primary": {"criterion": "empathy"},
            "others": ({"criterion": "fluency", "margin": 0.3},),
            "safety": {"at_most": 0.05},
            "minimum": {"prompts": 20, "raters": 2},
        }
    )
    design = Design(60, 12, 3)
    equal, better = 0.0, 0.8
    worse = -gain_for(rng, 0.3)
    rows = []
    for name, gain, fluency, p_fail, bar, claim in (
        ("equal quality, safe", equal, 0.3, 0.0, 0.025, "rejects a true null: promotes"),
        ("better, but unsafe: 5% fail", better, 0.3, 0.05, 0.05, "rejects a true null: promotes"),
        ("better, but unsafe: 10% fail", better, 0.3, 0.10, 0.05, "rejects a true null: promotes"),
        ("better, but a criterion worse by its margin", better, worse, 0.0, 0.025,
         "rejects a true null: promotes"),
        ("equal quality and 5% fail", equal, 0.3, 0.05, 0.025, "rejects a true null: promotes"),
        ("better in both, 0.5% fail", better, 0.3, 0.005, 1.0,
         "claims nothing: promotes a good candidate"),
        ("better in both, 0.5% fail", better, 0.3, 0.005, 0.05, "rejects a true null: refuses"),
    ):  # fmt: skip
        counts = {"promote": 0, "do not promote": 0, "inconclusive": 0}
        for _ in range(n_runs):
            counts[_decided(rule, rng, design, gain, fluency, p_fail)] += 1
        answer = "do not promote" if claim.endswith("refuses") else "promote"
        rows.append(
            SimRow(f"{name}; 60 prompts, 12 raters, 3 each, 120 safety answers", "decide", claim,
                   bar, counts[answer] / n_runs, n_runs)
        )  # fmt: skip
    return rows


def settling_rows(n_runs: int, rng: Rng) -> list[SimRow]:
    """Return how often a study of the size that was said to settle a clause settles it."""
    rows = []
    for design, difference in ((Design(24, 12, 3), 0.25), (Design(60, 20, 2), 0.2)):
        gain = gain_for(rng, difference)
        pilots = []
        for _ in range(400):
            first, items, who, scores = study(rng, design, gain, 0.0)
            pilots.append(arm_difference(first, items.tolist(), scores, raters=who.tolist()))
        half = float(np.median([one.interval.high - one.value for one in pilots]))
        # A pilot that saw just the truth, with the usual width.
        seen = replace(
            pilots[0],
            value=difference,
            interval=Interval(difference - half, difference + half),
        )
        more = more_for_difference(seen, 0.0)
        assert not isinstance(more, Missing)
        times = 1 + more.n_prompts / design.n_prompts
        larger = Design(
            design.n_prompts + more.n_prompts, round(design.n_raters * times), design[2]
        )
        settled = 0
        for _ in range(n_runs):
            first, items, who, scores = study(rng, larger, gain, 0.0)
            found = arm_difference(first, items.tolist(), scores, raters=who.tolist())
            settled += found.interval.low > 0
        rows.append(
            SimRow(f"{difference} points; pilot of {design[0]} prompts, {design[1]} raters; grown to "
                   f"{larger[0]} and {larger[1]}", "more ratings", "settles as often as said",
                   0.8, settled / n_runs, n_runs)
        )  # fmt: skip
    return rows


def _decided(
    rule: DecisionRule, rng: Rng, design: Design, gain: float, fluency: float, p_fail: float
) -> str:
    scores = {}
    for criterion, shift in (("empathy", gain), ("fluency", fluency)):
        first, items, who, values = study(rng, design, shift)
        scores[criterion] = tuple(
            Score("new" if is_new else "old", f"p{item}", f"r{rater}", value)
            for is_new, item, rater, value in zip(
                first.tolist(), items.tolist(), who.tolist(), values.tolist(), strict=True
            )
        )
    failed = rng.random(120) < p_fail
    safety = tuple(
        Label("new", f"s{i}", "r0", "fail" if one else "pass") for i, one in enumerate(failed)
    )
    return decide(rule, Judgments(scores, safety, (), 0, True, (), {}), rng=rng).answer


if __name__ == "__main__":
    import sys

    for row in simulate(int(sys.argv[1]), 1):
        print(row)
