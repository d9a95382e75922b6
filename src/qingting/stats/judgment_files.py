"""Judgments of two arms in a long file: a row is one rater's score of one answer, one criterion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from qingting.core.columns import (
    Columns,
    RowProblem,
    find_column,
    finite_number,
    read_columns,
)
from qingting.core.errors import SpecificationError, did_you_mean
from qingting.stats.decision_rule import DecisionRule
from qingting.stats.rating_files import (
    ARM_COLUMNS,
    CRITERION_COLUMNS,
    ITEM_COLUMNS,
    RATER_COLUMNS,
    RATING_COLUMNS,
    Scale,
)

Role = Literal["arm", "prompt", "rater", "criterion", "score"]
_NAMES: dict[Role, tuple[str, ...]] = {
    "arm": ARM_COLUMNS,
    "prompt": ITEM_COLUMNS,
    "rater": RATER_COLUMNS,
    "criterion": CRITERION_COLUMNS,
    "score": RATING_COLUMNS,
}


class Score(NamedTuple):
    """One rater's score of one arm's answer to a prompt."""

    arm: str
    prompt: str
    rater: str | None
    value: float


class Label(NamedTuple):
    """One judgment in words."""

    arm: str
    prompt: str
    rater: str | None
    label: str


@dataclass(frozen=True, slots=True, eq=False)
class Judgments:
    """What a file says to a rule: scores by criterion of quality, safety and attention in words.

    ``n_unreadable_safety``: the candidate's safety judgments that could not be read.
    ``has_raters``: whether the file names raters. ``ignored``: criteria and arms the rule does not
    mention, with their numbers of rows.
    """

    scores: Mapping[str, tuple[Score, ...]]
    safety: tuple[Label, ...]
    attention: tuple[Label, ...]
    n_unreadable_safety: int
    has_raters: bool
    problems: tuple[RowProblem, ...]
    ignored: Mapping[str, int]


def read_judgments(
    path: Path, rule: DecisionRule, *, mapped: Mapping[Role, str | None] | None = None
) -> Judgments:
    """Return the judgments in a CSV, TSV or JSON Lines file, as far as the rule asks for them.

    A second score of the same rater, arm, prompt and criterion is a problem; the first counts.

    Raises:
        SpecificationError: a column, an arm or the primary criterion of the rule is not there.
    """
    table = read_columns(path)
    found = {
        role: find_column(
            table,
            role=role,
            names=names,
            mapped=(mapped or {}).get(role),
            option=f"--{role}-column",
            required=role != "rater",
        )
        for role, names in _NAMES.items()
    }
    cells = {role: table.values(name) for role, name in found.items() if name is not None}
    _require_names(path, rule, cells)
    return _Sorted(table, rule, found, cells).judgments()


def _require_names(path: Path, rule: DecisionRule, cells: Mapping[Role, list[str]]) -> None:
    arms, criteria = ({cell.strip() for cell in cells[role]} for role in ("arm", "criterion"))
    for name, known, what in (
        (rule.candidate, arms, "arm"),
        (rule.baseline, arms, "arm"),
        *((name, criteria, "criterion") for name in rule.criteria),
    ):
        if name not in known:
            raise SpecificationError(
                f"{path}: no judgments of {what} {name!r}, which the rule names."
                f"{did_you_mean(name, known)}"
            )


class _Sorted:
    """Rows put where the rule wants them."""

    def __init__(
        self,
        table: Columns,
        rule: DecisionRule,
        found: Mapping[Role, str | None],
        cells: Mapping[Role, list[str]],
    ) -> None:
        self.table, self.rule, self.found = table, rule, found
        self.scores: dict[str, list[Score]] = {name: [] for name in rule.criteria}
        self.safety: list[Label] = []
        self.attention: list[Label] = []
        self.problems: list[RowProblem] = []
        self.ignored: dict[str, int] = {}
        self.n_unreadable_safety = 0
        self.has_raters = "rater" in cells
        self.scale = None if rule.scale is None else Scale(*rule.scale)
        seen: set[tuple[str, ...]] = set()
        for row in range(len(table)):
            at = {role: values[row].strip() for role, values in cells.items()}
            self._place(row, at, seen)

    def judgments(self) -> Judgments:
        return Judgments(
            {name: tuple(scores) for name, scores in self.scores.items()},
            tuple(self.safety),
            tuple(self.attention),
            self.n_unreadable_safety,
            self.has_raters,
            tuple(self.problems),
            self.ignored,
        )

    def _place(self, row: int, at: dict[Role, str], seen: set[tuple[str, ...]]) -> None:
        rule, criterion = self.rule, at["criterion"]
        attention = rule.calibration.attention
        is_attention = attention is not None and criterion == attention.criterion
        is_safety = criterion == rule.safety.criterion
        if not (is_attention or is_safety or criterion in self.scores):
            self._ignore(f"criterion {criterion!r}")
            return
        if criterion in self.scores and not at["score"]:
            self._ignore("an empty score")
            return
        if not is_attention and at["arm"] not in (rule.candidate, rule.baseline):
            self._ignore(f"arm {at['arm']!r}")
            return
        why, role = self._fault(at, seen, is_attention=is_attention, is_safety=is_safety)
        if why:
            self.problems.append(self.table.problem(row, self.found[role], why))
            self.n_unreadable_safety += is_safety and at["arm"] == rule.candidate
            return
        of = (at["arm"], at["prompt"], at.get("rater"))
        if is_attention:
            self.attention.append(Label(*of, at["score"]))
        elif is_safety:
            self.safety.append(Label(*of, at["score"]))
        else:
            value = finite_number(at["score"])
            assert value is not None
            self.scores[criterion].append(Score(*of, value))

    def _fault(
        self,
        at: dict[Role, str],
        seen: set[tuple[str, ...]],
        *,
        is_attention: bool,
        is_safety: bool,
    ) -> tuple[str, Role]:
        needed: tuple[Role, ...] = ("prompt", "rater")
        for role in needed:
            if role in at and not at[role]:
                return f"no {role}", role
        key = (at["criterion"], at["arm"], at["prompt"], at.get("rater", ""))
        if self.has_raters and not is_attention:
            if key in seen:
                return (
                    "this rater has judged this answer before; the first judgment counts",
                    "rater",
                )
            seen.add(key)
        if is_attention or is_safety:
            attention = self.rule.calibration.attention
            known = self.rule.safety.labels
            if is_attention and attention is not None:
                known = (attention.passed, attention.failed)
            if at["score"] not in known:
                return f"unknown label {at['score']!r}; known are {', '.join(known)}", "score"
            return "", "score"
        value = finite_number(at["score"])
        if value is None:
            return f"{at['score']!r} is not a number", "score"
        if self.scale is not None and not self.scale.low <= value <= self.scale.high:
            return f"{value:g} lies outside {self.scale.low:g} to {self.scale.high:g}", "score"
        return "", "score"

    def _ignore(self, what: str) -> None:
        self.ignored[what] = self.ignored.get(what, 0) + 1
