"""Groups of texts that are the same but for small edits.

Each text is a set of character 5-grams (white space removed). MinHash signatures cut into bands
find pairs that may be alike (Leskovec, Rajaraman & Ullman, *Mining of Massive Datasets*, §3.4);
each such pair is verified by its exact Jaccard similarity; connected pairs form a group.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

METHOD_VERSION = "1"
"""Version of the grouping; records that depend on groups name it."""

_SHINGLE_LENGTH = 5
_N_HASHES = 120
_P_MISSED = 1e-3  # of pairs exactly at the threshold; fewer above it
_UInt64 = npt.NDArray[np.uint64]
_UInt32 = npt.NDArray[np.uint32]


def group_near_duplicates(texts: Sequence[str], *, threshold: float = 0.7) -> list[int]:
    """Return one group id per text; texts of a group are connected by near-duplicate pairs.

    The id of a group is the index of its first text. The groups do not depend on the order of
    the texts. White space is ignored; a text shorter than a shingle equals only itself.

    Args:
        texts: Any texts, compared with one another.
        threshold: Jaccard similarity of shingle sets, in (0, 1], from which two texts are
            near-duplicates. A pair exactly at the threshold is missed with probability below
            0.001, one above it less often.

    Raises:
        ValueError: ``threshold`` is outside (0, 1].
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must lie in (0, 1], not {threshold}")
    first_index: dict[str, int] = {}
    representatives = [
        first_index.setdefault("".join(text.split()), index) for index, text in enumerate(texts)
    ]
    distinct = list(first_index)
    indices = list(first_index.values())
    shingles = [_shingles(text) for text in distinct]
    forest = _Forest(len(distinct))
    if distinct:
        signatures = _signatures(shingles)
        for left, right in _candidates(signatures, threshold):
            if forest.root(left) == forest.root(right):
                continue
            if _jaccard(shingles[left], shingles[right]) >= threshold:
                forest.join(left, right)
    position = {index: place for place, index in enumerate(indices)}
    return [indices[forest.root(position[index])] for index in representatives]


class _Forest:
    """Disjoint sets whose root is their smallest member."""

    def __init__(self, size: int) -> None:
        self._parents = list(range(size))

    def root(self, member: int) -> int:
        while self._parents[member] != member:
            self._parents[member] = self._parents[self._parents[member]]
            member = self._parents[member]
        return member

    def join(self, left: int, right: int) -> None:
        first, second = sorted((self.root(left), self.root(right)))
        self._parents[second] = first


def _shingles(text: str) -> _UInt64:
    """Return the sorted, distinct 64-bit hashes of a text's shingles."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    codes = codes.astype(np.uint64) + np.uint64(1)
    length = max(min(_SHINGLE_LENGTH, len(codes)), 1)
    hashes = np.full(max(len(codes) - length + 1, 1), len(codes) if length < 5 else 5, np.uint64)
    for offset in range(min(length, len(codes))):
        part = codes[offset : len(codes) - length + 1 + offset]
        hashes = hashes * np.uint64(0x9E3779B97F4A7C15) + part
    return np.unique(_mix(hashes))


def _mix(values: _UInt64) -> _UInt64:
    """Return the values scrambled by the finaliser of splitmix64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _signatures(shingles: Sequence[_UInt64]) -> _UInt32:
    """Return the MinHash signatures: (n_texts, 120), the least of each hash over a text."""
    keys = _mix(np.arange(1, 2 * _N_HASHES + 1, dtype=np.uint64) * np.uint64(0x632BE59BD9B4E019))
    factors = keys[:_N_HASHES, None] | np.uint64(1)
    offsets = keys[_N_HASHES:, None]
    signatures = np.empty((len(shingles), _N_HASHES), dtype=np.uint32)
    for row, hashes in enumerate(shingles):
        values = factors * hashes[None, :] + offsets
        signatures[row] = values.min(axis=1) >> np.uint64(32)
    return signatures


def _rows_per_band(threshold: float) -> int:
    """Return the most rows a band may have for pairs at the threshold to be found."""
    fitting = [
        rows for rows in range(1, 9) if (1 - threshold**rows) ** (_N_HASHES // rows) <= _P_MISSED
    ]
    return max(fitting, default=1)


def _candidates(signatures: _UInt32, threshold: float) -> Iterator[tuple[int, int]]:
    """Yield pairs that agree on a whole band and, by their signatures, may be alike enough."""
    rows = _rows_per_band(threshold)
    least_agreement = threshold - 0.2  # over four standard errors of the estimate
    for start in range(0, _N_HASHES - rows + 1, rows):
        buckets: dict[bytes, list[int]] = defaultdict(list)
        band = np.ascontiguousarray(signatures[:, start : start + rows])
        for index, key in enumerate(band):
            buckets[key.tobytes()].append(index)
        for members in buckets.values():
            for place, left in enumerate(members[:-1]):
                others = np.array(members[place + 1 :])
                agreement = (signatures[others] == signatures[left]).mean(axis=1)
                for right in others[agreement >= least_agreement]:
                    yield left, int(right)


def _jaccard(left: _UInt64, right: _UInt64) -> float:
    n_common = len(np.intersect1d(left, right, assume_unique=True))
    return n_common / (len(left) + len(right) - n_common)
