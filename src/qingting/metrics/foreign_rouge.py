"""ROUGE as the packages ``rouge`` 1.0.1 and ``rouge-chinese`` 1.0.3 count it, for their numbers.

Both count an n-gram once however often it occurs, add 1e-8 below the line of F, split a text into
sentences first (at ``.`` the one, at ``。！？?`` and ellipses the other), and refuse a text without
sentences. ``rouge`` counts as ROUGE-L the distinct words of the union of the sentences' longest
common subsequences; ``rouge-chinese`` takes the longest common subsequence of the whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

EPSILON = 1e-8


class Overlap(NamedTuple):
    """Precision, recall and F of one pair."""

    precision: float
    recall: float
    f: float


class RougeOfPair(NamedTuple):
    """ROUGE-1, ROUGE-2 and ROUGE-L of one pair."""

    rouge_1: Overlap
    rouge_2: Overlap
    rouge_l: Overlap


# A line break goes after so many characters of each match; the character beyond is consumed, so
# that of two adjacent breaks only the first is made.
_BREAKS: tuple[tuple[re.Pattern[str], int], ...] = (
    (re.compile(r"[。！？?][^”’]"), 1),
    (re.compile(r"\.{6}[^”’]"), 6),
    (re.compile(r"…{2}[^”’]"), 2),
    (re.compile(r"[。！？?][”’][^，。！？?]"), 2),
)


def _broken(match: re.Match[str], *, at: int) -> str:
    return f"{match[0][:at]}\n{match[0][at:]}"


def rouge_chinese_sentences(text: str) -> list[str]:
    """Return the sentences into which rouge-chinese splits a text."""
    for pattern, at in _BREAKS:
        text = pattern.sub(partial(_broken, at=at), text)
    return [" ".join(part.split()) for part in text.rstrip().split("\n") if part]


def rouge_sentences(text: str) -> list[str]:
    """Return the sentences into which rouge splits a text."""
    return [" ".join(part.split()) for part in text.split(".") if part]


def rouge_chinese(hypothesis: str, reference: str) -> RougeOfPair | None:
    """Return rouge-chinese's scores of words joined by spaces; ``None`` where it refuses."""
    sides = _Sides.of(hypothesis, reference, rouge_chinese_sentences)
    if sides is None:
        return None
    common = _longest_common(sides.hyp_words, sides.ref_words)
    return RougeOfPair(
        sides.of_sets(1),
        sides.of_sets(2),
        _overlap(common, len(sides.hyp_words), len(sides.ref_words)),
    )


def rouge(hypothesis: str, reference: str) -> RougeOfPair | None:
    """Return rouge's scores of words joined by spaces; ``None`` where it refuses."""
    sides = _Sides.of(hypothesis, reference, rouge_sentences)
    if sides is None:
        return None
    union: set[str] = set()
    for ref in sides.ref_sentences:
        for hyp in sides.hyp_sentences:
            union |= common_words(ref.split(" "), hyp.split(" "))
    n_hyp, n_ref = len(set(sides.hyp_words)), len(set(sides.ref_words))
    return RougeOfPair(sides.of_sets(1), sides.of_sets(2), _overlap(len(union), n_hyp, n_ref))


class _Sides(NamedTuple):
    hyp_sentences: list[str]
    ref_sentences: list[str]
    hyp_words: list[str]
    ref_words: list[str]

    @classmethod
    def of(
        cls, hypothesis: str, reference: str, sentences: Callable[[str], list[str]]
    ) -> _Sides | None:
        hyp, ref = sentences(hypothesis), sentences(reference)
        if not hyp or not ref:
            return None
        # A sentence of white space alone is one empty word to both packages.
        return cls(hyp, ref, " ".join(hyp).split(" "), " ".join(ref).split(" "))

    def of_sets(self, n: int) -> Overlap:
        hyp, ref = _grams(self.hyp_words, n), _grams(self.ref_words, n)
        return _overlap(len(hyp & ref), len(hyp), len(ref))


def _grams(words: Sequence[str], n: int) -> set[tuple[str, ...]]:
    return set(zip(*(words[k:] for k in range(n)), strict=False))


def _overlap(n_common: int, n_hyp: int, n_ref: int) -> Overlap:
    precision = n_common / n_hyp if n_hyp else 0.0
    recall = n_common / n_ref if n_ref else 0.0
    return Overlap(precision, recall, 2.0 * (precision * recall / (precision + recall + EPSILON)))


def _longest_common(first: Sequence[str], second: Sequence[str]) -> int:
    from rapidfuzz.distance import LCSseq

    numbers: dict[str, str] = {}
    one, other = (
        "".join(numbers.setdefault(word, chr(len(numbers))) for word in words)
        for words in (first, second)
    )
    return int(LCSseq.similarity(one, other))


def common_words(first: Sequence[str], second: Sequence[str]) -> set[str]:
    """Return the words of one longest common subsequence, the one that ``rouge`` finds.

    Of several it is the one met from the end when a tie moves back in ``second``. Row i of the
    table of lengths is kept as one integer whose bit j is 0 where column j adds a word: what
    backtracking needs to know, in a two-hundredth of the time.

    Source: Hyyrö (2004), bit-parallel longest common subsequence.
    """
    places: dict[str, int] = {}
    for j, word in enumerate(second):
        places[word] = places.get(word, 0) | 1 << j
    full = (1 << len(second)) - 1
    rows, row = [full], full
    for word in first:
        hits = row & places.get(word, 0)
        row = ((row + hits) | (row - hits)) & full
        rows.append(row)
    found: set[str] = set()
    i, j = len(first), len(second)
    while i and j:
        if first[i - 1] == second[j - 1]:
            found.add(first[i - 1])
            i, j = i - 1, j - 1
        elif rows[i] >> (j - 1) & 1:
            j -= 1
        else:
            i -= 1
    return found
