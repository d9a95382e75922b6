"""Stand-in until the real one lands."""

from __future__ import annotations

from typing import NamedTuple


class Masked(NamedTuple):
    text: str
    n_masked: int


def blinded(text: str, *, names: tuple[str, ...], language: str) -> Masked:
    n = 0
    for name in names:
        n += text.count(name)
        text = text.replace(name, "[…]")
    return Masked(text.strip(), n)
