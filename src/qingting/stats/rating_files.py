"""Tables of ratings in files: long (a row a rating) or wide (a column a rater)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qingting.core.columns import (
    Columns,
    RowProblem,
    find_column,
    finite_number,
    read_columns,
)
from qingting.core.errors import DataError, SpecificationError, did_you_mean
from qingting.stats.clusters import FloatArray

ITEM_COLUMNS = ("item", "prompt", "item_id", "prompt_id", "question", "unit", "id")
RATER_COLUMNS = ("rater", "worker", "judge", "annotator", "coder", "rater_id", "worker_id")
RATING_COLUMNS = ("rating", "score", "label", "value", "grade", "answer")
CRITERION_COLUMNS = ("criterion", "dimension", "aspect", "question_name")
CLUSTER_COLUMNS = ("dialogue", "cluster", "dialogue_id", "conversation", "session")
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+")
ARM_COLUMNS = ("arm", "model", "system", "model_name")


class Scale(NamedTuple):
    """The smallest and largest value that a rating may have, both included."""

    low: float
    high: float


class Numbers(NamedTuple):
    """A column as numbers, (n_rows,), NaN where empty or not usable, and why not."""

    values: FloatArray
    problems: tuple[RowProblem, ...]


@dataclass(frozen=True, slots=True, eq=False)
class RatingTable:
    """Ratings of one criterion, long.

    ``items``, ``raters``: (n_judgments,) numbers into ``item_names`` and ``rater_names``, in the
    order of the file. ``values``: (n_judgments,) numbers, or positions in ``categories`` where
    the ratings are words. ``cluster_items``: (n_items,) labels, or ``None``.
    """

    criterion: str | None
    item_names: tuple[str, ...]
    rater_names: tuple[str, ...]
    items: NDArray[np.int64]
    raters: NDArray[np.int64]
    values: FloatArray
    categories: tuple[str, ...] | None
    cluster_items: tuple[str, ...] | None

    def first_ratings(self) -> RatingTable:
        """Return the table without a rater's second and later ratings of one item."""
        keys = self.items * max(1, len(self.rater_names)) + self.raters
        kept = np.sort(np.unique(keys, return_index=True)[1])
        return RatingTable(
            self.criterion,
            self.item_names,
            self.rater_names,
            self.items[kept],
            self.raters[kept],
            self.values[kept],
            self.categories,
            self.cluster_items,
        )

    def matrix(self) -> FloatArray:
        """Return first ratings as (n_items, n_raters), NaN = not rated."""
        table = np.full((len(self.item_names), len(self.rater_names)), np.nan)
        first = self.first_ratings()
        table[first.items, first.raters] = first.values
        return table


@dataclass(frozen=True, slots=True, eq=False)
class RatingFile:
    """The tables of a file, one per criterion, and every cell that could not be used.

    ``n_empty`` cells hold no rating; that is no problem. ``notes``: how the table was understood,
    where that was not said by the names alone.
    """

    tables: tuple[RatingTable, ...]
    layout: Literal["long", "wide"]
    problems: tuple[RowProblem, ...]
    n_empty: int
    notes: tuple[str, ...] = ()


