"""Texts as rules read them: one width of letters and digits, nothing invisible between them.

Rules are matched in the folded text and applied to the text itself, which otherwise stays as it
was written.
"""

from __future__ import annotations

import unicodedata
from typing import NamedTuple

# Full-width punctuation that stands within numbers and addresses; other is left, since it ends them.
_FULL_WIDTH = {chr(ord(mark) + 0xFEE0): mark for mark in "+-.@_/#:"}
_DASHES = dict.fromkeys("‐‑‒–—−﹣", "-")
_SPACES = dict.fromkeys("\u00a0\u2002\u2003\u2007\u2009\u202f\u3000", " ")
_MARKS = {**_FULL_WIDTH, **_DASHES, **_SPACES, "➕": "+"}
_DROPPED = frozenset("\ufe0e\ufe0f\u20e3")
"""Selectors and the frame of emoji digits; all of Unicode's format characters are dropped too."""


class Folded(NamedTuple):
    """A text to match in, and where its characters stand in the text it was made of."""

    text: str
    places: tuple[int, ...]
    """One more than there are characters: the last is the length of the other text."""

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the span of the other text that ``text[start:end]`` was made of."""
        return self.places[start], self.places[end]


def folded(text: str) -> Folded:
    """Return a text with digits and full-width letters as ASCII and without invisible characters.

    Dashes and spaces become the plain ones. Chinese characters and punctuation stay, except what
    may stand within a number or an address (``＋－．＠＿／＃：``).
    """
    characters, places = [], []
    for place, character in enumerate(text):
        one = _folded_character(character)
        if one:
            characters.append(one)
            places.append(place)
    return Folded("".join(characters), (*places, len(text)))


def _folded_character(character: str) -> str:
    if character < "\u0080":
        return character
    if character in _MARKS:
        return _MARKS[character]
    if "Ａ" <= character <= "Ｚ" or "ａ" <= character <= "ｚ":
        return chr(ord(character) - 0xFEE0)
    if character in _DROPPED or unicodedata.category(character) == "Cf":
        return ""
    digit = unicodedata.decimal(character, None)
    return character if digit is None else str(digit)
