"""Maximum likelihood for paired comparisons: Bradley–Terry, and Davidson's model with ties.

Sources: Bradley and Terry (1952); Davidson (1970) for ties; Davidson and Beaver (1977) for the
effect of the order. With log-odds ``eta`` = strength of the left arm − strength of the right +
order effect + covariates, the outcomes left, right and tie have probabilities in the proportion
``exp(eta/2) : exp(−eta/2) : nu``. Davidson and Beaver's nu is ours times the root of the order
effect's odds. Bradley–Terry has no ``nu``; a tie then counts as half a win for both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.special import expit

from qingting.core.errors import UndefinedStatisticError
from qingting.stats.votes import LEFT, N_OUTCOMES, RIGHT, TIE, FloatArray, VoteCells

PairModel = Literal["bradley-terry", "davidson"]

_MAX_NEWTON = 100
_MAX_CHORD = 40
_LARGEST = 40.0
# Steps shrink by the same factor each time, at least tenfold where votes are many.
_SETTLED = 1e-7


@dataclass(frozen=True, slots=True, eq=False)
class PairFit:
    """Maximum likelihood estimates.

    ``parameters``: strengths (sum 0 within each group), then the order effect and covariates
    where fitted, then log nu in Davidson's model. ``bread``: inverse of the information within
    the space where strengths sum to 0 in each group.
    """

    parameters: FloatArray
    bread: FloatArray
    log_likelihood: float
    deviance: float


class PairLikelihood:
    """The likelihood of counts in cells; ``groups``: (n_arms,) arms whose strengths sum to 0.

    ``added``: (n_cells, 3) votes that nobody cast, added to every count (a penalty), or None.
    """

    def __init__(
        self,
        cells: VoteCells,
        groups: NDArray[np.integer[Any]],
        model: PairModel,
        *,
        added: FloatArray | None = None,
    ) -> None:
        self.cells, self.model = cells, model
        self.added = np.zeros_like(cells.counts) if added is None else added
        self.design = cells.design
        self.transposed = sparse.csr_array(cells.design.T)
        self.has_ties = model == "davidson"
        self.n_linear = cells.design.shape[1]
        self.n_parameters = self.n_linear + self.has_ties
        self.constraint = np.zeros((self.n_parameters, self.n_parameters))
        same = groups[:, None] == groups[None, :]
        self.constraint[: cells.n_arms, : cells.n_arms] = same

    def reduced(self, counts: FloatArray) -> FloatArray:
        """Return what the likelihood needs of counts (3, n_cells, n), (2 or 3, n_cells, n).

        Bradley–Terry: wins of the left with half the ties, and votes. Davidson: half of the
        wins of the left less those of the right, ties, and votes.
        """
        n = counts[LEFT] + counts[RIGHT]
        n += counts[TIE]
        if not self.has_ties:
            return np.stack([counts[LEFT] + 0.5 * counts[TIE], n])
        return np.stack([0.5 * (counts[LEFT] - counts[RIGHT]), counts[TIE], n])

    def residuals(self, parameters: FloatArray, reduced: FloatArray) -> FloatArray:
        """Return observed less expected at (n_parameters, n): by log-odds and, with ties, log nu.

        Shape (1 or 2, n_cells, n), in the order of ``reduced``.
        """
        eta = self.design @ parameters[: self.n_linear]
        if not self.has_ties:
            expected = expit(eta, out=eta)
            expected *= reduced[1]
            return np.asarray(np.subtract(reduced[0], expected, out=expected)[None])
        left, right, tie = self.probabilities(eta, parameters[-1])
        left -= right
        left *= 0.5
        return np.asarray(reduced[:2] - reduced[2] * np.stack([left, tie]))

    def gradient(self, residuals: FloatArray) -> FloatArray:
        """Return the score, (n_parameters, n)."""
        linear = np.asarray(self.transposed @ residuals[0])
        if not self.has_ties:
            return linear
        return np.vstack([linear, residuals[1].sum(axis=0)])

    def information(self, parameters: FloatArray, n_votes: FloatArray) -> FloatArray:
        """Return the information at (n_parameters,) with the constraint added.

        ``n_votes``: (n_cells,) votes of each cell.
        """
        eta = self.design @ parameters[: self.n_linear]
        matrix = np.zeros((self.n_parameters, self.n_parameters))
        if self.has_ties:
            left, right, tie = self.probabilities(eta, parameters[-1])
            weight = 0.25 * n_votes * (left + right - (left - right) ** 2)
            cross = self.transposed @ (-0.5 * n_votes * (left - right) * tie)
            matrix[-1, :-1] = matrix[:-1, -1] = cross
            matrix[-1, -1] = (n_votes * tie * (1 - tie)).sum()
        else:
            p = expit(eta)
            weight = n_votes * p * (1 - p)
        scaled = self.design.multiply(weight[:, None]).tocsr()
        matrix[: self.n_linear, : self.n_linear] = (self.transposed @ scaled).toarray()
        # The size of the constraint does not matter; that of the information keeps it well scaled.
        scale = max(float(np.trace(matrix)) / len(matrix), 1e-12)
        return matrix + scale * self.constraint

    def probabilities(self, eta: Any, log_nu: Any) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the probabilities of left, right and tie at log-odds."""
        top = np.maximum(np.abs(eta) / 2, log_nu)
        left, right, tie = np.exp(eta / 2 - top), np.exp(-eta / 2 - top), np.exp(log_nu - top)
        total = left + right
        total += tie
        return left / total, right / total, tie / total

    def log_likelihood(self, parameters: FloatArray, counts: FloatArray) -> float:
        """Return the log likelihood at (n_parameters,) for counts (n_cells, 3)."""
        eta = self.design @ parameters[: self.n_linear]
        if not self.has_ties:
            wins = counts[:, LEFT] + 0.5 * counts[:, TIE]
            total = counts.sum(axis=1)
            return float(
                -(np.logaddexp(0, -eta) * wins).sum()
                - (np.logaddexp(0, eta) * (total - wins)).sum()
            )
        log_nu = parameters[-1]
        log_total = np.logaddexp(np.logaddexp(eta / 2, -eta / 2), log_nu)
        terms = counts[:, LEFT] * eta / 2 - counts[:, RIGHT] * eta / 2 + counts[:, TIE] * log_nu
        return float((terms - counts.sum(axis=1) * log_total).sum())

    def fit(self, counts: FloatArray | None = None) -> PairFit:
        """Return the estimates for counts (n_cells, 3), those of the cells unless given.

        Raises:
            UndefinedStatisticError: an effect cannot be told apart from the others, or is infinite.
        """
        counts = (self.cells.counts if counts is None else counts) + self.added
        parameters = self._newton(counts, np.zeros(self.n_parameters))
        information = self.information(parameters, counts.sum(axis=1))
        likelihood = self.log_likelihood(parameters, counts)
        return PairFit(
            parameters,
            np.asarray(np.linalg.inv(information), np.float64),
            likelihood,
            2 * (self._saturated(counts) - likelihood),
        )

    def fit_resamples(self, counts: FloatArray, start: PairFit) -> FloatArray:
        """Return estimates (n_parameters, n) for counts (3, n_cells, n); NaN where not finite.

        Steps use the information at the whole sample's estimate, scaled to the resample's size,
        which spares a factorisation a step; where they do not settle, Newton's method takes over.
        """
        n_resamples = counts.shape[2]
        counts = counts + self.added.T[:, :, None] if self.added.any() else counts
        sizes = counts.sum(axis=(0, 1))
        scale = (self.cells.counts + self.added).sum() / np.maximum(sizes, 1e-300)
        found = np.repeat(start.parameters[:, None], n_resamples, axis=1)
        active = np.arange(n_resamples)
        shown = reduced = self.reduced(counts)
        for _ in range(_MAX_CHORD):
            residuals = self.residuals(found[:, active], shown)
            step = start.bread @ self.gradient(residuals) * scale[active]
            found[:, active] += step
            size = np.abs(step).max(axis=0)
            going = ~(size < _SETTLED)
            if not going.any() or not np.isfinite(size).all():
                active = active[going]
                break
            if going.sum() < 0.7 * len(active):
                active = active[going]
                shown = np.ascontiguousarray(reduced[:, :, active])
        for index in active:
            try:
                found[:, index] = self._newton(
                    np.ascontiguousarray(counts[:, :, index].T), start.parameters
                )
            except UndefinedStatisticError:
                found[:, index] = np.nan
        return found

    def _newton(self, counts: FloatArray, start: FloatArray) -> FloatArray:
        reduced = self.reduced(np.ascontiguousarray(counts.T)[:, :, None])
        n_votes = counts.sum(axis=1)
        parameters = start
        value = self.log_likelihood(parameters, counts)
        for _ in range(_MAX_NEWTON):
            residuals = self.residuals(parameters[:, None], reduced)
            information = self.information(parameters, n_votes)
            try:
                step = _solved(information, self.gradient(residuals)[:, 0])
            except LinAlgError:
                raise UndefinedStatisticError(
                    "the effects cannot be told apart on these votes, or one of them is infinite; "
                    "leave out the order effect or a covariate"
                ) from None
            share = 1.0
            while True:
                tried = parameters + share * step
                new = self.log_likelihood(tried, counts)
                if new >= value - 1e-9 * (1 + abs(value)) or share < 1e-6:
                    break
                share /= 2
            parameters, value = tried, new
            if np.abs(parameters).max() > _LARGEST:
                break
            if np.abs(step).max() < 1e-10:
                return parameters
        raise UndefinedStatisticError("an estimate is infinite: separation")

    def _saturated(self, counts: FloatArray) -> float:
        if not self.has_ties:
            wins = counts[:, LEFT] + 0.5 * counts[:, TIE]
            counts = np.column_stack([wins, counts.sum(axis=1) - wins])
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = counts * np.log(counts / counts.sum(axis=1, keepdims=True))
        return float(np.nansum(terms))

    def scores(self, parameters: FloatArray) -> Any:
        """Return the score of one vote per cell and outcome, sparse (3 n_cells, n_parameters)."""
        eta = self.design @ parameters[: self.n_linear]
        n_cells = self.cells.n_cells
        rows = np.repeat(np.arange(n_cells), N_OUTCOMES)
        if not self.has_ties:
            residual = np.array([1.0, 0.0, 0.5]) - expit(eta)[:, None]
            return self.design[rows].multiply(residual.reshape(-1, 1)).tocsr()
        left, right, tie = self.probabilities(eta, parameters[-1])
        residual = np.array([0.5, -0.5, 0.0]) - 0.5 * (left - right)[:, None]
        linear = self.design[rows].multiply(residual.reshape(-1, 1))
        ties = np.array([0.0, 0.0, 1.0]) - tie[:, None]
        return sparse.hstack([linear, sparse.csr_array(ties.reshape(-1, 1))], format="csr")


def _solved(information: FloatArray, gradient: FloatArray) -> FloatArray:
    factor = cho_factor(information, lower=True, check_finite=False)
    diagonal = np.diag(factor[0])
    if not diagonal.min() > 1e-7 * diagonal.max():
        raise LinAlgError("singular")
    return np.asarray(cho_solve(factor, gradient, check_finite=False))