def read_ratings(
    path: Path,
    *,
    item_column: str | None = None,
    rater_column: str | None = None,
    rating_column: str | None = None,
    criterion_column: str | None = None,
    cluster_column: str | None = None,
    arm_column: str | None = None,
    rater_columns: Sequence[str] = (),
    words: bool = False,
    categories: Sequence[str] = (),
    scale: Scale | None = None,
) -> RatingFile:
    """Return the ratings of a CSV, TSV or JSON Lines file.

    A file with a column of raters and one of ratings is long. Otherwise each column that plays
    no other role is a rater (or just those in ``rater_columns``) and each row an item. Where the
    file names arms, what is rated is the reply: an item by an arm; replies to one item then
    cluster, unless the file has dialogues.

    Args:
        path: of the file.
        item_column: and the other ``…_column``: names that are not recognised.
        rater_columns: the raters of a wide table.
        words: take ratings as labels even where they look like numbers.
        categories: the labels that may occur, in order; any other is a problem.
        scale: of numbers; a rating outside is a problem, and never moved inside.

    Ratings are numbers where most distinct ones look like numbers; the others are problems then.

    Raises:
        SpecificationError: a column is not found.
        DataError: no usable rating.
    """
    columns = read_columns(path)
    criterion = find_column(
        columns,
        role="criterion",
        names=CRITERION_COLUMNS,
        mapped=criterion_column,
        required=False,
    )
    cluster = find_column(
        columns, role="cluster", names=CLUSTER_COLUMNS, mapped=cluster_column, required=False
    )
    rater = find_column(
        columns, role="rater", names=RATER_COLUMNS, mapped=rater_column, required=False
    )
    rating = find_column(
        columns, role="rating", names=RATING_COLUMNS, mapped=rating_column, required=False
    )
    arm = find_column(columns, role="arm", names=ARM_COLUMNS, mapped=arm_column, required=False)
    long = rater is not None and rating is not None and not rater_columns
    item = find_column(
        columns,
        role="item",
        names=ITEM_COLUMNS,
        mapped=item_column,
        required=long,
        option="--item-column",
    )
    if rater is not None and rating is not None and long:
        sources = {rating: columns.values(rater)}
    else:
        sources = {
            name: [name] * len(columns)
            for name in _wide_raters(columns, rater_columns, {item, criterion, cluster, arm}, rater)
        }
    names_of_items = (
        columns.values(item) if item is not None else [f"row {line}" for line in columns.lines]
    )
    clusters = None if cluster is None else columns.values(cluster)
    notes = [] if long else [f"a wide table: the raters are the columns {', '.join(sources)}"]
    if arm is not None and item is not None:
        notes.append(f"what is rated is a reply: {item!r} by {arm!r}")
        clusters = names_of_items if clusters is None else clusters
        names_of_items = [
            f"{name} by {of}" if name.strip() else ""
            for name, of in zip(names_of_items, columns.values(arm), strict=True)
        ]
    cells = _cells_with_ratings(columns, sources, names_of_items, item=item, rater=rater)
    problems, rows, text = cells.problems, cells.rows, cells.text
    values, labels, unusable = _coded(text, words=words, categories=categories, scale=scale)
    problems += [columns.problem(rows[i], cells.columns[i], why) for i, why in unusable.items()]
    kept = [i for i in range(len(text)) if i not in unusable]
    if not kept:
        raise no_usable_rating(path, problems, cells.n_empty)
    tables: dict[str | None, list[int]] = {}
    criteria = None if criterion is None else columns.values(criterion)
    for i in kept:
        tables.setdefault(None if criteria is None else criteria[rows[i]], []).append(i)
    return RatingFile(
        tuple(
            _table(
                name,
                [names_of_items[rows[i]] for i in chosen_rows],
                [cells.raters[i] for i in chosen_rows],
                values[chosen_rows],
                labels,
                None if clusters is None else [clusters[rows[i]] for i in chosen_rows],
            )
            for name, chosen_rows in tables.items()
        ),
        "long" if long else "wide",
        tuple(sorted(problems, key=lambda problem: problem.line)),
        cells.n_empty,
        tuple(notes),
    )


def no_usable_rating(path: Path, problems: Sequence[RowProblem], n_empty: int) -> DataError:
    """Return the error of a file without a usable rating, with the first reason."""
    first = min(problems, key=lambda problem: problem.line, default=None)
    return DataError(
        f"{path}: no usable rating: {n_empty} cells are empty and {len(problems)} cannot be used"
        + ("" if first is None else f"; the first: {first}")
    )


class _Cells(NamedTuple):
    """Cells that hold a rating: its text, row, rater and column; and what else was found."""

    text: list[str]
    rows: list[int]
    raters: list[str]
    columns: list[str]
    problems: list[RowProblem]
    n_empty: int


def _wide_raters(
    columns: Columns, chosen: Sequence[str], roles: set[str | None], rater: str | None
) -> Sequence[str]:
    # A column "judge" may hold a judge's ratings; "rater" and the like name people.
    if not chosen and rater is not None and rater.strip().lower() != "judge":
        raise SpecificationError(
            f"{columns.path}: column {rater!r} names raters, but no column holds the rating (known "
            f"names: {', '.join(RATING_COLUMNS)}); found {', '.join(columns.names)}. Name it with "
            "--rating-column, or the raters of a wide table with --rater-columns"
        )
    for name in chosen:
        if name not in columns.names:
            raise SpecificationError(
                f"{columns.path}: no column {name!r} for a rater."
                f"{did_you_mean(name, columns.names)}"
            )
    found = list(chosen) or [name for name in columns.names if name not in roles]
    if len(found) < 2:
        raise SpecificationError(
            f"{columns.path}: neither a long table (item, rater, rating) nor a wide one with a "
            f"column per rater; found {', '.join(columns.names)}"
        )
    return found


