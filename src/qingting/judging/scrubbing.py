"""Free text without what could name a person: numbers, ids, accounts, addresses.

What is found is replaced by its kind in square brackets; the words before it stay, so that a reader
sees what stood there. Names of people cannot be found by rule and are not: raters are asked not to
write any.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from qingting.judging.folding import Folded, folded
from qingting.judging.identifiers import KINDS, Kind, digits_of


class Scrubbed(NamedTuple):
    """A text without identifiers, and how many of each kind were found."""

    text: str
    counts: dict[str, int]


class _Found(NamedTuple):
    start: int
    end: int
    kind: str | None
    """``None`` for a number that is to be kept."""


def scrub(text: str, *, keep: Iterable[str] = ()) -> Scrubbed:
    """Return a text with identifiers replaced by ``[kind]``; scrubbing again changes nothing.

    Numbers that cannot be told from quantities stay: short ones, dates, scores, amounts. So do
    numbers that only organisations have (400, 800, freephone). No more than ten digits in a row
    are ever left.

    Args:
        keep: numbers that are nobody's identity, such as the hotlines that a pack shows to clients;
            they stay in whatever way they are spaced, with or without the code of a country.
    """
    kept = frozenset(_national(number) for number in keep)
    counts: Counter[str] = Counter()
    while True:
        # What was found may have stood between two halves of something else.
        found = _found(folded(text), kept)
        hidden = [one for one in found if one.kind is not None]
        if not hidden:
            return Scrubbed(text, dict(counts))
        counts.update(one.kind for one in hidden if one.kind is not None)
        text = _replaced(text, hidden)


def _found(of: Folded, kept: frozenset[str]) -> list[_Found]:
    """Return what is found, in the places of the text itself; nothing overlaps."""
    is_taken = bytearray(len(of.text))
    found = []
    for kind in KINDS:
        for start, end in _spans(kind, of.text):
            if any(is_taken[start:end]):
                continue
            is_taken[start:end] = b"\x01" * (end - start)
            is_kept = _national(of.text[start:end]) in kept
            found.append(_Found(*of.span(start, end), None if is_kept else kind.name))
    return sorted(found)


def _spans(kind: Kind, text: str) -> Iterable[tuple[int, int]]:
    place = 0
    while match := kind.pattern.search(text, place):
        group = "hidden" if "hidden" in kind.pattern.groupindex else 0
        if kind.holds(match[group]):
            yield match.span(group)
            place = match.end()
        else:
            place = match.start() + 1


def _replaced(text: str, hidden: Sequence[_Found]) -> str:
    parts, place = [], 0
    for one in hidden:
        parts += [text[place : one.start], f"[{one.kind}]"]
        place = one.end
    return "".join((*parts, text[place:]))


def _national(number: str) -> str:
    """Return the digits of a number without the code of a country and the zero before an area."""
    code = r"^\s*[(（]?(?:\+ ?|00)(?:86|85[23]|886|44|65|61|1)"
    return digits_of(re.sub(code, "", number)).lstrip("0")
