"""Tokens of many text pairs as numpy blocks, and the n-grams that each pair shares.

Counting n-grams with dictionaries spends a second on what sorting does in hundredths. Here the
n-grams of a block of pairs become integers (pair, token, token, …, side), exactly, without
hashing; one sort brings equal n-grams of one pair together, hypothesis before reference.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qingting.metrics.tokenize import HAS_WORD, tokenize

IntArray = NDArray[np.int64]

# Blocks this large sort within the cache; larger ones are slower, smaller ones pay overhead.
_BLOCK_TOKENS = 1 << 16
_KEY_BITS = 62
_N_CODE_POINTS = 0x110000

CODE_POINTS = "code-points"
"""The tokenizer of chrF: every character that is not white space, alone, Latin letters too."""


class Ragged(NamedTuple):
    """Token ids of many texts, end to end: ``ids`` (n_tokens,), ``lengths`` (n_items,)."""

    ids: IntArray
    lengths: IntArray


@dataclass(frozen=True, eq=False, slots=True)
class TokenPairs:
    """Hypotheses and references over one vocabulary of ``n_vocabulary`` dense ids.

    ``tokens`` names the ids, so that a stemmer may map them: (n_vocabulary,) strings.
    """

    hypotheses: Ragged
    references: Ragged
    tokens: tuple[str, ...]

    @property
    def n_items(self) -> int:
        """Return the number of pairs."""
        return len(self.hypotheses.lengths)

    @property
    def n_vocabulary(self) -> int:
        """Return the number of distinct tokens."""
        return len(self.tokens)


class NgramMatches(NamedTuple):
    """Counts per pair and order, all (n_items, n_max): column k is for (k+1)-grams.

    ``matched`` is clipped: an n-gram counts as often as in the side that has it less often.
    """

    matched: IntArray
    n_hypothesis: IntArray
    n_reference: IntArray


class _Vocabulary(dict[str, int]):
    """Ids of tokens: a single character is its code point, a longer token a number above."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def __missing__(self, token: str) -> int:
        if len(token) == 1:
            number = ord(token)
        else:
            number = _N_CODE_POINTS + len(self.words)
            self.words.append(token)
        self[token] = number
        return number


def encode_pairs(
    hypotheses: Sequence[str], references: Sequence[str], *, tokenizer: str
) -> TokenPairs:
    """Return the tokens of equally many hypotheses and references as dense ids.

    ``tokenizer`` is a name from ``tokenize.tokenizer_name``, or ``CODE_POINTS``.
    """
    vocabulary = _Vocabulary()
    arrays = [_encode(text, tokenizer, vocabulary) for text in (*hypotheses, *references)]
    lengths = np.fromiter(map(len, arrays), np.int64, len(arrays))
    raw = np.concatenate(arrays) if arrays else np.empty(0, np.uint32)
    present = np.zeros(_N_CODE_POINTS + len(vocabulary.words), bool)
    present[raw] = True
    distinct = np.flatnonzero(present)
    dense = np.zeros(len(present), np.int32)
    dense[distinct] = np.arange(len(distinct), dtype=np.int32)
    ids = dense[raw].astype(np.int64)
    names = tuple(
        chr(number) if number < _N_CODE_POINTS else vocabulary.words[number - _N_CODE_POINTS]
        for number in distinct.tolist()
    )
    n_items, n_first = len(hypotheses), int(lengths[: len(hypotheses)].sum())
    return TokenPairs(
        Ragged(ids[:n_first], lengths[:n_items]), Ragged(ids[n_first:], lengths[n_items:]), names
    )


def _encode(text: str, tokenizer: str, vocabulary: _Vocabulary) -> NDArray[np.uint32]:
    # Without letters to join, tokens are characters, and decoding the bytes finds them all.
    if tokenizer == CODE_POINTS or (tokenizer in ("char", "word") and not HAS_WORD.search(text)):
        packed = "".join(text.split()).encode("utf-32-le", "surrogatepass")
        return np.frombuffer(packed, np.uint32)
    tokens = tokenize(text, tokenizer)
    return np.fromiter(map(vocabulary.__getitem__, tokens), np.uint32, len(tokens))


class Block(NamedTuple):
    """A slice of consecutive pairs, hypotheses first: one row per token.

    ``ids``, ``pairs`` (index within the block), ``remaining`` (tokens from here to the end of
    the text, this one included), ``sides`` (0 hypothesis, 1 reference): (n_tokens,) int64.
    ``first``/``last``: the pairs ``first:last`` of the whole.
    """

    first: int
    last: int
    ids: IntArray
    pairs: IntArray
    remaining: IntArray
    sides: IntArray


