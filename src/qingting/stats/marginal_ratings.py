"""What a fitted mixed model predicts of new prompts and new raters, with delta-method errors."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy import special

from qingting.core.missing import Missing
from qingting.stats.clusters import FloatArray, Interval
from qingting.stats.laplace import Parameters

_N_NODES = 31
_DIFFERENCE = 1e-4


@lru_cache(maxsize=1)
def _normal_nodes() -> tuple[FloatArray, FloatArray]:
    nodes, weights = np.polynomial.hermite_e.hermegauss(_N_NODES)
    return nodes, weights / weights.sum()


def rating_shares(parameters: Parameters) -> FloatArray:
    """Return the predicted share of each category by arm, (n_arms, n_categories).

    For a new rater and a new prompt: every random effect is integrated over. The first arm is the
    reference, whose effect is 0.
    """
    nodes, weights = _normal_nodes()
    total = float(np.sqrt(np.square(parameters.scales).sum()))
    effects = np.concatenate([[0.0], parameters.effects])
    shifted = parameters.thresholds - effects[:, None]
    cumulative = np.tensordot(
        weights, special.expit(shifted[None] - total * nodes[:, None, None]), axes=1
    )
    return _differences(cumulative)


def superiority(parameters: Parameters) -> FloatArray:
    """Return ``P(first above second) + ½ P(equal)`` for each pair of arms, (n_arms, n_arms).

    Of two replies to the same new prompt, rated by the same new rater: what prompt and rater add
    to both replies is shared, what they add to one arm alone is not.

    Source: the probabilistic index of Acion et al. (2006), integrated over the mixed model.
    """
    nodes, weights = _normal_nodes()
    scales = parameters.scales
    shared = float(np.hypot(scales[0], scales[2]))
    own = float(np.hypot(scales[1], scales[3]))
    effects = np.concatenate([[0.0], parameters.effects])
    at = (
        parameters.thresholds
        - effects[:, None, None, None]
        - (shared * nodes)[None, :, None, None]
        - (own * nodes)[None, None, :, None]
    )
    # (n_arms, shared nodes, thresholds), the effects of the arm alone integrated.
    cumulative = np.einsum("j,acjk->ack", weights, special.expit(at))
    shares = _differences(cumulative)
    below = np.concatenate([np.zeros_like(cumulative[..., :1]), cumulative], axis=-1)
    return np.asarray(np.einsum("c,ack,bck->ab", weights, shares, below + shares / 2))


def delta_errors(
    function: Callable[[FloatArray], FloatArray], values: FloatArray, covariance: FloatArray
) -> FloatArray:
    """Return standard errors of a function of estimates, in its shape, by the delta method."""
    slopes = []
    for n in range(len(values)):
        step = np.zeros(len(values))
        step[n] = _DIFFERENCE
        slopes.append((function(values + step) - function(values - step)) / (2 * _DIFFERENCE))
    slope = np.array(slopes)
    variance = np.einsum("i...,ij,j...->...", slope, covariance, slope)
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)))


def probability_interval(value: float, error: float, quantile: float) -> Interval | Missing:
    """Return an interval of a probability, symmetric in its log-odds."""
    if not 0 < value < 1 or not np.isfinite(error):
        return Missing("the probability lies at the edge of what can be computed")
    centre, half = special.logit(value), quantile * error / (value * (1 - value))
    return Interval(float(special.expit(centre - half)), float(special.expit(centre + half)))


def _differences(cumulative: FloatArray) -> FloatArray:
    edge = (*cumulative.shape[:-1], 1)
    return np.diff(np.concatenate([np.zeros(edge), cumulative, np.ones(edge)], axis=-1), axis=-1)
