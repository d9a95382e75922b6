"""Ratings of arms in files: a row a rating, with columns of arm, prompt, rater and rating."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np

from qingting.core.columns import RowProblem, find_column, read_columns
from qingting.core.errors import SpecificationError, did_you_mean
from qingting.stats.arm_ratings import ArmRatings
from qingting.stats.rating_files import (
    ARM_COLUMNS,
    CRITERION_COLUMNS,
    ITEM_COLUMNS,
    RATER_COLUMNS,
    RATING_COLUMNS,
    Scale,
    no_usable_rating,
    read_numbers,
)

Role = Literal["arm", "prompt", "rater", "rating", "criterion"]
_NAMES: dict[Role, tuple[str, ...]] = {
    "arm": ("model", *(name for name in ARM_COLUMNS if name != "model")),
    "prompt": ("prompt", *(name for name in ITEM_COLUMNS if name != "prompt")),
    "rater": RATER_COLUMNS,
    "rating": RATING_COLUMNS,
    "criterion": CRITERION_COLUMNS,
}
_OPTIONAL: tuple[Role, ...] = ("rater", "criterion")


@dataclass(frozen=True, slots=True, eq=False)
class ArmRatingFile:
    """The tables of a file, one per criterion, and every cell that could not be used.

    ``n_empty`` rows hold no rating; that is no problem. ``warnings``: what looks odd as a whole.
    """

    tables: tuple[ArmRatings, ...]
    problems: tuple[RowProblem, ...]
    n_empty: int
    warnings: tuple[str, ...]


def read_arm_ratings(
    path: Path,
    *,
    mapped: Mapping[Role, str | None] | None = None,
    criterion: str | None = None,
    scale: Scale | None = None,
) -> ArmRatingFile:
    """Return the ratings of a CSV, TSV or JSON Lines file.

    Args:
        path: of the file.
        mapped: role → column, where its name is not recognised.
        criterion: the one to read; without it, all.
        scale: smallest and largest rating, whole numbers. A rating outside, or between two whole
            numbers, is a problem and never moved.

    Raises:
        SpecificationError: a column is not found, or there is no such criterion.
        DataError: no usable rating.
    """
    columns = read_columns(path)
    found = {
        role: find_column(
            columns,
            role=role,
            names=names,
            mapped=(mapped or {}).get(role),
            option=f"--{role}-column",
            required=role not in _OPTIONAL,
        )
        for role, names in _NAMES.items()
    }
    rating = found["rating"] or ""
    numbers = read_numbers(columns, rating, scale=scale)
    problems = list(numbers.problems)
    steps: tuple[float, ...] | None = None
    if scale is not None:
        if not (scale.low.is_integer() and scale.high.is_integer()):
            raise SpecificationError("a rating scale runs between two whole numbers, such as 1:5")
        steps = tuple(np.arange(scale.low, scale.high + 1).tolist())
    cells = {role: columns.values(name) for role, name in found.items() if name is not None}
    bad = {problem.line for problem in problems}
    groups: dict[str | None, list[int]] = {}
    n_empty = 0
    for row, value in enumerate(numbers.values.tolist()):
        if value != value:
            n_empty += columns.lines[row] not in bad
            continue
        without = [role for role in ("arm", "prompt", "rater") if role in cells
                   and not cells[role][row].strip()]  # fmt: skip
        if without:
            problems.append(
                columns.problem(row, found[without[0]], f"no {without[0]} for the rating")
            )
        elif steps is not None and value not in steps:
            problems.append(columns.problem(row, rating, f"{value:g} is no step of the scale"))
        else:
            of = cells["criterion"][row].strip() if "criterion" in cells else None
            groups.setdefault(of, []).append(row)
    if criterion is not None:
        if criterion not in groups:
            known = [name for name in groups if name is not None]
            raise SpecificationError(
                f"{path}: no ratings of criterion {criterion!r}.{did_you_mean(criterion, known)}"
                + (f" Known are: {', '.join(known[:8])}" if known else " There is no such column")
            )
        groups = {criterion: groups[criterion]}
    if not groups:
        raise no_usable_rating(path, problems, n_empty)
    tables = tuple(
        ArmRatings.of(
            [cells["arm"][row].strip() for row in rows],
            [cells["prompt"][row].strip() for row in rows],
            [cells["rater"][row].strip() for row in rows] if "rater" in cells else None,
            numbers.values[rows],
            scale=steps,
            criterion=of,
        )
        for of, rows in groups.items()
    )
    return ArmRatingFile(
        tables,
        tuple(sorted(problems, key=lambda problem: problem.line)),
        n_empty,
        (*(() if steps is not None else _odd_zeros(tables)), *_unshared_raters(tables)),
    )


def _unshared_raters(tables: tuple[ArmRatings, ...]) -> tuple[str, ...]:
    """Return a warning where a difference of arms may be one of their raters."""
    warnings = []
    for table in tables:
        if table.raters is None:
            continue
        judged = [
            set(table.raters[table.arms == arm].tolist()) for arm in range(len(table.arm_names))
        ]
        apart = [
            f"{table.arm_names[one]} and {table.arm_names[other]}"
            for one, other in combinations(range(len(judged)), 2)
            if not judged[one] & judged[other]
        ]
        if apart:
            name = f"{table.criterion}: " if table.criterion else ""
            more = f" and {len(apart) - 3} pairs more" if len(apart) > 3 else ""
            warnings.append(
                f"{name}no rater rated both {', '.join(apart[:3])}{more}; what differs may be the "
                "raters' severity and not the arms"
            )
    return tuple(warnings)


def _odd_zeros(tables: tuple[ArmRatings, ...]) -> tuple[str, ...]:
    """Return a warning where zeros may stand for "not rated" rather than for the lowest rating."""
    warnings = []
    for table in tables:
        zeros = int((table.values == 0).sum())
        if zeros and (table.values >= 0).all() and (table.values > 1).any():
            name = f"{table.criterion}: " if table.criterion else ""
            warnings.append(
                f"{name}{zeros} ratings are 0 and are taken as the lowest rating; if the scale "
                "begins at 1, say --scale 1:5 and they are reported and left out"
            )
    return tuple(warnings)
