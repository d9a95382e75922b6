"""Tokens of many text pairs as numpy blocks, and the n-grams that each pair shares.

Counting n-grams with dictionaries spends a second on what sorting does in hundredths. Here the
n-grams of a block of pairs become integers (pair, token, token, …, side), exactly, without
hashing; one sort brings equal n-grams of one pair together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
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


class Encoder:
    """Cuts texts with one tokenizer; what it has cut before, it does not cut again.

    ``tokenizer`` is a name from ``tokenize.tokenizer_name``, or ``CODE_POINTS``; ``cut`` replaces
    the tokenizer of that name, for those that only another stack has.
    """

    def __init__(self, tokenizer: str, *, cut: Callable[[str], list[str]] | None = None) -> None:
        self._cut = cut or partial(tokenize, tokenizer=tokenizer)
        self._by_character = cut is None and tokenizer in ("char", "word", CODE_POINTS)
        self._joins_letters = tokenizer != CODE_POINTS
        self._vocabulary = _Vocabulary()
        self._known: dict[str, NDArray[np.uint32]] = {}

    def encode(self, hypotheses: Sequence[str], references: Sequence[str]) -> TokenPairs:
        """Return the tokens of equally many hypotheses and references as dense ids."""
        raw, lengths = self._numbers((*hypotheses, *references))
        words = self._vocabulary.words
        present = np.zeros(_N_CODE_POINTS + len(words), bool)
        present[raw] = True
        distinct = np.flatnonzero(present)
        dense = np.zeros(len(present), np.int64)
        dense[distinct] = np.arange(len(distinct))
        ids = dense[raw]
        names = tuple(
            chr(number) if number < _N_CODE_POINTS else words[number - _N_CODE_POINTS]
            for number in distinct.tolist()
        )
        n_items, n_first = len(hypotheses), int(lengths[: len(hypotheses)].sum())
        return TokenPairs(
            Ragged(ids[:n_first], lengths[:n_items]),
            Ragged(ids[n_first:], lengths[n_items:]),
            names,
        )

    def _numbers(self, texts: Sequence[str]) -> tuple[NDArray[np.uint32], IntArray]:
        """Return the texts' numbers end to end, and how many each has."""
        plain: list[str] = []
        cut: list[NDArray[np.uint32]] = []
        is_cut = np.zeros(len(texts), bool)
        lengths = np.zeros(len(texts), np.int64)
        for place, text in enumerate(texts):
            # Without letters to join, tokens are characters, and decoding bytes finds them all.
            if self._by_character and not (self._joins_letters and HAS_WORD.search(text)):
                part = "".join(text.split())
                plain.append(part)
                lengths[place] = len(part)
            else:
                numbers = self._numbered(text)
                cut.append(numbers)
                is_cut[place], lengths[place] = True, len(numbers)
        packed = "".join(plain).encode("utf-32-le", "surrogatepass")
        characters = np.frombuffer(packed, np.uint32)
        if not cut:
            return characters, lengths
        of_cut = np.repeat(is_cut, lengths)
        raw = np.empty(len(of_cut), np.uint32)
        raw[~of_cut] = characters
        raw[of_cut] = np.concatenate(cut)
        return raw, lengths

    def _numbered(self, text: str) -> NDArray[np.uint32]:
        found = self._known.get(text)
        if found is None:
            tokens = self._cut(text)
            found = np.fromiter(map(self._vocabulary.__getitem__, tokens), np.uint32, len(tokens))
            self._known[text] = found
        return found


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
        for k, counts in enumerate(_clipped(block, pairs.n_vocabulary, n_max)):
            matched[block.first : block.last, k] = counts
    return NgramMatches(matched, n_hyp, n_ref)


def _clipped(block: Block, n_vocabulary: int, n_max: int) -> Iterator[IntArray]:
    """Yield for each order the matches per pair of the block.

    An n-gram that both sides have begins and ends with an (n−1)-gram that both have, so each
    order looks only at places where the one before matched twice in a row.
    """
    n_places, n_pairs = len(block.ids), block.last - block.first
    token_bits, n_groups = _bits(n_vocabulary), n_pairs * n_vocabulary
    groups = block.pairs * n_vocabulary + block.ids
    # Counting in a table beats sorting while the table is not much larger than the text.
    if n_groups <= 8 * n_places:
        n_hyp = n_places - int(block.sides.sum())
        n_both = np.minimum(
            np.bincount(groups[:n_hyp], minlength=n_groups),
            np.bincount(groups[n_hyp:], minlength=n_groups),
        )
        yield n_both.reshape(n_pairs, n_vocabulary).sum(axis=1)
        is_shared = (n_both > 0)[groups]
    else:
        found = _shared(block, np.arange(n_places), groups, _bits(n_groups))
        yield found.matched
        is_shared, groups, n_groups = found.is_shared, found.groups, found.n_groups
    # A last token begins no bigram, but may end one. Longer n-grams need no such care: what
    # follows a shared bigram stands in the same text.
    begins = is_shared & (block.remaining > 1)
    for n in range(2, n_max + 1):
        places = np.flatnonzero(begins[:-1] & is_shared[1:])
        if _bits(n_groups) + token_bits > _KEY_BITS:
            _, groups = np.unique(groups, return_inverse=True)
            n_groups = len(groups)
        codes = (groups[places] << token_bits) | block.ids[places + (n - 1)]
        found = _shared(block, places, codes, _bits(n_groups) + token_bits)
        yield found.matched
        begins = is_shared = found.is_shared
        groups, n_groups = found.groups, found.n_groups


class _Shared(NamedTuple):
    """What both sides of each pair have of one order.

    ``matched`` (n_pairs,) counts. ``is_shared`` (n_places,) bool and ``groups`` (n_places,): the
    number of the n-gram that begins there, where it is shared.
    """

    matched: IntArray
    is_shared: NDArray[np.bool_]
    groups: IntArray
    n_groups: int


