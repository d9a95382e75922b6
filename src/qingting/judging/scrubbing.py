"""Stand-in until the real one lands."""

from __future__ import annotations

from typing import NamedTuple


class Scrubbed(NamedTuple):
    text: str
    counts: dict[str, int]


def scrub(text: str) -> Scrubbed:
    return Scrubbed(text, {})
