"""What could have told raters which arm wrote an answer, in spite of blinding.

Names are masked and marks made alike, but length, lists, tone and punctuation remain. For each such
feature the audit says how well it tells arms apart, with an interval, and whether the strongest of
all of them is more than the strongest that chance would show.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from qingting.core.errors import UndefinedStatisticError
from qingting.core.missing import Missing
from qingting.stats.clusters import FloatArray, Interval, finite, require_level
from qingting.stats.estimates import Estimate
from qingting.stats.intervals import influence_interval

IntArray = NDArray[np.int64]
Contrasts = Literal["pairs", "rest"]

DEFAULT_PERMUTATIONS = 2000
_METHOD = "DeLong, on the logit scale, clustered by item"
# Counts of answers held in memory at once; 4 million are 32 MB.
_COUNTS_AT_ONCE = 4_000_000

_EMOJI = re.compile(
    "(?:[\U0001f1e6-\U0001f1ff]{2}|(?:[\U0001f300-\U0001faff\u2600-\u2775\u2795-\u27bf\u2b50\u2b55]"
    "[\ufe0f\U0001f3fb-\U0001f3ff]*\u200d?)+?(?<!\u200d))"
)
_ITEM_OF_LIST = re.compile(r"^\s*(?:- |\d{1,2}\. )", re.M)


def features_of(text: str) -> dict[str, float]:
    """Return what a rater may tell an arm by, of an answer as it is shown.

    ``characters`` (no white space), ``lines`` (not blank), ``list_items``, ``exclamations``,
    ``questions``, ``emoji`` (a joined sequence is one): counts. ``latin_share``,
    ``half_width_share``: Latin letters, and ASCII punctuation, per character; 0 in an empty text,
    which has none.
    """
    n_characters = len(re.sub(r"\s", "", text))
    return {
        "characters": float(n_characters),
        "lines": float(sum(bool(line.strip()) for line in text.split("\n"))),
        "list_items": float(len(_ITEM_OF_LIST.findall(text))),
        "exclamations": float(len(re.findall("[!！]", text))),
        "questions": float(len(re.findall("[?？]", text))),
        "emoji": float(len(_EMOJI.findall(text))),
        "latin_share": len(re.findall("[A-Za-z]", text)) / max(n_characters, 1),
        "half_width_share": len(re.findall("[,.!?:;()]", text)) / max(n_characters, 1),
    }


@dataclass(frozen=True, slots=True)
class FeatureLeak:
    """How well one feature tells one arm from another, or from all others."""

    feature: str
    arm: str
    other: str | None
    """``None``: all other arms."""
    auroc: Estimate
    """Probability that an answer of ``arm`` shows more than one of ``other``; 0.5 tells nothing."""
    p_adjusted: float
    """Of no difference, corrected for every feature and contrast looked at."""
    mean: float
    other_mean: float

    def to_record(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "feature": self.feature,
            "arm": self.arm,
            "other": self.other,
            "auroc": self.auroc.to_record(),
            "p_adjusted": self.p_adjusted,
            "mean": self.mean,
            "other_mean": self.other_mean,
        }


@dataclass(frozen=True, slots=True)
class LeakageAudit:
    """Everything that was looked at, and whether the strongest of it is more than chance."""

    leaks: tuple[FeatureLeak, ...]
    """By feature, then contrast, in the order given; none is left out."""
    strongest: FeatureLeak
    p_value: float
    """That arms which write alike would show one as strong as ``strongest`` or stronger."""
    contrasts: Contrasts
    n_permutations: int
    n_answers: int
    n_items: int

    def to_record(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "leaks": [leak.to_record() for leak in self.leaks],
            "strongest": self.strongest.to_record(),
            "p_value": self.p_value,
            "contrasts": self.contrasts,
            "n_permutations": self.n_permutations,
            "n_answers": self.n_answers,
            "n_items": self.n_items,
        }


class _Contrast(NamedTuple):
    one: int
    other: int | None


def leakage(
    arms: Sequence[str],
    items: Sequence[Hashable],
    features: Mapping[str, Sequence[float] | FloatArray],
    *,
    rng: np.random.Generator,
    contrasts: Contrasts = "pairs",
    n_permutations: int = DEFAULT_PERMUTATIONS,
    confidence_level: float = 0.95,
) -> LeakageAudit:
    """Return how well features of the shown answers tell arms apart.

    Areas under the ROC curve are of single answers, whatever their item: what a rater who knew the
    arms' habits could tell from one answer. Intervals take the answers to one item as one unit.
    The null distribution exchanges the arms' answers within items, all features together, so items
    may differ and features may be correlated; areas are put on one scale by their spread over it,
    and the largest over all features and contrasts is compared with the largest of each exchange.

    Args:
        arms: (n_answers,) the arm of each answer.
        items: (n_answers,) what it answers; every answer once, not once per judgment.
        features: name to (n_answers,) values, as of ``features_of``.
        rng: for the exchanges.
        contrasts: every pair of arms, or each arm against the rest.
        n_permutations: of the null distribution.
        confidence_level: of the intervals, each by itself.

    Source: DeLong, DeLong and Clarke-Pearson (1988), clustered after Obuchowski (1997); Westfall and
    Young (1993), single-step maxT.

    Raises:
        UndefinedStatisticError: fewer than two arms, no feature, or no item that two arms answered.
        DataError: a value is NaN or infinite.
    """
    require_level(confidence_level)
    if n_permutations < 1:
        raise ValueError(f"n_permutations must be at least 1, got {n_permutations}")
    names = sorted(set(arms))
    values = {name: finite(given) for name, given in features.items()}
    for what, n in (("items", len(items)), *((name, len(v)) for name, v in values.items())):
        if n != len(arms):
            raise ValueError(f"{len(arms)} arms but {n} values of {what}")
    if len(names) < 2 or not values:
        raise UndefinedStatisticError("nothing can leak: two arms and a feature are needed")
    arm_codes = np.array([names.index(arm) for arm in arms], np.int64)
    item_codes = _coded(items)
    if not _has_shared_item(arm_codes, item_codes):
        raise UndefinedStatisticError(
            "no item was answered by two arms, so nothing can be compared"
        )
    found = _contrasts(len(names), contrasts)
    labels = np.vstack([arm_codes, _exchanged(arm_codes, item_codes, n_permutations, rng)])
    areas = np.hstack([_areas(one, labels, len(names), found) for one in values.values()])
    scores = _standardised(areas)
    largest = scores.max(axis=1)
    leaks = []
    for number, (name, contrast) in enumerate((n, c) for n in values for c in found):
        is_one = arm_codes == contrast.one
        is_other = ~is_one if contrast.other is None else arm_codes == contrast.other
        leaks.append(
            FeatureLeak(
                name,
                names[contrast.one],
                None if contrast.other is None else names[contrast.other],
                _estimate(values[name], is_one, is_other, item_codes, confidence_level),
                float((largest >= scores[0, number] - 1e-9).mean()),
                float(values[name][is_one].mean()),
                float(values[name][is_other].mean()),
            )
        )
    strongest = leaks[int(scores[0].argmax())]
    return LeakageAudit(
        tuple(leaks),
        strongest,
        strongest.p_adjusted,
        contrasts,
        n_permutations,
        n_answers=len(arms),
        n_items=len(set(items)),
    )


def _coded(labels: Sequence[Hashable]) -> IntArray:
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(label, len(numbers)) for label in labels], np.int64)


def _has_shared_item(arm_codes: IntArray, item_codes: IntArray) -> bool:
    pairs = {(int(item), int(arm)) for item, arm in zip(item_codes, arm_codes, strict=True)}
    return len({item for item, _ in pairs}) < len(pairs)


def _contrasts(n_arms: int, contrasts: Contrasts) -> list[_Contrast]:
    if contrasts == "pairs":
        return [_Contrast(one, other) for one, other in combinations(range(n_arms), 2)]
    return [_Contrast(one, None) for one in range(n_arms)]


def _exchanged(
    arm_codes: IntArray, item_codes: IntArray, n_permutations: int, rng: np.random.Generator
) -> IntArray:
    """Return arms exchanged within items, (n_permutations, n_answers)."""
    by_item = arm_codes[np.argsort(item_codes, kind="stable")]
    places = np.argsort(item_codes + rng.random((n_permutations, len(arm_codes))), axis=1)
    exchanged = np.empty_like(places)
    np.put_along_axis(exchanged, places, np.broadcast_to(by_item, places.shape), axis=1)
    return exchanged


def _areas(
    values: FloatArray, labels: IntArray, n_arms: int, contrasts: Sequence[_Contrast]
) -> FloatArray:
    """Return areas under the ROC curve, (n_labellings, n_contrasts), ties counted half."""
    distinct, ranks = np.unique(values, return_inverse=True)
    n_ranks = len(distinct)
    areas = np.empty((len(labels), len(contrasts)))
    step = max(1, _COUNTS_AT_ONCE // (n_arms * n_ranks))
    for start in range(0, len(labels), step):
        some = labels[start : start + step]
        cells = (np.arange(len(some))[:, None] * n_arms + some) * n_ranks + ranks
        counts = np.bincount(cells.ravel(), minlength=len(some) * n_arms * n_ranks).astype(float)
        counts = counts.reshape(len(some), n_arms, n_ranks)
        below = counts.cumsum(axis=2) - counts / 2
        for number, (one, other) in enumerate(contrasts):
            rest = below.sum(axis=1) - below[:, one] if other is None else below[:, other]
            n_one = counts[:, one].sum(axis=1)
            n_rest = counts.sum(axis=(1, 2)) - n_one
            n_other = n_rest if other is None else counts[:, other].sum(axis=1)
            area = np.einsum("lr,lr->l", counts[:, one], rest) / (n_one * n_other)
            areas[start : start + step, number] = area
    return areas


def _standardised(areas: FloatArray) -> FloatArray:
    """Return distances from 0.5 in units of their spread over all labellings, the first included."""
    spread = np.sqrt(np.square(areas - 0.5).mean(axis=0))
    return np.abs(areas - 0.5) / np.where(spread > 1e-12, spread, np.inf)


def _estimate(
    values: FloatArray,
    is_one: NDArray[np.bool_],
    is_other: NDArray[np.bool_],
    item_codes: IntArray,
    confidence_level: float,
) -> Estimate:
    above = _share_below(values[is_one], values[is_other])
    under = 1 - _share_below(values[is_other], values[is_one])
    area, n = float(above.mean()), len(above) + len(under)
    clusters = np.concatenate([item_codes[is_one], item_codes[is_other]])
    influences = np.concatenate([(above - area) * n / len(above), (under - area) * n / len(under)])
    return Estimate(
        area,
        _logit_interval(area, influences, clusters, confidence_level),
        confidence_level,
        n_valid=n,
        n_missing=0,
        method=_METHOD,
        n_clusters=len(set(clusters.tolist())),
    )


def _share_below(values: FloatArray, others: FloatArray) -> FloatArray:
    """Return for each value the share of others below it, ties counted half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return np.asarray(below / (2 * len(others)), np.float64)


def _logit_interval(
    area: float, influences: FloatArray, clusters: IntArray, confidence_level: float
) -> Interval | Missing:
    if not 1e-12 < area < 1 - 1e-12:
        return Missing("every answer of one side shows more than all of the other")
    interval = influence_interval(
        math.log(area / (1 - area)),
        influences / (area * (1 - area)),
        confidence_level=confidence_level,
        clusters=clusters.tolist(),
    )
    if isinstance(interval, Missing):
        return interval
    return Interval(float(special.expit(interval.low)), float(special.expit(interval.high)))
