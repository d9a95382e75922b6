"""The numbers that other stacks print, so that published tables can be compared with.

Each stack has its own tokenizer, counting, smoothing, rounding and scale, and none of them gives
what another calls by the same name. Here each is reproduced as it is, faults included, under a
signature that says ``like:``; so it compares with nothing but itself. For new work use
``text.score_texts``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from qingting.core.errors import Problem, SpecificationError, did_you_mean
from qingting.core.missing import Missing
from qingting.core.signature import Signature
from qingting.metrics import foreign_rouge, foreign_tokens
from qingting.metrics.bleu import bleu_of_counts
from qingting.metrics.chrf import chrf_of_counts
from qingting.metrics.foreign_rouge import RougeOfPair
from qingting.metrics.ngrams import CODE_POINTS, Encoder, NgramMatches, match_ngrams
from qingting.metrics.scores import FloatArray, MetricScores, make_scores
from qingting.metrics.text import TextScores

_ORDER = 4


class Stack(NamedTuple):
    """What one stack reports.

    ``metrics``: its families. ``software``: what was reproduced, in which version. ``score``
    takes the pairs and the asked families.
    """

    metrics: tuple[str, ...]
    software: str
    score: Callable[[_Pairs, frozenset[str]], list[MetricScores]]


class _Pairs(NamedTuple):
    """Texts, ``""`` where missing, and why they are; ``like`` names the stack."""

    hypotheses: list[str]
    references: list[str]
    reasons: dict[int, str]
    like: str

    def kept(self) -> list[int]:
        return [i for i in range(len(self.hypotheses)) if i not in self.reasons]

    def matches(
        self, name: str, cut: Callable[[str], list[str]] | None, *, n_max: int = _ORDER
    ) -> NgramMatches:
        pairs = Encoder(name, cut=cut).encode(self.hypotheses, self.references)
        return match_ngrams(pairs, n_max=n_max)


def score_like(
    hypotheses: Sequence[str | Missing],
    references: Sequence[str | Missing],
    *,
    like: str,
    metrics: Iterable[str] | None = None,
) -> TextScores:
    """Return the scores that a stack of ``STACKS`` would print, per item and overall.

    Values are on the stack's own scale, which the signature names: 0–100 or 0–1. An item that
    stops the stack, or that it leaves out, is missing and says so.

    Args:
        hypotheses: (n_items,) replies; a ``Missing`` stands for a reply that was never made.
        references: (n_items,) references.
        like: a name from ``STACKS``.
        metrics: the families wanted, such as ``bleu``; all that the stack has by default.

    Raises:
        SpecificationError: no such stack, or it has no such metric.
    """
    if like not in STACKS:
        raise SpecificationError(
            f"there is no stack {like!r} to reproduce.{did_you_mean(like, STACKS)} "
            f"Known are: {', '.join(STACKS)}."
        )
    if len(hypotheses) != len(references):
        raise ValueError(f"{len(hypotheses)} hypotheses but {len(references)} references")
    stack = STACKS[like]
    asked = frozenset(stack.metrics if metrics is None else metrics)
    problems = [
        Problem(f"metrics[{name!r}]", f"{like} has no such metric; it has {has}")
        for has in (", ".join(stack.metrics),)
        for name in sorted(asked - set(stack.metrics))
    ]
    if problems:
        raise SpecificationError(problems)
    reasons = {
        index: side.reason
        for texts in (references, hypotheses)
        for index, side in enumerate(texts)
        if isinstance(side, Missing)
    }
    plain = [
        ["" if isinstance(text, Missing) else text for text in texts]
        for texts in (hypotheses, references)
    ]
    scores = stack.score(_Pairs(plain[0], plain[1], reasons, like), asked)
    return TextScores({one.name: one for one in scores}, len(hypotheses), None)


# -- sacreBLEU --------------------------------------------------------------------------------------


def _sacrebleu(pairs: _Pairs, asked: frozenset[str]) -> list[MetricScores]:
    tokenizer = pairs.like.removeprefix("sacrebleu-")
    cut = {"13a": foreign_tokens.tokenize_13a, "zh": foreign_tokens.tokenize_zh}.get(tokenizer)
    kept = pairs.kept()
    scores = []
    if "bleu" in asked:
        counts = pairs.matches(CODE_POINTS if cut is None else tokenizer, cut)
        n_hyp, n_ref = counts.n_hypothesis[:, 0], counts.n_reference[:, 0]
        whole = [part[kept].sum(axis=0, keepdims=True) for part in counts]
        corpus = bleu_of_counts(whole[0], whole[1], whole[1][:, 0], whole[2][:, 0], effective=False)
        values = bleu_of_counts(counts.matched, counts.n_hypothesis, n_hyp, n_ref, effective=True)

        def signed(eff: str) -> Signature:
            return _signature(
                pairs, "bleu", tokenizer, n=_ORDER, smoothing="exp", extra=(("eff", eff),)
            )

        # A corpus in which no order matches everywhere is 0 to sacreBLEU, shorter ones included.
        total = float(corpus[0]) * 100 if whole[1][:, -1].any() else 0.0
        scores.append(
            _made(pairs, "bleu", values * 100, signed("yes"), {}, corpus=total, pooled=signed("no"))
        )
    if "chrf" in asked:
        counts = pairs.matches(CODE_POINTS, None, n_max=6)
        n_hyps = np.where(counts.n_reference > 0, counts.n_hypothesis, 0)
        whole = [
            part[kept].sum(axis=0, keepdims=True)
            for part in (counts.matched, n_hyps, counts.n_reference)
        ]
        signature = _signature(
            pairs, "chrf", None, n=6, smoothing=None, extra=(("beta", "2"), ("space", "no"))
        )
        scores.append(
            _made(
                pairs,
                "chrf",
                chrf_of_counts(*counts) * 100,
                signature,
                {},
                corpus=float(chrf_of_counts(*whole)[0]) * 100,
                pooled=signature,
            )
        )
    return scores


# -- stacks built on nltk, jieba and a ROUGE package ------------------------------------------------


def _evalscope(pairs: _Pairs, asked: frozenset[str]) -> list[MetricScores]:
    """EvalScope ``general_qa``: single orders without smoothing; what cannot be scored is 0."""
    scores: list[MetricScores] = []
    if "bleu" in asked:
        # Text without Chinese goes to nltk's word_tokenize, whose rules are a download.
        western = {
            index: "EvalScope cuts text without Chinese by nltk's punkt, which is a download"
            for index, both in enumerate(zip(pairs.hypotheses, pairs.references, strict=True))
            if any(text.strip() and not _has_chinese(text) for text in both) and all(both)
        }
        counts = pairs.matches("jieba", _words_if_chinese)
        for n in range(1, _ORDER + 1):
            weights = [float(k == n) for k in range(1, _ORDER + 1)]
            values = nltk_bleu(counts, weights=weights, smoothing="none")
            signature = _signature(pairs, f"bleu-{n}", "jieba", n=n, smoothing="none", scale="1")
            scores.append(_made(pairs, f"bleu-{n}", values, signature, western))
    if "rouge" in asked:
        found = [
            foreign_rouge.rouge_chinese(_joined_if_chinese(hyp), _joined_if_chinese(ref))
            for hyp, ref in zip(pairs.hypotheses, pairs.references, strict=True)
        ]
        scores += _rouges(pairs, found, refused=0.0, scale=1)
    return scores


def _rouge_chinese(pairs: _Pairs, asked: frozenset[str]) -> list[MetricScores]:
    """rouge-chinese itself, over words by jieba or over characters."""
    by_character = pairs.like.endswith("-char")
    join = " ".join if by_character else _joined
    found = [
        foreign_rouge.rouge_chinese(join(hyp), join(ref))
        for hyp, ref in zip(pairs.hypotheses, pairs.references, strict=True)
    ]
    refused = Missing("rouge-chinese refuses a text without words")
    tokenizer = "char" if by_character else "jieba"
    return _rouges(pairs, found, refused=refused, scale=1, tokenizer=tokenizer)


def _llama_factory(pairs: _Pairs, asked: frozenset[str]) -> list[MetricScores]:
    """LLaMA-Factory: BLEU of characters, ROUGE F of words, both rounded per item."""
    scores = []
    if "bleu" in asked:
        counts = pairs.matches("char-with-spaces", list)
        values = _rounded(nltk_bleu(counts, smoothing="nltk-3") * 100, 4)
        signature = _signature(
            pairs, "bleu-4", "char-with-spaces", n=_ORDER, smoothing="nltk-3", extra=_ROUNDED_ITEMS
        )
        scores.append(_made(pairs, "bleu-4", values, signature, {}))
    if "rouge" in asked:
        found = [
            foreign_rouge.rouge_chinese(_joined(hyp), _joined(ref))
            for hyp, ref in zip(pairs.hypotheses, pairs.references, strict=True)
        ]
        scores += _rouges(
            pairs, found, refused=0.0, scale=100, parts=("f",), digits=4, extra=_ROUNDED_ITEMS
        )
    return scores


def _swift(pairs: _Pairs, asked: frozenset[str]) -> list[MetricScores]:
    """ms-swift: BLEU and ROUGE F of words; pairs without reference left out, the mean rounded."""
    hyps = [_words_between_spaces(text) for text in pairs.hypotheses]
    refs = [_words_between_spaces(text) for text in pairs.references]
    empty = {i: "ms-swift leaves out an empty reference" for i, ref in enumerate(refs) if not ref}
    scores = []
    if "bleu" in asked:
        counts = pairs.matches("jieba", _words_between_spaces)
        signature = _signature(pairs, "bleu-4", "jieba", n=_ORDER, smoothing="nltk-3")
        values = nltk_bleu(counts, smoothing="nltk-3") * 100
        scores.append(_made(pairs, "bleu-4", values, signature, empty, digits=6))
    if "rouge" in asked:
        found = [
            foreign_rouge.rouge(" ".join(hyp), " ".join(ref))
            for hyp, ref in zip(hyps, refs, strict=True)
        ]
        scores += _rouges(
            pairs, found, refused=0.0, scale=100, parts=("f",), reasons=empty, digits_mean=6
        )
    return scores


def _emollm(pairs: _Pairs, asked: frozenset[str]) -> list[MetricScores]:
    """EmoLLM: cumulative BLEU-1 … 4 with nltk's method 1, ROUGE F, both of words."""
    scores = []
    texts = pairs._replace(
        hypotheses=[text.replace(" ", "") for text in pairs.hypotheses],
        references=[text.replace(" ", "") for text in pairs.references],
    )
    if "bleu" in asked:
        counts = texts.matches("jieba-without-spaces", _split_after_joining)
        for n in range(1, _ORDER + 1):
            values = nltk_bleu(counts, weights=[1 / n] * n, smoothing="nltk-1") * 100
            signature = _signature(
                pairs, f"bleu-{n}", "jieba-without-spaces", n=n, smoothing="nltk-1"
            )
            scores.append(_made(pairs, f"bleu-{n}", values, signature, {}))
    if "rouge" in asked:
        found = [
            foreign_rouge.rouge(_joined(hyp), _joined(ref))
            for hyp, ref in zip(texts.hypotheses, texts.references, strict=True)
        ]
        stops = Missing("EmoLLM's evaluation stops at a text without words")
        scores += _rouges(
            pairs,
            found,
            refused=stops,
            scale=100,
            parts=("f",),
            tokenizer="jieba-without-spaces",
        )
    return scores


