"""The Laplace approximation of a cumulative link model with crossed effects, and its gradient.

With ``u ~ N(0, I)`` and ``η = Xβ + ZΛu``, the integral over u is approximated at its mode û by
``h(û) − ½ log det H``, h the joint log-likelihood and ``H = I + ΛZ'WZΛ``. The gradient is exact: û
moves with the parameters, and that path is followed by one adjoint solve for all of them.

A scale enters only through its square, so its sign is free and its boundary 0 is an inner,
stationary point: nothing has to be constrained.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from qingting.stats.clusters import FloatArray
from qingting.stats.crossed_effects import N_SCALES, CrossedDesign, Effects, Factor, Leverage
from qingting.stats.ordinal import LinkTerms, OrdinalData

_MOST_INNER_STEPS = 60
# Newton's method is quadratic: once a step gains so little, the next gains its square.
_INNER_GAIN = 1e-7


class Parameters(NamedTuple):
    """Thresholds, fixed effects, and the scale of each of the four kinds of effects."""

    thresholds: FloatArray
    effects: FloatArray
    scales: FloatArray


class Mode(NamedTuple):
    """The mode of the effects, and what was computed there."""

    effects: Effects
    terms: LinkTerms
    factor: Factor
    joint: float
    n_steps: int

    @property
    def log_likelihood(self) -> float:
        """Return Laplace's approximation of the log-likelihood."""
        return self.joint - 0.5 * self.factor.log_determinant


class Slope(NamedTuple):
    """The gradient of the log-likelihood in thresholds, effects and scales, and the leverage."""

    thresholds: FloatArray
    effects: FloatArray
    scales: FloatArray
    leverage: Leverage


@dataclass(frozen=True, slots=True, eq=False)
class LaplaceLikelihood:
    """The approximate likelihood of data under a design."""

    data: OrdinalData
    design: CrossedDesign

    def mode(self, parameters: Parameters, start: Effects | None = None) -> Mode:
        """Return the mode of the effects, found from ``start`` by Newton's method.

        The joint log-likelihood is concave in the effects, so the mode is the only one.

        Raises:
            FloatingPointError: the parameters are so extreme that no mode can be computed.
        """
        thresholds, fixed, scales = parameters
        base = self.data.design @ fixed
        effects = self.design.zeros() if start is None else start
        joint, eta = self._joint(thresholds, base, scales, effects)
        if start is not None and not np.isfinite(joint):
            effects = self.design.zeros()
            joint, eta = self._joint(thresholds, base, scales, effects)
        is_last = False
        for step in range(_MOST_INNER_STEPS):
            terms = self.data.terms(thresholds, eta)
            factor = self.design.factor(terms.weights, scales)
            if is_last:
                return Mode(effects, terms, factor, joint, step)
            pull = self.design.gather(terms.scores, scales)
            gradient = Effects(pull.first - effects.first, pull.second - effects.second)
            move = factor.solve(gradient)
            gain = float(
                (gradient.first * move.first).sum() + (gradient.second * move.second).sum()
            )
            size = 1.0
            while True:
                tried = Effects(
                    effects.first + size * move.first, effects.second + size * move.second
                )
                value, eta = self._joint(thresholds, base, scales, tried)
                if value >= joint - 1e-10 * abs(joint) or size < 1e-8:
                    break
                size /= 2
            effects, joint = tried, value
            is_last = gain < _INNER_GAIN
        raise FloatingPointError("no mode of the random effects was found")

    def slope(self, parameters: Parameters, mode: Mode) -> Slope:
        """Return the gradient of the approximate log-likelihood at a mode.

        Source: derived here; of the same kind as Kristensen et al. (2016), §2, where the implicit
        derivative is automatic.
        """
        terms, factor, design, data = mode.terms, mode.factor, self.design, self.data
        scales = parameters.scales
        leverage = factor.leverage()
        half = 0.5 * leverage.variances
        adjoint = factor.solve(design.gather(2 * half * terms.weight_slopes, scales))
        path = 0.5 * design.spread(adjoint, scales)
        inner = terms.scores - half * terms.weight_slopes + path * terms.weights
        thresholds = data.threshold_scores(
            parameters.thresholds,
            1 - terms.upper - half * terms.slope_upper - path * terms.density_upper,
            -terms.lower - half * terms.slope_lower - path * terms.density_lower,
        )
        one = np.ones(N_SCALES)
        pulled, plain = design.gather(inner, one), design.gather(terms.scores, one)
        of_scales = -(leverage.parts @ terms.weights)
        for side, (u, a, s, k) in enumerate(zip(mode.effects, pulled, plain, adjoint, strict=True)):
            of_each = u * a - 0.5 * k * s
            of_scales[2 * side] += of_each[:, 0].sum()
            of_scales[2 * side + 1] += of_each[:, 1:].sum()
        return Slope(thresholds, data.design.T @ inner, of_scales, leverage)

    def fixed_information(self, parameters: Parameters, mode: Mode) -> FloatArray:
        """Return the information of thresholds and effects (last), the random effects profiled.

        Given the scales; ``W`` at the mode. Source: as the mixed model equations, Henderson (1975).
        """
        terms, data = mode.terms, self.data
        columns = np.concatenate(
            [-data.threshold_columns(terms), terms.weights[:, None] * data.design], axis=1
        )
        full = data.information(parameters.thresholds, terms)
        gathered = [self.design.gather(column, parameters.scales) for column in columns.T]
        right = Effects(
            np.stack([one.first for one in gathered], axis=-1),
            np.stack([one.second for one in gathered], axis=-1),
        )
        solved = mode.factor.solve(right)
        n = columns.shape[1]
        return np.asarray(
            full
            - right.first.reshape(-1, n).T @ solved.first.reshape(-1, n)
            - right.second.reshape(-1, n).T @ solved.second.reshape(-1, n)
        )

    def _joint(
        self, thresholds: FloatArray, base: FloatArray, scales: FloatArray, effects: Effects
    ) -> tuple[float, FloatArray]:
        eta = base + self.design.spread(effects, scales)
        penalty = float(np.square(effects.first).sum() + np.square(effects.second).sum())
        return self.data.log_likelihood(thresholds, eta) - 0.5 * penalty, eta
