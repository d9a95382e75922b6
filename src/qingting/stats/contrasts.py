"""Contrasts of arms: which differ on the same items, by how much, and how sure that is."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Literal

import numpy as np

from qingting.core.errors import (
    DataError,
    SpecificationError,
    UndefinedStatisticError,
    did_you_mean,
)
from qingting.core.missing import Missing
from qingting.core.signature import Signature, require_same
from qingting.stats.clusters import DEFAULT_RESAMPLES, IntervalMethod
from qingting.stats.corrections import Family, adjust
from qingting.stats.estimates import Estimate
from qingting.stats.paired import PairedTest, TestName, paired_difference, paired_test

Verdict = Literal["first higher", "second higher", "inconclusive"]


@dataclass(frozen=True, slots=True)
class ArmScores:
    """One arm's score on each item.

    ``scores_items``: item id → finite number, or ``Missing`` where the item could not be scored.
    ``signature``: how the scores were made; arms compare only when theirs are equal.
    """

    scores_items: Mapping[str, float | Missing]
    signature: Signature | str


@dataclass(frozen=True, slots=True)
class Contrast:
    """The difference ``first − second`` on the items that both arms have a score for.

    ``difference`` and ``test`` are ``Missing`` when no item is shared. The interval in
    ``difference`` is for this contrast alone; ``p_adjusted`` is corrected over the ``n_tests``
    contrasts of the family. ``n_first_only`` and ``n_second_only`` items have a score in one arm
    only, and ``n_neither`` in none of the two; none of them enters. ``mean_first`` and
    ``mean_second`` are over the shared items.
    """

    first: str
    second: str
    mean_first: float | Missing
    mean_second: float | Missing
    difference: Estimate | Missing
    test: PairedTest | Missing
    p_adjusted: float | Missing
    family: Family
    n_tests: int
    n_pairs: int
    n_first_only: int
    n_second_only: int
    n_neither: int

    @property
    def verdict(self) -> Verdict:
        """Return which arm scored higher if the corrected test is significant at its level.

        Higher is not better for every metric; look at the metric's direction.
        """
        if isinstance(self.p_adjusted, Missing) or isinstance(self.difference, Missing):
            return "inconclusive"
        if self.p_adjusted > 1 - self.difference.confidence_level + 1e-12:
            return "inconclusive"
        return "first higher" if self.difference.value > 0 else "second higher"

    def to_record(self) -> dict[str, Any]:
        """Return the JSON form."""

        def plain(value: Any) -> Any:
            if isinstance(value, PairedTest):
                return value._asdict()
            return value.to_record() if hasattr(value, "to_record") else value

        record = {name: plain(getattr(self, name)) for name in self.__dataclass_fields__}
        return {**record, "verdict": self.verdict}


def contrast_arms(
    scores_arms_items: Mapping[str, ArmScores],
    *,
    pairs: Sequence[tuple[str, str]] | None = None,
    baseline: str | None = None,
    rng: np.random.Generator,
    n_resamples: int = DEFAULT_RESAMPLES,
    family: Family = "holm",
    confidence_level: float = 0.95,
    method: IntervalMethod = "t",
    clusters: Mapping[str, Hashable] | None = None,
    test: TestName = "permutation",
) -> tuple[Contrast, ...]:
    """Return the asked contrasts, paired on item id, in the order asked.

    Args:
        scores_arms_items: arm → its scores.
        pairs: (first, second) arms to contrast; or
        baseline: an arm that every other is contrasted with, as the second; with neither, all
            pairs in the order of the arms.
        rng: for the test and the bootstrap.
        n_resamples: of each.
        family: the correction over the contrasts returned by this call; the family is what is
            asked here, so ask at once what will be read at once.
        confidence_level: of each contrast's own interval; its complement is the level at which
            ``verdict`` reads the adjusted p value.
        method: of the interval.
        clusters: item id → independent unit (such as the dialogue), when items are not
            independent; interval and test then count units.
        test: of no difference; see ``paired_test``.

    Items without a score on either side are counted, never imputed. A contrast without shared
    items stays in the family as p = 1, so that data loss cannot make others significant.

    Raises:
        IncomparableError: the arms of a contrast carry different signatures.
        SpecificationError: an unknown arm, a pair of an arm with itself, or both ``pairs`` and
            ``baseline``.
        DataError: a score is NaN or infinite, or an item has no cluster.
    """
    asked = _asked(scores_arms_items, pairs, baseline)
    for first, second in asked:
        require_same(scores_arms_items[first].signature, scores_arms_items[second].signature)
    made = [
        _contrast(
            (first, second),
            (scores_arms_items[first], scores_arms_items[second]),
            rng=rng,
            n_resamples=n_resamples,
            family=family,
            n_tests=len(asked),
            confidence_level=confidence_level,
            method=method,
            clusters=clusters,
            test_name=test,
        )
        for first, second in asked
    ]
    if not made:
        return ()
    p_values = [1.0 if isinstance(one.test, Missing) else one.test.p_value for one in made]
    adjusted = adjust(p_values, family).tolist()
    return tuple(
        one if isinstance(one.test, Missing) else replace(one, p_adjusted=p)
        for one, p in zip(made, adjusted, strict=True)
    )


def _asked(
    arms: Mapping[str, ArmScores],
    pairs: Sequence[tuple[str, str]] | None,
    baseline: str | None,
) -> list[tuple[str, str]]:
    if pairs is not None and baseline is not None:
        raise SpecificationError("give either pairs or a baseline, not both")
    if pairs is None:
        if baseline is None:
            return list(combinations(arms, 2))
        pairs = [(arm, baseline) for arm in arms if arm != baseline] or [(baseline, baseline)]
    for arm in (arm for pair in pairs for arm in pair):
        if arm not in arms:
            raise SpecificationError(
                f"no arm {arm!r} to contrast.{did_you_mean(arm, arms)} "
                f"Known are: {', '.join(list(arms)[:12])}"
            )
    for first, second in pairs:
        if first == second:
            raise SpecificationError(f"arm {first!r} has no other arm to be contrasted with")
    return list(pairs)


def _contrast(
    names: tuple[str, str],
    arms: tuple[ArmScores, ArmScores],
    *,
    rng: np.random.Generator,
    n_resamples: int,
    family: Family,
    n_tests: int,
    confidence_level: float,
    method: IntervalMethod,
    clusters: Mapping[str, Hashable] | None,
    test_name: TestName,
) -> Contrast:
    first, second = (_present(name, arm) for name, arm in zip(names, arms, strict=True))
    # Sorted, so that the order of items in a file cannot change what an rng draws for them.
    shared = sorted(first.keys() & second.keys())
    known = arms[0].scores_items.keys() | arms[1].scores_items.keys()
    a = [first[item] for item in shared]
    b = [second[item] for item in shared]
    labels = None if clusters is None else _labels(shared, clusters)
    difference: Estimate | Missing
    test: PairedTest | Missing
    n_unpaired = len(known) - len(shared)
    try:
        estimate = paired_difference(
            a,
            b,
            rng=rng,
            method=method,
            clusters=labels,
            n_resamples=n_resamples,
            confidence_level=confidence_level,
            signature=arms[0].signature,
        )
        difference = replace(estimate, n_missing=n_unpaired)
    except UndefinedStatisticError:
        difference = Missing("the arms share no item with a score in both")
    try:
        test = paired_test(a, b, test=test_name, rng=rng, clusters=labels, n_resamples=n_resamples)
    except UndefinedStatisticError as error:
        test = difference if isinstance(difference, Missing) else Missing(str(error))
    return Contrast(
        *names,
        mean_first=float(np.mean(a)) if shared else Missing("no shared item"),
        mean_second=float(np.mean(b)) if shared else Missing("no shared item"),
        difference=difference,
        test=test,
        p_adjusted=Missing("the test is undefined"),
        family=family,
        n_tests=n_tests,
        n_pairs=len(shared),
        n_first_only=len(first.keys() - second.keys()),
        n_second_only=len(second.keys() - first.keys()),
        n_neither=len(known - first.keys() - second.keys()),
    )


def _present(name: str, arm: ArmScores) -> dict[str, float]:
    present: dict[str, float] = {}
    for item, score in arm.scores_items.items():
        if isinstance(score, Missing):
            continue
        if not np.isfinite(score):
            raise DataError(
                f"arm {name!r}, item {item!r}: {score} is not a score; mark it as missing"
            )
        present[item] = float(score)
    return present


def _labels(items: Sequence[str], clusters: Mapping[str, Hashable]) -> list[Hashable]:
    without = [item for item in items if item not in clusters]
    if without:
        raise DataError(f"{len(without)} items have no cluster, the first is {without[0]!r}")
    return [clusters[item] for item in items]
