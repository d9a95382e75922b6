"""Which models fit a purpose: hard constraints first, then a ranking by stated criteria."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from qingting.models.card import ModelCard
from qingting.models.device_plan import Serving
from qingting.models.memory import (
    PLANNED_KINDS,
    TrainingSetup,
    estimate_inference,
    estimate_training,
)
from qingting.models.memory_plan import verdict

Use = Literal["commercial", "research"]
How = Literal["lora", "qlora", "full", "inference"]

CRITERIA: tuple[str, ...] = ("capacity", "headroom", "languages", "licence", "context", "recency")
"""In the order in which they decide; each is explained in the result."""

_SIZE_STEP = 1.5
"""Models within this factor of parameters count as alike in capacity."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the model is for."""

    memory_gib: float
    language: Literal["zh", "en"]
    use: Use = "research"
    task: Literal["dialogue", "classification", "generation"] = "dialogue"
    how: How = "lora"
    length: int = 3072
    serving: Serving = field(default_factory=Serving)
    include_small: bool = False
    """Whether the small models that ship may be named too."""


class Reason(NamedTuple):
    """One reason and where it is stated."""

    criterion: str
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Excluded:
    """A model that cannot be used for the purpose, with every reason."""

    card: ModelCard
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Ranked:
    """A model that can be used, with its place and the reasons for it."""

    card: ModelCard
    rank: int
    peak_gib: float | None
    """Predicted peak of the use wished; None where the planner knows no closed form."""
    reasons: tuple[Reason, ...]
    cautions: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Everything that was considered. ``unknown`` says what no card can tell."""

    wish: Wish
    ranked: tuple[Ranked, ...]
    excluded: tuple[Excluded, ...]
    unknown: str = (
        "How well a model counsels is not known before it is measured on your data: this ranking "
        "says what can be used and tried first, not what is better."
    )


def recommend(wish: Wish, cards: Iterable[ModelCard]) -> Recommendation:
    """Return which cards fit a wish, best first, and why the others do not."""
    fitting: list[tuple[ModelCard, float | None]] = []
    excluded = []
    for card in cards:
        peak = predicted_peak_gib(card, wish)
        reasons = _obstacles(card, wish, peak)
        if reasons:
            excluded.append(Excluded(card, tuple(reasons)))
        else:
            fitting.append((card, peak))
    fitting.sort(key=lambda one: _order(one[0], wish, one[1]))
    ranked = tuple(
        Ranked(card, place, peak, tuple(_reasons(card, wish, peak)), tuple(_cautions(card, wish)))
        for place, (card, peak) in enumerate(fitting, start=1)
    )
    return Recommendation(wish, ranked, tuple(excluded))


def predicted_peak_gib(card: ModelCard, wish: Wish) -> float | None:
    """Return the planner's peak of the use wished in GiB, or None without a closed form."""
    if card.architecture.kind not in PLANNED_KINDS:
        return None
    config = card.to_config_dict()
    if wish.how == "inference":
        context = min(wish.serving.context_length, card.context.native)
        return estimate_inference(
            config, concurrency=wish.serving.concurrency, context_length=context
        ).peak_gib
    setup = TrainingSetup(
        method=wish.how, micro_batch=1, length=min(wish.length, card.context.native)
    )
    return estimate_training(config, setup).peak_gib


def _obstacles(card: ModelCard, wish: Wish, peak_gib: float | None) -> list[Reason]:
    reasons = []
    if wish.task not in card.tasks:
        reasons.append(
            Reason("task", f"made for {', '.join(card.tasks)}, not {wish.task}", _source(card))
        )
    if wish.language not in card.languages:
        known = ", ".join(card.languages) or "unknown"
        reasons.append(Reason("language", f"states {known}, not {wish.language}", _source(card)))
    if wish.use == "commercial" and card.licence.commercial in ("no", "unknown"):
        reasons.append(Reason("licence", card.licence.terms, card.licence.url))
    if not wish.include_small and card.developer == "Qingting":
        reasons.append(
            Reason("size", "a small model for tries and tests, not for counselling", _source(card))
        )
    if peak_gib is not None and verdict(peak_gib, peak_gib, peak_gib, wish.memory_gib) == "no":
        reasons.append(
            Reason(
                "memory",
                f"{_use_in_words(wish)} takes {peak_gib:.1f} GiB at its peak, of "
                f"{wish.memory_gib:g} GiB",
                "qingting models plan",
            )
        )
    return reasons


