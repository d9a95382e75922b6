"""Power and sample size by simulation: how often a study of this size would show a difference."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy import optimize, special

from qingting.core.missing import Missing
from qingting.stats.clusters import FloatArray, Interval, require_level
from qingting.stats.proportions import wilson_interval

Outcome = Literal["likert", "pairs"]
Analysis = Literal["two-way", "prompts"]
DEFAULT_RUNS = 2000
MOST = 5000
_CELLS_AT_ONCE = 2_000_000


@dataclass(frozen=True, slots=True)
class VarianceModel:
    """Standard deviations of what moves a rating, on the latent scale, in points of the scale.

    ``arm_by_prompt``: an arm suits some prompts better, per arm. ``arm_by_rater``: a rater likes
    an arm better, per arm. For pairs only the ratios matter, and ``prompt`` and ``rater`` cancel.
    """

    prompt: float = 0.6
    rater: float = 0.5
    arm_by_prompt: float = 0.4
    arm_by_rater: float = 0.2
    residual: float = 0.8


class Design(NamedTuple):
    """The size of a study. Each rater of a prompt judges both arms on it; raters are dealt evenly."""

    n_prompts: int
    n_raters: int
    ratings_per_prompt: int


@dataclass(frozen=True, slots=True)
class Question:
    """What the study is to show.

    ``effect``: for Likert the true difference in points before rounding; for pairs the true mean
    outcome of the first arm (win 1, tie ½, loss 0). ``margin``: 0 asks for superiority; a
    positive one for "not worse by as much" (pairs: in shares). ``tie_share``: ties between equal
    arms. ``scale``: smallest and largest rating; ``centre``: the latent mean of the second arm.
    """

    outcome: Outcome = "likert"
    effect: float = 0.3
    margin: float = 0.0
    tie_share: float = 0.2
    scale: tuple[int, int] = (1, 5)
    centre: float = 3.3
    confidence_level: float = 0.95
    analysis: Analysis = "two-way"


@dataclass(frozen=True, slots=True)
class Power:
    """The simulated power of a design, with its Monte-Carlo standard error and interval."""

    design: Design
    power: float
    standard_error: float
    interval: Interval
    mean_difference: float
    n_runs: int

    def to_record(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self) | {"design": self.design._asdict(), "interval": [*self.interval]}


class Search(NamedTuple):
    """The smallest number that reaches the wanted power, or why there is none, and what was tried."""

    smallest: Power | Missing
    tried: tuple[Power, ...]


def power_of(
    design: Design,
    question: Question,
    model: VarianceModel,
    *,
    seed: int,
    n_runs: int = DEFAULT_RUNS,
) -> Power:
    """Return the share of simulated studies whose interval lies wholly above ``−margin``.

    With margin 0 this is a two-sided test that points the right way; without any difference it is
    half of ``1 − confidence_level``.

    Raises:
        ValueError: the design cannot be: more ratings of a prompt than raters, fewer than two.
    """
    _check(design, question)
    rng = np.random.default_rng(seed)
    size = max(1, _CELLS_AT_ONCE // (design.n_prompts * design.ratings_per_prompt))
    n_shown, total = 0, 0.0
    for start in range(0, n_runs, size):
        differences = simulate_differences(
            design, question, model, rng=rng, n_runs=min(size, n_runs - start)
        )
        means, halves = clustered_means(differences, design, question)
        n_shown += int((means - halves > -question.margin).sum())
        total += float(means.sum())
    power = n_shown / n_runs
    return Power(
        design,
        power,
        (power * (1 - power) / n_runs) ** 0.5,
        wilson_interval(n_shown, n_runs),
        total / n_runs,
        n_runs,
    )


def rater_of(design: Design) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return who gives each rating, (n_prompts, ratings_per_prompt): dealt in turn."""
    n = design.n_prompts * design.ratings_per_prompt
    return (np.arange(n) % design.n_raters).reshape(design.n_prompts, design.ratings_per_prompt)


