"""What a reply is like in itself: distinct-n, repetition and length; no reference is needed."""

from __future__ import annotations

import numpy as np

from qingting.core.missing import Missing
from qingting.core.signature import Signature
from qingting.metrics.ngrams import IntArray, count_distinct, count_distinct_overall
from qingting.metrics.pairs import TextPairs
from qingting.metrics.scores import MetricScores, make_scores

CASE = "lower"
REPETITION_ORDER = 4


def score_distinct(pairs: TextPairs) -> tuple[MetricScores, ...]:
    """Return ``("distinct-1", "distinct-2")`` in [0, 1]: distinct n-grams over all n-grams.

    Item level: within one reply. Corpus level: over all replies together, the definition of the
    source. Both fall as text grows longer, so compare arms on the same prompts and look at
    ``length`` beside them. A reply with fewer than n tokens has no n-gram and no value.

    Source: Li et al. (2016), *A diversity-promoting objective function*, §5.
    """
    return tuple(_distinct(pairs, n) for n in (1, 2))


def _distinct(pairs: TextPairs, n: int) -> MetricScores:
    n_distinct, n_grams, reasons = _counts(pairs, n)
    n_all = int(n_grams.sum())
    signature = Signature(f"distinct-{n}", tokenizer=pairs.tokenizer, n=n, case=CASE)
    n_distinct_all = count_distinct_overall(pairs.tokens(CASE), n=n)
    return make_scores(
        f"distinct-{n}",
        n_distinct / np.maximum(n_grams, 1),
        direction="higher",
        signature=signature,
        reasons=reasons,
        corpus=n_distinct_all / n_all if n_all else Missing(f"no reply has {n} tokens"),
        corpus_signature=Signature(
            f"distinct-{n}",
            tokenizer=pairs.tokenizer,
            n=n,
            case=CASE,
            parameters=(("agg", "pooled"),),
            level="corpus",
        ),
    )


def score_repetition(pairs: TextPairs) -> tuple[MetricScores, ...]:
    """Return ``("repetition-4",)`` in [0, 1], lower is better: the share of repeated 4-grams.

    One minus distinct over all 4-grams within a reply; corpus: mean over items. A reply with
    fewer than four tokens has no value.

    Source: Welleck et al. (2020), *Neural text generation with unlikelihood training*, seq-rep-4.
    """
    n = REPETITION_ORDER
    n_distinct, n_grams, reasons = _counts(pairs, n)
    return (
        make_scores(
            f"repetition-{n}",
            1.0 - n_distinct / np.maximum(n_grams, 1),
            direction="lower",
            signature=Signature(f"repetition-{n}", tokenizer=pairs.tokenizer, n=n, case=CASE),
            reasons=reasons,
        ),
    )


def score_length(pairs: TextPairs) -> tuple[MetricScores, ...]:
    """Return ``("length",)``: tokens per reply, neutral; an empty reply has length 0."""
    lengths = pairs.tokens("mixed").hypotheses.lengths.astype(float)
    signature = Signature("length", tokenizer=pairs.tokenizer, parameters=(("unit", "tokens"),))
    return (
        make_scores(
            "length",
            lengths,
            direction="neutral",
            signature=signature,
            reasons=pairs.missing_hypotheses,
        ),
    )


def _counts(pairs: TextPairs, n: int) -> tuple[IntArray, IntArray, dict[int, str]]:
    """Return distinct and all n-grams of each reply, (n_items,) both, and why items have none."""
    tokens = pairs.tokens(CASE)
    n_distinct = count_distinct(tokens, n_max=n)[:, n - 1]
    n_grams = np.maximum(tokens.hypotheses.lengths - (n - 1), 0)
    short = {int(i): f"the reply has fewer than {n} tokens" for i in np.where(n_grams == 0)[0]}
    return n_distinct, n_grams, {**short, **pairs.missing_hypotheses}
