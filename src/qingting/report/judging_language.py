"""One language for the pages of a study: its names of things, numbers, and why something is absent."""

from __future__ import annotations

from typing import Literal

from qingting.core.missing import Missing
from qingting.judging.analysis import StudyAnalysis
from qingting.judging.criteria import CriterionResult
from qingting.report.judging_reasons import in_chinese
from qingting.stats.clusters import Interval

Language = Literal["zh", "en"]

_NAMES: dict[str, tuple[str, str]] = {
    "kind": ("场景类型", "kind of scenario"),
    "language": ("语言", "language"),
    "credential": ("评价者资质", "credential of the rater"),
    "role": ("角色", "role"),
    "counselling": ("咨询", "counselling"),
    "psychoeducation": ("心理教育", "psychoeducation"),
    "crisis": ("危机", "crisis"),
    "zh": ("中文", "Chinese"),
    "en": ("英文", "English"),
    "licensed": ("持证咨询师", "licensed counsellors"),
    "trainee": ("实习或受训咨询师", "trainees"),
    "researcher": ("研究者", "researchers"),
    "lay": ("非专业人士", "lay people"),
    "expert": ("专家", "experts"),
    "rater": ("其他评价者", "other raters"),
    "characters": ("字数", "characters"),
    "lines": ("行数", "lines"),
    "list_items": ("列表项", "list items"),
    "exclamations": ("感叹号", "exclamation marks"),
    "questions": ("问号", "question marks"),
    "emoji": ("表情符号", "emoji"),
    "latin_share": ("拉丁字母的比例", "share of Latin letters"),
    "half_width_share": ("半角标点的比例", "share of half-width punctuation"),
    "format_marks": (
        "统一格式之前的列表、标题、加粗标记",
        "marks of lists, headings and bold before the form was made alike",
    ),
    "promote": ("采用候选模型", "promote the candidate"),
    "do not promote": ("不采用候选模型", "do not promote the candidate"),
    "inconclusive": ("还不能下结论", "inconclusive"),
    "met": ("满足", "met"),
    "failed": ("不满足", "not met"),
    "open": ("未定", "open"),
}


class Speaker:
    """Says a study's findings in one language."""

    def __init__(self, result: StudyAnalysis, language: Language) -> None:
        self.result = result
        self.language: Language = language
        self.is_zh = language == "zh"
        self.is_pair = result.study["spec"]["mode"] == "pair"
        rubric = result.study["rubric"]
        self.names = {one["id"]: one["name"][language] for one in rubric["criteria"]}
        gate = rubric.get("safety_gate", {"reason_codes": []})
        self.codes = {one["id"]: one["name"][language] for one in gate["reason_codes"]}

    def say(self, zh: str, en: str) -> str:
        """Return the words of this language."""
        return zh if self.is_zh else en

    def name(self, key: str) -> str:
        """Return what a code of the study is called; the code itself where it has no name."""
        return self.say(*_NAMES[key]) if key in _NAMES else key

    def listed(self, words: list[str] | tuple[str, ...]) -> str:
        """Return a list within a sentence."""
        return ("、" if self.is_zh else ", ").join(words)

    def why(self, missing: Missing | str) -> str:
        """Return a reason in this language."""
        reason = missing.reason if isinstance(missing, Missing) else missing
        return in_chinese(reason) if self.is_zh else reason

    def number(self, value: object, *, digits: int = 2, sign: bool = False) -> str:
        """Return a number, or why there is none."""
        if isinstance(value, Missing):
            return self.why(value)
        return f"{value:{'+' if sign else ''}.{digits}f}"

    def interval(self, interval: object, *, digits: int = 2) -> str:
        """Return both ends, or why there are none."""
        if isinstance(interval, Missing):
            return self.why(interval)
        if not isinstance(interval, Interval):
            return "–"
        return f"{interval.low:.{digits}f} … {interval.high:.{digits}f}"

    def estimate(self, one: object, *, digits: int = 2) -> str:
        """Return a value with its interval, or why there is none."""
        if isinstance(one, Missing):
            return self.why(one)
        value, interval = one.value, one.interval  # type: ignore[attr-defined]
        return self.with_interval(f"{value:.{digits}f}", interval, digits=digits)

    def with_interval(self, value: str, interval: object, *, digits: int = 2) -> str:
        """Return a value in words with its interval, or with why it has none."""
        if isinstance(interval, Missing):
            return (
                f"{value}（{self.why(interval)}）" if self.is_zh else f"{value} ({interval.reason})"
            )
        return f"{value} [{self.interval(interval, digits=digits)}]"

    def p_value(self, p: object) -> str:
        """Return a p value, small ones as a bound."""
        if isinstance(p, Missing):
            return self.why(p)
        return "< 0.0001" if p < 0.0001 else f"{p:.4f}"  # type: ignore[operator]

    def share(self, one: object) -> str:
        """Return a share with its interval in per cent, or why there is none."""
        if isinstance(one, Missing):
            return self.why(one)
        value, interval = one.value, one.interval  # type: ignore[attr-defined]
        if isinstance(interval, Missing):
            return self.with_interval(f"{value:.0%}", interval)
        low, high = max(interval.low, 0.0), min(interval.high, 1.0)  # Student's t knows no ends
        return f"{value:.0%} [{low:.0%} … {high:.0%}]"

    def headline(self, criteria: tuple[CriterionResult, ...] | None = None) -> CriterionResult:
        """Return the result of the criterion that the first page is about."""
        found = self.result.criteria if criteria is None else criteria
        return next(one for one in found if one.criterion == self.result.headline)