def simulate_differences(
    design: Design,
    question: Question,
    model: VarianceModel,
    *,
    rng: np.random.Generator,
    n_runs: int,
) -> FloatArray:
    """Return differences of both arms, (n_runs, n_prompts, ratings_per_prompt).

    Likert: difference of two ratings rounded and cut to the scale. Pairs: outcome minus ½.
    """
    raters = rater_of(design)
    shape = (n_runs, *raters.shape)

    def by_prompt(sd: float) -> FloatArray:
        return sd * rng.standard_normal((n_runs, design.n_prompts, 1))

    def by_rater(sd: float) -> FloatArray:
        drawn = sd * rng.standard_normal((n_runs, design.n_raters))
        return drawn[:, raters]

    def arm() -> FloatArray:
        own = by_prompt(model.arm_by_prompt) + by_rater(model.arm_by_rater)
        return np.asarray(own + model.residual * rng.standard_normal(shape))

    if question.outcome == "pairs":
        latent = arm() - arm()
        shift, threshold = pair_threshold(question, model)
        latent = latent + shift
        return np.asarray(0.5 * (latent > threshold) - 0.5 * (latent < -threshold))
    shared = question.centre + by_prompt(model.prompt) + by_rater(model.rater)
    low, high = question.scale
    first = np.clip(np.rint(shared + question.effect + arm()), low, high)
    return np.asarray(first - np.clip(np.rint(shared + arm()), low, high))


def pair_threshold(question: Question, model: VarianceModel) -> tuple[float, float]:
    """Return the latent shift and half the width of ties that give the effect and tie share."""
    spread = (2 * (model.arm_by_prompt**2 + model.arm_by_rater**2 + model.residual**2)) ** 0.5
    threshold = spread * float(special.ndtri((1 + question.tie_share) / 2))

    def gap(shift: float) -> float:
        wins = special.ndtr((shift - threshold) / spread)
        losses = special.ndtr((-shift - threshold) / spread)
        return float(0.5 + 0.5 * (wins - losses) - question.effect)

    return float(optimize.brentq(gap, -20 * spread, 20 * spread)), threshold


def clustered_means(
    differences: FloatArray, design: Design, question: Question
) -> tuple[FloatArray, FloatArray]:
    """Return each study's mean and half the width of its interval, (n_runs,) each.

    The analysis of ``arm_difference`` for balanced studies, many at a time. A study without
    spread shows nothing: its half width is infinite.
    """
    n_runs = len(differences)
    n_cells = design.n_prompts * design.ratings_per_prompt
    means = differences.mean(axis=(1, 2))
    parts = (differences - means[:, None, None]) / n_cells
    by_prompt = np.square(parts.sum(axis=2)).sum(axis=1)
    by_prompt *= design.n_prompts / (design.n_prompts - 1)
    variance, df = by_prompt, design.n_prompts - 1
    if question.analysis == "two-way":
        member = np.zeros((n_cells, design.n_raters))
        member[np.arange(n_cells), rater_of(design).ravel()] = 1.0
        flat = parts.reshape(n_runs, n_cells)
        by_rater = np.square(flat @ member).sum(axis=1)
        by_rater *= design.n_raters / (design.n_raters - 1)
        both = np.square(flat).sum(axis=1)
        variance = np.maximum(by_prompt + by_rater - both, np.maximum(by_prompt, by_rater))
        df = min(design.n_prompts, design.n_raters) - 1
    quantile = float(special.stdtrit(df, (1 + question.confidence_level) / 2))
    halves = np.where(variance > 1e-24, quantile * np.sqrt(variance), np.inf)
    return means, halves


