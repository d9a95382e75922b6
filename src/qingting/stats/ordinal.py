"""The cumulative link model with logit link: ordered categories, thresholds and a shift.

``P(Y ≤ k) = F(θ_k − η)`` with F logistic. The probability of a category between two thresholds
factors: ``F(u) − F(l) = F(u) (1 − F(l)) (1 − exp(l − u))``, and the last factor does not depend on
η. All derivatives in η are therefore sums of two logistic ones, without cancellation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import special

from qingting.core.errors import UndefinedStatisticError
from qingting.stats.clusters import FloatArray
from qingting.stats.crossed_effects import IntArray

_MOST_STEPS = 100
_LARGEST_EFFECT = 15.0


class LinkTerms(NamedTuple):
    """Of each observation, (n,): F, its density and the density's slope at both thresholds."""

    upper: FloatArray
    lower: FloatArray
    density_upper: FloatArray
    density_lower: FloatArray
    slope_upper: FloatArray
    slope_lower: FloatArray

    @property
    def scores(self) -> FloatArray:
        """Return the derivative of the log-likelihood in η."""
        return self.upper + self.lower - 1

    @property
    def weights(self) -> FloatArray:
        """Return minus the second derivative in η; never negative."""
        return self.density_upper + self.density_lower

    @property
    def weight_slopes(self) -> FloatArray:
        """Return the derivative of ``weights`` in η."""
        return -(self.slope_upper + self.slope_lower)


@dataclass(frozen=True, slots=True, eq=False)
class OrdinalData:
    """Observed categories and fixed effects.

    ``codes``: (n,) 0 … n_categories − 1, each of which occurs. ``design``: (n, n_effects) without a
    constant.
    """

    codes: IntArray
    design: FloatArray
    n_categories: int
    counts: FloatArray

    @classmethod
    def of(cls, codes: IntArray, design: FloatArray) -> OrdinalData:
        """Return the data.

        Raises:
            UndefinedStatisticError: fewer than two categories occur.
            ValueError: a category below the largest does not occur.
        """
        counts = np.bincount(codes).astype(float)
        if len(counts) < 2:
            raise UndefinedStatisticError("one category only: nothing can be said of differences")
        if not counts.all():
            raise ValueError("number the categories that occur, without gaps")
        return cls(codes, np.asarray(design, np.float64), len(counts), counts)

    @property
    def n_thresholds(self) -> int:
        """Return the number of thresholds."""
        return self.n_categories - 1

    def terms(self, thresholds: FloatArray, eta: FloatArray) -> LinkTerms:
        """Return what all derivatives are made of."""
        padded = np.concatenate([[-np.inf], thresholds, [np.inf]])
        upper = special.expit(padded[1:][self.codes] - eta)
        lower = special.expit(padded[:-1][self.codes] - eta)
        density_upper, density_lower = upper * (1 - upper), lower * (1 - lower)
        return LinkTerms(
            upper,
            lower,
            density_upper,
            density_lower,
            density_upper * (1 - 2 * upper),
            density_lower * (1 - 2 * lower),
        )

    def log_likelihood(self, thresholds: FloatArray, eta: FloatArray) -> float:
        """Return the log-likelihood."""
        padded = np.concatenate([[-np.inf], thresholds, [np.inf]])
        above = padded[1:][self.codes] - eta
        below = padded[:-1][self.codes] - eta
        total = special.log_expit(above).sum() + special.log_expit(-below).sum()
        gaps = np.diff(thresholds)
        return float(total + (self.counts[1:-1] * np.log(-np.expm1(-gaps))).sum())

    def threshold_scores(
        self, thresholds: FloatArray, upper: FloatArray, lower: FloatArray
    ) -> FloatArray:
        """Return sums per threshold of what its observations have just below and above it.

        With ``1 − F(u)`` and ``−F(l)`` these are the derivatives of the log-likelihood.
        """
        n = self.n_categories
        total: FloatArray = np.bincount(self.codes, weights=upper, minlength=n)[:-1].astype(float)
        total += np.bincount(self.codes, weights=lower, minlength=n)[1:]
        pull = self.counts[1:-1] / np.expm1(np.diff(thresholds))
        total[1:] += pull
        total[:-1] -= pull
        return total

    def threshold_columns(self, terms: LinkTerms) -> FloatArray:
        """Return (n, n_thresholds): the derivative of each score in each threshold."""
        columns = np.zeros((len(self.codes), self.n_categories + 1))
        rows = np.arange(len(self.codes))
        columns[rows, self.codes + 1] = terms.density_upper
        columns[rows, self.codes] = terms.density_lower
        return columns[:, 1:-1]

    def information(self, thresholds: FloatArray, terms: LinkTerms) -> FloatArray:
        """Return minus the second derivative in thresholds and effects, effects last."""
        n = self.n_thresholds
        columns = self.threshold_columns(terms)
        weighted = terms.weights[:, None] * self.design
        full = np.zeros((n + self.design.shape[1],) * 2)
        full[n:, n:] = self.design.T @ weighted
        full[:n, n:] = -columns.T @ self.design
        full[n:, :n] = full[:n, n:].T
        full[range(n), range(n)] = columns.sum(axis=0)
        gaps = np.diff(thresholds)
        bend = self.counts[1:-1] / (4 * np.sinh(gaps / 2) ** 2)
        for k, value in enumerate(bend):
            full[k : k + 2, k : k + 2] += value * np.array([[1.0, -1.0], [-1.0, 1.0]])
        return full


