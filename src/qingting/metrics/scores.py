"""What a text metric returns: one value per item, one for the corpus, each with a signature."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from qingting.core.missing import Missing
from qingting.core.signature import Signature

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

Direction = Literal["higher", "lower", "neutral"]
"""Which way is better; ``neutral`` describes and never decides."""


@dataclass(frozen=True, eq=False, slots=True)
class MetricScores:
    """One metric over many items.

    ``values``: (n_items,) float, in [0, 1] unless the metric says otherwise; read-only.
    ``valid``: (n_items,) bool. Where it is false there is no value: ``reasons`` says why by item
    index, and ``values`` holds a NaN there only so that arithmetic which forgot the mask cannot
    yield a plausible number. ``item(i)`` asks safely.
    ``corpus``: the value over all valid items, pooled or averaged as ``corpus_signature`` says.
    """

    name: str
    direction: Direction
    signature: Signature
    corpus_signature: Signature
    values: FloatArray
    valid: BoolArray
    corpus: float | Missing
    reasons: Mapping[int, str] = field(default_factory=dict)

    @property
    def n_valid(self) -> int:
        """Return how many items have a value."""
        return int(self.valid.sum())

    @property
    def n_missing(self) -> int:
        """Return how many items have none."""
        return len(self.valid) - self.n_valid

    def item(self, index: int) -> float | Missing:
        """Return one item's value, or why there is none."""
        if self.valid[index]:
            return float(self.values[index])
        return Missing(self.reasons.get(index, "no value"))

    def items(self) -> tuple[float | Missing, ...]:
        """Return every item's value in order."""
        return tuple(self.item(index) for index in range(len(self.valid)))

    def corpus_record(self) -> dict[str, Any]:
        """Return the JSON form of the corpus value, with counts and reasons."""
        return {
            "corpus": self.corpus.to_record() if isinstance(self.corpus, Missing) else self.corpus,
            "signature": str(self.corpus_signature),
            "item_signature": str(self.signature),
            "direction": self.direction,
            "n_valid": self.n_valid,
            "n_missing": self.n_missing,
            "missing": dict(Counter(self.reasons.values())),
        }


def make_scores(
    name: str,
    values: FloatArray,
    *,
    direction: Direction,
    signature: Signature,
    reasons: Mapping[int, str],
    corpus: float | Missing | None = None,
    corpus_signature: Signature | None = None,
) -> MetricScores:
    """Return scores whose validity follows from ``reasons``: an item with a reason has no value.

    Without ``corpus``, the corpus value is the mean over valid items and its signature says
    ``agg:mean``.
    """
    valid = np.ones(len(values), bool)
    valid[list(reasons)] = False
    held = np.where(valid, values, np.nan)
    if corpus is None:
        corpus = float(values[valid].mean()) if valid.any() else Missing("no item could be scored")
        corpus_signature = _with_mean(signature)
    held.flags.writeable = False
    valid.flags.writeable = False
    return MetricScores(
        name,
        direction,
        signature,
        corpus_signature or signature.at("corpus"),
        held,
        valid,
        corpus,
        dict(sorted(reasons.items())),
    )


def _with_mean(signature: Signature) -> Signature:
    return Signature(
        signature.metric,
        tokenizer=signature.tokenizer,
        n=signature.n,
        smoothing=signature.smoothing,
        case=signature.case,
        parameters=(*signature.parameters, ("agg", "mean")),
        level="corpus",
        version=signature.version,
    )
