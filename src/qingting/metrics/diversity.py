"""What replies are like in themselves: distinct-n, self-BLEU, repetition, length; no reference."""

from __future__ import annotations

import numpy as np

from qingting.core.missing import Missing
from qingting.core.signature import Signature
from qingting.metrics.bleu import bleu_of_counts
from qingting.metrics.ngrams import (
    IntArray,
    Ragged,
    TokenPairs,
    count_distinct,
    count_distinct_overall,
    match_others,
)
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


def score_self_bleu(pairs: TextPairs) -> tuple[MetricScores, ...]:
    """Return ``("self-bleu",)`` in [0, 1], lower is more diverse: BLEU-4 against the other replies.

    Each reply is scored with all others as its references: an n-gram counts as often as in the
    other reply that has it most, and the brevity penalty looks at the other reply of the closest
    length. Smoothing, effective order and short replies as in ``bleu.score_bleu``; a reply
    without tokens has no value and is nobody's reference. Corpus: mean over replies. The value
    grows with the number of replies, so compare arms on equally many.

    Source: Zhu et al. (2018), *Texygen*, §3; BLEU with many references: Papineni et al. (2002).
    """
    tokens = pairs.tokens("mixed")
    lengths = tokens.hypotheses.lengths
    reasons = {int(i): "the reply is empty" for i in np.where(lengths == 0)[0]}
    reasons |= pairs.missing_hypotheses
    kept = np.array([i for i in range(pairs.n_items) if i not in reasons], np.int64)
    values = np.zeros(pairs.n_items)
    if len(kept) < 2:
        reasons = dict.fromkeys(kept.tolist(), "there is no other reply") | reasons
    else:
        # Without the empty ones: their ids take no room, only their lengths of 0.
        held = TokenPairs(
            Ragged(tokens.hypotheses.ids, lengths[lengths > 0]), tokens.references, tokens.tokens
        )
        counts = match_others(held, n_max=4)
        values[lengths > 0] = bleu_of_counts(
            counts.matched,
            counts.n_hypothesis,
            counts.n_hypothesis[:, 0],
            counts.n_reference[:, 0],
            effective=True,
        )
    signature = Signature(
        "self-bleu",
        tokenizer=pairs.tokenizer,
        n=4,
        smoothing="exp",
        case="mixed",
        parameters=(("eff", "yes"), ("refs", "others")),
    )
    return (
        make_scores("self-bleu", values, direction="lower", signature=signature, reasons=reasons),
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
