"""A judge beside humans, and a judge beside its next version."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qingting.core.errors import UndefinedStatisticError
from qingting.core.missing import Missing
from qingting.stats.clusters import FloatArray
from qingting.stats.equivalence import EquivalenceTest, equivalence_test
from qingting.stats.estimates import Estimate, mean_estimate
from qingting.stats.krippendorff import MeasurementLevel, krippendorff_alpha
from qingting.stats.paired import PairedTest, sign_flip_test

Maybe = Estimate | Missing


@dataclass(frozen=True, slots=True)
class JudgeAgreement:
    """How far a judge's scores are from the humans' on the replies that both scored.

    ``alpha`` counts severity as disagreement; ``bias`` is the mean of judge less human;
    ``error`` the mean absolute difference; ``exact`` the share of equal scores; ``correlation``
    (Pearson) forgives severity and scale.
    """

    alpha: Maybe
    bias: Estimate
    error: Estimate
    exact: Estimate
    correlation: float | Missing
    n_both: int

    def to_record(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {name: _plain(getattr(self, name)) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True)
class JudgeDrift:
    """What changed from one version of a judge to the next on the same replies.

    ``shift``: mean of new less old, with the test of none and, where a margin was given, the
    test that it is within it. ``changed``: share of replies whose score is another.
    ``error_change``: mean change of the distance to the human score, where humans scored;
    negative is nearer.
    """

    shift: Estimate
    test: PairedTest
    within_margin: EquivalenceTest | Missing
    changed: Estimate
    alpha: Maybe
    error_change: Maybe
    n_both: int

    def to_record(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {name: _plain(getattr(self, name)) for name in self.__dataclass_fields__}


def judge_agreement(
    human: FloatArray,
    judge: FloatArray,
    *,
    rng: np.random.Generator,
    level: MeasurementLevel = "ordinal",
    clusters: Sequence[Hashable] | None = None,
    n_resamples: int = 2000,
    confidence_level: float = 0.95,
) -> JudgeAgreement:
    """Return the agreement of a judge with humans.

    ``human``, ``judge``: (n_replies,) numbers, NaN = no score. ``clusters``: (n_replies,) prompts.

    Raises:
        UndefinedStatisticError: no reply has both scores.
    """
    both, labels = _shared(human, judge, clusters, what="a human and a judge score")
    y, f = np.asarray(human, float)[both], np.asarray(judge, float)[both]

    def mean(values: FloatArray) -> Estimate:
        return mean_estimate(values.tolist(), clusters=labels, confidence_level=confidence_level)

    level_at = {"rng": rng, "n_resamples": n_resamples, "confidence_level": confidence_level}
    return JudgeAgreement(
        _alpha(y, f, level=level, clusters=labels, **level_at),
        mean(f - y),
        mean(np.abs(f - y)),
        mean((f == y).astype(float)),
        _correlation(y, f),
        len(y),
    )


def judge_drift(
    old: FloatArray,
    new: FloatArray,
    *,
    rng: np.random.Generator,
    human: FloatArray | None = None,
    margin: float | None = None,
    level: MeasurementLevel = "ordinal",
    clusters: Sequence[Hashable] | None = None,
    n_resamples: int = 2000,
    confidence_level: float = 0.95,
) -> JudgeDrift:
    """Return what changed between two versions of a judge.

    ``old``, ``new``: (n_replies,) scores of the same replies, NaN = no score; ``human`` likewise.
    ``margin``: the largest mean shift that would not matter. That no drift is shown is no
    evidence of none; only the test against a margin is.

    Raises:
        UndefinedStatisticError: no reply was scored by both versions.
    """
    both, labels = _shared(old, new, clusters, what="a score by both versions of the judge")
    a, b = np.asarray(old, float)[both], np.asarray(new, float)[both]
    within: EquivalenceTest | Missing = Missing("no margin was given")
    if margin is not None:
        try:
            within = equivalence_test(
                b,
                a,
                margin=margin,
                clusters=labels,
                significance_level=(1 - confidence_level),
            )
        except UndefinedStatisticError as error:
            within = Missing(str(error))
    nearer: Maybe = Missing("no human scored these replies")
    if human is not None:
        y = np.asarray(human, float)[both]
        known = np.flatnonzero(~np.isnan(y))
        if len(known):
            nearer = mean_estimate(
                (np.abs(b - y) - np.abs(a - y))[known].tolist(),
                clusters=None if labels is None else [labels[i] for i in known.tolist()],
                confidence_level=confidence_level,
            )
    return JudgeDrift(
        mean_estimate((b - a).tolist(), clusters=labels, confidence_level=confidence_level),
        sign_flip_test(b, a, rng=rng, clusters=labels),
        within,
        mean_estimate(
            (a != b).astype(float).tolist(), clusters=labels, confidence_level=confidence_level
        ),
        _alpha(
            a,
            b,
            level=level,
            clusters=labels,
            rng=rng,
            n_resamples=n_resamples,
            confidence_level=confidence_level,
        ),
        nearer,
        len(a),
    )


def _shared(
    first: FloatArray, second: FloatArray, clusters: Sequence[Hashable] | None, *, what: str
) -> tuple[NDArray[np.int64], list[Hashable] | None]:
    a, b = np.asarray(first, float), np.asarray(second, float)
    if a.shape != b.shape:
        raise ValueError(f"scores of {a.shape} and {b.shape} are not of the same replies")
    both = np.flatnonzero(~np.isnan(a) & ~np.isnan(b))
    if not len(both):
        raise UndefinedStatisticError(f"no reply has {what}")
    return both, None if clusters is None else [clusters[i] for i in both.tolist()]


def _alpha(first: FloatArray, second: FloatArray, **options: Any) -> Maybe:
    try:
        return krippendorff_alpha(np.column_stack([first, second]), **options)
    except UndefinedStatisticError as error:
        return Missing(str(error))


def _correlation(first: FloatArray, second: FloatArray) -> float | Missing:
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return Missing("one side gives every reply the same score")
    return float(np.corrcoef(first, second)[0, 1])


def _plain(value: Any) -> Any:
    if isinstance(value, PairedTest):
        return value._asdict()
    return value.to_record() if hasattr(value, "to_record") else value
