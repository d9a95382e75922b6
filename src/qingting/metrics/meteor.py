"""METEOR without WordNet: exact matches, then optionally equal English stems."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from qingting.core.signature import Signature
from qingting.metrics.ngrams import Block, IntArray, TokenPairs, blocks_of
from qingting.metrics.pairs import TextPairs
from qingting.metrics.scores import FloatArray, MetricScores, make_scores

CASE = "lower"
ALPHA, BETA, GAMMA = 0.9, 3.0, 0.5


def score_meteor(pairs: TextPairs) -> tuple[MetricScores, ...]:
    """Return METEOR in [0, 1] with exact matching only: ``("meteor",)``.

    F of precision and recall (alpha 0.9) times one minus a fragmentation penalty, 0.5 (chunks /
    matches)³. The penalty never vanishes: an identical reply of m tokens scores 1 − 0.5 / m³, so
    one identical token scores 0.5. No matching token, the empty reply included, scores 0.
    Corpus: mean over items. No WordNet and no download: synonyms do not match, and the signature
    says ``match:exact``.

    Source: Lavie and Agarwal (2007); equals nltk's ``single_meteor_score`` with an identity
    stemmer and an empty WordNet, its alignment from right to left included.
    """
    return _score(pairs, stem=False)


def score_meteor_stem(pairs: TextPairs) -> tuple[MetricScores, ...]:
    """Return METEOR that also matches equal Porter stems: ``("meteor-stem",)``.

    As ``score_meteor``; tokens that found no exact match are matched again by their stems
    (``stem.porter_stem``), which changes Latin words only. Signature: ``match:exact+porter``.
    Equals nltk's with ``PorterStemmer(mode="ORIGINAL_ALGORITHM")`` and an empty WordNet.
    """
    return _score(pairs, stem=True)


def _score(pairs: TextPairs, *, stem: bool) -> tuple[MetricScores, ...]:
    tokens = pairs.tokens(CASE)
    stems = _stem_ids(tokens) if stem else None
    values = np.zeros(pairs.n_items)
    for block, hyp_places, matches in _alignments(tokens, stems):
        rows = slice(block.first, block.last)
        values[rows] = _meteor(
            hyp_places,
            matches,
            tokens.hypotheses.lengths[rows],
            tokens.references.lengths[rows],
        )
    name = "meteor-stem" if stem else "meteor"
    signature = Signature(
        name,
        tokenizer=pairs.tokenizer,
        case=CASE,
        parameters=(
            ("match", "exact+porter" if stem else "exact"),
            ("alpha", "0.9"),
            ("beta", "3"),
            ("gamma", "0.5"),
        ),
    )
    reasons = pairs.overlap_reasons()
    return (make_scores(name, values, direction="higher", signature=signature, reasons=reasons),)


def _stem_ids(tokens: TokenPairs) -> IntArray:
    """Return for each token id the id of its stem, (n_vocabulary,)."""
    from qingting.metrics.stem import porter_stem

    numbers: dict[str, int] = {}
    return np.array(
        [numbers.setdefault(porter_stem(token), len(numbers)) for token in tokens.tokens], np.int64
    )


def _alignments(
    tokens: TokenPairs, stems: IntArray | None
) -> Iterator[tuple[Block, IntArray, IntArray]]:
    """Yield blocks with the pair of each match and the (hypothesis, reference) places.

    The second is (n_matches,), the third (n_matches, 2), places counted within the block and
    sorted by the hypothesis place.
    """
    for block in blocks_of(tokens):
        places = np.arange(len(block.ids))
        found = _match(block, block.ids, places, n_ids=tokens.n_vocabulary)
        if stems is not None:
            free = np.ones(len(places), bool)
            free[found.ravel()] = False
            more = _match(block, stems[block.ids], places[free], n_ids=tokens.n_vocabulary)
            found = np.concatenate((found, more))
            found = found[np.argsort(found[:, 0])]
        yield block, block.pairs[found[:, 0]], found


def _match(block: Block, ids: IntArray, places: IntArray, *, n_ids: int) -> IntArray:
    """Return (hypothesis, reference) places of equal ids, the last with the last, (n, 2).

    Tokens of one pair and id stand together after sorting, hypothesis first and from the right;
    the i-th of the one side takes the i-th of the other.
    """
    if not len(places):
        return np.empty((0, 2), np.int64)
    group_of = block.pairs[places] * n_ids + ids[places]
    n_places = len(block.ids)
    keys = (group_of * 2 + block.sides[places]) * n_places + (n_places - 1 - places)
    keys.sort()
    groups = keys // (2 * n_places)
    is_ref = (keys // n_places) & 1
    sorted_places = n_places - 1 - keys % n_places
    starts = np.concatenate(([0], np.flatnonzero(groups[1:] != groups[:-1]) + 1))
    n_both = np.diff(starts, append=len(keys))
    n_ref = np.add.reduceat(is_ref, starts)
    n_hyp = n_both - n_ref
    n_matched = np.minimum(n_hyp, n_ref)
    within = np.arange(n_matched.sum()) - np.repeat(np.cumsum(n_matched) - n_matched, n_matched)
    hyp = sorted_places[np.repeat(starts, n_matched) + within]
    ref = sorted_places[np.repeat(starts + n_hyp, n_matched) + within]
    order = np.argsort(hyp)
    return np.stack((hyp[order], ref[order]), axis=1)


def _meteor(
    pair_of_match: IntArray, matches: IntArray, n_hyp: IntArray, n_ref: IntArray
) -> FloatArray:
    count = partial(np.bincount, minlength=len(n_hyp))
    n_matches = count(pair_of_match)
    # A match continues a chunk when it follows the previous one on both sides, within
    # one pair.
    follows = (np.diff(matches, axis=0) == 1).all(axis=1) & (np.diff(pair_of_match) == 0)
    n_chunks = n_matches - count(pair_of_match[1:][follows])
    precision = n_matches / np.maximum(n_hyp, 1)
    recall = n_matches / np.maximum(n_ref, 1)
    bottom = ALPHA * precision + (1 - ALPHA) * recall
    f_mean = precision * recall / np.where(bottom > 0, bottom, 1.0)
    penalty = GAMMA * (n_chunks / np.maximum(n_matches, 1)) ** BETA
    values: FloatArray = (1 - penalty) * f_mean
    return values
