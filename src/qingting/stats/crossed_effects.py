"""Two crossed groupings with effects nested in each, and the matrix of their joint precision.

Every observation belongs to one group on each of two sides (a prompt and a rater) and to one slot
(an arm). A side may have a main effect per group and nested effects per group and slot. The
precision ``H = I + ΛZ'WZΛ`` is then block-diagonal on either side: one side is eliminated block by
block in closed form, the other is one dense Schur complement, so a study with thousands of prompts
costs what its raters cost, cubed, and its prompts, once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from qingting.core.errors import DataError
from qingting.stats.clusters import FloatArray

IntArray = NDArray[np.int64]
N_SCALES = 4

# Entries of the largest array of a factorization; 60 million are 480 MB.
_MOST_ENTRIES = 60_000_000


class Effects(NamedTuple):
    """Values of all effects: (n_groups, n_slots_of_side[, ...]) of each side, main effect first."""

    first: FloatArray
    second: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class CrossedDesign:
    """Which groups and slot each observation has, and which effects a model gives them.

    ``first``, ``second``, ``slots``: (n,) numbers. ``first`` is the side that is eliminated. Scales
    are ordered main and nested of the first side, main and nested of the second; an effect that
    a model lacks has scale 0.
    """

    first: IntArray
    second: IntArray
    slots: IntArray
    n_first: int
    n_second: int
    n_slots: int
    has_nested_first: bool
    has_nested_second: bool
    cells_first: IntArray
    cells_second: IntArray
    cells: IntArray

    @classmethod
    def of(
        cls,
        first: IntArray,
        second: IntArray,
        slots: IntArray,
        *,
        has_nested_first: bool,
        has_nested_second: bool,
    ) -> CrossedDesign:
        """Return the design of numbered groups; every number below the largest counts.

        Raises:
            DataError: more groups than a factorization can hold.
        """
        sizes = [int(numbers.max()) + 1 for numbers in (first, second, slots)]
        n_first, n_second, n_slots = sizes
        if not (has_nested_first or has_nested_second):
            slots, n_slots = np.zeros_like(slots), 1
        width = 1 + n_slots * has_nested_second
        if n_first * (1 + n_slots * has_nested_first) * n_second * width > _MOST_ENTRIES:
            raise DataError(
                f"{n_first} × {n_second} groups with {n_slots} arms are too many for a mixed model; "
                "fit fewer arms or leave out an interaction"
            )
        return cls(
            first,
            second,
            slots,
            n_first,
            n_second,
            n_slots,
            has_nested_first,
            has_nested_second,
            first * n_slots + slots,
            second * n_slots + slots,
            (first * n_slots + slots) * n_second + second,
        )

    def zeros(self) -> Effects:
        """Return effects that are all zero."""
        return Effects(
            np.zeros((self.n_first, 1 + self.n_slots * self.has_nested_first)),
            np.zeros((self.n_second, 1 + self.n_slots * self.has_nested_second)),
        )

    def spread(self, effects: Effects, scales: FloatArray) -> FloatArray:
        """Return ``ZΛu``, (n,): what the effects add to each observation."""
        a, b = effects
        total = scales[0] * a[:, :1]
        if self.has_nested_first:
            total = total + scales[1] * a[:, 1:]
        other = scales[2] * b[:, :1]
        if self.has_nested_second:
            other = other + scales[3] * b[:, 1:]
        left = total.ravel()[self.cells_first] if total.shape[1] > 1 else total[self.first, 0]
        right = other.ravel()[self.cells_second] if other.shape[1] > 1 else other[self.second, 0]
        return np.asarray(left + right)

    def gather(self, weights: FloatArray, scales: FloatArray) -> Effects:
        """Return ``ΛZ'x``: sums of (n,) weights per effect, times its scale."""
        return Effects(
            _sums(self.cells_first, weights, (self.n_first, self.n_slots), scales[:2],
                  nested=self.has_nested_first),
            _sums(self.cells_second, weights, (self.n_second, self.n_slots), scales[2:],
                  nested=self.has_nested_second),
        )  # fmt: skip

    def factor(self, weights: FloatArray, scales: FloatArray) -> Factor:
        """Return ``H = I + ΛZ'WZΛ`` in factored form; ``weights``: (n,), none negative."""
        n_first, n_slots, n_second = self.n_first, self.n_slots, self.n_second
        size = n_first * n_slots * n_second
        table = np.asarray(np.bincount(self.cells, weights=weights, minlength=size), float)
        table = table.reshape(n_first, n_slots, n_second)
        inverse, log_determinant = _arrow_inverse(
            table.sum(axis=2), scales[:2], nested=self.has_nested_first
        )
        cross = self._cross(table, scales)
        flat = cross.reshape(n_first * cross.shape[1], -1)
        reduced = np.matmul(inverse, cross.reshape(n_first, cross.shape[1], -1))
        schur = _arrow(table.sum(axis=0).T, scales[2:], nested=self.has_nested_second)
        schur -= flat.T @ reduced.reshape(flat.shape)
        lower, info = lapack.dpotrf(schur, lower=1, clean=1, overwrite_a=1)
        if info:
            raise FloatingPointError("the precision of the effects is not positive definite")
        log_determinant += 2 * float(np.log(np.diagonal(lower)).sum())
        return Factor(self, scales, inverse, reduced, lower, log_determinant)

    def _cross(self, table: FloatArray, scales: FloatArray) -> FloatArray:
        """Return the block between the sides, (n_first, width, n_second, width)."""
        nested_first, nested_second = self.has_nested_first, self.has_nested_second
        cross = np.zeros(
            (
                self.n_first,
                1 + self.n_slots * nested_first,
                self.n_second,
                1 + self.n_slots * nested_second,
            )
        )
        cross[:, 0, :, 0] = scales[0] * scales[2] * table.sum(axis=1)
        if nested_second:
            cross[:, 0, :, 1:] = scales[0] * scales[3] * table.transpose(0, 2, 1)
        if nested_first:
            cross[:, 1:, :, 0] = scales[1] * scales[2] * table
        if nested_first and nested_second:
            for slot in range(self.n_slots):
                cross[:, 1 + slot, :, 1 + slot] = scales[1] * scales[3] * table[:, slot]
        return cross