STACKS: Mapping[str, Stack] = {
    "sacrebleu-13a": Stack(("bleu", "chrf"), "sacreBLEU 2.6.0, tokenize=13a", _sacrebleu),
    "sacrebleu-zh": Stack(("bleu", "chrf"), "sacreBLEU 2.6.0, tokenize=zh", _sacrebleu),
    "sacrebleu-char": Stack(("bleu", "chrf"), "sacreBLEU 2.6.0, tokenize=char", _sacrebleu),
    "evalscope": Stack(("bleu", "rouge"), "EvalScope 1.14.1, general_qa", _evalscope),
    "llama-factory": Stack(
        ("bleu", "rouge"), "LLaMA-Factory 0.9, predict_with_generate", _llama_factory
    ),
    "ms-swift": Stack(("bleu", "rouge"), "ms-swift 4.6.0, nlg metric", _swift),
    "emollm": Stack(("bleu", "rouge"), "EmoLLM, evaluate/metric.py of 2024", _emollm),
    "rouge-chinese": Stack(
        ("rouge",), "rouge-chinese 1.0.3, words by jieba 0.42.1", _rouge_chinese
    ),
    "rouge-chinese-char": Stack(("rouge",), "rouge-chinese 1.0.3, by character", _rouge_chinese),
}
"""Name → what the mode reproduces."""


