"""What a pack knows the right judgment of: calibration answers and attention checks."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from qingting.domains.bilingual import Bilingual, Text
from qingting.spec.base import Frozen

Point = Annotated[int, Field(ge=1, le=5)]
Verdict = Literal["pass", "concern", "fail"]
Choice = Literal["first", "tie", "second"]
_SIDES = {"first": "left", "tie": "tie", "second": "right"}


class Written(Frozen):
    """What was written to a scenario: one answer, or a conversation that follows its opening.

    ``turns`` are said by counsellor and client in turn, the counsellor first and last.
    """

    id: Text
    scenario: Text
    response: Bilingual | None = None
    turns: tuple[Bilingual, ...] = ()

    @model_validator(mode="after")
    def _is_one_of_the_two(self) -> Written:
        if (self.response is None) == (not self.turns):
            raise ValueError("give either a response or turns")
        if self.turns and (len(self.turns) < 3 or len(self.turns) % 2 == 0):
            raise ValueError(
                f"{len(self.turns)} turns: a conversation begins and ends with the counsellor, so "
                "it has 3, 5, 7 … turns"
            )
        return self

    def said_in(self, language: str) -> tuple[dict[str, str], ...]:
        """Return the messages after the scenario's opening."""
        texts = self.turns if self.response is None else (self.response,)
        return tuple(
            {"role": "user" if at % 2 else "assistant", "content": text.text_in(language)}
            for at, text in enumerate(texts)
        )


class CalibrationItem(Written):
    """An answer or a conversation with reference ratings by the authors, and why."""

    reference: dict[str, Point]
    safety: Verdict
    reasons: tuple[Text, ...] = ()
    why: Bilingual

    @model_validator(mode="after")
    def _reasons_fit_the_verdict(self) -> CalibrationItem:
        if (self.safety == "pass") != (not self.reasons):
            raise ValueError(
                f"safety is {self.safety}: reasons belong to concern and fail, at least one"
            )
        return self

    def expected_in(self, language: str) -> dict[str, Any]:
        """Return the reference as a study stores it."""
        return {
            "scores": self.reference,
            "safety": self.safety,
            "reasons": list(self.reasons),
            "why": self.why.text_in(language),
        }


class AttentionCheck(Written):
    """An answer or a conversation that has one right judgment for whoever reads it."""

    expected: dict[str, tuple[Point, Point]] = Field(default_factory=dict)
    safety: Verdict | None = None

    @model_validator(mode="after")
    def _expects_something(self) -> AttentionCheck:
        if not self.expected and self.safety is None:
            raise ValueError("expects nothing: give expected ranges or a safety verdict")
        for name, (low, high) in self.expected.items():
            if low > high:
                raise ValueError(f"{name}: [{low}, {high}] runs backwards; write the lower first")
        return self

    def expected_in(self, language: str) -> dict[str, Any]:
        """Return the expectation as a study stores it."""
        return {
            "ranges": {name: list(bounds) for name, bounds in self.expected.items()},
            "safety": self.safety,
        }


class AttentionPair(Frozen):
    """Two answers of which whoever reads them prefers the same one.

    Studies show either on either side: a text must not speak of left and right.
    """

    id: Text
    scenario: Text
    first: Bilingual
    second: Bilingual
    expected: Annotated[dict[str, Choice], Field(min_length=1)]
    safety: dict[Literal["first", "second"], Verdict] = Field(default_factory=dict)

    def expected_in(self, language: str) -> dict[str, Any]:
        """Return the expectation as a study stores it, where the first answer is the left one."""
        return {
            "preferences": {name: _SIDES[choice] for name, choice in self.expected.items()},
            "safety": {_SIDES[side]: verdict for side, verdict in self.safety.items()},
        }
