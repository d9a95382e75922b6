"""Scores of several arms on the same prompts in files: long (a row a score) or two columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qingting.core.columns import Columns, RowProblem, find_column, read_columns
from qingting.core.errors import DataError, SpecificationError, did_you_mean
from qingting.stats.rating_files import (
    ARM_COLUMNS,
    CLUSTER_COLUMNS,
    CRITERION_COLUMNS,
    ITEM_COLUMNS,
    RATER_COLUMNS,
    RATING_COLUMNS,
    Scale,
    read_numbers,
)

Role = Literal["item", "arm", "score", "rater", "cluster", "criterion"]
_NAMES: dict[Role, tuple[str, ...]] = {
    "item": ITEM_COLUMNS,
    "arm": ARM_COLUMNS,
    "score": RATING_COLUMNS,
    "rater": RATER_COLUMNS,
    "cluster": CLUSTER_COLUMNS,
    "criterion": CRITERION_COLUMNS,
}


@dataclass(frozen=True, slots=True, eq=False)
class ScoreFile:
    """Scores, one each: (n_scores,) items, arms, values; raters and clusters where there are any.

    ``problems``: cells that could not be used.
    """

    path: Path
    items: tuple[str, ...]
    arms: tuple[str, ...]
    values: tuple[float, ...]
    raters: tuple[str, ...] | None
    clusters: tuple[str, ...] | None
    problems: tuple[RowProblem, ...]

    def means(self) -> dict[str, dict[str, float]]:
        """Return arm → prompt → mean of that reply's scores."""
        given: dict[str, dict[str, list[float]]] = {}
        for item, arm, value in zip(self.items, self.arms, self.values, strict=True):
            given.setdefault(arm, {}).setdefault(item, []).append(value)
        return {
            arm: {item: sum(values) / len(values) for item, values in of_items.items()}
            for arm, of_items in given.items()
        }

    def cluster_of_items(self) -> dict[str, str] | None:
        """Return prompt → dialogue, or ``None`` where the file has no such column.

        Raises:
            DataError: a prompt belongs to two dialogues.
        """
        if self.clusters is None:
            return None
        found: dict[str, str] = {}
        for item, label in zip(self.items, self.clusters, strict=True):
            if found.setdefault(item, label) != label:
                raise DataError(
                    f"{self.path}: prompt {item!r} belongs to dialogue {found[item]!r} and to "
                    f"{label!r}; a prompt has one"
                )
        return found


def read_scores(
    path: Path,
    *,
    first: str | None = None,
    second: str | None = None,
    mapped: Mapping[Role, str | None] | None = None,
    criterion: str | None = None,
    scale: Scale | None = None,
) -> ScoreFile:
    """Return the scores of a CSV, TSV or JSON Lines file.

    Args:
        path: of the file.
        first: and ``second``: the two columns of scores of a wide table, whose names are the
            arms. Without them a table with columns of arm and score is long, and one with just
            two columns besides prompt, rater, dialogue and criterion is wide.
        mapped: role → column, where its name is not recognised.
        criterion: the one to read, where the file has several.
        scale: a score outside is a problem.

    Raises:
        SpecificationError: a column is not found, or the file has several criteria and none was
            named.
    """
    if (first is None) != (second is None):
        raise SpecificationError("name both --first and --second, or neither")
    columns = read_columns(path)
    found = {
        role: find_column(
            columns,
            role=role,
            names=names,
            mapped=(mapped or {}).get(role),
            required=False,
            option=f"--{role}-column",
        )
        for role, names in _NAMES.items()
    }
    if first is not None and second is not None:
        for name in (first, second):
            if name not in columns.names:
                raise SpecificationError(
                    f"{path}: no column {name!r} to compare.{did_you_mean(name, columns.names)}"
                )
        arms = {first: [first] * len(columns), second: [second] * len(columns)}
    else:
        arms = _recognised(columns, found)
    item = found["item"]
    items = columns.values(item) if item is not None else [f"row {line}" for line in columns.lines]
    wanted = criterion_rows(columns, found["criterion"], criterion)
    rows: list[tuple[int, str, float]] = []
    problems: list[RowProblem] = []
    for name, of_rows in arms.items():
        numbers = read_numbers(columns, name, scale=scale)
        problems += numbers.problems
        for row, value in enumerate(numbers.values.tolist()):
            if value != value or not wanted[row]:
                continue
            if not items[row].strip() or not of_rows[row].strip():
                problems.append(columns.problem(row, None, "no prompt or no arm"))
                continue
            rows.append((row, of_rows[row], value))

    if not rows:
        first_fault = min(problems, key=lambda problem: problem.line, default=None)
        raise DataError(
            f"{path}: no usable score"
            + ("" if first_fault is None else f"; the first: {first_fault}")
        )

    def picked(role: Role) -> tuple[str, ...] | None:
        name = found[role]
        if name is None or name in (first, second):
            return None
        cells = columns.values(name)
        return tuple(cells[row] for row, _, _ in rows)

    return ScoreFile(
        path,
        tuple(items[row] for row, _, _ in rows),
        tuple(arm for _, arm, _ in rows),
        tuple(value for _, _, value in rows),
        picked("rater"),
        picked("cluster"),
        tuple(sorted(problems, key=lambda problem: problem.line)),
    )


def criterion_rows(columns: Columns, column: str | None, criterion: str | None) -> list[bool]:
    """Return which rows are of the asked criterion, (n_rows,); all, where there is one only.

    Raises:
        SpecificationError: several criteria and none asked, or one that is not there.
    """
    if column is None:
        if criterion is not None:
            raise SpecificationError(f"{columns.path}: no column of criteria to find {criterion!r}")
        return [True] * len(columns)
    cells = columns.values(column)
    known = list(dict.fromkeys(cells))
    if criterion is None and len(known) > 1:
        raise SpecificationError(
            f"{columns.path}: column {column!r} holds {len(known)} criteria "
            f"({', '.join(known[:6])}); scores of different ones are not averaged, so choose one "
            "with --criterion"
        )
    if criterion is not None and criterion not in known:
        raise SpecificationError(
            f"{columns.path}: no criterion {criterion!r}.{did_you_mean(criterion, known)}"
        )
    return [criterion is None or cell == criterion for cell in cells]


def _recognised(columns: Columns, found: Mapping[Role, str | None]) -> dict[str, list[str]]:
    """Return the columns of scores, each with the arm of each row."""
    arm, score = found["arm"], found["score"]
    if arm is not None and score is not None:
        if found["item"] is None:
            find_column(columns, role="item", names=_NAMES["item"], option="--item-column")
        return {score: columns.values(arm)}
    roles = {found[role] for role in ("item", "rater", "cluster", "criterion")}
    others = [name for name in columns.names if name not in roles]
    if len(others) != 2:
        raise SpecificationError(
            f"{columns.path}: neither a long table (prompt, arm, score) nor a wide one with two "
            f"columns of scores; found {', '.join(columns.names)}. Name two with --first and "
            "--second"
        )
    return {name: [name] * len(columns) for name in others}
