"""Maximum likelihood of a cumulative link mixed model, and whether it was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from qingting.core.errors import UndefinedStatisticError
from qingting.stats.clusters import FloatArray
from qingting.stats.crossed_effects import N_SCALES, CrossedDesign, Effects
from qingting.stats.laplace import LaplaceLikelihood, Mode, Parameters
from qingting.stats.ordinal import OrdinalData, fit_ordinal

_MOST_STEPS = 200
_FIRST_SCALE = 0.5
# Log-likelihood that a step must promise, else the search ends; Newton's method polishes.
_SEARCH_GAIN = 1e-5
_FINAL_GAIN = 1e-7
_DIFFERENCE = 1e-3
# Below this a scale is compared with exactly 0.
_SMALL_SCALE = 0.1
_LARGEST_EFFECT = 15.0
_LARGEST_SCALE = 20.0


@dataclass(frozen=True, slots=True)
class Convergence:
    """How the search ended.

    ``largest_slope``: of the log-likelihood, in any parameter. ``remaining_gain``: log-likelihood
    that one more Newton step would add. ``smallest_curvature``: smallest eigenvalue of minus the
    second derivative; positive at a proper maximum.
    """

    converged: bool
    largest_slope: float
    remaining_gain: float
    smallest_curvature: float
    n_evaluations: int

    def to_record(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "converged": self.converged,
            "largest_slope": self.largest_slope,
            "remaining_gain": self.remaining_gain,
            "smallest_curvature": self.smallest_curvature,
            "n_evaluations": self.n_evaluations,
        }


@dataclass(frozen=True, slots=True, eq=False)
class MixedFit:
    """A fitted model.

    ``covariance``: of thresholds, effects and the positive scales, in this order, from the second
    derivative of the approximate log-likelihood, so that what is unknown of the scales counts.
    ``free``: (4,) which scales are positive; an asked-for one that is not stands at the boundary 0.
    ``variances``: of u given the data (conditional), the diagonal of ``H⁻¹``.
    """

    parameters: Parameters
    covariance: FloatArray
    free: tuple[bool, ...]
    log_likelihood: float
    modes: Effects
    variances: Effects
    convergence: Convergence


class _Point(NamedTuple):
    parameters: Parameters
    log_likelihood: float
    gradient: FloatArray
    mode: Mode
    leverage: Effects


class _Search:
    """Evaluations of the likelihood over thresholds, effects and the free scales."""

    def __init__(self, data: OrdinalData, design: CrossedDesign, free: tuple[bool, ...]) -> None:
        self.likelihood = LaplaceLikelihood(data, design)
        self.n_thresholds = data.n_thresholds
        self.n_fixed = data.n_thresholds + data.design.shape[1]
        self.free = np.array(free)
        self.n_evaluations = 0
        self._last: Effects | None = None

    def unpack(self, values: FloatArray) -> Parameters:
        scales = np.zeros(N_SCALES)
        scales[self.free] = values[self.n_fixed :]
        return Parameters(
            values[: self.n_thresholds], values[self.n_thresholds : self.n_fixed], scales
        )

    def at(self, values: FloatArray) -> _Point:
        parameters = self.unpack(values)
        mode = self.likelihood.mode(parameters, self._last)
        slope = self.likelihood.slope(parameters, mode)
        self._last = mode.effects
        self.n_evaluations += 1
        gradient = np.concatenate([slope.thresholds, slope.effects, slope.scales[self.free]])
        return _Point(parameters, mode.log_likelihood, gradient, mode, slope.leverage.diagonal)

    def first_curvature(self, point: _Point) -> FloatArray:
        """Return a guess of minus the second derivative: fixed effects well, scales roughly."""
        n = self.n_fixed
        curvature = np.eye(n + int(self.free.sum()))
        curvature[:n, :n] = self.likelihood.fixed_information(point.parameters, point.mode)
        known = [
            2 * float(np.square(1 - part).sum())
            for variances in point.leverage
            for part in (variances[:, 0], variances[:, 1:])
        ]
        squares = np.square(point.parameters.scales)
        for at, t in enumerate(np.flatnonzero(self.free)):
            curvature[n + at, n + at] = max(known[t] / max(squares[t], 0.01), 0.1)
        return curvature

    def curvature(self, values: FloatArray) -> FloatArray:
        """Return minus the second derivative, from differences of the gradient."""
        rows = []
        for n in range(len(values)):
            step = np.zeros(len(values))
            step[n] = _DIFFERENCE
            rows.append(
                (self.at(values - step).gradient - self.at(values + step).gradient)
                / (2 * _DIFFERENCE)
            )
        curvature = np.array(rows)
        return (curvature + curvature.T) / 2


def fit_mixed_ordinal(
    data: OrdinalData, design: CrossedDesign, *, effects: tuple[bool, bool, bool, bool]
) -> MixedFit:
    """Return the fit that maximizes Laplace's approximation of the likelihood.

    Args:
        data: the observations.
        design: their groups.
        effects: which of main and nested, first and second side, the model has.

    The search is quasi-Newton, started from the information of the mixed model equations, over
    ``(θ₁, log gaps, β, scales)``, so thresholds cannot change their order; Newton steps on the
    differenced gradient end it. A scale that does better at 0 is set to 0 and named in ``free``.

    Raises:
        UndefinedStatisticError: one category only, an infinite effect, or a likelihood without a
            maximum.

    Source: Tutz and Hennevogl (1996) for the model; the likelihood as in Christensen's clmm.
    """
    start = fit_ordinal(data)
    free = tuple(effects)
    n_before = 0
    values = np.concatenate([start.thresholds, start.effects, np.full(sum(free), _FIRST_SCALE)])
    while True:
        search = _Search(data, design, free)
        search.n_evaluations = n_before
        try:
            values, point, curvature = _maximize(search, values)
        except (FloatingPointError, np.linalg.LinAlgError):
            raise UndefinedStatisticError(
                "the mixed model's likelihood has no maximum on these data"
            ) from None
        dropped = _at_boundary(search, values, point)
        if dropped is None:
            break
        # Nothing else starts at 0, where the slope in a scale vanishes whatever the data say.
        kept = [t for t in np.flatnonzero(free) if t != dropped]
        values = np.concatenate([values[: search.n_fixed], np.abs(point.parameters.scales[kept])])
        free = tuple(bool(f) and t != dropped for t, f in enumerate(free))
        n_before = search.n_evaluations
    return _described(search, values, point, curvature)


def _maximize(search: _Search, values: FloatArray) -> tuple[FloatArray, _Point, FloatArray]:
    values, point = _climb(search, values)
    for _ in range(8):
        curvature = search.curvature(values)
        eigenvalues, directions = np.linalg.eigh(curvature)
        if eigenvalues[0] <= 0:
            # Scales close to 0 may be a saddle, from which no slope leads away.
            away = _leaving(search, values, np.asarray(directions[:, 0], float))
            if away is None:
                break
            values, point = _climb(search, away)
            continue
        move = np.linalg.solve(curvature, point.gradient)
        if 0.5 * float(point.gradient @ move) < _FINAL_GAIN:
            break
        size = 1.0
        while size > 1e-4:
            tried = values + size * move
            if (np.diff(tried[: search.n_thresholds]) > 0).all():
                better = search.at(tried)
                if better.log_likelihood >= point.log_likelihood - 1e-9:
                    values, point = tried, better
                    break
            size /= 2
        else:
            break
        if 0.5 * float(point.gradient @ np.linalg.solve(curvature, point.gradient)) < _FINAL_GAIN:
            break
    return values, point, curvature


def _leaving(search: _Search, values: FloatArray, direction: FloatArray) -> FloatArray | None:
    """Return values off a saddle along the direction that bends upwards, or None."""
    scales = direction[search.n_fixed :]
    if not len(scales) or np.abs(scales).max() < 0.1:
        return None
    here = search.at(values).log_likelihood
    step = _FIRST_SCALE * direction / np.abs(scales).max()
    for size in (1.0, -1.0, 0.4, -0.4, 0.1, -0.1, 0.03, -0.03, 0.01, -0.01):
        tried = values + size * step
        if (np.diff(tried[: search.n_thresholds]) > 0).all() and (
            search.at(tried).log_likelihood > here + 1e-9
        ):
            return np.asarray(tried)
    return None


def _climb(search: _Search, values: FloatArray) -> tuple[FloatArray, _Point]:
    """Return where a quasi-Newton search over unconstrained values ends, and the point."""
    n = search.n_thresholds
    point = search.at(values)
    inner = _to_inner(values, n)
    jacobian = _jacobian(values, n)
    gradient = jacobian.T @ point.gradient
    inverse = np.linalg.inv(jacobian.T @ search.first_curvature(point) @ jacobian)
    for _ in range(_MOST_STEPS):
        move = inverse @ gradient
        promised = float(gradient @ move)
        if promised < _SEARCH_GAIN:
            break
        size = min(1.0, 1.0 / float(np.abs(move).max()))
        while True:
            tried = _from_inner(inner + size * move, n)
            try:
                better = search.at(tried)
                if better.log_likelihood >= point.log_likelihood + 1e-4 * size * promised:
                    break
            except FloatingPointError:
                pass
            size /= 2
            if size < 1e-6:
                return values, point
        jacobian = _jacobian(tried, n)
        new_gradient = jacobian.T @ better.gradient
        step, change = size * move, gradient - new_gradient
        along = float(step @ change)
        if along > 1e-10:
            scaled = inverse @ change
            inverse = (
                inverse
                + (along + change @ scaled) / along**2 * np.outer(step, step)
                - (np.outer(scaled, step) + np.outer(step, scaled)) / along
            )
        inner, values, point, gradient = inner + step, tried, better, new_gradient
        if np.abs(point.parameters.effects).max(initial=0.0) > _LARGEST_EFFECT:
            raise UndefinedStatisticError(
                "an effect is infinite: the ratings of some arms do not overlap with the others'"
            )
        if np.abs(point.parameters.scales).max() > _LARGEST_SCALE:
            raise UndefinedStatisticError(
                "the spread of a random effect is infinite: prompts, raters or replies determine "
                "their ratings, and too few vary"
            )
    return values, point


def _at_boundary(search: _Search, values: FloatArray, point: _Point) -> int | None:
    """Return the smallest scale that is as good or better at 0, or None."""
    scales = np.abs(point.parameters.scales)
    order = [t for t in np.argsort(scales) if search.free[t] and scales[t] < _SMALL_SCALE]
    for t in order:
        without = point.parameters.scales.copy()
        without[t] = 0.0
        mode = search.likelihood.mode(point.parameters._replace(scales=without))
        search.n_evaluations += 1
        if mode.log_likelihood >= point.log_likelihood - 1e-6:
            return int(t)
    return None


def _described(
    search: _Search, values: FloatArray, point: _Point, curvature: FloatArray
) -> MixedFit:
    eigenvalues = np.linalg.eigvalsh(curvature)
    smallest = float(eigenvalues[0])
    if smallest <= 0:
        covariance = np.full_like(curvature, np.nan)
        gain = float("inf")
    else:
        covariance = np.asarray(np.linalg.inv(curvature), float)
        gain = 0.5 * float(point.gradient @ covariance @ point.gradient)
    signs = np.where(point.parameters.scales < 0, -1.0, 1.0)
    flip = np.concatenate([np.ones(search.n_fixed), signs[search.free]])
    first, second = point.mode.effects
    u = Effects(
        first * np.where(np.arange(first.shape[1]) == 0, signs[0], signs[1]),
        second * np.where(np.arange(second.shape[1]) == 0, signs[2], signs[3]),
    )
    return MixedFit(
        point.parameters._replace(scales=np.abs(point.parameters.scales)),
        covariance * np.outer(flip, flip),
        tuple(bool(f) for f in search.free),
        point.log_likelihood,
        u,
        point.leverage,
        Convergence(
            smallest > 0 and gain < 1e-4,
            float(np.abs(point.gradient).max()),
            gain,
            smallest,
            search.n_evaluations,
        ),
    )


def _to_inner(values: FloatArray, n: int) -> FloatArray:
    inner = values.copy()
    inner[1:n] = np.log(np.diff(values[:n]))
    return inner


def _from_inner(inner: FloatArray, n: int) -> FloatArray:
    values = inner.copy()
    values[1:n] = inner[0] + np.cumsum(np.exp(np.clip(inner[1:n], -30, 30)))
    return values


def _jacobian(values: FloatArray, n: int) -> FloatArray:
    jacobian = np.eye(len(values))
    jacobian[:n, 0] = 1
    jacobian[:n, 1:n] = np.tril(np.ones((n, n)))[:, 1:] * np.diff(values[:n])
    return jacobian
