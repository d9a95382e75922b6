"""Votes between two arms, and the table of cells that a paired-comparison model needs of them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from qingting.core.errors import DataError, UndefinedStatisticError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int32]

LEFT, RIGHT, TIE = 0, 1, 2
N_OUTCOMES = 3


@dataclass(frozen=True, slots=True, eq=False)
class Votes:
    """Votes, each between the arm shown on the left and the one shown on the right.

    ``left``, ``right``: (n_votes,) indices into ``arms``. ``winners``: (n_votes,) ``LEFT``,
    ``RIGHT`` or ``TIE``. ``prompts``, ``raters``: (n_votes,) numbers of the clusters, or None.
    ``covariates``: (n_votes, n_covariates) left minus right, named by ``covariate_names``.
    ``weights``: (n_votes,) how much each vote counts, such as one over the probability with which
    its pair was shown; None counts all alike.
    """

    arms: tuple[str, ...]
    left: IntArray
    right: IntArray
    winners: NDArray[np.int8]
    prompts: IntArray | None = None
    raters: IntArray | None = None
    covariates: FloatArray | None = None
    covariate_names: tuple[str, ...] = ()
    weights: FloatArray | None = None

    def __post_init__(self) -> None:
        n_votes = len(self.left)
        for name in ("right", "winners", "prompts", "raters", "covariates", "weights"):
            values = getattr(self, name)
            if values is not None and len(values) != n_votes:
                raise ValueError(f"{n_votes} votes but {len(values)} values of {name}")
        if not n_votes:
            raise UndefinedStatisticError("no votes")
        if (self.left == self.right).any():
            arm = self.arms[self.left[np.flatnonzero(self.left == self.right)[0]]]
            raise DataError(f"a vote compares {arm!r} with itself")
        if self.covariates is not None and not np.isfinite(self.covariates).all():
            raise DataError("a covariate is not a number")
        if self.weights is not None and not (
            np.isfinite(self.weights).all() and (self.weights > 0).all()
        ):
            raise DataError("the weight of a vote is a number above 0")

    def __len__(self) -> int:
        return len(self.left)

    def select(self, chosen: NDArray[np.bool_]) -> Votes:
        """Return the chosen votes, with the same arms."""

        def part(values: Any) -> Any:
            return None if values is None else values[chosen]

        return Votes(
            self.arms,
            self.left[chosen],
            self.right[chosen],
            self.winners[chosen],
            part(self.prompts),
            part(self.raters),
            part(self.covariates),
            self.covariate_names,
            part(self.weights),
        )


def votes_of(
    left: Sequence[str],
    right: Sequence[str],
    winners: Sequence[int],
    *,
    prompts: Sequence[Hashable] | None = None,
    raters: Sequence[Hashable] | None = None,
    covariates: FloatArray | None = None,
    covariate_names: tuple[str, ...] = (),
    weights: FloatArray | None = None,
) -> Votes:
    """Return votes from names; arms are numbered in the order of their names."""
    arms = tuple(sorted({*left, *right}))
    number = {arm: n for n, arm in enumerate(arms)}
    return Votes(
        arms,
        np.fromiter((number[arm] for arm in left), np.int32, len(left)),
        np.fromiter((number[arm] for arm in right), np.int32, len(right)),
        np.asarray(winners, np.int8),
        None if prompts is None else numbered(prompts),
        None if raters is None else numbered(raters),
        covariates,
        covariate_names,
        weights,
    )


def numbered(labels: Sequence[Hashable]) -> IntArray:
    """Return a number for each label, (n_labels,), in the order of first appearance."""
    numbers: dict[Hashable, int] = {}
    return np.fromiter(
        (numbers.setdefault(label, len(numbers)) for label in labels), np.int32, len(labels)
    )


def renumbered(numbers: IntArray) -> IntArray:
    """Return the same clusters numbered from 0 without gaps."""
    present = np.bincount(numbers) > 0
    return (np.cumsum(present, dtype=np.int32) - 1).astype(np.int32)[numbers]


@dataclass(frozen=True, slots=True, eq=False)
class VoteCells:
    """Votes counted by cell: all that the likelihood depends on.

    A cell is a pair of arms with an order (where the order counts) and covariates.
    ``design``: sparse (n_cells, n_parameters): +1 for the left arm, −1 for the right, 1 for the
    order where there is an order effect, and the covariates. ``counts``: (n_cells, 3) by outcome,
    sums of weights where votes have them. ``outcomes_votes``: (n_votes,) ``3 × cell + outcome``.
    """

    design: Any
    counts: FloatArray
    outcomes_votes: NDArray[np.int32]
    n_arms: int
    weights: FloatArray | None = None
    """(n_votes,) of the votes."""

    @property
    def n_cells(self) -> int:
        """Return the number of cells."""
        return len(self.counts)


def count_cells(votes: Votes, *, order_effect: bool) -> VoteCells:
    """Return the cells of votes.

    Without order effect and covariates a pair is one cell, whichever arm stood on the left.
    """
    n_arms = len(votes.arms)
    left, right, outcome = votes.left, votes.right, votes.winners
    plain = not order_effect and votes.covariates is None
    if plain:
        turned = left > right
        swapped = np.array([RIGHT, LEFT, TIE], np.int8)
        left, right = np.where(turned, right, left), np.where(turned, left, right)
        outcome = np.where(turned, swapped[outcome], outcome)
    if n_arms > 40_000:
        raise DataError(f"{n_arms} arms are too many to compare; the most is 40000")
    pair = left.astype(np.int32) * np.int32(n_arms) + right
    if votes.covariates is None:
        present = np.flatnonzero(np.bincount(pair, minlength=n_arms * n_arms))
        place = np.zeros(n_arms * n_arms, np.int32)
        place[present] = np.arange(len(present), dtype=np.int32)
        cell = place[pair]
        extra = np.empty((len(present), 0))
    else:
        rows = np.column_stack([pair, votes.covariates])
        unique, inverse = np.unique(rows, axis=0, return_inverse=True)
        cell = inverse.reshape(-1).astype(np.int32)
        present, extra = unique[:, 0].astype(np.int64), unique[:, 1:]
    n_cells = len(present)
    outcomes = (cell * N_OUTCOMES + outcome).astype(np.int32)
    counts = np.bincount(outcomes, votes.weights, n_cells * N_OUTCOMES).astype(float)
    index = np.arange(n_cells)
    signs = sparse.csr_array(
        (
            np.concatenate([np.ones(n_cells), -np.ones(n_cells)]),
            (np.concatenate([index, index]), np.concatenate([present // n_arms, present % n_arms])),
        ),
        shape=(n_cells, n_arms),
    )
    columns: list[Any] = [signs]
    if order_effect:
        columns.append(sparse.csr_array(np.ones((n_cells, 1))))
    if extra.shape[1]:
        columns.append(sparse.csr_array(extra))
    design = sparse.hstack(columns, format="csr") if len(columns) > 1 else signs
    return VoteCells(design, counts.reshape(n_cells, N_OUTCOMES), outcomes, n_arms, votes.weights)


def repeated(clusters: IntArray | None) -> bool:
    """Return whether a cluster gave more than one vote."""
    return clusters is not None and bool((np.bincount(clusters) > 1).any())