@dataclass(frozen=True, slots=True, eq=False)
class OrdinalFit:
    """A fitted cumulative link model.

    ``covariance``: of thresholds and effects, thresholds first, from the observed information.
    """

    thresholds: FloatArray
    effects: FloatArray
    covariance: FloatArray
    log_likelihood: float
    n_steps: int


def fit_ordinal(data: OrdinalData) -> OrdinalFit:
    """Return the maximum likelihood fit, by Newton's method with halved steps.

    Raises:
        UndefinedStatisticError: an effect is infinite (separation), or effects are not told apart.

    Source: McCullagh (1980), §2–3; thresholds minus effects, as in Christensen's ordinal for R.
    """
    share = np.cumsum(data.counts)[:-1] / data.counts.sum()
    thresholds, effects = special.logit(share), np.zeros(data.design.shape[1])
    n = data.n_thresholds
    eta = data.design @ effects
    likelihood = data.log_likelihood(thresholds, eta)
    for step in range(_MOST_STEPS):
        terms = data.terms(thresholds, eta)
        gradient = np.concatenate(
            [
                data.threshold_scores(thresholds, 1 - terms.upper, -terms.lower),
                data.design.T @ terms.scores,
            ]
        )
        information = data.information(thresholds, terms)
        try:
            move = np.linalg.solve(information, gradient)
        except np.linalg.LinAlgError:
            raise UndefinedStatisticError(
                "the effects cannot be told apart on these data"
            ) from None
        size = 1.0
        while size > 1e-6:
            tried = thresholds + size * move[:n], effects + size * move[n:]
            eta = data.design @ tried[1]
            if (np.diff(tried[0]) > 0).all():
                value = data.log_likelihood(tried[0], eta)
                if value >= likelihood - 1e-9:
                    break
            size /= 2
        else:
            break
        thresholds, effects = tried
        likelihood = value
        if effects.size and np.abs(effects).max() > _LARGEST_EFFECT:
            break
        if gradient @ move < 1e-16 * max(1.0, abs(likelihood)):
            terms = data.terms(thresholds, eta)
            covariance = np.asarray(np.linalg.inv(data.information(thresholds, terms)), float)
            return OrdinalFit(thresholds, effects, covariance, likelihood, step + 1)
    raise UndefinedStatisticError(
        "an effect is infinite: the ratings of some arms do not overlap with those of the others"
    )
