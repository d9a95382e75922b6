"""Judgments as other tools write them, one row for each, before anything is understood."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Format = Literal["table", "label-studio", "argilla"]


@dataclass(frozen=True, slots=True)
class Row:
    """What one person said of one thing.

    ``cells``: by column, field or question. ``told``: what the format itself tells, by role
    (``rater``, ``submitted``, ``duration_s``). ``fault``: why the row cannot be read at all.
    """

    place: str
    cells: Mapping[str, Any]
    raw: Any
    told: Mapping[str, Any] = field(default_factory=dict)
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """The rows of one file.

    ``set_aside``: what is no judgment, counted by why (a cancelled annotation, a discarded
    response). ``digest``: sha256 of the text.
    """

    name: str
    format: Format
    digest: str
    rows: tuple[Row, ...]
    set_aside: Mapping[str, int] = field(default_factory=dict)


def digest_of_text(text: str) -> str:
    """Return the sha256 of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def named(cells: dict[str, Any], group: str, values: object) -> None:
    """Add the values of a group of fields under their names, and with the group before them."""
    if isinstance(values, Mapping):
        for name, value in values.items():
            cells[str(name)] = value
            cells[f"{group}.{name}"] = value


def shown(value: object, longest: int = 80) -> str:
    """Return a value as a message may hold it: not long, and fit for any output."""
    return str(value)[:longest].encode("utf-8", "replace").decode()
