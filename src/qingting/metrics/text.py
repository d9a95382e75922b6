"""Text metrics by name, over lists of replies and references."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

from qingting.core.errors import Problem, SpecificationError, did_you_mean
from qingting.core.missing import Missing
from qingting.metrics.pairs import TextPairs
from qingting.metrics.scores import MetricScores
from qingting.metrics.tokenize import Language, Unit, tokenizer_name

METRICS: Mapping[str, str] = {
    "bleu": "qingting.metrics.bleu:score_bleu",
    "rouge": "qingting.metrics.rouge:score_rouge",
    "meteor": "qingting.metrics.meteor:score_meteor",
    "meteor-stem": "qingting.metrics.meteor:score_meteor_stem",
    "chrf": "qingting.metrics.chrf:score_chrf",
    "distinct": "qingting.metrics.diversity:score_distinct",
    "self-bleu": "qingting.metrics.diversity:score_self_bleu",
    "repetition": "qingting.metrics.diversity:score_repetition",
    "length": "qingting.metrics.diversity:score_length",
}
"""Name → ``"module:function"`` taking a ``TextPairs`` and returning one or more scores."""

NEED_NO_REFERENCE = frozenset({"distinct", "self-bleu", "repetition", "length"})


@dataclass(frozen=True, eq=False, slots=True)
class TextScores:
    """Every asked score of the same items; ``scores["rouge-1-f"]`` is a ``MetricScores``.

    ``language`` is ``None`` where another stack decided how text is cut.
    """

    scores: Mapping[str, MetricScores]
    n_items: int
    language: Language | None

    def __getitem__(self, name: str) -> MetricScores:
        return self.scores[name]

    def to_record(self) -> dict[str, Any]:
        """Return the JSON form of the corpus values, signatures and counts."""
        return {
            "language": self.language,
            "n_items": self.n_items,
            "scores": {name: score.corpus_record() for name, score in self.scores.items()},
        }


def score_texts(
    hypotheses: Sequence[str | Missing],
    references: Sequence[str | Missing] | None = None,
    *,
    metrics: Iterable[str],
    language: Language,
    unit: Unit | None = None,
) -> TextScores:
    """Return the asked metrics per item and for the corpus.

    Args:
        hypotheses: (n_items,) replies; a ``Missing`` stands for a reply that was never made.
        references: (n_items,) references; may be left out for metrics that need none.
        metrics: names from ``METRICS``; ``rouge`` yields nine scores, ``distinct`` two.
        language: ``"zh"`` or ``"en"``.
        unit: ``"char"`` or ``"word"``; Chinese defaults to characters, English to words.

    Raises:
        SpecificationError: an unknown metric, or a metric without the references that it needs.
    """
    asked = list(dict.fromkeys(metrics))
    problems = [
        Problem(f"metrics[{name!r}]", f"unknown metric.{did_you_mean(name, METRICS)}")
        for name in asked
        if name not in METRICS
    ]
    if references is None:
        problems += [
            Problem(f"metrics[{name!r}]", "needs references")
            for name in asked
            if name in METRICS and name not in NEED_NO_REFERENCE
        ]
    if problems:
        raise SpecificationError(problems)
    pairs = TextPairs(hypotheses, references, tokenizer=tokenizer_name(language, unit))
    # In the table's order, because BLEU counts the n-grams that ROUGE needs as well.
    made = {name: load_metric(name)(pairs) for name in METRICS if name in asked}
    scores = {score.name: score for name in asked for score in made[name]}
    return TextScores(scores, pairs.n_items, language)


def load_metric(name: str) -> Callable[[TextPairs], tuple[MetricScores, ...]]:
    """Return the function behind a name of ``METRICS``."""
    module, _, function = METRICS[name].partition(":")
    return cast(
        Callable[[TextPairs], tuple[MetricScores, ...]], getattr(import_module(module), function)
    )
