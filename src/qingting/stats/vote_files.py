"""Votes read from a table, with every row that cannot be used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from qingting.core.columns import (
    Columns,
    RowProblem,
    find_column,
    finite_number,
    read_columns,
)
from qingting.core.errors import DataError, SpecificationError, did_you_mean
from qingting.stats.votes import LEFT, RIGHT, TIE, FloatArray, Votes, votes_of

WINNERS = {
    "left": LEFT,
    "model_a": LEFT,
    "right": RIGHT,
    "model_b": RIGHT,
    "tie": TIE,
    "左": LEFT,
    "右": RIGHT,
    "平": TIE,
    "平局": TIE,
    # Both replies were bad: no preference, which is what a tie says.
    "tie (bothbad)": TIE,
}
_SIDES = (("_left", "_right"), ("_a", "_b"))


class VotesRead(NamedTuple):
    """Votes of a file, and the rows that were left out.

    ``n_repeated``: votes of a rater on a prompt and pair of arms that this rater has voted on
    before, whichever side they stood on; 0 where prompts or raters are not known.
    """

    votes: Votes
    problems: tuple[RowProblem, ...]
    n_rows: int
    n_repeated: int


def read_votes(
    path: Path,
    *,
    left_column: str | None = None,
    right_column: str | None = None,
    winner_column: str | None = None,
    prompt_column: str | None = None,
    rater_column: str | None = None,
    covariates: Sequence[str] = (),
) -> VotesRead:
    """Return the votes in a file: CSV, TSV or JSON Lines.

    Columns: left and right (or model_a and model_b), winner, and where present prompt (or item)
    and rater (or worker, judge). A winner is left, right, tie, model_a, model_b,
    左, 右, 平, 平局 or "tie (bothbad)", which counts as a tie; anything else is reported and its row left out. A
    covariate is the column of its name, left minus right, or the difference of NAME_left and
    NAME_right (NAME_a and NAME_b); it is divided by its standard deviation.

    Raises:
        SpecificationError: a column is not found.
        DataError: no row holds a vote.
    """
    table = read_columns(path)
    left = _found(table, "left arm", ("left", "model_a"), left_column)
    right = _found(table, "right arm", ("right", "model_b"), right_column)
    winner = _found(table, "winner", ("winner",), winner_column)
    prompt = find_column(
        table,
        role="prompt",
        names=("prompt", "item", "prompt_id", "item_id"),
        mapped=prompt_column,
        required=False,
    )
    rater = find_column(
        table, role="rater", names=("worker", "rater", "judge"), mapped=rater_column, required=False
    )
    problems: list[RowProblem] = []
    chosen: list[int] = []
    winners: list[int] = []
    needed = [name for name in (left, right, prompt, rater) if name is not None]
    texts = [table.values(name) for name in needed]
    arms = table.values(left), table.values(right)
    codes = {text: WINNERS.get(text.strip().lower()) for text in set(table.values(winner))}
    measures = [_measured(table, name, problems) for name in covariates]
    bad = {problem.line for problem in problems}
    for row, (text, one, other) in enumerate(zip(table.values(winner), *arms, strict=True)):
        code = codes[text]
        if code is None:
            known = "left, right, tie, model_a, model_b, 左, 右, 平"
            what = f"{text!r} is not a winner ({known})" if text.strip() else "no winner"
            problems.append(table.problem(row, winner, what))
        elif empty := [n for n, cells in zip(needed, texts, strict=True) if not cells[row].strip()]:
            problems.append(table.problem(row, empty[0], "an empty cell"))
        elif one.strip() == other.strip():
            problems.append(table.problem(row, left, f"{one!r} is compared with itself"))
        elif table.lines[row] not in bad:
            chosen.append(row)
            winners.append(code)
    if not chosen:
        first = f"; the first: {problems[0]}" if problems else ""
        raise DataError(f"{path}: no row holds a vote{first}")

    def part(name: str | None) -> list[str] | None:
        if name is None:
            return None
        values = table.values(name)
        return [values[row].strip() for row in chosen]

    values: FloatArray | None = None
    if measures:
        values = np.column_stack([measure[chosen] for measure in measures])
        spread = values.std(axis=0)
        if (spread == 0).any():
            name = covariates[int(np.flatnonzero(spread == 0)[0])]
            raise DataError(f"{path}: the covariate {name!r} is the same in every vote")
        values = values / spread
    votes = votes_of(
        part(left) or [],
        part(right) or [],
        winners,
        prompts=part(prompt),
        raters=part(rater),
        covariates=values,
        covariate_names=tuple(covariates),
    )
    problems.sort(key=lambda problem: problem.line)
    return VotesRead(votes, tuple(problems), len(table), _repeated(votes))


def _repeated(votes: Votes) -> int:
    if votes.prompts is None or votes.raters is None:
        return 0
    pairs = np.sort(np.column_stack((votes.left, votes.right)), axis=1)
    cells = np.column_stack((pairs, votes.prompts, votes.raters))
    return len(cells) - len(np.unique(cells, axis=0))


def _found(table: Columns, role: str, names: tuple[str, ...], mapped: str | None) -> str:
    name = find_column(
        table, role=role, names=names, mapped=mapped, option=f"--{role.split()[0]}-column"
    )
    assert name is not None
    return name


def _measured(table: Columns, name: str, problems: list[RowProblem]) -> FloatArray:
    if name in table.names:
        return _numbers(table, name, problems)
    for left, right in _SIDES:
        if name + left in table.names and name + right in table.names:
            first = _numbers(table, name + left, problems)
            return first - _numbers(table, name + right, problems)
    raise SpecificationError(
        f"{table.path}: no column {name!r}, nor {name}_left with {name}_right, for the covariate; "
        f"found {', '.join(table.names)}.{did_you_mean(name, table.names)}"
    )


def _numbers(table: Columns, name: str, problems: list[RowProblem]) -> FloatArray:
    found = np.full(len(table), np.nan)
    for row, text in enumerate(table.values(name)):
        number = finite_number(text)
        if number is None:
            problems.append(table.problem(row, name, f"{text!r} is not a number"))
        else:
            found[row] = number
    return found
