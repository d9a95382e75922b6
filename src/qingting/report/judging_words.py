"""What a study of human judging found, in words first and then in tables, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from qingting.core.missing import Missing
from qingting.judging.analysis import CriterionResult, StudyAnalysis
from qingting.stats.more_ratings import More
from qingting.stats.rating_results import OrdinalMixedFit
from qingting.stats.vote_results import VoteRanking

Language = Literal["zh", "en"]

_PARTS = {
    "kind": ("场景类型", "kind of scenario"),
    "language": ("语言", "language"),
    "credential": ("评价者资质", "credential of the rater"),
}
_ANSWERS = {
    "promote": ("采用候选模型", "promote the candidate"),
    "do not promote": ("不采用候选模型", "do not promote the candidate"),
    "inconclusive": ("还不能下结论", "inconclusive"),
}


def study_markdown(result: StudyAnalysis, *, language: Language) -> str:
    """Return the whole analysis as a Markdown page in one language."""
    return _Page(result, language).render()


class _Page:
    def __init__(self, result: StudyAnalysis, language: Language) -> None:
        self.result = result
        self.is_zh = language == "zh"
        self.language = language
        self.names = {
            one["id"]: one["name"][language] for one in result.study["rubric"]["criteria"]
        }

    def say(self, zh: str, en: str) -> str:
        return zh if self.is_zh else en

    def render(self) -> str:
        spec = self.result.study["spec"]
        parts = [
            f"# {self.say('人工盲评结果', 'What people judged')}: {spec['name']}",
            *self.summary(),
            *self.quality_section(),
            *self.safety_section(),
            *self.agreement_section(),
            *self.raters_section(),
            *self.parts_section(),
            *self.audit_section(),
            *self.limits(),
        ]
        return "\n\n".join(parts) + "\n"

    # -- words first ------------------------------------------------------------------------------

    def summary(self) -> list[str]:
        r = self.result
        n_out = len({one.rater for one in r.exclusions if not one.is_by_hand})
        is_blind = not r.n_raters_imported
        blind_zh = "在不知道模型名字的情况下" if is_blind else ""
        blind_en = " without knowing which model they saw" if is_blind else ""
        lines = [
            self.say(
                f"{r.n_raters} 位评价者{blind_zh}作了 {r.n_judgments} 次评价，"
                f"比较 {len(r.study['arms'])} 组。按事先定好的规则排除了 {n_out} 位评价者。",
                f"{r.n_raters} raters gave {r.n_judgments} judgments of {len(r.study['arms'])} arms"
                f"{blind_en}. {n_out} raters were left out by rules that "
                "were fixed in advance.",
            ),
            self.left_out_by_hand(),
            self.judged_elsewhere(),
            self.say(f"**决定**：{self.decision()}", f"**Decision**: {self.decision()}"),
            f"**{self.names['overall']}**{self.say('：', ': ')}{self.headline()}"
            if "overall" in self.names
            else "",
            self.safety_words(),
        ]
        return [line for line in lines if line]

    def decision(self) -> str:
        found = self.result.decision
        if isinstance(found, Missing):
            return self.say(
                f"没有（{_in_chinese(found.reason)}）。结果只作描述。",
                f"none ({found.reason}). The results are descriptive.",
            )
        words = self.say(*_ANSWERS[found.answer])
        more = found.more
        if isinstance(more, More):
            words += self.say(
                f"；大约再要 {more.n_ratings} 次评分、{more.n_prompts} 个场景可以定下来",
                f"; about {more.n_ratings} more ratings on {more.n_prompts} more prompts would "
                "settle it",
            )
        return f"{words} ({found.because})"

    def headline(self) -> str:
        found = next(one for one in self.result.criteria if one.criterion == "overall")
        if isinstance(found.ranking, VoteRanking):
            settled = [c for c in found.ranking.contrasts if _is_small(c.p_holm)]
            return self._pairs_sentence([(c.first, c.second, c.difference) for c in settled])
        if isinstance(found.ratings, OrdinalMixedFit):
            fit = found.ratings
            n = len(fit.contrasts)
            settled_ratings = [
                (c.first, c.second, c.log_odds.value)
                for c in fit.contrasts
                if not isinstance(c.log_odds, Missing)
                and not isinstance(c.p_value, Missing)
                and c.p_value * n <= 0.05
            ]
            return self._pairs_sentence(settled_ratings)
        reason = found.ratings if isinstance(found.ratings, Missing) else found.ranking
        return self.say("没有可用的模型结果：", "no model could be fitted: ") + (
            reason.reason if isinstance(reason, Missing) else ""
        )

    def _pairs_sentence(self, settled: Sequence[tuple[str, str, float]]) -> str:
        if not settled:
            return self.say(
                "没有哪两组之间的差别大到可以肯定（95%，已校正多次比较）。",
                "no two arms differ so much that it is sure (95 %, corrected for all pairs).",
            )
        words = [
            self.say(f"{a} 好于 {b}", f"{a} above {b}")
            if d > 0
            else self.say(f"{b} 好于 {a}", f"{b} above {a}")
            for a, b, d in settled
        ]
        rest = self.say("其余各对还分不出高下。", "All other pairs are open.")
        return f"{'；'.join(words) if self.is_zh else '; '.join(words)}{self.say('。', '. ')}{rest}"

    def safety_words(self) -> str:
        failing = [one for one in self.result.safety if one.n_failed]
        if not failing:
            worst = max((one.upper_bound for one in self.result.safety), default=None)
            if worst is None:
                return ""
            return self.say(
                f"**安全**：没有回复被判为不安全；这只说明不安全的比例低于 {worst:.1%}（95% 上界）。",
                f"**Safety**: no answer was failed; that proves a share below {worst:.1%} (95 % "
                "bound) and no more.",
            )
        words = [f"{one.arm} {one.n_failed}/{one.n_answers}" for one in failing]
        return self.say(
            f"**安全**：有回复被判为不安全：{'，'.join(words)}。安全是门槛，不参加平均。",
            f"**Safety**: answers were failed: {', '.join(words)}. Safety is a gate and is not "
            "averaged with anything.",
        )

    # -- tables -----------------------------------------------------------------------------------

    def quality_section(self) -> list[str]:
        out = [f"## {self.say('各项标准', 'By criterion')}"]
        for one in self.result.criteria:
            out.append(f"### {self.names[one.criterion]}")
            out += self._criterion(one)
        return out

    def _criterion(self, one: CriterionResult) -> list[str]:
        if isinstance(one.ranking, VoteRanking):
            rows = [
                (
                    a.arm,
                    _number(a.strength),
                    _pair(a.interval),
                    f"{a.rank_low}–{a.rank_high}",
                    f"{a.n_won}/{a.n_tied}/{a.n_lost}",
                )
                for a in one.ranking.arms
            ]
            heads = self.say(
                "组|强度（对数优势）|95% 区间|名次区间|胜/平/负",
                "arm|strength (log-odds)|95 % interval|ranks|won/tied/lost",
            )
            notes = [*one.ranking.problems, *one.ranking.warnings]
            return [_table(heads, rows), *(f"- {note}" for note in notes)]
        if isinstance(one.ratings, OrdinalMixedFit) and one.means is not None:
            fit = one.ratings
            means = [(arm, f"{mean:.2f}") for arm, mean in one.means.items()]
            contrasts = [
                (
                    f"{c.first} − {c.second}",
                    _estimate(c.log_odds),
                    _estimate(c.superiority),
                    _number(c.p_value, digits=4),
                )
                for c in fit.contrasts
            ]
            return [
                _table(self.say("组|平均分（1–5）", "arm|mean (1–5)"), means),
                _table(
                    self.say(
                        "比较|对数优势差 [95% 区间]|前者更高的概率|p（未校正）",
                        "contrast|log-odds [95 %]|P(first higher)|p (uncorrected)",
                    ),
                    contrasts,
                ),
                *(f"- {_in_chinese(note) if self.is_zh else note}" for note in fit.notes),
            ]
        reason = one.ratings if one.ratings is not None else one.ranking
        return [f"{self.say('没有结果', 'no result')}: {getattr(reason, 'reason', '')}"]

    def safety_section(self) -> list[str]:
        rows = [
            (
                one.arm,
                str(one.n_answers),
                str(one.n_failed),
                str(one.n_concern),
                f"{one.failed_low:.1%}–{one.failed_high:.1%}",
                f"{one.upper_bound:.1%}",
                ", ".join(f"{code} {n}" for code, n in one.reasons.items()) or "–",
            )
            for one in self.result.safety
        ]
        heads = self.say(
            "组|回复数|不安全|有顾虑|不安全比例的 95% 区间|单侧上界|理由（次）",
            "arm|answers|failed|concern|95 % interval of failing|upper bound|reasons (judgments)",
        )
        return [f"## {self.say('安全', 'Safety')}", _table(heads, rows)]

    def agreement_section(self) -> list[str]:
        rows = [
            (
                self.names[one.criterion],
                _estimate(one.alpha),
                one.repeats.reason
                if isinstance(one.repeats, Missing)
                else f"{one.repeats.share_same.value:.0%}",
            )
            for one in self.result.criteria
        ]
        heads = self.say(
            "标准|Krippendorff α [95% 区间]|同一人前后一致",
            "criterion|Krippendorff's alpha [95 %]|same rater, same score again",
        )
        return [f"## {self.say('一致性', 'Agreement')}", _table(heads, rows)]

    def left_out_by_hand(self) -> str:
        chosen = [one for one in self.result.exclusions if one.is_by_hand]
        if not chosen:
            return ""
        n_late = sum(one.is_late for one in chosen)
        return self.say(
            f"另有 {len(chosen)} 位评价者由研究者逐个决定排除，其中 {n_late} 位是在结果已经可以看到"
            "之后；下文也列出包括所有人的结果。",
            f"The owner left out {len(chosen)} more raters by hand, {n_late} of them after results "
            "could be seen; the figures with everybody are shown too.",
        )

    def judged_elsewhere(self) -> str:
        n = self.result.n_raters_imported
        if not n:
            return ""
        return self.say(
            f"其中 {n} 位评价者是在别处评的，评价由研究者导入；他们当时是否知道模型的名字、有没有作过"
            "练习和注意力检查，本研究无从得知。",
            f"{n} of the raters judged elsewhere and were imported; whether they knew the models, "
            "and what training and checks they had, this study cannot tell.",
        )

    def raters_section(self) -> list[str]:
        out_by: dict[str, list[str]] = {}
        for one in self.result.exclusions:
            out_by.setdefault(one.rater, []).append(one.reason)
        rows = [
            (
                check.rater[:8],
                str(check.n_judgments),
                f"{check.n_failed_attention}/{check.n_attention}",
                "–" if check.repeat_agreement is None else f"{check.repeat_agreement:.0%}",
                "–" if check.calibration_error is None else f"{check.calibration_error:.2f}",
                "–" if check.median_s is None else f"{check.median_s:.0f}",
                "; ".join(out_by.get(check.rater, [])) or "–",
            )
            for check in self.result.checks
        ]
        heads = self.say(
            "代号|评价|注意力检查未过|复评一致|与参考评分相差|中位用时（秒）|排除原因",
            "pseudonym|judgments|failed attention|repeats agree|from reference|median s|left out",
        )
        return [f"## {self.say('评价者', 'Raters')}", _table(heads, rows)]

    def parts_section(self) -> list[str]:
        arms = self.result.study["arms"]
        rows = [
            (
                self.say(*_PARTS[one.by]),
                one.part,
                str(one.n_judgments),
                *(f"{one.figures[arm]:.2f}" if arm in one.figures else "–" for arm in arms),
            )
            for one in self.result.parts
        ]
        heads = self.say("按|部分|评价", "by|part|judgments") + "".join(f"|{arm}" for arm in arms)
        note = self.say(
            "各部分的数字只供查看，没有单独检验。",
            "Figures of parts are to look at; none is tested.",
        )
        return [f"## {self.say('分部分', 'By part')}", note, _table(heads, rows)]

    def audit_section(self) -> list[str]:
        audit = self.result.audit
        lines = [
            f"- {leak.what}: "
            + ", ".join(f"{arm} {value:.0f}" for arm, value in leak.by_arm.items())
            + (
                ""
                if isinstance(leak.auc, Missing)
                else self.say(
                    f"；最高与最低两组可由此区分的概率 {leak.auc:.2f}（0.5 为无）",
                    f"; the highest and lowest are told apart with {leak.auc:.2f} (0.5: not at all)",
                )
            )
            for leak in audit.leaks
        ]
        masked = ", ".join(f"{arm} {n}" for arm, n in audit.n_masked.items())
        lines.append(self.say(f"- 遮住的模型名字：{masked}", f"- names of models masked: {masked}"))
        if not isinstance(audit.share_left, Missing):
            lines.append(
                self.say(
                    f"- 左边被选中的比例 {audit.share_left:.1%}（{audit.share_left_low:.1%}–"
                    f"{audit.share_left_high:.1%}）；50% 为没有位置效应",
                    f"- the left answer was preferred in {audit.share_left:.1%} "
                    f"({audit.share_left_low:.1%}–{audit.share_left_high:.1%}); 50 % is no order effect",
                )
            )
        return [f"## {self.say('盲法检查', 'Blinding audit')}", "\n".join(lines)]

    def limits(self) -> list[str]:
        r = self.result
        return [
            f"## {self.say('怎么读', 'How to read this')}",
            self.say(
                "区间说的是同类的其他场景和其他评价者；它不说明别的来访者、别的语言或长期效果。"
                "这里的结论不是临床有效性的证明，也不是让模型直接面对求助者的依据。",
                "Intervals speak of other scenarios and other raters of the same kind. They do not "
                "speak of other clients, other languages or lasting effects. Nothing here is a proof "
                "of clinical validity, nor a ground for letting a model talk with people in distress.",
            ),
            self.say(
                f"快照 `{r.digest}`；事先登记的内容 `{r.study['registered_digest']}`。",
                f"Snapshot `{r.digest}`; fixed in advance: `{r.study['registered_digest']}`.",
            ),
        ]


_CHINESE = (
    ("no rule was registered before the first judgment", "第一次评价之前没有登记决策规则"),
    (
        "the rule speaks of scores; this study compared pairs",
        "登记的规则针对评分，而本研究是两两比较",
    ),
    ("estimated at 0 (the boundary): the variation of ", "以下差异的估计值为 0（在边界上）："),
)
"""Reasons and notes that a reader of the Chinese page meets most often."""


def _in_chinese(text: str) -> str:
    for english, chinese in _CHINESE:
        if text.startswith(english):
            return chinese + text.removeprefix(english)
    return text


def _is_small(p: float | Missing) -> bool:
    return not isinstance(p, Missing) and p <= 0.05


def _number(value: object, *, digits: int = 2) -> str:
    if isinstance(value, Missing):
        return value.reason
    return f"{value:.{digits}f}"


def _pair(interval: object) -> str:
    if isinstance(interval, Missing) or not isinstance(interval, tuple):
        return getattr(interval, "reason", "–")
    return f"{interval[0]:.2f} … {interval[1]:.2f}"


def _estimate(one: object) -> str:
    if isinstance(one, Missing):
        return one.reason
    value, interval = one.value, one.interval  # type: ignore[attr-defined]
    return f"{value:.2f} [{_pair(interval)}]"


def _table(heads: str, rows: Sequence[Sequence[str]]) -> str:
    names = heads.split("|")
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)
