"""Intra-rater consistency: what a rater says on seeing the same item again."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from qingting.core.errors import UndefinedStatisticError
from qingting.core.missing import Missing
from qingting.stats.clusters import FloatArray, finite
from qingting.stats.estimates import Estimate, mean_estimate
from qingting.stats.krippendorff import MeasurementLevel, krippendorff_alpha
from qingting.stats.rating_counts import count_judgments


class RaterRepeats(NamedTuple):
    """One rater's repeats: how many items came again, and how the ratings differed.

    ``share_same`` of consecutive ratings are equal; ``mean_difference`` is absolute.
    """

    rater: Hashable
    n_items: int
    share_same: float
    mean_difference: float


@dataclass(frozen=True, slots=True)
class IntraRater:
    """Consistency over planned repeats, all raters together and each alone.

    ``alpha`` pairs ratings of one rater on one item, against the pooled ratings of all raters;
    its interval and that of ``share_same`` are over items. ``n_repeats`` ratings were not the
    rater's first of the item.
    """

    alpha: Estimate | Missing
    share_same: Estimate
    raters: tuple[RaterRepeats, ...]
    n_repeats: int

    def to_record(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "alpha": self.alpha.to_record(),
            "share_same": self.share_same.to_record(),
            "raters": [one._asdict() for one in self.raters],
            "n_repeats": self.n_repeats,
        }


def intra_rater_consistency(
    items: Sequence[Hashable],
    raters: Sequence[Hashable],
    values: Sequence[float] | FloatArray,
    *,
    level: MeasurementLevel,
    rng: np.random.Generator | None = None,
    n_resamples: int = 2000,
    confidence_level: float = 0.95,
) -> IntraRater:
    """Return how consistent raters are with themselves.

    ``items``, ``raters``, ``values``: (n_judgments,) in the order in which they were given; a
    rater's ratings of one item after the first are repeats.

    Raises:
        UndefinedStatisticError: no rater rated an item twice.
    """
    rated = finite(values)
    if not len(items) == len(raters) == len(rated):
        raise ValueError(f"{len(items)} items, {len(raters)} raters and {len(rated)} values")
    by_cell: dict[tuple[Hashable, Hashable], list[float]] = {}
    for item, rater, value in zip(items, raters, rated.tolist(), strict=True):
        by_cell.setdefault((item, rater), []).append(value)
    again = {cell: given for cell, given in by_cell.items() if len(given) > 1}
    if not again:
        raise UndefinedStatisticError(
            "intra-rater consistency is undefined: no rater rated an item twice"
        )
    same: list[float] = []
    apart: list[float] = []
    owners: list[tuple[Hashable, Hashable]] = []
    for cell, given in again.items():
        for before, after in pairwise(given):
            same.append(float(before == after))
            apart.append(abs(after - before))
            owners.append(cell)
    counts = count_judgments(
        [number for number, given in enumerate(again.values()) for _ in given],
        [value for given in again.values() for value in given],
        n_items=len(again),
    )
    try:
        alpha: Estimate | Missing = krippendorff_alpha(
            counts,
            level=level,
            rng=rng,
            clusters=[item for item, _ in again],
            n_resamples=n_resamples,
            confidence_level=confidence_level,
        )
    except UndefinedStatisticError as error:
        alpha = Missing(str(error))
    return IntraRater(
        alpha,
        mean_estimate(
            same, clusters=[item for item, _ in owners], confidence_level=confidence_level
        ),
        tuple(
            _one_rater(rater, owners, same, apart)
            for rater in dict.fromkeys(rater for _, rater in again)
        ),
        len(same),
    )


def _one_rater(
    rater: Hashable,
    owners: Sequence[tuple[Hashable, Hashable]],
    same: Sequence[float],
    apart: Sequence[float],
) -> RaterRepeats:
    mine = [index for index, (_, owner) in enumerate(owners) if owner == rater]
    return RaterRepeats(
        rater,
        len({owners[index][0] for index in mine}),
        float(np.mean([same[index] for index in mine])),
        float(np.mean([apart[index] for index in mine])),
    )
