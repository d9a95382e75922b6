"""What the report calls each metric, how it writes its numbers, and where it shows it."""

from __future__ import annotations

from typing import Literal, NamedTuple

from qingting.report.quantities import decimal, percent
from qingting.report.results import Score
from qingting.report.texts import TEXTS, Bilingual, both, text

Language = Literal["zh", "en"] | None
Group = Literal["likelihood", "overlap", "detail", "form", "knowledge", "labels", "other"]

_OF_LABELS = ("accuracy", "log-loss", "brier")
"""How well texts were sorted; other accuracies are of questions."""

_ORDER = (
    "bits-per-byte",
    "chrf",
    "rouge-l-f",
    "meteor",
    "bleu",
    "rouge-1-f",
    "rouge-2-f",
    "meteor-stem",
    "distinct-1",
    "distinct-2",
    "repetition-4",
    "length",
    *_OF_LABELS,
)
PRIMARY_OVERLAP = ("chrf", "rouge-l-f", "meteor", "bleu")
"""Which overlap metric speaks for the others where there is room for one: the first present."""


class Measure(NamedTuple):
    """A metric over the items of one language, or of all where ``language`` is None."""

    metric: str
    language: Language

    @property
    def canonical(self) -> str:
        """Return the metric's name with dashes, as the catalogue writes it."""
        return self.metric.replace("_", "-").lower()

    @property
    def group(self) -> Group:
        """Return which part of the report it belongs to."""
        name = self.canonical
        if name == "bits-per-byte":
            return "likelihood"
        if name in _OF_LABELS:
            return "labels"
        if name.startswith(("choice", "knowledge")) or "accuracy" in name:
            return "knowledge"
        if name.endswith(("-precision", "-recall")):
            return "detail"
        if name.startswith(("bleu", "rouge", "meteor", "chrf")):
            return "overlap"
        if name.startswith(("distinct", "repetition", "length")):
            return "form"
        return "other"

    @property
    def is_share(self) -> bool:
        """Return whether values are written as percentages."""
        return (
            self.group == "knowledge"
            or self.canonical == "accuracy"
            or self.canonical.startswith("repetition")
        )

    @property
    def name(self) -> Bilingual:
        """Return its name without the language."""
        name = self.canonical
        if self.group == "knowledge":
            by = "text" if "text" in name or "generat" in name else "likelihood"
            credit = "elastic" if "elastic" in name else "exact"
            return text("metric_choice", how=text(f"how_{by}_{credit}"))
        kind, _, rest = name.partition("-")
        if kind == "rouge":
            order, _, part = rest.partition("-")
            suffix = f"_{part}" if part in ("precision", "recall") else ""
            return text(f"metric_rouge{suffix}", order=order.upper())
        if kind == "distinct":
            return text("metric_distinct", order=rest)
        if kind == "repetition":
            return text("metric_repetition")
        return text(f"metric_{name}") if f"metric_{name}" in TEXTS else both(self.metric)

    @property
    def title(self) -> Bilingual:
        """Return its name, with the language where it counts one."""
        if self.language is None:
            return self.name
        return text("with_language", metric=self.name, language=text(self.language))

    @property
    def hint(self) -> Bilingual:
        """Return in a phrase what it measures."""
        if self.group in ("overlap", "detail"):
            return text("hint_overlap")
        if self.group == "knowledge":
            return text("hint_choice")
        is_whole = self.group in ("likelihood", "labels")
        kind = self.canonical if is_whole else self.canonical.partition("-")[0]
        return text(f"hint_{kind}") if f"hint_{kind}" in TEXTS else text("hint_none")

    @property
    def sort_key(self) -> tuple[int, str, int]:
        """Return where it stands among others."""
        name = self.canonical
        place = _ORDER.index(name) if name in _ORDER else len(_ORDER)
        credit = int("elastic" in name) * 2 + int("text" in name or "generat" in name)
        return place + (credit if self.group == "knowledge" else 0), name, self._language_order

    @property
    def _language_order(self) -> int:
        return {None: 0, "zh": 1, "en": 2}[self.language]

    def show(self, value: float) -> str:
        """Return one of its values as text."""
        if self.is_share:
            return percent(value)
        return decimal(value, digits=1 if self.canonical == "length" else 3)

    def show_difference(self, value: float) -> str:
        """Return a difference of its values as text, signed; of shares in percentage points."""
        if self.is_share:
            return decimal(100 * value, digits=1, signed=True)
        return decimal(value, digits=1 if self.canonical == "length" else 3, signed=True)

    def amount(self, shown: str | Bilingual) -> Bilingual:
        """Return a difference with its unit, in words."""
        if self.is_share:
            return text("points", value=shown)
        if self.canonical == "length":
            return text("tokens", value=shown)
        return shown if isinstance(shown, Bilingual) else both(shown)


def measure_of(score: Score) -> Measure:
    """Return what a score measures; accuracies are told apart by how answers were read.

    The signature knows it (``by:likelihood``, ``by:text``) where the name does not.
    """
    name = score.metric
    measure = Measure(name, score.language)
    if measure.group == "knowledge" and not any(
        word in measure.canonical for word in ("likelihood", "text", "generat")
    ):
        by = next((p[3:] for p in score.signature.split("|") if p.startswith("by:")), "")
        return Measure(f"{name}-{by}" if by else name, score.language)
    return measure
