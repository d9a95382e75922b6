"""What a registered rule decided, clause by clause, in words of either language."""

from __future__ import annotations

import re

from qingting.core.missing import Missing
from qingting.report.judging_blocks import Block, Heading, Paragraph, table
from qingting.report.judging_language import Speaker
from qingting.stats.decision import Clause, Decision
from qingting.stats.more_ratings import More

_THINGS = {
    "prompts": ("个场景", "scenarios"),
    "safety answers": ("条经安全判断的回复", "answers judged for safety"),
    "raters": ("位评价者", "raters"),
}


def decision_words(speaker: Speaker) -> str:
    """Return the decision, the clause that it rests on, and what would settle an open one."""
    found, say = speaker.result.decision, speaker.say
    if isinstance(found, Missing):
        return say(
            f"没有（{speaker.why(found)}）。以下结果只作描述。",
            f"No decision ({found.reason}). The results are descriptive.",
        )
    rule = speaker.result.study["rule"]
    words = f"**{speaker.name(found.answer)}**"
    arms = say(
        f"（候选 {rule['candidate']}，基线 {rule['baseline']}）",
        f" (candidate {rule['candidate']}, baseline {rule['baseline']})",
    )
    deciding = _deciding(found)
    because = (
        say("所有条款都满足", "All clauses are met")
        if deciding is None
        else f"{clause_name(speaker, deciding)}{say('：', ': ')}{clause_words(speaker, deciding)}"
    )
    end = say("。", ".")
    return f"{words}{arms}{say('。', '. ')}{because}{end}{_more(speaker, found.more)}"


def _deciding(found: Decision) -> Clause | None:
    """Return the clause that the answer rests on, as ``stats.decision`` chooses it."""
    name, _, words = found.because.partition(": ")
    return next((one for one in found.clauses if one.name == name and one.words == words), None)


def _more(speaker: Speaker, more: More | Missing | None) -> str:
    say = speaker.say
    if more is None:
        return ""
    if isinstance(more, Missing):
        name, _, rest = more.reason.partition(": ")
        clause = f"{speaker.names[name]}{say('：', ': ')}" if name in speaker.names else ""
        why = speaker.why(rest if clause else more.reason)
        return say(f"{clause}{why}。", f" To settle it: {clause}{why}.")
    what = say("比较", "comparisons") if speaker.is_pair else say("评分", "ratings")
    return say(
        f"照目前的趋势，大约再要 {more.n_prompts} 个场景、{more.n_ratings} 次{what}可以定下来。",
        f" If things go on as seen, about {more.n_ratings} more {what} on {more.n_prompts} more "
        "scenarios would settle it.",
    )


def clause_name(speaker: Speaker, one: Clause) -> str:
    """Return what a clause is about."""
    say = speaker.say
    fixed = {
        "safety": say("安全", "Safety"),
        "minimum numbers": say("最低数量", "Minimum numbers"),
        "expert agreement": say("与专家的一致性", "Agreement with experts"),
        "attention checks": say("注意力检查", "Attention checks"),
    }
    if one.kind in ("primary", "other"):
        return str(speaker.names.get(one.name, one.name))
    return fixed[one.name]


def clause_words(speaker: Speaker, one: Clause) -> str:
    """Return what a clause found, in this language."""
    say, value = speaker.say, one.value
    if isinstance(value, Missing):
        return speaker.why(value)
    if one.kind == "minimum":
        return _numbers(speaker, one.words)
    if one.kind == "safety":
        bound = "–" if one.bound is None else f"{one.bound:.1%}"
        return say(
            f"不通过的回复占 {value:.1%}，上界 {bound}，最多允许 {one.bar:.1%}",
            f"{value:.1%} of answers failed, upper bound {bound}, allowed {one.bar:.1%}",
        )
    if one.kind == "calibration":
        return say(
            f"{value:.2f}，至少要 {one.bar:g}", f"{value:.2f}, at least {one.bar:g} is needed"
        )
    found = speaker.with_interval(f"{value:+.2f}", one.interval)
    what = say("胜率之差", "difference of win rates") if speaker.is_pair else ""
    return say(
        f"候选减基线{what} {found}，要大于 {one.bar:g}",
        f"candidate minus baseline{', ' + what if what else ''} {found}, must be above {one.bar:g}",
    )


def _numbers(speaker: Speaker, words: str) -> str:
    found = re.findall(r"(\d+) (prompts|safety answers|raters) of (\d+)", words)
    if speaker.is_zh:
        return "，".join(
            f"{have} {_THINGS[thing][0]}（至少 {need}）" for have, thing, need in found
        )
    return ", ".join(f"{have} {_THINGS[thing][1]} (at least {need})" for have, thing, need in found)


def rule_section(speaker: Speaker) -> list[Block]:
    """Return the clauses of the rule and what was found; nothing where none was registered."""
    found, say = speaker.result.decision, speaker.say
    if isinstance(found, Missing):
        return []
    rows = [
        (clause_name(speaker, one), clause_words(speaker, one), speaker.name(one.state))
        for one in found.clauses
    ]
    return [
        Heading(2, say("登记的规则", "The registered rule")),
        Paragraph(
            say(
                "规则在第一次评价之前定下，所有条款都满足才采用候选模型。",
                "The rule was fixed before the first judgment; the candidate is promoted when every "
                "clause is met.",
            )
        ),
        table(say("条款|结果|是否满足", "clause|found|state"), rows),
    ]