def nltk_bleu(
    counts: NgramMatches, *, smoothing: str, weights: Sequence[float] = (0.25,) * _ORDER
) -> FloatArray:
    """Return nltk's ``sentence_bleu`` of each pair with one reference, (n_items,).

    ``smoothing``: ``none`` (an order without a match makes 0), ``nltk-1`` (0.1 instead of no
    match) or ``nltk-3`` (the k-th order without one counts 2**-k). An order that the reply is too
    short for counts as one n-gram without a match, as in nltk 3.
    """
    matched = counts.matched[:, : len(weights)]
    total = np.maximum(counts.n_hypothesis[:, : len(weights)], 1)
    n_hyp, n_ref = counts.n_hypothesis[:, 0], counts.n_reference[:, 0]
    instead: FloatArray | float = {"none": 0.0, "nltk-1": 0.1}.get(smoothing, 0.0)
    if smoothing == "nltk-3":
        instead = 0.5 ** np.cumsum(matched == 0, axis=1)
    precision = np.where(matched > 0, matched, instead) / total
    used = np.asarray(weights)[: matched.shape[1]] > 0
    with np.errstate(divide="ignore"):
        logs = np.log(precision[:, used]) @ np.asarray(weights)[used]
    brevity = np.where(n_hyp > n_ref, 0.0, 1.0 - n_ref / np.maximum(n_hyp, 1))
    values: FloatArray = np.where(counts.matched[:, 0] > 0, np.exp(brevity + logs), 0.0)
    return values


