"""How groups of raters agree with the reference ratings, and experts with the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qingting.core.missing import Missing
from qingting.judging.criteria import defined
from qingting.judging.rows import POINTS, Row, prompt_of, unit_of, value_of
from qingting.stats.arm_difference import ArmDifference, arm_difference
from qingting.stats.estimates import Estimate
from qingting.stats.judge_drift import judge_agreement
from qingting.stats.krippendorff import krippendorff_alpha

NO_POINTS = "preferences have no points"


@dataclass(frozen=True, slots=True)
class GroupAgreement:
    """One group of raters beside the reference of the calibration items.

    ``alpha``: of each rating with its reference, over items. ``same``: share of equal ratings.
    ``bias``: mean rating less the reference, clustered by item and rater; only where scores have
    points.
    """

    by: str
    """``role`` or ``credential``."""
    group: str
    n_raters: int
    n_judgments: int
    alpha: Estimate | Missing
    same: Estimate | Missing
    bias: ArmDifference | Missing


@dataclass(frozen=True, slots=True)
class ExpertAgreement:
    """Experts beside the other raters on the answers that both judged.

    ``alpha``: interval-level, of the experts' mean with the others' mean. ``bias``: experts' mean
    less the others', by which experts are milder; only where scores have points.
    """

    n_experts: int
    n_others: int
    n_answers: int
    alpha: Estimate | Missing
    bias: ArmDifference | Missing


def agreement_with_reference(
    rows: Sequence[Row],
    references: Sequence[Mapping[str, Any]],
    raters: Sequence[Mapping[str, str]],
    *,
    criterion: str,
    seed: int,
) -> tuple[GroupAgreement, ...]:
    """Return each group's agreement with the reference on one criterion."""
    expected = {(one["item"], one["language"]): one["reference"] for one in references}
    found: list[tuple[Row, float, float]] = []
    for row in rows:
        if row["role"] != "calibration" or criterion not in row["scores"]:
            continue
        reference = expected[row["item"], row["language"]]
        pair = _with_reference(row, reference, criterion)
        if pair is not None:
            found.append((row, *pair))
    who = {one["rater"]: one for one in raters}
    groups: dict[tuple[str, str], list[tuple[Row, float, float]]] = {}
    for one in found:
        for by in ("role", "credential"):
            groups.setdefault((by, who[one[0]["rater"]][by]), []).append(one)
    return tuple(
        _group(by, group, given, seed=seed) for (by, group), given in sorted(groups.items())
    )


def _with_reference(
    row: Row, reference: Mapping[str, Any], criterion: str
) -> tuple[float, float] | None:
    given = row["scores"][criterion]
    if "preferences" in reference:
        wanted = reference["preferences"].get(criterion)
        if wanted is None or row.get("is_swapped") is None:  # snapshots of earlier versions
            return None
        left = POINTS[wanted]
        return POINTS[given], 1 - left if row["is_swapped"] else left
    wanted = reference.get("scores", {}).get(criterion)
    return None if wanted is None else (float(given), float(wanted))


def _group(
    by: str, group: str, given: Sequence[tuple[Row, float, float]], *, seed: int
) -> GroupAgreement:
    rated = np.array([rating for _, rating, _ in given])
    reference = np.array([wanted for _, _, wanted in given])
    items = [prompt_of(row) for row, _, _ in given]
    raters = [row["rater"] for row, _, _ in given]
    is_pair = given[0][0]["mode"] == "pair"
    both = judge_agreement(
        reference,
        rated,
        rng=np.random.default_rng(seed),
        level="nominal" if is_pair else "ordinal",
        clusters=items,
    )
    return GroupAgreement(
        by,
        group,
        len(set(raters)),
        len(given),
        both.alpha,
        both.exact,
        Missing(NO_POINTS) if is_pair else _bias(rated, reference, items, raters),
    )


def _bias(
    rated: np.ndarray[Any, Any],
    reference: np.ndarray[Any, Any],
    items: list[str],
    raters: list[str],
) -> ArmDifference:
    return arm_difference(
        [True] * len(rated) + [False] * len(rated),
        items * 2,
        np.concatenate([rated, reference]),
        raters=raters * 2,
    )


def experts_and_others(
    main: Sequence[Row], raters: Sequence[Mapping[str, str]], *, criterion: str, seed: int
) -> ExpertAgreement | Missing:
    """Return the agreement of experts with the other raters on the same answers."""
    experts = {one["rater"] for one in raters if one["role"] == "expert"}
    said = [row for row in main if criterion in row["scores"]]
    if not any(row["rater"] in experts for row in said):
        return Missing("no expert is among the raters")
    by_unit: dict[str, tuple[list[float], list[float]]] = {}
    for row in said:
        sides = by_unit.setdefault(unit_of(row), ([], []))
        sides[row["rater"] not in experts].append(value_of(row, criterion))
    shared = {unit: sides for unit, sides in by_unit.items() if sides[0] and sides[1]}
    if not shared:
        return Missing("no answer was judged by an expert and by another rater")
    kept = [row for row in said if unit_of(row) in shared]
    prompt = {unit_of(row): prompt_of(row) for row in kept}
    table = np.array([[np.mean(first), np.mean(second)] for first, second in shared.values()])
    is_pair = kept[0]["other_arm"] is not None
    return ExpertAgreement(
        len({row["rater"] for row in kept if row["rater"] in experts}),
        len({row["rater"] for row in kept if row["rater"] not in experts}),
        len(shared),
        defined(
            lambda: krippendorff_alpha(
                table,
                level="interval",
                rng=np.random.default_rng(seed),
                clusters=[prompt[unit] for unit in shared],
            )
        ),
        Missing(NO_POINTS)
        if is_pair
        else defined(
            lambda: arm_difference(
                [row["rater"] in experts for row in kept],
                [unit_of(row) for row in kept],
                np.array([value_of(row, criterion) for row in kept]),
                raters=[row["rater"] for row in kept],
            )
        ),
    )
