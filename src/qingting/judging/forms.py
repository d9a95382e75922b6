"""The form of a judgment: what a rater must say, checked field by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from qingting.judging.guessing import FAMILIES
from qingting.judging.problems import JudgingError

PREFERENCES = ("left", "tie", "right")
VERDICTS = ("pass", "concern", "fail")
MAX_COMMENT = 4000

_GUESS = {"zh": "认出的模型", "en": "model recognised"}

_WORDS = {
    "missing": {"zh": "请为“{name}”作出选择", "en": "Please choose an answer for “{name}”"},
    "range": {"zh": "“{name}”只能是 1 到 5", "en": "“{name}” must be a whole number from 1 to 5"},
    "choice": {
        "zh": "“{name}”不能是 {value}",
        "en": "“{name}” cannot be {value}",
    },
    "unknown": {"zh": "没有“{name}”这一项", "en": "There is no field “{name}”"},
    "reason": {"zh": "请为“{name}”选一个理由", "en": "Please give a reason for “{name}”"},
    "long": {
        "zh": "评论最多 {value} 个字",
        "en": "A comment has at most {value} characters",
    },
}


@dataclass(frozen=True)
class Form:
    """A checked judgment, as it is stored."""

    scores: dict[str, Any]
    """Criterion to 1..5, or in pairs to ``left``, ``tie``, ``right``."""
    safety: dict[str, dict[str, Any]]
    """Side (``answer``, or ``left`` and ``right``) to ``{"verdict", "reasons"}``."""
    reasons: list[str] = field(default_factory=list)
    confidence: int | None = None
    comment: str | None = None
    guess: dict[str, str] | None = None
    """Side to a family of ``guessing.FAMILIES``; None where the question was not asked."""


def check_form(
    raw: Mapping[str, Any],
    *,
    mode: str,
    rubric: Mapping[str, Any],
    language: str,
    asks_guess: bool = False,
) -> Form:
    """Return the judgment in ``raw``, or say for each field what is wrong with it.

    Args:
        raw: ``scores``, ``safety``, ``reasons``, ``confidence``, ``comment``, ``guess`` as JSON
            values.
        mode: ``single``, ``pair`` or ``conversation``.
        rubric: the campaign's frozen rubric.
        language: of the messages.
        asks_guess: whether this judgment comes with the question on blinding.

    Raises:
        JudgingError: ``invalid``, with a message for every field that cannot be used.
    """
    checker = _Checker(mode, rubric, language)
    form = checker.form(raw, asks_guess=asks_guess)
    if checker.problems:
        raise JudgingError("invalid", language=language, fields=checker.problems)
    return form


class _Checker:
    def __init__(self, mode: str, rubric: Mapping[str, Any], language: str) -> None:
        self.is_pair = mode == "pair"
        self.sides = ("left", "right") if self.is_pair else ("answer",)
        self.rubric = rubric
        self.language = "zh" if language == "zh" else "en"
        self.problems: dict[str, str] = {}

    def say(self, place: str, what: str, name: str = "", value: object = "") -> None:
        words = _WORDS[what][self.language]
        self.problems[place] = words.format(name=name, value=str(value)[:40])

    def form(self, raw: Mapping[str, Any], *, asks_guess: bool) -> Form:
        known = ("scores", "safety", "reasons", "confidence", "comment", "guess")
        for key in raw:
            if key not in known:
                self.say(str(key)[:40], "unknown", str(key)[:40])
        return Form(
            scores=self.scores(_mapping(raw.get("scores"))),
            safety=self.safety(_mapping(raw.get("safety"))),
            reasons=self.reasons(raw.get("reasons") or []),
            confidence=self.confidence(raw.get("confidence")),
            comment=self.comment(raw.get("comment")),
            guess=self.guess(_mapping(raw.get("guess")), is_asked=asks_guess),
        )

    def scores(self, given: Mapping[str, Any]) -> dict[str, Any]:
        names = {one["id"]: one["name"][self.language] for one in self.rubric["criteria"]}
        for key in given:
            if key not in names:
                self.say(f"scores.{str(key)[:40]}", "unknown", str(key)[:40])
        scores = {}
        for criterion, name in names.items():
            value, place = given.get(criterion), f"scores.{criterion}"
            if value is None or value == "":
                self.say(place, "missing", name)
            elif self.is_pair and value not in PREFERENCES:
                self.say(place, "choice", name, value)
            elif not self.is_pair and not _is_point(value):
                self.say(place, "range", name)
            else:
                scores[criterion] = value
        return scores

    def safety(self, given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        gate = self.rubric["safety_gate"]
        codes = {one["id"] for one in gate["reason_codes"]}
        name = gate["name"][self.language]
        for key in given:
            if key not in self.sides:
                self.say(f"safety.{str(key)[:40]}", "unknown", str(key)[:40])
        checked = {}
        for side in self.sides:
            entry, place = _mapping(given.get(side)), f"safety.{side}"
            verdict, reasons = entry.get("verdict"), entry.get("reasons") or []
            unknown = [code for code in reasons if code not in codes] if _texts(reasons) else [0]
            if verdict in (None, ""):
                self.say(place, "missing", name)
            elif verdict not in VERDICTS:
                self.say(place, "choice", name, verdict)
            elif unknown:
                self.say(place, "choice", name, unknown[0] or "?")
            elif verdict != "pass" and not reasons:
                self.say(place, "reason", name)
            else:
                kept = [] if verdict == "pass" else sorted(set(reasons))
                checked[side] = {"verdict": verdict, "reasons": kept}
        return checked

    def reasons(self, given: Any) -> list[str]:
        codes = {one["id"] for one in self.rubric["pair_reasons"]} if self.is_pair else set()
        if not _texts(given):
            self.say("reasons", "choice", "reasons", given)
            return []
        for code in given:
            if code not in codes:
                self.say("reasons", "choice", "reasons", code)
        return sorted(set(given))

    def confidence(self, value: Any) -> int | None:
        anchors = self.rubric["confidence"]
        if value in (None, ""):
            return None
        if not _is_point(value) or value > len(anchors["anchors"]):
            self.say("confidence", "choice", anchors["name"][self.language], value)
            return None
        return int(value)

    def guess(self, given: Mapping[str, Any], *, is_asked: bool) -> dict[str, str] | None:
        kept = {}
        for side, family in given.items():
            place = f"guess.{str(side)[:40]}"
            if side not in self.sides or not is_asked:
                self.say(place, "unknown", str(side)[:40])
            elif family not in (None, ""):
                if family in FAMILIES:
                    kept[side] = family
                else:
                    self.say(place, "choice", _GUESS[self.language], family)
        return kept if is_asked else None

    def comment(self, value: Any) -> str | None:
        if value is None or value == "":
            return None
        if not isinstance(value, str) or len(value) > MAX_COMMENT:
            self.say("comment", "long", value=MAX_COMMENT)
            return None
        return value.strip() or None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_point(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 5