def _shared(block: Block, places: IntArray, codes: IntArray, code_bits: int) -> _Shared:
    """Return the n-grams that both sides have; ``codes`` tell those at ``places`` apart."""
    n_places, n_pairs = len(block.ids), block.last - block.first
    is_shared, groups = np.zeros(n_places, bool), np.zeros(n_places, np.int64)
    if not len(places):
        return _Shared(np.zeros(n_pairs, np.int64), is_shared, groups, 0)
    place_bits = _bits(n_places)
    if code_bits + place_bits <= _KEY_BITS:
        # The place in the low bits travels with its code through the sort.
        keys = (codes << place_bits) | places
        keys.sort()
        codes, places = keys >> place_bits, keys & ((1 << place_bits) - 1)
    else:
        order = np.argsort(codes)
        codes, places = codes[order], places[order]
    is_new = np.ones(len(codes), bool)
    np.not_equal(codes[1:], codes[:-1], out=is_new[1:])
    edges = np.append(np.flatnonzero(is_new), len(codes))
    n_all = np.diff(edges)
    n_ref = np.diff(np.concatenate(([0], np.cumsum(block.sides[places])))[edges])
    n_matched = np.minimum(n_ref, n_all - n_ref)
    in_both = n_matched > 0
    n_matched, n_groups = n_matched[in_both], int(in_both.sum())
    kept = places[np.repeat(in_both, n_all)]
    is_shared[kept] = True
    groups[kept] = np.repeat(np.arange(n_groups), n_all[in_both])
    pairs = block.pairs[places[edges[:-1][in_both]]]
    matched = np.bincount(pairs, weights=n_matched, minlength=n_pairs).astype(np.int64)
    return _Shared(matched, is_shared, groups, n_groups)


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


def match_others(texts: TokenPairs, *, n_max: int) -> NgramMatches:
    """Return each hypothesis's n-gram matches with all other hypotheses as its references.

    An n-gram counts as often as in that other hypothesis which has it most often.
    ``n_reference`` is as for the other hypothesis of the closest length, the shorter of two. With
    fewer than two hypotheses nothing matches.
    """
    hyp = texts.hypotheses
    n_items = len(hyp.lengths)
    items = np.repeat(np.arange(n_items), hyp.lengths)
    remaining = np.repeat(np.cumsum(hyp.lengths), hyp.lengths) - np.arange(len(hyp.ids))
    matched = np.zeros((n_items, n_max), np.int64)
    token_bits, item_bits = _bits(texts.n_vocabulary), _bits(n_items)
    codes, code_bits = hyp.ids, token_bits
    for n in range(1, n_max + 1):
        if n > 1:
            codes, code_bits = _narrow(codes, code_bits, token_bits + item_bits)
            codes = (codes[:-1] << token_bits) | hyp.ids[n - 1 :]
            code_bits += token_bits
        codes, code_bits = _narrow(codes, code_bits, item_bits)
        whole = remaining[: len(codes)] >= n
        keys = (codes[whole] << item_bits) | items[: len(codes)][whole]
        keys, counts = np.unique(keys, return_counts=True)
        matched[:, n - 1] = _most_elsewhere(
            keys >> item_bits, keys & ((1 << item_bits) - 1), counts, n_items
        )
    closest = _closest_others(hyp.lengths)
    orders = np.arange(n_max)
    return NgramMatches(
        matched,
        np.maximum(hyp.lengths[:, None] - orders, 0),
        np.maximum(closest[:, None] - orders, 0),
    )


def _narrow(codes: IntArray, code_bits: int, more_bits: int) -> tuple[IntArray, int]:
    """Return codes that leave room for so many more bits, as ranks where they must."""
    if code_bits + more_bits <= _KEY_BITS:
        return codes, code_bits
    distinct, ranks = np.unique(codes, return_inverse=True)
    return ranks, _bits(len(distinct))


def _most_elsewhere(grams: IntArray, items: IntArray, counts: IntArray, n_items: int) -> IntArray:
    """Return per item Σ min(count, the n-gram's greatest count in another item); grams sorted."""
    if not len(grams):
        return np.zeros(n_items, np.int64)
    is_new = np.concatenate(([True], grams[1:] != grams[:-1]))
    starts, group = np.flatnonzero(is_new), np.cumsum(is_new) - 1
    most = np.maximum.reduceat(counts, starts)
    is_most = counts == most[group]
    shared = np.add.reduceat(is_most.astype(np.int64), starts) > 1
    second = np.maximum.reduceat(np.where(is_most, 0, counts), starts)
    elsewhere = np.where(is_most & ~shared[group], second[group], most[group])
    total = np.bincount(items, weights=np.minimum(counts, elsewhere), minlength=n_items)
    return total.astype(np.int64)


def _closest_others(lengths: IntArray) -> IntArray:
    """Return for each length the closest of the others, the shorter of two equally close."""
    if len(lengths) < 2:
        return np.zeros_like(lengths)
    order = np.argsort(lengths, kind="stable")
    ordered = lengths[order]
    below = np.concatenate(([-1], ordered[:-1]))
    above = np.concatenate((ordered[1:], [-1]))
    gap_below = np.where(below >= 0, ordered - below, np.iinfo(np.int64).max)
    gap_above = np.where(above >= 0, above - ordered, np.iinfo(np.int64).max)
    closest = np.empty_like(lengths)
    closest[order] = np.where(gap_below <= gap_above, below, above)
    return closest


def _bits(n: int) -> int:
    """Return how many bits hold the numbers below ``n``."""
    return max(n - 1, 0).bit_length()