class Leverage(NamedTuple):
    """What the inverse precision says of each observation.

    ``variances``: (n,) diagonal of ``ZΛH⁻¹ΛZ'``. ``parts``: (4, n), row t holds ``Z_t H⁻¹ΛZ'`` at
    each observation, so that ``variances = scales @ parts``. ``diagonal``: of ``H⁻¹``.
    """

    variances: FloatArray
    parts: FloatArray
    diagonal: Effects


@dataclass(frozen=True, slots=True, eq=False)
class Factor:
    """A factored precision: solves, its log determinant, and the leverage of observations."""

    design: CrossedDesign
    scales: FloatArray
    inverse: FloatArray
    reduced: FloatArray
    lower: FloatArray
    log_determinant: float

    def solve(self, right: Effects) -> Effects:
        """Return ``H⁻¹ r``; a last axis beyond the two of ``Effects`` holds several ``r``."""
        many = right.first.ndim == 3
        first = right.first if many else right.first[..., None]
        n, width, n_right = first.shape
        second = right.second.reshape(-1, n_right)
        reduced = self.reduced.reshape(n * width, -1)
        solved, _ = lapack.dpotrs(
            self.lower, second - reduced.T @ first.reshape(-1, n_right), lower=1
        )
        eliminated = np.matmul(self.inverse, first) - (reduced @ solved).reshape(first.shape)
        shape = right.second.shape
        return Effects(eliminated if many else eliminated[..., 0], solved.reshape(shape))

    def leverage(self) -> Leverage:
        """Return the parts of ``H⁻¹`` that observations touch."""
        design, scales = self.design, self.scales
        n_first, width, _ = self.reduced.shape
        n_second = design.n_second
        other = 1 + design.n_slots * design.has_nested_second
        inverse_second, _ = lapack.dpotri(self.lower, lower=1)
        inverse_second = np.tril(inverse_second)
        inverse_second += np.tril(inverse_second, -1).T
        mixed = (self.reduced.reshape(n_first * width, -1) @ inverse_second).reshape(
            n_first, width, -1
        )
        own = self.inverse + np.matmul(mixed, self.reduced.transpose(0, 2, 1))
        seconds = inverse_second.reshape(n_second, other, n_second, other)
        blocks = seconds[np.arange(n_second), :, np.arange(n_second)]
        parts = np.zeros((N_SCALES, len(design.slots)))
        first, second, slots = design.first, design.second, design.slots
        here = [(0, scales[0], 0), (1, scales[1], 1)][: 1 + design.has_nested_first]
        there = [(2, scales[2], 0), (3, scales[3], 1)][: 1 + design.has_nested_second]
        flat = mixed.reshape(-1)
        row = first * (width * n_second * other) + second * other
        for t, _, nested in here:
            at = nested * (1 + slots)
            for _, scale, nested_too in here:
                if scale:
                    parts[t] += scale * own[first, at, nested_too * (1 + slots)]
        for t, _, nested in there:
            at = nested * (1 + slots)
            for _, scale, nested_too in there:
                if scale:
                    parts[t] += scale * blocks[second, at, nested_too * (1 + slots)]
        for t, scale, nested in here:
            at = row + (nested * (1 + slots)) * (n_second * other)
            for s, other_scale, nested_too in there:
                value = flat[at + nested_too * (1 + slots)]
                parts[t] -= other_scale * value
                parts[s] -= scale * value
        return Leverage(
            scales @ parts,
            parts,
            Effects(
                np.diagonal(own, axis1=1, axis2=2),
                np.diagonal(blocks, axis1=1, axis2=2),
            ),
        )


