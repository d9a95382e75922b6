"""Choice questions: what was chosen, by text or by likelihood, and how right it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from qingting.core.errors import DataError
from qingting.core.missing import Missing
from qingting.core.signature import Signature
from qingting.metrics.choice_parser import Choice, parse_choice, parse_key
from qingting.metrics.scores import FloatArray, MetricScores, make_scores

__all__ = [
    "Baseline",
    "Choice",
    "ChoiceScores",
    "always_one_letter",
    "choose_by_likelihood",
    "choose_by_log_odds",
    "elastic_credit",
    "option_probabilities",
    "parse_choice",
    "parse_key",
    "score_choices",
]

Source = Literal["text", "likelihood"]


@dataclass(frozen=True, eq=False, slots=True)
class ChoiceScores:
    """Exact and elastic scores of one arm's answers.

    ``exact``: per item 1 where the chosen options are the right ones, else 0; corpus: accuracy
    over answered items. ``elastic``: per item partial credit, see ``elastic_credit``.
    ``strict_accuracy``: right answers over all items with a usable key, so that a reply without a
    readable answer earns nothing; ``Missing`` without such an item.
    ``n_unusable_keys`` items have a key that cannot be scored, ``n_unread`` have a usable key but
    no readable answer. ``reasons`` counts why.
    """

    exact: MetricScores
    elastic: MetricScores
    strict_accuracy: float | Missing
    n_items: int
    n_unusable_keys: int
    n_unread: int
    reasons: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Baseline:
    """What answering every item with one letter would score on items with a usable key.

    ``credit``: the sum of elastic credit, which a single letter also earns where several options
    are right.
    """

    letter: str
    n_right: int
    n_items: int
    credit: float = 0.0

    @property
    def accuracy(self) -> float | Missing:
        """Return the share of items that the letter gets exactly right."""
        return self.n_right / self.n_items if self.n_items else Missing("no item has a usable key")

    @property
    def elastic(self) -> float | Missing:
        """Return the mean elastic credit of the letter."""
        return self.credit / self.n_items if self.n_items else Missing("no item has a usable key")


def score_choices(
    answers: Sequence[Choice | Missing],
    keys: Sequence[Choice | Missing],
    *,
    source: Source,
) -> ChoiceScores:
    """Return exact and elastic scores of answers against keys.

    Args:
        answers: (n_items,) chosen options, from ``parse_choice`` or a ``choose_…`` function.
        keys: (n_items,) right options, from ``parse_key``.
        source: how answers were read; part of the signature, for accuracies by text and by
            likelihood differ and are not to be compared.
    """
    if len(answers) != len(keys):
        raise ValueError(f"{len(answers)} answers but {len(keys)} keys")
    exact, elastic = np.zeros(len(keys)), np.zeros(len(keys))
    reasons: dict[int, str] = {}
    n_unusable = 0
    for index, (answer, key) in enumerate(zip(answers, keys, strict=True)):
        if isinstance(key, Missing):
            n_unusable += 1
            reasons[index] = key.reason
        elif isinstance(answer, Missing):
            reasons[index] = answer.reason
        else:
            exact[index] = answer == key
            elastic[index] = elastic_credit(answer, key)
    n_usable = len(keys) - n_unusable

    def made(name: str, values: FloatArray) -> MetricScores:
        signature = Signature(name, parameters=(("by", source),))
        return make_scores(name, values, direction="higher", signature=signature, reasons=reasons)

    return ChoiceScores(
        made("choice-exact", exact),
        made("choice-elastic", elastic),
        float(exact.sum()) / n_usable if n_usable else Missing("no item has a usable key"),
        n_items=len(keys),
        n_unusable_keys=n_unusable,
        n_unread=len(reasons) - n_unusable,
        reasons=dict(Counter(reasons.values())),
    )


def elastic_credit(answer: Choice, key: Choice) -> float:
    """Return partial credit in [0, 1] for an answer with several options.

    The share of the right options that were chosen, and 0 as soon as a wrong one was: caution
    earns part of the mark, guessing nothing. Equals exact scoring where one option is right.

    Source: the elastic scoring of multiple-answer questions in CPsyExam (2024).
    """
    if not key:
        raise DataError("a key without options cannot be scored")
    return len(answer & key) / len(key) if answer <= key else 0.0


def always_one_letter(
    keys: Sequence[Choice | Missing], letters: Sequence[str]
) -> tuple[Baseline, ...]:
    """Return for each letter what answering it everywhere would score.

    To be printed beside every accuracy: keys are rarely balanced, and a model that fell in love
    with a letter looks clever. Items without a usable key are left out.
    """
    usable = [key for key in keys if not isinstance(key, Missing)]
    return tuple(
        Baseline(
            letter,
            sum(key == {letter} for key in usable),
            len(usable),
            sum(elastic_credit(frozenset(letter), key) for key in usable),
        )
        for letter in letters
    )


def choose_by_likelihood(log_likelihoods: Mapping[str, float]) -> Choice | Missing:
    """Return the option of the greatest log-likelihood: letter → nats of its continuation.

    For questions with one answer. The continuation should be the letter alone, so that options
    compete on equal length. ``Missing`` when the greatest value is shared.

    Raises:
        DataError: no options, or a value is NaN or +inf.
    """
    best = max(_checked(log_likelihoods).values())
    chosen = [letter for letter, value in log_likelihoods.items() if value == best]
    if len(chosen) > 1 or best == -np.inf:
        return Missing("several options are equally likely")
    return frozenset(chosen)


def choose_by_log_odds(log_odds: Mapping[str, float], *, threshold: float = 0.0) -> Choice:
    """Return the options judged right, each by its own question.

    For questions with several answers. ``log_odds``: letter → log-likelihood of "yes, this option
    is right" less that of "no". Every option above the threshold is chosen; if none is, the one
    with the greatest log-odds (the first of equals), because an exam question has an answer.
    The rule never uses how many options are right, which the candidate does not know; ranking
    letter strings such as ``ABD`` by likelihood would favour short ones.

    Raises:
        DataError: no options, or a value is NaN or infinite upwards.
    """
    chosen = {letter for letter, value in _checked(log_odds).items() if value > threshold}
    return frozenset(chosen or {max(log_odds, key=lambda letter: log_odds[letter])})


def option_probabilities(log_likelihoods: Mapping[str, float]) -> dict[str, float]:
    """Return log-likelihoods normalised over the options: letter → probability, summing to 1.

    Raises:
        DataError: no options, a value is NaN or +inf, or every option is impossible.
    """
    values = np.array(list(_checked(log_likelihoods).values()))
    if np.isneginf(values).all():
        raise DataError("every option has likelihood 0, so none can be normalised")
    weights = np.exp(values - values.max())
    return dict(zip(log_likelihoods, (weights / weights.sum()).tolist(), strict=True))


def _checked(values: Mapping[str, float]) -> Mapping[str, float]:
    if not values:
        raise DataError("there are no options to choose from")
    for letter, value in values.items():
        if np.isnan(value) or value == np.inf:
            raise DataError(f"option {letter!r} has log-likelihood {value}")
    return values
