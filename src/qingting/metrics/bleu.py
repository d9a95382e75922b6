"""BLEU-4 per item and for the corpus, with the smoothing that sacreBLEU uses."""

from __future__ import annotations

import numpy as np

from qingting.core.missing import Missing
from qingting.core.signature import Signature
from qingting.metrics.ngrams import IntArray
from qingting.metrics.pairs import TextPairs
from qingting.metrics.scores import FloatArray, MetricScores, make_scores

ORDER = 4


def score_bleu(pairs: TextPairs) -> tuple[MetricScores, ...]:
    """Return BLEU-4 in [0, 1]: ``("bleu",)``.

    Item level: smoothing ``exp`` (each order without a match halves a pseudo-count; Chen and
    Cherry 2014, method 3) and *effective order*: a reply of fewer than four tokens is scored on
    the orders that it has, so an identical short reply scores 1. A reply without any matching
    token, the empty one included, scores 0. Corpus level: counts pooled over items, ``exp``
    smoothing, all four orders; undefined (``Missing``) when no hypothesis has four tokens, where
    sacreBLEU answers 0.

    Source: Papineni et al. (2002); Post (2018), sacreBLEU 2, whose ``sentence_bleu`` and
    ``corpus_bleu`` these equal (divided by 100) on the same tokens. Differs: items with an empty
    reference are left out and counted, where sacreBLEU adds their hypotheses' length.
    """
    counts = pairs.matches("mixed", n_max=ORDER)
    reasons = pairs.overlap_reasons()
    matched, total = counts.matched, counts.n_hypothesis
    n_hyp, n_ref = counts.n_hypothesis[:, 0], counts.n_reference[:, 0]
    values = bleu_of_counts(matched, total, n_hyp, n_ref, effective=True)
    signature = Signature(
        "bleu",
        tokenizer=pairs.tokenizer,
        n=ORDER,
        smoothing="exp",
        case="mixed",
        parameters=(("eff", "yes"),),
    )
    corpus_signature = Signature(
        "bleu",
        tokenizer=pairs.tokenizer,
        n=ORDER,
        smoothing="exp",
        case="mixed",
        parameters=(("eff", "no"), ("agg", "pooled")),
        level="corpus",
    )
    kept = np.ones(pairs.n_items, bool)
    kept[list(reasons)] = False
    return (
        make_scores(
            "bleu",
            values,
            direction="higher",
            signature=signature,
            reasons=reasons,
            corpus=_corpus(matched[kept], total[kept], n_hyp[kept], n_ref[kept]),
            corpus_signature=corpus_signature,
        ),
    )


def _corpus(
    matched: IntArray, total: IntArray, n_hyp: IntArray, n_ref: IntArray
) -> float | Missing:
    if not len(n_hyp):
        return Missing("no item could be scored")
    if not total[:, -1].any():
        return Missing(f"no hypothesis has {ORDER} tokens")
    value = bleu_of_counts(
        matched.sum(axis=0, keepdims=True),
        total.sum(axis=0, keepdims=True),
        n_hyp.sum(keepdims=True),
        n_ref.sum(keepdims=True),
        effective=False,
    )
    return float(value[0])


def bleu_of_counts(
    matched: IntArray, total: IntArray, n_hyp: IntArray, n_ref: IntArray, *, effective: bool
) -> FloatArray:
    """Return BLEU of each row; counts (n_rows, ORDER), lengths (n_rows,)."""
    exists = total > 0
    n_unmatched = np.cumsum((matched == 0) & exists, axis=1)
    # One matching n-gram would weigh 1; the k-th order without any weighs 2**-k of it.
    counts = np.where(matched > 0, matched.astype(float), 0.5**n_unmatched)
    logs = np.where(exists, np.log(counts / np.maximum(total, 1)), 0.0)
    n_orders = exists.sum(axis=1) if effective else np.full(len(n_hyp), ORDER)
    brevity = np.minimum(0.0, 1.0 - n_ref / np.maximum(n_hyp, 1))
    values = np.exp(brevity + logs.sum(axis=1) / np.maximum(n_orders, 1))
    return np.where(matched.any(axis=1), values, 0.0)
