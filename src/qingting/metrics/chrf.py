"""chrF: character n-gram F-score, as sacreBLEU computes it."""

from __future__ import annotations

import numpy as np

from qingting.core.missing import Missing
from qingting.core.signature import Signature
from qingting.metrics.ngrams import CODE_POINTS, IntArray
from qingting.metrics.pairs import TextPairs
from qingting.metrics.scores import FloatArray, MetricScores, make_scores

ORDER = 6
BETA = 2.0


def score_chrf(pairs: TextPairs) -> tuple[MetricScores, ...]:
    """Return chrF in [0, 1]: ``("chrf",)``, of orders 1–6 with beta 2 and without white space.

    Precision and recall are averaged over the orders that both sides have (effective order), then
    combined; so short replies are defined, and an identical one scores 1. An empty reply scores
    0. Corpus: counts pooled over items. Case and punctuation count. The tokenizer chosen for
    other metrics has no influence.

    Source: Popović (2015); equals ``sacrebleu.CHRF()`` 2.x divided by 100, per sentence and for
    the corpus.
    """
    counts = pairs.matches("mixed", n_max=ORDER, tokenizer=CODE_POINTS)
    reasons = pairs.overlap_reasons(tokenizer=CODE_POINTS)
    kept = np.ones(pairs.n_items, bool)
    kept[list(reasons)] = False
    corpus: float | Missing = Missing("no item could be scored")
    if kept.any():
        # An order that the reference lacks counts for neither side, item by item.
        n_hyp = np.where(counts.n_reference > 0, counts.n_hypothesis, 0)
        pooled = [part[kept].sum(axis=0, keepdims=True) for part in (counts.matched, n_hyp)]
        n_ref = counts.n_reference[kept].sum(axis=0, keepdims=True)
        corpus = float(chrf_of_counts(pooled[0], pooled[1], n_ref)[0])

    def signed(*parameters: tuple[str, str]) -> Signature:
        common = (("beta", "2"), ("eff", "yes"), ("space", "no"))
        return Signature("chrf", n=ORDER, case="mixed", parameters=(*common, *parameters))

    return (
        make_scores(
            "chrf",
            chrf_of_counts(counts.matched, counts.n_hypothesis, counts.n_reference),
            direction="higher",
            signature=signed(),
            reasons=reasons,
            corpus=corpus,
            corpus_signature=signed(("agg", "pooled")).at("corpus"),
        ),
    )


def chrf_of_counts(matched: IntArray, n_hyp: IntArray, n_ref: IntArray) -> FloatArray:
    """Return chrF of each row; all (n_rows, ORDER)."""
    both = (n_hyp > 0) & (n_ref > 0)
    n_orders = np.maximum(both.sum(axis=1), 1)
    precision = np.where(both, matched / np.maximum(n_hyp, 1), 0.0).sum(axis=1) / n_orders
    recall = np.where(both, matched / np.maximum(n_ref, 1), 0.0).sum(axis=1) / n_orders
    bottom = BETA**2 * precision + recall
    values: FloatArray = (1 + BETA**2) * precision * recall / np.where(bottom > 0, bottom, 1.0)
    return values
