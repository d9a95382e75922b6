"""Prediction-powered inference: many scores of a cheap judge corrected by few human ones."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats as distributions

from qingting.core.errors import DataError, UndefinedStatisticError
from qingting.stats.clusters import FloatArray, Interval, require_level
from qingting.stats.estimates import Estimate

FEWEST_LABELS = 100
# Independent units with a human label; the simulations found coverage from so many on.
FEWEST_PROMPTS = 20


class JudgedScores(NamedTuple):
    """One arm: a judge's score of every reply, and a human's of some, (n_replies,) each.

    ``human``: NaN where no human scored. ``judge``: NaN where the judge gave no score; such
    replies are left out. ``clusters``: the prompt of each reply, or ``None`` where every reply has
    a prompt of its own.
    """

    human: FloatArray
    judge: FloatArray
    clusters: Sequence[Hashable] | None = None


class RectifiedMean(NamedTuple):
    """A mean of judge scores corrected by human ones: value, standard error, and the weight.

    ``tuning`` is the weight lambda of the judge, from 0 (humans alone) to 1.
    """

    value: float
    standard_error: float
    tuning: float


@dataclass(frozen=True, slots=True)
class PredictionPowered:
    """What humans and judge say together, beside what the humans say alone.

    ``estimate`` is the combined one, ``human_only`` the classical one from the same labels.
    ``tuning``: weight of the judge, one per arm. ``effective_n``: human labels that alone would
    give the same standard error; ``gain`` is that over ``n_human``. ``n_judge_only`` replies have
    a judge's score only.
    """

    estimate: Estimate
    human_only: Estimate
    tuning: tuple[float, ...]
    gain: float
    n_human: int
    n_judge_only: int
    n_labelled_clusters: int

    @property
    def effective_n(self) -> float:
        """Return how many human labels alone would be as precise."""
        return self.gain * self.n_human

    def to_record(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "estimate": self.estimate.to_record(),
            "human_only": self.human_only.to_record(),
            "tuning": [*self.tuning],
            "gain": self.gain,
            "effective_n": self.effective_n,
            "n_human": self.n_human,
            "n_judge_only": self.n_judge_only,
            "n_labelled_clusters": self.n_labelled_clusters,
        }


def rectified_mean(
    human: Sequence[float] | FloatArray,
    judge: Sequence[float] | FloatArray,
    judge_only: Sequence[float] | FloatArray,
    *,
    tuning: float | None = None,
) -> RectifiedMean:
    """Return the prediction-powered mean of independent replies; for inference see below.

    ``mean(human) + tuning × (mean(judge_only) − mean(judge))``: unbiased for every fixed weight,
    however bad the judge, if the labelled replies are a random part of all.

    Args:
        human: (n,) human scores.
        judge: (n,) the judge's scores of the same replies.
        judge_only: (N,) the judge's scores of the others.
        tuning: the weight; ``None`` takes the one of least variance, held to 0–1.

    Variances divide by the number of replies. Source: Angelopoulos, Bates, Fannjiang, Jordan and
    Zrnic (2023); Angelopoulos, Duchi and Zrnic (2023, PPI++) for the weight, taken here from
    the two parts' own variances rather than their pooled one.
    """
    y, f, rest = (np.asarray(x, np.float64) for x in (human, judge, judge_only))
    if y.shape != f.shape:
        raise ValueError(f"{len(y)} human scores but {len(f)} of the judge for the same replies")
    if not len(y) or not len(rest):
        raise UndefinedStatisticError("no prediction-powered mean: one of the two parts is empty")
    noise = float(f.var() / len(f) + rest.var() / len(rest))
    if tuning is None:
        shared = float(np.mean((y - y.mean()) * (f - f.mean()))) / len(y)
        tuning = min(1.0, max(0.0, shared / noise)) if noise > 0 else 0.0
    value = float(y.mean() + tuning * (rest.mean() - f.mean()))
    variance = float((y - tuning * f).var() / len(y) + tuning**2 * rest.var() / len(rest))
    return RectifiedMean(value, variance**0.5, tuning)


def prediction_powered_mean(
    scores: JudgedScores,
    *,
    labels_chosen_at_random: bool,
    confidence_level: float = 0.95,
) -> PredictionPowered:
    """Return the mean human score of all replies, from few human and many judge scores.

    Args:
        scores: of one arm.
        labels_chosen_at_random: the caller's word that the replies which humans scored were
            drawn at random from all; no method can repair another choice.
        confidence_level: of the interval, which is Student's t over prompts, less one degree of
            freedom for each tuned weight.

    Power tuning takes the weight of least variance, so that a useless judge costs nothing but
    the estimation of that weight. Replies to one prompt are one unit, whether labelled or not.

    Raises:
        UndefinedStatisticError: fewer than 100 human labels or labels that were not chosen at
            random, no reply with a judge's score only, labels of fewer than 20 prompts, or no
            spread of the human scores.
        DataError: an infinite score.

    Source: as ``rectified_mean``; differs: sums of influences over prompts in place of
    independent replies.
    """
    parts = [_part(scores, 0)]
    return _combined(parts, (1.0,), labels_chosen_at_random, confidence_level)


def prediction_powered_difference(
    first: JudgedScores,
    second: JudgedScores,
    *,
    labels_chosen_at_random: bool,
    confidence_level: float = 0.95,
) -> PredictionPowered:
    """Return the difference ``first − second`` of two arms' mean human scores.

    As ``prediction_powered_mean``; a prompt that both arms answered is one unit (``clusters`` of
    both name it), so pairing pays. The two weights are tuned together. Each arm needs 100 human
    labels; ``n_human`` is the smaller of the two numbers.
    """
    if (first.clusters is None) != (second.clusters is None):
        raise ValueError("name the prompts of both arms or of neither")
    return _combined(
        [_part(first, 0), _part(second, 1)], (1.0, -1.0), labels_chosen_at_random, confidence_level
    )


class _Own(NamedTuple):
    """The unit of a reply whose prompt is not named: itself."""

    arm: int
    reply: int


class _Part(NamedTuple):
    """One arm's influences per reply: of the human mean, and of the judge's two means apart."""

    labels: list[Hashable]
    of_human: FloatArray
    of_gap: FloatArray
    mean: float
    gap: float
    labelled: NDArray[np.bool_]
    n_missing: int


def _part(scores: JudgedScores, arm: int) -> _Part:
    human, judge = (np.asarray(x, np.float64) for x in (scores.human, scores.judge))
    if human.shape != judge.shape or human.ndim != 1:
        raise ValueError(f"human scores {human.shape} and judge scores {judge.shape} differ")
    if np.isinf(human).any() or np.isinf(judge).any():
        raise DataError("a score is infinite; mark absent scores as NaN")
    if scores.clusters is not None and len(scores.clusters) != len(human):
        raise ValueError(f"{len(human)} replies but {len(scores.clusters)} cluster labels")
    kept = np.flatnonzero(~np.isnan(judge))
    human, judge = human[kept], judge[kept]
    labelled = ~np.isnan(human)
    n_human, n_rest = int(labelled.sum()), int((~labelled).sum())
    if n_human < FEWEST_LABELS:
        raise UndefinedStatisticError(
            f"{n_human} replies have a human and a judge score; prediction-powered inference "
            f"needs {FEWEST_LABELS} human labels chosen at random"
        )
    if not n_rest:
        raise UndefinedStatisticError(
            "every reply has a human score, so the judge has nothing to add; "
            "compare the human scores"
        )
    mean = float(human[labelled].mean())
    judge_mean, rest_mean = float(judge[labelled].mean()), float(judge[~labelled].mean())
    of_human = np.zeros(len(kept))
    of_human[labelled] = (human[labelled] - mean) / n_human
    of_gap = np.where(labelled, (judge - judge_mean) / n_human, (rest_mean - judge) / n_rest)
    labels: list[Hashable] = (
        [_Own(arm, i) for i in kept.tolist()]
        if scores.clusters is None
        else [scores.clusters[i] for i in kept.tolist()]
    )
    n_missing = len(scores.judge) - len(kept)
    return _Part(labels, of_human, of_gap, mean, judge_mean - rest_mean, labelled, n_missing)


def _combined(
    parts: list[_Part], signs: tuple[float, ...], at_random: bool, confidence_level: float
) -> PredictionPowered:
    require_level(confidence_level)
    if not at_random:
        raise UndefinedStatisticError(
            "prediction-powered inference needs human labels chosen at random from all replies; "
            "labels picked in another way would bias it unseen"
        )
    numbers: dict[Hashable, int] = {}
    indices = [
        np.array([numbers.setdefault(label, len(numbers)) for label in part.labels])
        for part in parts
    ]
    n_units = len(numbers)
    human_units = sum(
        sign * np.bincount(index, part.of_human, n_units)
        for sign, index, part in zip(signs, indices, parts, strict=True)
    )
    gap_units = np.column_stack(
        [
            sign * np.bincount(index, part.of_gap, n_units)
            for sign, index, part in zip(signs, indices, parts, strict=True)
        ]
    )
    human_variance = float(np.square(human_units).sum())
    if human_variance <= 0:
        raise UndefinedStatisticError("all human scores are the same, so there is no spread")
    tuning = np.clip(np.linalg.lstsq(gap_units, np.asarray(human_units), rcond=None)[0], 0.0, 1.0)
    variance = float(np.square(human_units - gap_units @ tuning).sum())
    if variance <= 0:
        raise UndefinedStatisticError("the judge leaves no spread, so there is no interval")
    labelled = np.zeros(n_units, bool)
    for index, part in zip(indices, parts, strict=True):
        labelled[index[part.labelled]] = True
    n_labelled = int(labelled.sum())
    if n_labelled < FEWEST_PROMPTS:
        raise UndefinedStatisticError(
            f"the human labels are of {n_labelled} prompts, and it needs {FEWEST_PROMPTS}"
        )
    mean = sum(sign * part.mean for sign, part in zip(signs, parts, strict=True))
    gap = np.array([sign * part.gap for sign, part in zip(signs, parts, strict=True)])
    n_human = min(int(part.labelled.sum()) for part in parts)
    n_rest = sum(int((~part.labelled).sum()) for part in parts)
    n_missing = sum(part.n_missing for part in parts)
    named = not isinstance(next(iter(numbers)), _Own)

    def estimate(
        value: float, error_squared: float, n_valid: int, method: str, *, n_tuned: int = 0
    ) -> Estimate:
        # Each tuned weight was fitted to the labels, like a slope.
        freedom = n_labelled - 1 - n_tuned
        half = float(
            (error_squared * n_labelled / freedom) ** 0.5
            * distributions.t.ppf((1 + confidence_level) / 2, freedom)
        )
        return Estimate(
            float(value),
            Interval(value - half, value + half),
            confidence_level,
            n_valid=n_valid,
            n_missing=n_missing,
            method=f"{method}, Student t{' over prompts' if named else ''}",
            n_clusters=n_units if named else None,
        )

    return PredictionPowered(
        estimate(
            mean - gap @ tuning,
            variance,
            n_human + n_rest,
            "PPI++, power-tuned",
            n_tuned=int((tuning > 0).sum()),
        ),
        estimate(mean, human_variance, n_human, "human scores alone"),
        tuple(float(x) for x in tuning),
        human_variance / variance,
        n_human,
        n_rest,
        n_labelled,
    )
