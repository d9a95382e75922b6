"""Contrasts of arms and shares of categories, from a fitted mixed model."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy import special

from qingting.core.missing import Missing
from qingting.stats.arm_ratings import ArmRatings
from qingting.stats.clusters import FloatArray, Interval
from qingting.stats.estimates import Estimate
from qingting.stats.laplace import Parameters
from qingting.stats.marginal_ratings import (
    delta_errors,
    probability_interval,
    rating_shares,
    superiority,
)
from qingting.stats.mixed_ordinal import MixedFit
from qingting.stats.ordinal import OrdinalData
from qingting.stats.rating_results import RatingContrast


class Described:
    """What a fit says of arms: contrasts and shares, with intervals on ``df``.

    ``df``: degrees of freedom, ``None`` for normal.
    """

    def __init__(
        self,
        ratings: ArmRatings,
        data: OrdinalData,
        fit: MixedFit,
        df: int | None,
        confidence_level: float,
    ) -> None:
        self.ratings, self.fit, self.df, self.level = ratings, fit, df, confidence_level
        self.n_thresholds, self.n_categories = data.n_thresholds, data.n_categories
        self.n_fixed = data.n_thresholds + data.design.shape[1]
        self.n_arms = len(ratings.arm_names)
        tail = (1 + confidence_level) / 2
        self.quantile = float(special.ndtri(tail) if df is None else special.stdtrit(df, tail))
        self.is_sure = fit.convergence.converged
        scales = fit.parameters.scales[np.array(fit.free)]
        self.values = np.concatenate([fit.parameters.thresholds, fit.parameters.effects, scales])
        self.method = "Wald, normal" if df is None else f"Wald, Student t with {df} df"

    def _parameters(self, values: FloatArray) -> Parameters:
        scales = np.zeros(4)
        scales[np.array(self.fit.free)] = values[self.n_fixed :]
        return Parameters(
            values[: self.n_thresholds], values[self.n_thresholds : self.n_fixed], scales
        )

    def _estimate(self, value: float, interval: Interval | Missing, n: int) -> Estimate:
        if not self.is_sure:
            interval = Missing("the fit did not converge")
        clusters = None if self.df is None else self.df + 1
        return Estimate(value, interval, self.level, n, 0, self.method, n_clusters=clusters)

    def shares(self) -> dict[str, tuple[Estimate, ...]]:
        """Return by arm the predicted share of each category for a new rater and prompt."""

        def of(values: FloatArray) -> FloatArray:
            return rating_shares(self._parameters(values))

        values, errors = of(self.values), delta_errors(of, self.values, self.fit.covariance)
        counts = np.bincount(self.ratings.arms, minlength=self.n_arms)
        return {
            name: tuple(
                self._estimate(
                    float(v),
                    probability_interval(float(v), float(e), self.quantile),
                    int(counts[a]),
                )
                for v, e in zip(values[a], errors[a], strict=True)
            )
            for a, name in enumerate(self.ratings.arm_names)
        }

    def contrasts(self, baseline: str | None) -> tuple[RatingContrast, ...]:
        """Return all pairs of arms, or every other arm against the baseline."""
        names = self.ratings.arm_names
        if baseline is None:
            pairs = list(combinations(range(self.n_arms), 2))
        else:
            against = names.index(baseline)
            pairs = [(arm, against) for arm in range(self.n_arms) if arm != against]
        first, second = np.array(pairs).T

        def chances(values: FloatArray) -> FloatArray:
            return np.asarray(superiority(self._parameters(values))[first, second])

        def moves(values: FloatArray) -> FloatArray:
            shares = rating_shares(self._parameters(values))
            return np.asarray(shares[first] - shares[second])

        covariance = self.fit.covariance
        chance, shift = chances(self.values), moves(self.values)
        chance_errors = delta_errors(chances, self.values, covariance)
        shift_errors = delta_errors(moves, self.values, covariance)
        components = self.ratings.connected_arms()
        counts = np.bincount(self.ratings.arms, minlength=self.n_arms)
        made = []
        for at, (a, b) in enumerate(pairs):
            if components[a] != components[b]:
                apart = Missing("the two arms share no prompt and no rater")
                made.append(
                    RatingContrast(
                        names[a], names[b], apart, apart, (apart,) * self.n_categories, apart
                    )
                )
                continue
            n = int(counts[a] + counts[b])
            value, error = self._log_odds(a, b)
            made.append(
                RatingContrast(
                    names[a],
                    names[b],
                    self._estimate(value, self._symmetric(value, error), n),
                    self._estimate(
                        float(chance[at]),
                        probability_interval(
                            float(chance[at]), float(chance_errors[at]), self.quantile
                        ),
                        n,
                    ),
                    tuple(
                        self._estimate(float(v), self._symmetric(float(v), float(e)), n)
                        for v, e in zip(shift[at], shift_errors[at], strict=True)
                    ),
                    self._p_value(value, error),
                )
            )
        return tuple(made)

    def _log_odds(self, a: int, b: int) -> tuple[float, float]:
        weights = np.zeros(len(self.values))
        if a:
            weights[self.n_thresholds + a - 1] += 1
        if b:
            weights[self.n_thresholds + b - 1] -= 1
        variance = float(weights @ self.fit.covariance @ weights)
        return float(weights @ self.values), float(np.sqrt(variance)) if variance > 0 else np.nan

    def _symmetric(self, value: float, error: float) -> Interval | Missing:
        if not np.isfinite(error):
            return Missing("the fit did not converge")
        return Interval(value - self.quantile * error, value + self.quantile * error)

    def _p_value(self, value: float, error: float) -> float | Missing:
        if not self.is_sure or not np.isfinite(error):
            return Missing("the fit did not converge")
        size = abs(value) / error
        if self.df is None:
            return float(2 * special.ndtr(-size))
        return float(2 * special.stdtr(self.df, -size))
