"""How uncertain strengths are: bootstrap and sandwich, by vote, prompt, rater or both.

Two ways of clustering combine as the covariance by prompt plus that by rater less that by
prompt and rater together (Cameron, Gelbach and Miller, 2011, §2), negative directions set to 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from qingting.core.errors import UndefinedStatisticError
from qingting.stats.bradley_terry import PairFit, PairLikelihood
from qingting.stats.votes import N_OUTCOMES, FloatArray, IntArray

CovarianceMethod = Literal["bootstrap", "sandwich"]

_CHUNK = 600_000
# Above this share of resamples without finite estimates a standard error would be made up.
_MOST_FAILED = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class VoteCovariance:
    """Covariance of the parameters, with degrees of freedom; ``n_failed`` resamples had none."""

    matrix: FloatArray
    df: float
    n_failed: int
    n_resamples: int


def vote_covariance(
    likelihood: PairLikelihood,
    fit: PairFit,
    clusters: tuple[IntArray, ...],
    *,
    method: CovarianceMethod,
    rng: np.random.Generator | None,
    n_resamples: int,
) -> VoteCovariance:
    """Return the covariance of the estimates; ``clusters``: none, one or two (n_votes,) each.

    Votes with weights need clusters (each vote its own, at least): within a cell they differ.

    Raises:
        UndefinedStatisticError: fewer than two clusters, or over 1% of resamples without finite
            estimates.
    """
    if likelihood.cells.weights is not None and not clusters:
        raise ValueError("votes with weights need clusters, at least one for each vote")
    n_clusters = [int(c.max()) + 1 for c in clusters]
    if min(n_clusters, default=2) < 2:
        raise UndefinedStatisticError("one cluster (prompt or rater) has no spread")
    df = float(min(n_clusters) - 1) if clusters else np.inf
    n_failed = 0

    def one(which: IntArray | None) -> FloatArray:
        nonlocal n_failed
        if method == "sandwich":
            return _sandwich(likelihood, fit, which)
        if rng is None:
            raise ValueError("method 'bootstrap' resamples and needs an rng")
        draws = bootstrap_estimates(likelihood, fit, which, rng=rng, n_resamples=n_resamples)
        good = np.isfinite(draws).all(axis=0)
        n_failed += int((~good).sum())
        if (~good).mean() > _MOST_FAILED:
            raise UndefinedStatisticError(
                f"{(~good).sum()} of {n_resamples} resamples have no finite estimate, so the "
                "bootstrap has no standard error; the arms have too few votes or clusters"
            )
        centred = draws[:, good] - draws[:, good].mean(axis=1, keepdims=True)
        matrix: FloatArray = centred @ centred.T / (good.sum() - 1)
        if which is not None:
            n_units = int(which.max()) + 1
            matrix *= n_units / (n_units - 1)
        return matrix

    if not clusters:
        matrix = one(None)
    elif len(clusters) == 1:
        matrix = one(clusters[0])
    else:
        both = clusters[0].astype(np.int64) * n_clusters[1] + clusters[1]
        _, together = np.unique(both, return_inverse=True)
        matrix = one(clusters[0]) + one(clusters[1]) - one(together.astype(np.int32))
        values, vectors = np.linalg.eigh(matrix)
        matrix = (vectors * np.maximum(values, 0)) @ vectors.T
    return VoteCovariance(matrix, df, n_failed, n_resamples if method == "bootstrap" else 0)


def bootstrap_estimates(
    likelihood: PairLikelihood,
    fit: PairFit,
    clusters: IntArray | None,
    *,
    rng: np.random.Generator,
    n_resamples: int,
) -> FloatArray:
    """Return estimates (n_parameters, n_resamples) from resampled votes or clusters.

    Votes are exchangeable within a cell, so resampling them is a multinomial draw over cells;
    clusters are drawn with replacement and bring all their votes.
    """
    cells = likelihood.cells
    n_outcomes = cells.n_cells * N_OUTCOMES
    step = int(max(1, min(256, _CHUNK // n_outcomes)))
    found = np.empty((likelihood.n_parameters, n_resamples))
    counts_flat = cells.counts.reshape(-1)
    occupied = np.flatnonzero(counts_flat)
    n_votes = len(cells.outcomes_votes)
    table = None if clusters is None else cluster_counts(likelihood, clusters)
    for start in range(0, n_resamples, step):
        n = min(step, n_resamples - start)
        if table is None:
            drawn = np.zeros((n_outcomes, n))
            drawn[occupied] = rng.multinomial(n_votes, counts_flat[occupied] / n_votes, n).T
        else:
            n_units = table.shape[1]
            weights = rng.multinomial(n_units, np.full(n_units, 1 / n_units), n)
            drawn = table @ np.ascontiguousarray(weights.T, dtype=np.float64)
        counts = drawn.reshape(cells.n_cells, N_OUTCOMES, n).transpose(1, 0, 2)
        found[:, start : start + n] = likelihood.fit_resamples(counts, fit)
    return found


def cluster_counts(likelihood: PairLikelihood, clusters: IntArray) -> Any:
    """Return votes by cell, outcome and cluster, sparse (3 n_cells, n_clusters)."""
    cells = likelihood.cells
    table = sparse.coo_array(
        (
            np.ones(len(clusters), np.float32) if cells.weights is None else cells.weights,
            (cells.outcomes_votes, clusters),
        ),
        shape=(cells.n_cells * N_OUTCOMES, int(clusters.max()) + 1),
    ).tocsr()
    table.sum_duplicates()
    return table.astype(np.float64)


def _sandwich(likelihood: PairLikelihood, fit: PairFit, clusters: IntArray | None) -> FloatArray:
    scores = likelihood.scores(fit.parameters)
    if clusters is None:
        counts = likelihood.cells.counts.reshape(-1, 1)
        meat = (scores.T @ scores.multiply(counts)).toarray()
        factor = 1.0
    else:
        table = cluster_counts(likelihood, clusters)
        sums = (table.T @ scores).toarray()
        meat = sums.T @ sums
        factor = table.shape[1] / (table.shape[1] - 1)
    return np.asarray(factor * fit.bread @ meat @ fit.bread)


def largest_t(
    matrix: FloatArray, df: float, rng: np.random.Generator, level: float, pairs: NDArray[np.int64]
) -> float:
    """Return the quantile of the largest |t| over differences of pairs, by 20,000 draws."""
    values, vectors = np.linalg.eigh(matrix)
    root = vectors * np.sqrt(np.maximum(values, 0))
    first, second = pairs
    se = np.sqrt(
        np.maximum(
            np.diag(matrix)[first] + np.diag(matrix)[second] - 2 * matrix[first, second], 1e-300
        )
    )
    largest = np.empty(20_000)
    step = max(1, 2_000_000 // len(first))
    for start in range(0, len(largest), step):
        n = min(step, len(largest) - start)
        draws = rng.standard_normal((n, len(matrix))) @ root.T
        t = np.abs(draws[:, first] - draws[:, second]) / se
        scale = np.sqrt(rng.chisquare(df, n) / df) if np.isfinite(df) else 1.0
        largest[start : start + n] = t.max(axis=1) / scale
    return float(np.quantile(largest, level))