def smallest_design(
    design: Design,
    question: Question,
    model: VarianceModel,
    *,
    wanted: float = 0.8,
    vary: Literal["prompts", "raters"] = "prompts",
    seed: int,
    n_runs: int = DEFAULT_RUNS,
    most: int = MOST,
) -> Search:
    """Return the smallest number of prompts (or raters) with at least the wanted power.

    Doubles, then halves the gap down to 4%: each power has a Monte-Carlo error, and near the
    wanted one a finer answer would follow chance. ``Missing`` when ``most`` would not
    do, as happens where raters, not prompts, limit what can be known.
    """
    if not 0 < wanted < 1:
        raise ValueError(f"wanted power must lie between 0 and 1, got {wanted}")
    tried: dict[int, Power] = {}

    def at(n: int) -> Power:
        if n not in tried:
            size = design._replace(**{f"n_{vary}": n})
            tried[n] = power_of(size, question, model, seed=seed, n_runs=n_runs)
        return tried[n]

    low = max(2, design.ratings_per_prompt) if vary == "raters" else 2
    # More raters than ratings are no raters.
    if vary == "raters":
        most = max(low, min(most, design.n_prompts * design.ratings_per_prompt))
    else:
        low = max(low, -(-design.n_raters // design.ratings_per_prompt))
    smallest = _bisected(lambda n: at(n).power >= wanted, low, most)
    ordered = tuple(tried[n] for n in sorted(tried))
    if smallest is None:
        best = ordered[-1]
        return Search(
            Missing(
                f"{best.design[vary == 'raters']} {vary} reach a power of {best.power:.2f} only; "
                f"the {'raters' if vary == 'prompts' else 'prompts'} or the effect limit it"
            ),
            ordered,
        )
    return Search(at(smallest), ordered)


def _bisected(is_enough: Callable[[int], bool], low: int, most: int) -> int | None:
    if is_enough(low):
        return low
    high = min(2 * low, most)
    while not is_enough(high):
        if high >= most:
            return None
        low, high = high, min(2 * high, most)
    while high - low > max(1, high // 25):
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def _check(design: Design, question: Question) -> None:
    require_level(question.confidence_level)
    if design.n_prompts < 2:
        raise ValueError("a study needs at least two prompts")
    if not 1 <= design.ratings_per_prompt <= design.n_raters:
        raise ValueError(
            f"{design.ratings_per_prompt} ratings of each prompt need as many raters, and there "
            f"are {design.n_raters}"
        )
    if design.n_raters > design.n_prompts * design.ratings_per_prompt:
        raise ValueError(f"{design.n_raters} raters are more than there are ratings to give")
    if question.analysis == "two-way" and design.n_raters < 2:
        raise ValueError("one rater has no spread between raters: analyse by prompts only")
    if not math.isfinite(question.effect) or not math.isfinite(question.margin):
        raise ValueError(
            f"effect {question.effect:g} and margin {question.margin:g} must be finite"
        )
    if question.outcome == "pairs" and not 0 < question.effect < 1:
        raise ValueError(f"the outcome of a pair lies between 0 and 1, got {question.effect}")


def curve_of(
    design: Design,
    question: Question,
    model: VarianceModel,
    *,
    vary: Literal["prompts", "raters"] = "prompts",
    seed: int,
    n_runs: int = DEFAULT_RUNS,
) -> Search:
    """Return the power of a design, and of a quarter, half, one and a half and twice its size."""
    sizes = [design]
    for share in (0.25, 0.5, 1.5, 2.0):
        n = round(share * design[vary == "raters"])
        least = max(2, design.ratings_per_prompt) if vary == "raters" else 2
        if vary == "prompts":
            least = max(least, -(-design.n_raters // design.ratings_per_prompt))
        most = design.n_prompts * design.ratings_per_prompt if vary == "raters" else n
        if least <= n <= most:
            sizes.append(design._replace(**{f"n_{vary}": n}))
    tried = [power_of(size, question, model, seed=seed, n_runs=n_runs) for size in sizes]
    return Search(tried[0], tuple(sorted(tried, key=lambda one: one.design)))
