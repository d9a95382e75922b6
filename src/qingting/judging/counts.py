"""What changes while a study runs: places taken, and how often each arm was shown."""

from __future__ import annotations

from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import String, Table, bindparam, func, select
from sqlalchemy import cast as sql_cast
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from qingting.judging.assignment import Overall
from qingting.store.judging_tables import Arm, Campaign, Unit


class Counts(NamedTuple):
    """The counts of one language of a study at one moment."""

    open_units: NDArray[np.int64]
    """(n_open, 2): id and places taken of every unit of the main part that has a place left."""
    overall: Overall


def _rows_as_text(*columns: ColumnElement[int]) -> ColumnElement[str]:
    """Return a column with the numbers of all rows, separated by spaces.

    One row of text instead of a thousand rows of numbers: for every row that SQLite steps to, the
    thread gives the interpreter away and waits for it again.
    """
    text: ColumnElement[str] = sql_cast(columns[0], String)
    for column in columns[1:]:
        text = text + " " + sql_cast(column, String)
    return func.aggregate_strings(text, " ")


_units, _arms = cast(Table, Unit.__table__), cast(Table, Arm.__table__)
_COUNTS = select(
    select(_rows_as_text(_units.c.id, _units.c.n_taken))
    .where(
        _units.c.campaign_id == bindparam("campaign"),
        _units.c.role == "main",
        _units.c.language == bindparam("language"),
        _units.c.is_withdrawn.is_(False),
        _units.c.n_taken < _units.c.n_wanted,
    )
    .scalar_subquery(),
    select(_rows_as_text(_arms.c.id, _arms.c.n_shown, _arms.c.n_first))
    .where(_arms.c.campaign_id == bindparam("campaign"))
    .scalar_subquery(),
)


def read_counts(session: Session, campaign: Campaign, language: str) -> Counts:
    """Return what is open and what was shown, read by one statement."""
    given = {"campaign": campaign.id, "language": language}
    open_units, shown = session.connection().execute(_COUNTS, given).one()
    arms = _numbers(shown, 3).tolist()
    return Counts(
        _numbers(open_units, 2),
        Overall(
            n_by_arm={arm: n_shown for arm, n_shown, _ in arms},
            n_first_by_arm={arm: n_first for arm, _, n_first in arms},
        ),
    )


def _numbers(text: str | None, n_columns: int) -> NDArray[np.int64]:
    return np.fromstring(text or "", dtype=np.int64, sep=" ").reshape(-1, n_columns)
