"""Finding exact copies in memory that is small and known: at most 64 bytes a dialogue."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Sequence

import orjson

from qingting.data.records import RawTurn

_DIGEST_BYTES = 16
_MOST_FILLED = 0.8


def turns_digest(turns: Sequence[RawTurn]) -> bytes:
    """Return 16 bytes that say who speaks and the words, outer white space of turns aside.

    A system text and lines without a speaker do not count.
    """
    parts = []
    for role, content, name in turns:
        parts.append(role or f"?{name}")
        parts.append(content.strip())
    return hashlib.blake2b(orjson.dumps(parts), digest_size=_DIGEST_BYTES).digest()


class DigestSet:
    """A set of 16-byte digests: a table with open addressing in one flat array.

    A Python set of as many bytes objects takes twice the memory. The table doubles when it is
    four fifths full; while it does, it takes 60 bytes a digest, and 20 to 40 otherwise.
    """

    def __init__(self) -> None:
        self._n = 0
        self._table = array("Q", bytes(_DIGEST_BYTES << 10))

    def __len__(self) -> int:
        return self._n

    def add(self, digest: bytes) -> bool:
        """Add a digest and return whether it was new."""
        if (self._n + 1) * 2 > len(self._table) * _MOST_FILLED:
            self._grow()
        high = int.from_bytes(digest[:8], "little")
        low = int.from_bytes(digest[8:], "little") or 1  # a zero means a free place
        is_new = self._place(high, low)
        self._n += is_new
        return is_new

    def _place(self, high: int, low: int) -> bool:
        table = self._table
        n = len(table)
        slot = (high * 2) % n
        while held := table[slot + 1]:
            if held == low and table[slot] == high:
                return False
            slot = (slot + 2) % n
        table[slot] = high
        table[slot + 1] = low
        return True

    def _grow(self) -> None:
        old = self._table
        self._table = array("Q", bytes(16 * len(old)))
        for slot in range(0, len(old), 2):
            if old[slot + 1]:
                self._place(old[slot], old[slot + 1])