def _cells_with_ratings(
    columns: Columns,
    sources: Mapping[str, Sequence[str]],
    items: Sequence[str],
    *,
    item: str | None,
    rater: str | None,
) -> _Cells:
    """Return the cells of the columns in ``sources``, each of which names the row's rater."""
    found = _Cells([], [], [], [], [], 0)
    n_empty = 0
    for name, raters in sources.items():
        for row, cell in enumerate(columns.values(name)):
            if not cell.strip():
                n_empty += 1
            elif not items[row].strip():
                found.problems.append(columns.problem(row, item, "no item"))
            elif not raters[row].strip():
                found.problems.append(columns.problem(row, rater, "no rater"))
            else:
                found.text.append(cell.strip())
                found.rows.append(row)
                found.raters.append(raters[row])
                found.columns.append(name)
    return found._replace(n_empty=n_empty)


def read_numbers(columns: Columns, name: str, *, scale: Scale | None = None) -> Numbers:
    """Return a column as numbers; what is not one, or lies outside the scale, is a problem."""
    values = np.full(len(columns), np.nan)
    problems = []
    for row, cell in enumerate(columns.values(name)):
        if not cell.strip():
            continue
        number = finite_number(cell)
        why = _fault(cell, number, scale)
        if why:
            problems.append(columns.problem(row, name, why))
        else:
            assert number is not None
            values[row] = number
    return Numbers(values, tuple(problems))


def _coded(
    text: Sequence[str], *, words: bool, categories: Sequence[str], scale: Scale | None
) -> tuple[FloatArray, tuple[str, ...] | None, dict[int, str]]:
    distinct = dict.fromkeys(text)
    if categories:
        position = {name: float(i) for i, name in enumerate(categories)}
        faults = {
            name: f"unknown label {name!r}; known are {', '.join(categories)}"
            for name in distinct
            if name not in position
        }
    else:
        numbers = {name: finite_number(name) for name in distinct}
        n_numbers = sum(1 for number in numbers.values() if number is not None)
        if words or (2 * n_numbers < len(distinct) and scale is None):
            categories = sorted(distinct)
            position, faults = {name: float(i) for i, name in enumerate(categories)}, {}
        else:
            faults = {
                name: why
                for name, number in numbers.items()
                if (why := _fault(name, number, scale))
            }
            position = {name: number for name, number in numbers.items() if number is not None}
    values = np.array([np.nan if cell in faults else position[cell] for cell in text], float)
    unusable = {i: faults[cell] for i, cell in enumerate(text) if cell in faults}
    return values, tuple(categories) or None, unusable


def _fault(cell: str, number: float | None, scale: Scale | None) -> str | None:
    if number is None:
        comma = (
            "; write it with a point, without commas"
            if _DECIMAL_COMMA.fullmatch(cell.strip())
            else ""
        )
        return f"{cell.strip()!r} is not a number{comma}"
    if scale is not None and not scale.low <= number <= scale.high:
        return f"{cell.strip()} lies outside the scale {scale.low:g} to {scale.high:g}"
    return None


def _table(
    criterion: str | None,
    items: Sequence[str],
    raters: Sequence[str],
    values: FloatArray,
    categories: tuple[str, ...] | None,
    clusters: Sequence[str] | None,
) -> RatingTable:
    item_numbers: dict[str, int] = {}
    rater_numbers: dict[str, int] = {}
    of_items = [item_numbers.setdefault(name, len(item_numbers)) for name in items]
    of_raters = [rater_numbers.setdefault(name, len(rater_numbers)) for name in raters]
    labels = None if clusters is None else dict(zip(of_items, clusters, strict=True))
    return RatingTable(
        criterion,
        tuple(item_numbers),
        tuple(rater_numbers),
        np.array(of_items, np.int64),
        np.array(of_raters, np.int64),
        values,
        categories,
        None if labels is None else tuple(labels[i] for i in range(len(item_numbers))),
    )
