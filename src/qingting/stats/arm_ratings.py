"""Ratings of replies: which arm, which prompt, which rater, which rating."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from qingting.core.errors import DataError
from qingting.stats.clusters import FloatArray, finite
from qingting.stats.crossed_effects import IntArray


@dataclass(frozen=True, slots=True, eq=False)
class ArmRatings:
    """Ratings of one criterion.

    ``arms``, ``prompts``, ``raters``: (n_ratings,) numbers into the names; ``raters`` is ``None``
    where nobody knows who rated. ``values``: (n_ratings,) ratings. ``scale``: all ratings that may
    be given, ascending, or ``None`` where only those given are known.
    """

    arm_names: tuple[str, ...]
    prompt_names: tuple[str, ...]
    rater_names: tuple[str, ...]
    arms: IntArray
    prompts: IntArray
    raters: IntArray | None
    values: FloatArray
    scale: tuple[float, ...] | None = None
    criterion: str | None = None
    n_repeats: int = 0

    @classmethod
    def of(
        cls,
        arms: Sequence[Hashable],
        prompts: Sequence[Hashable],
        raters: Sequence[Hashable] | None,
        values: Sequence[float] | FloatArray,
        *,
        scale: Sequence[float] | None = None,
        criterion: str | None = None,
    ) -> ArmRatings:
        """Return ratings from labels, (n_ratings,) each; arms are numbered as they appear.

        Raises:
            DataError: no rating, or one that is not finite or not of the scale.
        """
        numbers = finite(values)
        labels = [arms, prompts] + ([] if raters is None else [raters])
        if any(len(one) != len(numbers) for one in labels):
            raise ValueError(f"{len(numbers)} ratings but labels of another length")
        if not len(numbers):
            raise DataError("no rating")
        known = None if scale is None else tuple(sorted(map(float, scale)))
        if known is not None and not np.isin(numbers, known).all():
            outside = numbers[~np.isin(numbers, known)][0]
            raise DataError(f"rating {outside:g} is not one of the scale's {len(known)} ratings")
        arm_names, arm_index = _numbered(arms)
        prompt_names, prompt_index = _numbered(prompts, in_order=True)
        rater_names: tuple[str, ...] = ()
        rater_index = None
        if raters is not None:
            rater_names, rater_index = _numbered(raters, in_order=True)
        return cls(
            arm_names,
            prompt_names,
            rater_names,
            arm_index,
            prompt_index,
            rater_index,
            numbers,
            known,
            criterion,
        )

    def __len__(self) -> int:
        return len(self.values)

    def first_ratings(self) -> ArmRatings:
        """Return the table without a rater's second and later ratings of one reply.

        The same eyes on the same reply are no independent evidence; ``n_repeats`` counts them.
        Without raters nothing can be told apart, and every rating stays.
        """
        if self.raters is None:
            return self
        keys = self.arms * len(self.prompt_names) + self.prompts
        keys = keys * len(self.rater_names) + self.raters
        kept = np.sort(np.unique(keys, return_index=True)[1])
        if len(kept) == len(self):
            return self
        return replace(
            self,
            arms=self.arms[kept],
            prompts=self.prompts[kept],
            raters=self.raters[kept],
            values=self.values[kept],
            n_repeats=len(self) - len(kept),
        )

    def connected_arms(self) -> IntArray:
        """Return the component of each arm, (n_arms,): arms that share a prompt or a rater.

        Arms of different components have nothing in common that tells an arm from its prompts
        and raters.
        """
        parents = list(range(len(self.arm_names)))

        def root(arm: int) -> int:
            while parents[arm] != arm:
                parents[arm] = parents[parents[arm]]
                arm = parents[arm]
            return arm

        for groups in (self.prompts, self.raters):
            if groups is None:
                continue
            seen: dict[int, int] = {}
            pairs = np.unique(np.stack([groups, self.arms], axis=1), axis=0)
            for group, arm in pairs.tolist():
                parents[root(arm)] = root(seen.setdefault(group, arm))
        return np.array([root(arm) for arm in range(len(parents))], np.int64)


def _numbered(
    labels: Sequence[Hashable], *, in_order: bool = False
) -> tuple[tuple[str, ...], IntArray]:
    distinct: dict[Hashable, int] = {}
    index = np.array([distinct.setdefault(label, len(distinct)) for label in labels], np.int64)
    names = [str(label) for label in distinct]
    if not in_order:
        return tuple(names), index
    # Sorted, so that the order of rows cannot change in which order sums are taken.
    order = sorted(range(len(names)), key=names.__getitem__)
    position = np.empty(len(order), np.int64)
    position[order] = np.arange(len(order))
    return tuple(names[i] for i in order), position[index]
