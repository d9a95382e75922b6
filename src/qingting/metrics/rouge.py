"""ROUGE-1, ROUGE-2 and ROUGE-L, each with precision, recall and F."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qingting.core.signature import Signature
from qingting.metrics.ngrams import Ragged, TokenPairs
from qingting.metrics.pairs import TextPairs
from qingting.metrics.scores import FloatArray, MetricScores, make_scores

CASE = "lower"


def score_rouge(pairs: TextPairs) -> tuple[MetricScores, ...]:
    """Return nine scores in [0, 1]: ``rouge-1-f``, ``rouge-1-precision``, ``rouge-1-recall`` ….

    ROUGE-n: clipped n-gram matches over those of the hypothesis (precision) and of the reference
    (recall). ROUGE-L: the longest common subsequence of the whole reply as one sequence. F is
    their harmonic mean. Where nothing matches, all three are 0; so they are for an empty reply.
    A reference shorter than n tokens has no n-gram: the item has no ROUGE-n. A reply shorter
    than n tokens matches nothing. Corpus: mean over items.

    Source: Lin (2004); equals rouge-score 0.1.2 given the same tokens and no stemming. Differs:
    rouge-score's own tokenizer drops every character that is not a Latin letter or digit, so it
    gives identical Chinese texts 0.
    """
    counts = pairs.matches(CASE, n_max=2)
    base = pairs.overlap_reasons()
    scores: list[MetricScores] = []
    for n in (1, 2):
        n_hyp, n_ref = counts.n_hypothesis[:, n - 1], counts.n_reference[:, n - 1]
        short = {
            int(i): f"the reference has fewer than {n} tokens" for i in np.where(n_ref == 0)[0]
        }
        reasons = {**short, **base}
        scores += _three(f"rouge-{n}", n, pairs, counts.matched[:, n - 1], n_hyp, n_ref, reasons)
    n_hyp, n_ref = counts.n_hypothesis[:, 0], counts.n_reference[:, 0]
    common = longest_common_subsequences(pairs.tokens(CASE))
    scores += _three("rouge-l", None, pairs, common, n_hyp, n_ref, base)
    return tuple(scores)


def longest_common_subsequences(pairs: TokenPairs) -> NDArray[np.int64]:
    """Return the length in tokens of each pair's longest common subsequence, (n_items,)."""
    from rapidfuzz import process
    from rapidfuzz.distance import LCSseq

    if not pairs.n_items:
        return np.zeros(0, np.int64)
    lengths = process.cpdist(
        _as_strings(pairs.hypotheses), _as_strings(pairs.references), scorer=LCSseq.similarity
    )
    return np.asarray(lengths, np.int64)


def _as_strings(texts: Ragged) -> list[str]:
    """Return each text with one character per token, the form that rapidfuzz is fastest on."""
    ends = np.cumsum(texts.lengths) * 4
    packed = texts.ids.astype("<u4").tobytes()
    return [
        packed[start:end].decode("utf-32-le", "surrogatepass")
        for start, end in zip((ends - texts.lengths * 4).tolist(), ends.tolist(), strict=True)
    ]


def _three(
    name: str,
    n: int | None,
    pairs: TextPairs,
    matched: NDArray[np.int64],
    n_hyp: NDArray[np.int64],
    n_ref: NDArray[np.int64],
    reasons: dict[int, str],
) -> list[MetricScores]:
    precision: FloatArray = matched / np.maximum(n_hyp, 1)
    recall: FloatArray = matched / np.maximum(n_ref, 1)
    total = precision + recall
    f_score = 2 * precision * recall / np.where(total > 0, total, 1.0)
    return [
        make_scores(
            f"{name}-{part}",
            values,
            direction="higher",
            signature=Signature(f"{name}-{part}", tokenizer=pairs.tokenizer, n=n, case=CASE),
            reasons=reasons,
        )
        for part, values in (("f", f_score), ("precision", precision), ("recall", recall))
    ]
