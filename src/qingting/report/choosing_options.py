"""What a choice is made by, as it is written on a command line: weights, measures, gates."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from qingting.core.errors import Problem, SpecificationError, did_you_mean
from qingting.stats.choosing import normalised

DEFAULT_MEASURES: Mapping[str, tuple[str, ...]] = {
    "quality": ("bits-per-byte",),
    "overlap": ("chrf", "rouge-l-f"),
    "knowledge": ("knowledge-likelihood-exact",),
    "labels": ("accuracy",),
    "cost": ("answer_tokens_per_s", "answer_memory_gib"),
    "training": ("training_wall_s", "training_memory_gib"),
}
"""What each criterion means unless ``--measure`` says otherwise: the mean of these measures."""

_GATE = re.compile(r"\s*([\w.+-]+(?:/[a-z]{2})?)\s*(>=|<=)\s*([-+.\deE]+)\s*\Z")


@dataclass(frozen=True, slots=True)
class Gate:
    """A condition that comes before any weighing, held to the unfavourable end of the interval."""

    measure: str
    at_least: bool
    bound: float

    def __str__(self) -> str:
        return f"{self.measure}{'>=' if self.at_least else '<='}{self.bound:g}"


def parse_weights(text: str) -> dict[str, float]:
    """Return ``quality=.4,cost=.3`` as weights that sum to 1.

    Raises:
        SpecificationError: everything that is wrong with it.
    """
    weights: dict[str, float] = {}
    problems: list[Problem] = []
    for part in text.split(","):
        name, _, number = (piece.strip() for piece in part.partition("="))
        weight = _number(number)
        if not name or weight is None:
            what = f"{part.strip()!r} is not NAME=NUMBER, as in quality=.4,cost=.6"
        elif name in weights:
            what = f"{name} has two weights; give it one"
        elif not isfinite(weight) or weight < 0:
            what = f"{part.strip()!r}: a weight is a number from 0 up"
        else:
            weights[name] = weight
            continue
        problems.append(Problem("--weights", what))
    if not problems and not any(weights.values()):
        problems.append(Problem("--weights", "all are 0; give at least one criterion some weight"))
    if problems:
        raise SpecificationError(problems)
    return normalised(weights)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def parse_measures(texts: Sequence[str], criteria: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return which measures each criterion is the mean of, from ``quality=bleu,chrf/zh``.

    Raises:
        SpecificationError: a criterion has no measure, or one is named that has no weight.
    """
    measures = {name: DEFAULT_MEASURES[name] for name in criteria if name in DEFAULT_MEASURES}
    given: set[str] = set()
    for text in texts:
        name, found, listed = (piece.strip() for piece in text.partition("="))
        if name in given:
            raise SpecificationError(
                f"--measure: {name} stands twice; list its measures once, as in {name}=bleu,chrf"
            )
        given.add(name)
        if not found or name not in criteria:
            raise SpecificationError(
                f"--measure: {text!r} is not CRITERION=MEASURE[,MEASURE…] of a weighted criterion."
                f"{did_you_mean(name, criteria)} Criteria: {', '.join(criteria)}"
            )
        named = [part.strip() for part in listed.split(",") if part.strip()]
        if len(set(named)) < len(named):
            raise SpecificationError(f"--measure: {text!r} names a measure twice")
        measures[name] = tuple(named)
    for name in criteria:
        if not measures.get(name):
            if name == "safety":
                raise SpecificationError(
                    "safety: these results hold no measurement of safety, so it cannot be weighed. "
                    "Measure it, or name what stands for it with --measure safety=…, and decide "
                    "safety by a --gate rather than a weight"
                )
            raise SpecificationError(
                f"{name}: no measure is known for this criterion; name it with --measure {name}=…"
                f"{did_you_mean(name, DEFAULT_MEASURES)}"
            )
    return measures


def parse_gate(text: str) -> Gate:
    """Return ``accuracy>=0.9`` as a gate.

    Raises:
        SpecificationError: it is not of that form.
    """
    match = _GATE.match(text)
    try:
        bound = float(match[3]) if match else float("nan")
    except ValueError:
        bound = float("nan")
    if match is None or not isfinite(bound):
        raise SpecificationError(f"--gate: {text!r} is not MEASURE>=NUMBER or MEASURE<=NUMBER")
    return Gate(match[1], match[2] == ">=", bound)
