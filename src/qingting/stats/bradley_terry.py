"""Maximum likelihood for paired comparisons: Bradley–Terry, and Davidson's model with ties.

Sources: Bradley and Terry (1952); Davidson (1970) for ties; Davidson and Beaver (1977) for the
effect of the order. With log-odds ``eta`` = strength of the left arm − strength of the right +
order effect + covariates, the outcomes left, right and tie have probabilities in the proportion
``exp(eta/2) : exp(−eta/2) : nu``. Davidson and Beaver's nu is ours times the root of the order
effect's odds. Bradley–Terry has no ``nu``; a tie then counts as half a win for both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit

from qingting.core.errors import UndefinedStatisticError
from qingting.stats.votes import LEFT, N_OUTCOMES, RIGHT, TIE, FloatArray, VoteCells

PairModel = Literal["bradley-terry", "davidson"]

_MAX_NEWTON = 100
_MAX_CHORD = 40
_LARGEST = 40.0


class Residuals(NamedTuple):
    """Observed less expected, and the weights of the information; (n_cells, n_resamples) each.

    ``eta``: with respect to the log-odds; ``tie``: to log nu; ``weight``, ``cross``, ``tie_weight``
    are the entries of the information per cell. Those of ties are None in Bradley–Terry.
    """

    eta: FloatArray
    tie: FloatArray | None
    weight: FloatArray
    cross: FloatArray | None
    tie_weight: FloatArray | None


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

    def residuals(self, parameters: FloatArray, counts: FloatArray) -> Residuals:
        """Return residuals at (n_parameters, n) for counts (3, n_cells, n)."""
        eta = self.design @ parameters[: self.n_linear]
        if not self.has_ties:
            n = counts.sum(axis=0)
            p = expit(eta)
            return Residuals(
                counts[LEFT] + 0.5 * counts[TIE] - n * p, None, n * p * (1 - p), None, None
            )
        n = counts.sum(axis=0)
        left, right, tie = self.probabilities(eta, parameters[-1])
        return Residuals(
            0.5 * (counts[LEFT] - counts[RIGHT] - n * (left - right)),
            counts[TIE] - n * tie,
            0.25 * n * (left + right - (left - right) ** 2),
            -0.5 * n * (left - right) * tie,
            n * tie * (1 - tie),
        )

    def probabilities(self, eta: Any, log_nu: Any) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the probabilities of left, right and tie at log-odds."""
        top = np.maximum(np.abs(eta) / 2, log_nu)
        left, right, tie = np.exp(eta / 2 - top), np.exp(-eta / 2 - top), np.exp(log_nu - top)
        total = left + right + tie
        return left / total, right / total, tie / total

    def gradient(self, residuals: Residuals) -> FloatArray:
        """Return the score, (n_parameters, n)."""
        linear = self.transposed @ residuals.eta
        if residuals.tie is None:
            return np.asarray(linear)
        return np.vstack([linear, residuals.tie.sum(axis=0)])

    def information(self, residuals: Residuals) -> FloatArray:
        """Return the information of one column of residuals, with the constraint added."""
        weight = residuals.weight[:, 0]
        scaled = self.design.multiply(weight[:, None]).tocsr()
        matrix = np.zeros((self.n_parameters, self.n_parameters))
        matrix[: self.n_linear, : self.n_linear] = (self.transposed @ scaled).toarray()
        if residuals.cross is not None and residuals.tie_weight is not None:
            cross = self.transposed @ residuals.cross[:, 0]
            matrix[-1, :-1] = matrix[:-1, -1] = cross
            matrix[-1, -1] = residuals.tie_weight.sum()
        # The size of the constraint does not matter; that of the information keeps it well scaled.
        scale = max(float(np.trace(matrix)) / len(matrix), 1e-12)
        return matrix + scale * self.constraint

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
        by_outcome = np.ascontiguousarray(counts.T)[:, :, None]
        information = self.information(self.residuals(parameters[:, None], by_outcome))
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
        shown = counts
        for _ in range(_MAX_CHORD):
            residuals = self.residuals(found[:, active], shown)
            step = start.bread @ self.gradient(residuals) * scale[active]
            found[:, active] += step
            size = np.abs(step).max(axis=0)
            going = ~(size < 1e-9)
            if not going.any() or not np.isfinite(size).all():
                active = active[going]
                break
            if going.sum() < 0.7 * len(active):
                active = active[going]
                shown = np.ascontiguousarray(counts[:, :, active])
        for index in active:
            try:
                found[:, index] = self._newton(
                    np.ascontiguousarray(counts[:, :, index].T), start.parameters
                )
            except UndefinedStatisticError:
                found[:, index] = np.nan
        return found

    def _newton(self, counts: FloatArray, start: FloatArray) -> FloatArray:
        by_outcome = np.ascontiguousarray(counts.T)[:, :, None]
        parameters = start
        value = self.log_likelihood(parameters, counts)
        for _ in range(_MAX_NEWTON):
            residuals = self.residuals(parameters[:, None], by_outcome)
            information = self.information(residuals)
            try:
                np.linalg.cholesky(information)
                if np.linalg.cond(information) > 1e13:
                    raise np.linalg.LinAlgError
                step = np.linalg.solve(information, self.gradient(residuals)[:, 0])
            except np.linalg.LinAlgError:
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
