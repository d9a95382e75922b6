"""What a fitted mixed model of ratings says: differences, shares, severities, components."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qingting.core.missing import Missing
from qingting.stats.clusters import FloatArray, Interval
from qingting.stats.estimates import Estimate
from qingting.stats.mixed_ordinal import Convergence


def record_of(value: Any) -> Any:
    """Return the JSON form of a value or of its absence."""
    return value.to_record() if hasattr(value, "to_record") else value


@dataclass(frozen=True, slots=True)
class RatingContrast:
    """Two arms. Above 0, or above one half, the first is rated higher.

    ``log_odds``: by how much the log-odds of a rating above any given one differ, for the same
    rater on the same prompt. ``superiority``: probability that a new rater puts the first arm's
    reply to a new prompt above the second's, equal ratings counted half. ``shifts``: predicted
    share of each category, first − second. ``p_value``: two-sided, of no difference in log-odds.
    """

    first: str
    second: str
    log_odds: Estimate | Missing
    superiority: Estimate | Missing
    shifts: tuple[Estimate | Missing, ...]
    p_value: float | Missing

    def to_record(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "first": self.first,
            "second": self.second,
            "log_odds": record_of(self.log_odds),
            "superiority": record_of(self.superiority),
            "shifts": [record_of(one) for one in self.shifts],
            "p_value": record_of(self.p_value),
        }


@dataclass(frozen=True, slots=True)
class Severity:
    """How strict a rater is: log-odds by which the ratings lie below the average rater's.

    The conditional mode of the rater's effect with its conditional standard deviation, so it is
    drawn towards 0 where ratings are few.
    """

    rater: str
    value: float
    standard_error: float
    n_ratings: int

    def to_record(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "rater": self.rater,
            "severity": self.value,
            "standard_error": self.standard_error,
            "n_ratings": self.n_ratings,
        }


@dataclass(frozen=True, slots=True)
class VarianceComponent:
    """The spread of one kind of random effect.

    ``standard_deviation``: in log-odds; ``Missing`` where the model has no such effect.
    ``standard_error``: of the standard deviation. ``is_boundary``: the likelihood is highest at 0,
    which says that the data show no such variation, not that there is none.
    """

    effect: str
    standard_deviation: float | Missing
    standard_error: float | Missing
    n_levels: int
    is_boundary: bool

    def to_record(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "effect": self.effect,
            "standard_deviation": record_of(self.standard_deviation),
            "standard_error": record_of(self.standard_error),
            "n_levels": self.n_levels,
            "is_boundary": self.is_boundary,
        }


@dataclass(frozen=True, slots=True, eq=False)
class OrdinalMixedFit:
    """A cumulative link mixed model of the ratings of one criterion.

    ``categories``: ratings that occur, ascending; ``unused``: those of the scale that do not.
    ``thresholds``: (n_categories − 1,). ``shares``: by arm, the predicted share of each category
    for a new rater and prompt. ``covariance``: of thresholds, effects against the first arm and
    positive standard deviations. ``degrees_of_freedom``: of the intervals; ``None`` for normal.
    ``notes``: what a reader must know before believing the numbers.
    """

    arm_names: tuple[str, ...]
    categories: tuple[float, ...]
    unused: tuple[float, ...]
    thresholds: FloatArray
    effects: FloatArray
    covariance: FloatArray
    log_likelihood: float
    contrasts: tuple[RatingContrast, ...]
    shares: dict[str, tuple[Estimate, ...]]
    severities: tuple[Severity, ...] | Missing
    components: tuple[VarianceComponent, ...]
    convergence: Convergence
    degrees_of_freedom: int | None
    confidence_level: float
    n_ratings: int
    n_prompts: int
    n_raters: int
    notes: tuple[str, ...]

    def contrast(self, first: str, second: str) -> RatingContrast:
        """Return the contrast of two arms in the order asked for.

        Raises:
            KeyError: no such contrast.
        """
        for one in self.contrasts:
            if (one.first, one.second) == (first, second):
                return one
            if (one.second, one.first) == (first, second):
                return _turned(one)
        raise KeyError(f"no contrast of {first!r} and {second!r}")

    def to_record(self) -> dict[str, Any]:
        """Return the JSON form."""
        severities = self.severities
        return {
            "model": "cumulative link mixed model, logit, Laplace approximation",
            "arms": [*self.arm_names],
            "categories": [*self.categories],
            "unused_categories": [*self.unused],
            "n_ratings": self.n_ratings,
            "n_prompts": self.n_prompts,
            "n_raters": self.n_raters,
            "log_likelihood": self.log_likelihood,
            "thresholds": np.asarray(self.thresholds).tolist(),
            "contrasts": [one.to_record() for one in self.contrasts],
            "shares": {
                arm: [share.to_record() for share in shares] for arm, shares in self.shares.items()
            },
            "severities": severities.to_record()
            if isinstance(severities, Missing)
            else [one.to_record() for one in severities],
            "variance_components": [one.to_record() for one in self.components],
            "convergence": self.convergence.to_record(),
            "degrees_of_freedom": self.degrees_of_freedom,
            "confidence_level": self.confidence_level,
            "notes": [*self.notes],
        }


def _turned(one: RatingContrast) -> RatingContrast:
    return RatingContrast(
        one.second,
        one.first,
        _mirrored(one.log_odds, about=0.0),
        _mirrored(one.superiority, about=0.5),
        tuple(_mirrored(shift, about=0.0) for shift in one.shifts),
        one.p_value,
    )


def _mirrored(one: Estimate | Missing, *, about: float) -> Estimate | Missing:
    if isinstance(one, Missing):
        return one
    interval = one.interval
    if not isinstance(interval, Missing):
        interval = Interval(2 * about - interval.high, 2 * about - interval.low)
    return replace(one, value=2 * about - one.value, interval=interval)