def _sums(
    cells: IntArray,
    weights: FloatArray,
    shape: tuple[int, int],
    scales: FloatArray,
    *,
    nested: bool,
) -> FloatArray:
    sums = np.bincount(cells, weights=weights, minlength=shape[0] * shape[1]).reshape(shape)
    main = scales[0] * sums.sum(axis=1, keepdims=True)
    return np.concatenate([main, scales[1] * sums], axis=1) if nested else main


def _arrow(sums: FloatArray, scales: FloatArray, *, nested: bool) -> FloatArray:
    """Return ``I + ΛZ'WZΛ`` of one side, dense; ``sums``: (n_groups, n_slots) of weights."""
    n_groups, n_slots = sums.shape
    width = 1 + n_slots * nested
    dense = np.zeros((n_groups, width, n_groups, width))
    groups = np.arange(n_groups)
    dense[groups, 0, groups, 0] = 1 + scales[0] ** 2 * sums.sum(axis=1)
    if nested:
        border = scales[0] * scales[1] * sums
        dense[groups, 0, groups, 1:] = border
        dense[groups, 1:, groups, 0] = border
        for slot in range(n_slots):
            dense[groups, 1 + slot, groups, 1 + slot] = 1 + scales[1] ** 2 * sums[:, slot]
    return dense.reshape(n_groups * width, n_groups * width)


def _arrow_inverse(
    sums: FloatArray, scales: FloatArray, *, nested: bool
) -> tuple[FloatArray, float]:
    """Return the inverse blocks of one side, (n_groups, width, width), and the log determinant."""
    n_groups, n_slots = sums.shape
    corner = 1 + scales[0] ** 2 * sums.sum(axis=1)
    if not nested:
        return (1 / corner)[:, None, None], float(np.log(corner).sum())
    diagonal = 1 + scales[1] ** 2 * sums
    border = scales[0] * scales[1] * sums
    ratio = border / diagonal
    pivot = corner - (border * ratio).sum(axis=1)
    inverse = np.empty((n_groups, 1 + n_slots, 1 + n_slots))
    inverse[:, 0, 0] = 1 / pivot
    inverse[:, 0, 1:] = inverse[:, 1:, 0] = -ratio / pivot[:, None]
    inverse[:, 1:, 1:] = ratio[:, :, None] * ratio[:, None, :] / pivot[:, None, None]
    slots = np.arange(1, 1 + n_slots)
    inverse[:, slots, slots] += 1 / diagonal
    return inverse, float(np.log(pivot).sum() + np.log(diagonal).sum())
