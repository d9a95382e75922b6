"""Rows understood by a mapping: who judged what, and the form as the pages would send it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, get_args

from qingting.judging.export import FORMULA_STARTS
from qingting.judging.forms import PREFERENCES, VERDICTS
from qingting.judging.importing.placing import places_of
from qingting.judging.importing.rows import Row, Source
from qingting.judging.importing.words import say
from qingting.spec.judgment_import import Credential, ImportMapping

ROLES = ("main", "calibration", "attention", "repeat", "training")
MAX_NAME = 200
_DAY_MS = 86_400_000
_YEAR_2000_MS = 946_684_800_000


@dataclass(frozen=True, slots=True)
class Draft:
    """A row that was understood, before it is held against the study."""

    row: Row
    rater: str
    credential: str
    role: str
    item: str
    language: str | None
    arm: str | None
    other_arm: str | None
    raw: Mapping[str, Any]
    """The form, as ``check_form`` reads it."""
    was_asked_guess: bool
    is_swapped: bool
    """Of checks on pairs; other pairs name their arms."""
    duration_ms: int | None
    submitted_ms: int | None
    p_chosen: float


@dataclass(frozen=True, slots=True)
class Misfit:
    """A row that cannot be used, and every reason."""

    row: Row
    problems: tuple[str, ...]


class Reader:
    """Understands the rows of a source, for a study of one mode and rubric.

    Raises:
        SpecificationError: the mapping names what is not there, or what is needed is nowhere.
    """

    def __init__(
        self,
        source: Source,
        mapping: ImportMapping,
        *,
        mode: str,
        rubric: Mapping[str, Any],
        credential: str | None,
        at_ms: int,
        language: str,
    ) -> None:
        self._mapping = mapping
        self._is_pair = mode == "pair"
        self._criteria = tuple(one["id"] for one in rubric["criteria"])
        self._sides = ("left", "right") if self._is_pair else ("answer",)
        self._credential = credential
        self._at_ms = at_ms
        self._language = language
        self._raters: dict[str, str] = {}
        names = dict.fromkeys(name for row in source.rows for name in row.cells)
        told = {role for row in source.rows for role in row.told}
        self._at = places_of(
            source.name, mapping, tuple(names), told, self._criteria, self._sides, self._is_pair
        )

    def understand(self, row: Row) -> Draft | Misfit:
        """Return what a row says, or everything that is wrong with it."""
        if row.fault is not None:
            return Misfit(row, (say(row.fault, self._language),))
        return _Reading(row, self).draft()


class _Reading:
    """One row being understood; collects every problem."""

    def __init__(self, row: Row, reader: Reader) -> None:
        self.row = row
        self.r = reader
        self.problems: list[str] = []

    def draft(self) -> Draft | Misfit:
        rater = self.rater()
        role = self.word("role", ROLES) or "main"
        is_check = role in ("calibration", "attention", "training")
        item = self.text("item", needed=True)
        arm = self.text("arm", needed=not is_check)
        other = self.text("other_arm", needed=not is_check) if self.r._is_pair else None
        form = self.form(arm, other)
        draft = Draft(
            row=self.row,
            rater=rater,
            credential=self.credential(rater),
            role=role,
            item=item,
            language=self.word("language", ("zh", "en")) or None,
            arm=arm or None,
            other_arm=other or None,
            raw=form,
            was_asked_guess=self.is_true("was_asked_guess", otherwise=bool(form["guess"])),
            is_swapped=self.is_true("is_swapped", otherwise=False),
            duration_ms=self.duration_ms(),
            submitted_ms=self.submitted_ms(),
            p_chosen=self.p_chosen(),
        )
        return Misfit(self.row, tuple(self.problems)) if self.problems else draft

    def say(self, code: str, name: str, value: object = "", known: Sequence[str] = ()) -> None:
        self.problems.append(say(code, self.r._language, name=name, value=value, known=known))

    # -- cells ------------------------------------------------------------------------------------

    def cell(self, part: str) -> Any:
        """Return the cell of a part, None where it is empty; whole numbers as such."""
        value = (
            self.row.cells.get(self.r._at[part])
            if part in self.r._at
            else self.row.told.get(part.partition(".")[0])
        )
        if isinstance(value, str):
            value = value.strip()
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return None if value in ("", [], None) else value

    def name_of(self, part: str) -> str:
        return self.r._at.get(part, part)

    def labels(self, part: str) -> dict[str, int | str]:
        group, _, one = part.partition(".")
        labels = self.r._mapping.labels
        group = "arm" if group == "other_arm" else group
        return dict(labels.get(group, {})) | dict(labels.get(one, {}) if group == "scores" else {})

    def meaning(self, part: str, value: Any) -> Any:
        """Return what a label means, or the value itself."""
        if isinstance(value, bool | dict | list) or value is None:
            return value
        return self.labels(part).get(str(value), value)

    def text(self, part: str, *, needed: bool, longest: int = MAX_NAME) -> str:
        value = self.meaning(part, self.cell(part))
        name = self.name_of(part)
        if value is None:
            if needed:
                self.say("empty", name)
            return ""
        if isinstance(value, bool | dict | list):
            self.say("label", name, value)
            return ""
        text = str(value)
        if "\0" in text or not _can_be_stored(text):
            self.say("not_text", name)
        elif len(text) > longest:
            self.say("too_long", name, longest)
        return text

    def word(self, part: str, known: Sequence[str]) -> str:
        """Return one of a few words; empty where there is none."""
        value = self.meaning(part, self.cell(part))
        if value is None:
            return ""
        if isinstance(value, str) and value.lower() in known:
            return value.lower()
        self.say("label", self.name_of(part), value, known=(*self.labels(part), *known))
        return ""

    # -- parts ------------------------------------------------------------------------------------

    def rater(self) -> str:
        return self.text("rater", needed=True)

    def credential(self, rater: str) -> str:
        known = get_args(Credential)
        given = self.word("credential", known) if self.cell("credential") is not None else ""
        if not given:
            given = self.r._mapping.raters.get(rater) or self.r._credential or ""
        if not given:
            if self.cell("credential") is None:
                self.say("no_credential", "")
            return ""
        before = self.r._raters.setdefault(rater, given)
        if before != given:
            self.say("other_credential", "", before)
        return given

    def form(self, arm: str, other_arm: str | None) -> dict[str, Any]:
        """Return the judgment as a page sends it; what is absent is left to the form's check."""
        scores = {}
        for criterion in self.r._criteria:
            value = self.score(f"scores.{criterion}", arm, other_arm)
            if value is not None:
                scores[criterion] = value
        safety = {}
        for side in self.r._sides:
            verdict = self.word(f"safety.{side}", VERDICTS)
            reasons = self.codes(f"safety_reasons.{side}")
            safety[side] = {"verdict": verdict, "reasons": reasons}
        comment = self.text("comment", needed=False, longest=1 << 20)
        if comment[:1] == "'" and comment[1:2] in FORMULA_STARTS:  # as our own tables write it
            comment = comment[1:]
        return {
            "scores": scores,
            "safety": safety,
            "reasons": self.codes("reasons"),
            "guess": self.guess(),
            "confidence": _whole(self.meaning("confidence", self.cell("confidence"))),
            "comment": comment or None,
        }

    def score(self, part: str, arm: str, other_arm: str | None) -> Any:
        value = self.meaning(part, self.cell(part))
        if value is None:
            return None
        if self.r._is_pair:
            named = {arm: "left", other_arm: "right"} if arm and other_arm else {}
            value = named.get(value, value) if isinstance(value, str) else value
            lowered = value.lower() if isinstance(value, str) else value
            if lowered in PREFERENCES:
                return lowered
            self.say("label", self.name_of(part), value, (*self.labels(part), *PREFERENCES))
            return None
        whole = _whole(value)
        if not isinstance(whole, int) or isinstance(whole, bool):
            self.say("label", self.name_of(part), value, known=tuple(self.labels(part)))
            return None
        return whole

    def guess(self) -> dict[str, str]:
        given = {side: self.text(f"guess.{side}", needed=False) for side in self.r._sides}
        return {side: family for side, family in given.items() if family}

    def is_true(self, part: str, *, otherwise: bool) -> bool:
        value = self.cell(part)
        if value is None:
            return otherwise
        if str(value).lower() in ("true", "1"):
            return True
        if str(value).lower() not in ("false", "0"):
            self.say("label", self.name_of(part), value, known=("true", "false"))
        return False

    def codes(self, part: str) -> list[str]:
        value = self.cell(part)
        if value is None:
            return []
        given = value.split(";") if isinstance(value, str) else value
        given = given if isinstance(given, list) else [given]
        return [str(self.meaning(part, _stripped(one))) for one in given if _stripped(one) != ""]

    def duration_ms(self) -> int | None:
        """Return how long it took; None where nothing tells, or the page stood open for a day."""
        for part, factor in (("duration_ms", 1), ("duration_s", 1000)):
            value = self.cell(part)
            if value is None:
                continue
            number = _number(value)
            if number is None or number < 0:
                self.say("number", self.name_of(part), value)
                return None
            return round(number * factor) if number * factor < _DAY_MS else None
        return None

    def submitted_ms(self) -> int | None:
        value = self.cell("submitted")
        if value is None:
            return None
        found = _moment_ms(value)
        if found is None or not _YEAR_2000_MS <= found <= self.r._at_ms + _DAY_MS:
            self.say("time", self.name_of("submitted"), value)
            return None
        return found

    def p_chosen(self) -> float:
        """Return with which probability the unit was chosen; 1 where nothing tells."""
        value = self.cell("p_chosen")
        if value is None:
            return 1.0
        number = _number(value)
        if number is None or not 0.0 < number <= 1.0:
            self.say("number", self.name_of("p_chosen"), value)
            return 1.0
        return number


def _can_be_stored(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _stripped(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def _whole(value: Any) -> Any:
    """Return a whole number that is written as text as a number, anything else as it is."""
    if isinstance(value, str):
        number = _number(value)
        if number is not None and number.is_integer() and len(value) < 16:
            return int(number)
    return value


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _moment_ms(value: Any) -> int | None:
    number = _number(value)
    if number is not None:
        return int(number)
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)