def blocks_of(pairs: TokenPairs) -> Iterator[Block]:
    """Yield blocks of whole pairs, each of some 65 thousand tokens or a single longer pair."""
    hyp, ref = pairs.hypotheses, pairs.references
    ends = np.cumsum(hyp.lengths + ref.lengths)
    hyp_starts = np.concatenate(([0], np.cumsum(hyp.lengths)))
    ref_starts = np.concatenate(([0], np.cumsum(ref.lengths)))
    first = 0
    while first < pairs.n_items:
        done = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, done + _BLOCK_TOKENS, side="right")))
        lengths = np.concatenate((hyp.lengths[first:last], ref.lengths[first:last]))
        ids = np.concatenate(
            (
                hyp.ids[hyp_starts[first] : hyp_starts[last]],
                ref.ids[ref_starts[first] : ref_starts[last]],
            )
        )
        n_hyp = int(hyp_starts[last] - hyp_starts[first])
        index = np.tile(np.arange(last - first, dtype=np.int64), 2)
        yield Block(
            first,
            last,
            ids,
            np.repeat(index, lengths),
            np.repeat(np.cumsum(lengths), lengths) - np.arange(len(ids)),
            (np.arange(len(ids)) >= n_hyp).astype(np.int64),
        )
        first = last


def match_ngrams(pairs: TokenPairs, *, n_max: int) -> NgramMatches:
    """Return the clipped n-gram matches of every pair for orders 1 … ``n_max``."""
    orders = np.arange(n_max)
    n_hyp = np.maximum(pairs.hypotheses.lengths[:, None] - orders, 0)
    n_ref = np.maximum(pairs.references.lengths[:, None] - orders, 0)
    matched = np.zeros((pairs.n_items, n_max), np.int64)
    for block in blocks_of(pairs):
        rows = slice(block.first, block.last)
        for k, keys in enumerate(_ngram_keys(block, pairs.n_vocabulary, n_max)):
            matched[rows, k] = _clipped(keys, n_hyp[rows, k] + n_ref[rows, k])
    return NgramMatches(matched, n_hyp, n_ref)


def _ngram_keys(block: Block, n_vocabulary: int, n_max: int) -> Iterator[IntArray]:
    """Yield for each order the sorted keys (pair, n-gram, side) of the block's n-grams."""
    token_bits = _bits(n_vocabulary)
    codes = (block.pairs << token_bits) | block.ids
    code_bits = _bits(block.last - block.first) + token_bits
    for n in range(1, n_max + 1):
        if n > 1:
            if code_bits + token_bits + 1 > _KEY_BITS:
                # Ranks keep order and equality, and a rank needs few bits; pairs stay apart
                # because each rank belongs to one.
                distinct, codes = np.unique(codes, return_inverse=True)
                code_bits = _bits(len(distinct))
            codes = (codes[:-1] << token_bits) | block.ids[n - 1 :]
            code_bits += token_bits
        n_codes = len(codes)
        keys = (codes << 1) | block.sides[:n_codes]
        whole = keys[block.remaining[:n_codes] >= n]
        whole.sort()
        yield whole


def _clipped(keys: IntArray, n_keys_items: IntArray) -> IntArray:
    """Return the matches per pair from sorted keys; pairs hold ``n_keys_items`` keys each."""
    if not len(keys):
        return np.zeros(len(n_keys_items), np.int64)
    grams = keys >> 1
    starts = np.concatenate(([0], np.flatnonzero(grams[1:] != grams[:-1]) + 1))
    n_both = np.diff(starts, append=len(keys))
    n_ref = np.add.reduceat(keys & 1, starts)
    total = np.concatenate(([0], np.cumsum(np.minimum(n_ref, n_both - n_ref))))
    edges = np.searchsorted(starts, np.concatenate(([0], np.cumsum(n_keys_items))))
    return np.diff(total[edges])


def count_distinct(texts: TokenPairs, *, n_max: int) -> IntArray:
    """Return how many distinct n-grams each hypothesis holds, (n_items, n_max)."""
    empty = Ragged(np.empty(0, np.int64), np.zeros(texts.n_items, np.int64))
    alone = TokenPairs(texts.hypotheses, empty, texts.tokens)
    n_distinct = np.zeros((texts.n_items, n_max), np.int64)
    for block in blocks_of(alone):
        rows = slice(block.first, block.last)
        lengths = texts.hypotheses.lengths[rows]
        for k, keys in enumerate(_ngram_keys(block, texts.n_vocabulary, n_max)):
            is_new = np.ones(len(keys) + 1, np.int64)
            is_new[1:-1] = keys[1:] != keys[:-1]
            total = np.concatenate(([0], np.cumsum(is_new[:-1])))
            edges = np.concatenate(([0], np.cumsum(np.maximum(lengths - k, 0))))
            n_distinct[rows, k] = np.diff(total[edges])
    return n_distinct


def count_distinct_overall(texts: TokenPairs, *, n: int) -> int:
    """Return how many distinct n-grams all hypotheses hold together."""
    hyp = texts.hypotheses
    remaining = np.repeat(np.cumsum(hyp.lengths), hyp.lengths) - np.arange(len(hyp.ids))
    token_bits = _bits(texts.n_vocabulary)
    codes, code_bits = hyp.ids, token_bits
    for k in range(1, n):
        if code_bits + token_bits > _KEY_BITS:
            distinct, codes = np.unique(codes, return_inverse=True)
            code_bits = _bits(len(distinct))
        codes = (codes[:-1] << token_bits) | hyp.ids[k:]
        code_bits += token_bits
    whole = np.sort(codes[remaining[: len(codes)] >= n])
    return int((whole[1:] != whole[:-1]).sum()) + 1 if len(whole) else 0


def _bits(n: int) -> int:
    """Return how many bits hold the numbers below ``n``."""
    return max(n - 1, 0).bit_length()