def _order(
    card: ModelCard, wish: Wish, peak_gib: float | None
) -> tuple[float, int, int, int, int, str, str]:
    size = 0
    limit = float(card.parameters.total)
    while limit > 1e6:  # steps of equal ratio, so that 7.6 and 8.0 billion are alike
        limit /= _SIZE_STEP
        size += 1
    return (
        -size,
        0 if peak_gib is None or peak_gib <= 0.8 * wish.memory_gib else 1,
        -len(card.languages),
        {"yes": 0, "conditions": 1, "no": 2, "unknown": 3}[card.licence.commercial],
        -min(card.context.native, 32768),
        _later_first(card.released),
        card.name,
    )


def _later_first(released: str) -> str:
    """Return a text that sorts later releases first; unknown ones come last."""
    if released == "unknown":
        return "~"
    return "".join(chr(ord("9") - int(c) + ord("0")) if c.isdigit() else c for c in released)


def _reasons(card: ModelCard, wish: Wish, peak_gib: float | None) -> list[Reason]:
    billions = card.parameters.total / 1e9
    words = (
        f"{billions:.1f} billion parameters"
        if billions >= 0.5
        else (f"{card.parameters.total / 1e6:.1f} million parameters")
    )
    if card.parameters.active < card.parameters.total:
        words += f", {card.parameters.active / 1e9:.1f} at work for a token"
    reasons = [Reason("capacity", words, "counted from the architecture on the card")]
    if peak_gib is not None:
        share = peak_gib / wish.memory_gib
        reasons.append(
            Reason(
                "headroom",
                f"{_use_in_words(wish)} takes {peak_gib:.1f} GiB, {share:.0%} of the memory",
                "qingting models plan",
            )
        )
    reasons += [
        Reason("languages", f"states {' and '.join(card.languages)}", _source(card)),
        Reason("licence", f"{card.licence.name}: {card.licence.terms}", card.licence.url),
        Reason("context", f"{card.context.native:,} tokens", _source(card)),
        Reason("recency", f"released {card.released}", _source(card)),
    ]
    reasons += [Reason("known", note.text, note.source) for note in card.strengths]
    return reasons


def _cautions(card: ModelCard, wish: Wish) -> list[Reason]:
    notes = [*card.weaknesses]
    notes += card.serving_pitfalls if wish.how == "inference" else card.training_pitfalls
    cautions = [Reason("known", note.text, note.source) for note in notes]
    if card.conversion is not None:
        cautions.append(
            Reason(
                "conversion",
                "needs `qingting models convert` first",
                "docs/how-to/convert-older-models.md",
            )
        )
    if wish.use == "commercial" and card.licence.commercial == "conditions":
        cautions.append(Reason("licence", card.licence.terms, card.licence.url))
    return cautions


def _use_in_words(wish: Wish) -> str:
    if wish.how == "inference":
        return f"serving {wish.serving.concurrency} dialogues at a time in bf16"
    names = {"lora": "LoRA", "qlora": "QLoRA", "full": "training of all weights"}
    return f"{names[wish.how]} on rows of {wish.length} tokens"


def _source(card: ModelCard) -> str:
    return next(iter(card.sources), "its card")


def names_of(reasons: Sequence[Reason]) -> tuple[str, ...]:
    """Return the criteria of reasons, each once, in order."""
    return tuple(dict.fromkeys(reason.criterion for reason in reasons))