# -- texts as these stacks cut them -----------------------------------------------------------------


@lru_cache(maxsize=1 << 16)
def _joined(text: str) -> str:
    return " ".join(foreign_tokens.cut_like_jieba(text))


def _has_chinese(text: str) -> bool:
    return any("\u4e00" <= one <= "\u9fa5" for one in text)


def _joined_if_chinese(text: str) -> str:
    return _joined(text) if _has_chinese(text) else text


def _words_if_chinese(text: str) -> list[str]:
    # Without Chinese only white space gets here with a score, and nltk finds no token in it.
    return foreign_tokens.cut_like_jieba(text) if _has_chinese(text) else []


def _words_between_spaces(text: str) -> list[str]:
    words = (word.strip(" ") for word in foreign_tokens.cut_like_jieba(text))
    return [word for word in words if word]


def _split_after_joining(text: str) -> list[str]:
    return _joined(text).split(" ")


# -- scores -----------------------------------------------------------------------------------------

_ROUNDED_ITEMS = (("round", "items-4"),)


def _rounded(values: FloatArray, digits: int) -> FloatArray:
    return np.array([round(value, digits) for value in values.tolist()], float)


def _signature(
    pairs: _Pairs,
    metric: str,
    tokenizer: str | None,
    *,
    n: int | None,
    smoothing: str | None,
    scale: str = "100",
    extra: tuple[tuple[str, str], ...] = (),
) -> Signature:
    return Signature(
        metric,
        tokenizer=tokenizer,
        n=n,
        smoothing=smoothing,
        case="mixed",
        parameters=(("like", pairs.like), ("scale", scale), *extra),
    )


def _rouges(
    pairs: _Pairs,
    found: Sequence[RougeOfPair | None],
    *,
    refused: float | Missing,
    scale: int,
    parts: tuple[str, ...] = ("f", "precision", "recall"),
    tokenizer: str = "jieba",
    reasons: Mapping[int, str] = {},
    digits: int | None = None,
    digits_mean: int | None = None,
    extra: tuple[tuple[str, str], ...] = (),
) -> list[MetricScores]:
    why = dict(reasons)
    if isinstance(refused, Missing):
        why |= {i: refused.reason for i, one in enumerate(found) if one is None}
    scores = []
    for field, n in (("rouge_1", 1), ("rouge_2", 2), ("rouge_l", None)):
        for part in parts:
            values = np.array(
                [0.0 if one is None else getattr(getattr(one, field), part) for one in found], float
            )
            values *= scale
            name = f"{field.replace('_', '-')}-{part}"
            signature = _signature(
                pairs, name, tokenizer, n=n, smoothing=None, scale=str(scale), extra=extra
            )
            held = values if digits is None else _rounded(values, digits)
            scores.append(_made(pairs, name, held, signature, why, digits=digits_mean))
    return scores


def _made(
    pairs: _Pairs,
    name: str,
    values: FloatArray,
    signature: Signature,
    reasons: Mapping[int, str],
    *,
    corpus: float | None = None,
    pooled: Signature | None = None,
    digits: int | None = None,
) -> MetricScores:
    every = {**reasons, **pairs.reasons}
    valid = [i for i in range(len(values)) if i not in every]
    whole: float | Missing = Missing("no item could be scored")
    if valid:
        whole = float(np.mean(values[valid])) if corpus is None else corpus
        whole = whole if digits is None else round(whole, digits)
    how = ("agg", "mean" if corpus is None else "pooled")
    base = pooled or signature
    rounding = () if digits is None else (("round", f"mean-{digits}"),)
    overall = Signature(
        base.metric,
        tokenizer=base.tokenizer,
        n=base.n,
        smoothing=base.smoothing,
        case=base.case,
        parameters=(*base.parameters, how, *rounding),
        level="corpus",
    )
    return make_scores(
        name,
        values,
        direction="higher",
        signature=signature,
        reasons=every,
        corpus=whole,
        corpus_signature=overall,
    )
