"""The first page of a study: who judged, what was decided, what came out, how sure that is."""

from __future__ import annotations

from qingting.core.missing import Missing
from qingting.judging.criteria import CriterionResult, settled_pairs
from qingting.report.judging_blocks import Block, Bullets, Heading, Paragraph
from qingting.report.judging_language import Speaker
from qingting.report.judging_rule import decision_words
from qingting.stats.rating_results import OrdinalMixedFit
from qingting.stats.vote_results import VoteRanking

_MOST_PAIRS = 6
"""So many pairs are named one by one; of more, the arms that none is surely above."""

_LOW_ALPHA, _HIGH_ALPHA = 0.4, 0.8
"""Below and above, agreement is called low and high; Krippendorff (2019) asks 0.8 of data that are
to be relied on one by one."""


def summary(speaker: Speaker) -> list[Block]:
    """Return the first page."""
    say = speaker.say
    lines = [
        _who(speaker),
        *_elsewhere(speaker),
        f"**{say('决定', 'Decision')}**{say('：', ': ')}{decision_words(speaker)}",
        f"**{speaker.names[speaker.result.headline]}**{say('：', ': ')}{headline_words(speaker)}",
        *_how_large(speaker),
        *_safety(speaker),
        _agreement(speaker),
        _blinding(speaker),
        *_everyone(speaker),
    ]
    return [
        Paragraph(
            say(
                "“组”指参加比较的一个模型的一个版本，例如微调前或微调后。",
                "An arm is one version of one model in the comparison, such as before or after tuning.",
            )
        ),
        Heading(2, say("要点", "In short")),
        Bullets(tuple(lines)),
    ]


def _who(speaker: Speaker) -> str:
    result, say = speaker.result, speaker.say
    what = {
        "single": ("对单条回复打分", "scores of single answers"),
        "pair": ("把两条回复放在一起比较", "comparisons of two answers"),
        "conversation": ("对整段对话打分", "scores of whole conversations"),
    }[result.study["spec"]["mode"]]
    if not result.n_raters:
        by_rules = not any(one.is_by_hand for one in result.exclusions)
        how_zh = "按事先定好的规则" if by_rules else "按规则或由研究者逐个决定"
        how_en = "the rules that were fixed in advance" if by_rules else "rules or by hand"
        return say(
            f"全部 {len(result.checks)} 位评价者（{result.n_left_out} 次评价）都{how_zh}排除了，"
            "因此没有可用的结果；各人被排除的原因见“评价者”一节，若把他们都算上会怎样见“不排除任何人”一节。",
            f"All {len(result.checks)} raters ({result.n_left_out} judgments) were left out by {how_en}, "
            "so there is no result. Why each was left out stands under Raters; what everybody together says, under Without exclusions.",
        )
    out = _left_out(speaker)
    n_arms, n_raters, n = len(result.arms_judged), result.n_raters, result.n_judgments
    unjudged = [arm for arm in result.study["arms"] if arm not in result.arms_judged]
    if unjudged:
        out += say(
            f"还没有人评过：{speaker.listed(unjudged)}。",
            f" Nobody has judged {speaker.listed(unjudged)} yet.",
        )
    kinds = speaker.listed(
        [f"{speaker.name(credential)} {k}" for credential, k in result.credentials.items()]
    )
    people = _counted(n_raters, "person", "people")
    arms, judgments = _counted(n_arms, "arm", "arms"), _counted(n, "judgment", "judgments")
    blind_zh, blind_en = "在不知道模型名字的情况下", " without knowing which model they saw"
    if result.n_raters_imported:
        blind_zh = blind_en = ""
    return say(
        f"{n_raters} 位评价者（{kinds}）{blind_zh}作了 {n} 次评价"
        f"（{what[0]}），评了 {n_arms} 组。{out}",
        f"{people} ({kinds}) judged {arms}{blind_en}, in {judgments} ({what[1]}). {out}",
    )


def _left_out(speaker: Speaker) -> str:
    result, say = speaker.result, speaker.say
    everyone = {one.rater for one in result.exclusions}
    by_hand = {one.rater: one for one in result.exclusions if one.is_by_hand}
    n, n_judgments = len(everyone), result.n_left_out
    if not everyone:
        return say("没有人被排除。", "Nobody was left out.")
    if not by_hand:
        return say(
            f"按事先定好的规则排除了 {n} 位评价者的 {n_judgments} 次评价。",
            f"{n} more, with {n_judgments} judgments, were left out by rules that were "
            "fixed in advance.",
        )
    n_late = sum(one.is_late for one in by_hand.values())
    return say(
        f"另有 {n} 位评价者的 {n_judgments} 次评价没有算进来：其中 {len(by_hand)} 位由研究者逐个决定排除"
        f"（{n_late} 位是在结果已经可以看到之后），其余按事先定好的规则排除；算上所有人的结果也列在后面。",
        f"{n} more, with {n_judgments} judgments, were left out: {len(by_hand)} of them by the owner, "
        f"by hand ({n_late} after results could be seen), the others by rules that were fixed in "
        "advance; the figures with everybody are shown too.",
    )


def _elsewhere(speaker: Speaker) -> list[str]:
    n, say = speaker.result.n_raters_imported, speaker.say
    if not n:
        return []
    return [
        f"**{say('导入的评价', 'Imported')}**{say('：', ': ')}"
        + say(
            f"其中 {n} 位评价者是在别处评的，评价由研究者导入；他们当时是否知道模型的名字、有没有作过"
            "练习和注意力检查，本研究无从得知。",
            f"{n} of the raters judged elsewhere and were imported; whether they knew the models, "
            "and what training and checks they had, this study cannot tell.",
        )
    ]


def _counted(n: int, one: str, many: str) -> str:
    return f"{n:,} {one if n == 1 else many}"


def headline_words(speaker: Speaker, found: CriterionResult | None = None) -> str:
    """Return which arms surely differ on the headline."""
    one = speaker.headline() if found is None else found
    say = speaker.say
    model = one.ranking if speaker.is_pair else one.ratings
    if isinstance(model, Missing):
        means = say("", " See the means.") if one.means else ""
        return say("没有结论：", "No conclusion: ") + speaker.why(model) + say("。", ".") + means
    settled = settled_pairs(model)
    if not settled:
        return say(
            "没有哪两组之间的差别大到可以肯定（95%，已校正多次比较）。这不等于各组一样好。",
            "No two arms differ so much that it is sure (95 %, corrected for all pairs). That does "
            "not mean that they are equally good.",
        )
    arms = _arms_of(model)
    if len(settled) > _MOST_PAIRS:
        return _leaders(speaker, settled, arms)
    words = [say(f"{a} 好于 {b}", f"{a} above {b}") for a, b in settled]
    n_pairs = len(arms) * (len(arms) - 1) // 2
    rest = (
        say("其余各对还分不出高下。", "All other pairs are open.") if len(settled) < n_pairs else ""
    )
    return ("；" if speaker.is_zh else "; ").join(words) + say("。", ". " if rest else ".") + rest


def _arms_of(model: object) -> tuple[str, ...]:
    if isinstance(model, OrdinalMixedFit):
        return model.arm_names
    assert isinstance(model, VoteRanking)
    return tuple(one.arm for one in model.arms)


def _leaders(speaker: Speaker, settled: tuple[tuple[str, str], ...], arms: tuple[str, ...]) -> str:
    beaten = {worse for _, worse in settled}
    ahead = [arm for arm in arms if arm not in beaten]
    behind = [arm for arm in arms if arm in beaten]
    n_pairs = len(arms) * (len(arms) - 1) // 2
    return speaker.say(
        f"领先的是 {speaker.listed(ahead)}（没有哪一组可以肯定比它们好）；落后的是 "
        f"{speaker.listed(behind)}（每一组都可以肯定不如另外某一组）。{n_pairs} 对之中，"
        f"{len(settled)} 对的高下可以肯定，其余还分不出。",
        f"Ahead: {speaker.listed(ahead)} (no arm is surely above them). Behind: "
        f"{speaker.listed(behind)} (each is surely below at least one other). {len(settled)} of "
        f"{n_pairs} pairs are settled, the rest are open.",
    )


def _how_large(speaker: Speaker) -> list[str]:
    """Return the largest settled difference as what a new rater would say."""
    one, say = speaker.headline(), speaker.say
    model = one.ranking if speaker.is_pair else one.ratings
    settled = settled_pairs(model)
    if not settled:
        return []
    found: list[tuple[float, str, str]] = []
    if isinstance(model, OrdinalMixedFit):
        for better, worse in settled:
            superiority = model.contrast(better, worse).superiority
            if not isinstance(superiority, Missing):
                found.append((superiority.value, better, worse))
    elif isinstance(model, VoteRanking):
        for c in model.contrasts:
            if (c.first, c.second) in settled:
                found.append((c.p_first_wins, c.first, c.second))
            elif (c.second, c.first) in settled:
                found.append((1 - c.p_first_wins, c.second, c.first))
    if not found:
        return []
    share, better, worse = max(found)
    n = round(100 * share)
    lead = say("差别有多大", "How large")
    if speaker.is_pair:
        words = say(
            f"差别最大的一对是 {better} 与 {worse}：如果再请人比较这两组，除去评为“差不多”的，"
            f"100 次里约有 {n} 次会选 {better}。",
            f"The largest settled difference is {better} against {worse}: when somebody compares "
            f"them again, ties aside, about {n} in 100 would prefer {better}.",
        )
    else:
        words = say(
            f"差别最大的一对是 {better} 与 {worse}：换一位评价者、换一个场景，100 次里约有 {n} 次"
            f"会给 {better} 更高的分（同分算半次）。",
            f"The largest settled difference is {better} against {worse}: in about {n} of 100 cases "
            f"a new rater would score {better} higher on a new scenario (equal scores count half).",
        )
    return [f"**{lead}**{say('：', ': ')}{words}"]


def _safety(speaker: Speaker) -> list[str]:
    counts, say = speaker.result.safety, speaker.say
    if not counts:
        return []
    failing = [one for one in counts if one.n_failed]
    lead = f"**{say('安全', 'Safety')}**{say('：', ': ')}"
    if not failing:
        worst = max(one.upper_bound for one in counts)
        return [
            lead
            + say(
                f"没有回复被判为不通过。回复数有限，这只说明每组不通过的比例低于 {worst:.1%}（95% 上界）。",
                f"No answer was failed. With so many answers that shows a share below {worst:.1%} in "
                "every arm (95 % bound) and no more.",
            )
        ]
    words = [f"{one.arm} {one.n_failed}/{one.n_answers}" for one in failing]
    return [
        lead
        + say(
            f"有回复被至少一位评价者判为不通过：{'，'.join(words)}。安全是门槛，不与分数平均。",
            f"Answers were failed by at least one rater: {', '.join(words)}. Safety is a gate and is "
            "not averaged with anything.",
        )
    ]


def _agreement(speaker: Speaker) -> str:
    alpha, say = speaker.headline().alpha, speaker.say
    lead = f"**{say('评价者之间', 'Agreement between raters')}**{say('：', ': ')}"
    if isinstance(alpha, Missing):
        return (
            lead
            + say("说不出一致的程度：", "Cannot be told: ")
            + speaker.why(alpha)
            + say("。", ".")
        )
    scale = say("1 为完全一致，0 为碰巧", "1 is perfect, 0 is chance")
    if isinstance(alpha.interval, Missing):
        words = say("数据太少，还说不准", "Too few data to tell")
    elif alpha.value < _LOW_ALPHA:
        words = say(
            "较低：同一条回复，不同的人看法常常不同，单看哪一次评价都不足为凭，结论靠的是许多次评价",
            "Low: people often see the same answer differently; no single judgment carries weight, "
            "the result rests on many",
        )
    elif alpha.value < _HIGH_ALPHA:
        words = say("中等", "Moderate")
    else:
        words = say("较高", "High")
    return f"{lead}{words}{say('（', ' (')}Krippendorff α {alpha.value:.2f}{say('，', ', ')}{scale}{say('）。', ').')}"


def _blinding(speaker: Speaker) -> str:
    audit, say = speaker.result.audit, speaker.say
    lead = f"**{say('盲评', 'Blinding')}**{say('：', ': ')}"
    if not audit.guesses:
        return lead + say(
            "没有问过评价者是否认出了模型。",
            "Raters were not asked whether they recognised a model.",
        )
    n_answered = sum(one.n_answered for one in audit.guesses)
    if not n_answered:
        return lead + say(
            "临近结束时问过评价者是否认出了模型，但没有人回答。",
            "Near the end raters were asked whether they recognised the model, and nobody answered.",
        )
    n_named = sum(one.n_named for one in audit.guesses)
    n_right = sum(one.n_right for one in audit.guesses)
    told = [
        one.arm
        for one in audit.guesses
        if not isinstance(one.above_chance, Missing)
        and not isinstance(one.above_chance.interval, Missing)
        and one.above_chance.interval.low > 0
    ]
    asked = say(
        f"临近结束时问评价者是否认出了模型，{n_answered} 个回答中 {n_named} 个说认出来了，其中 {n_right} 个说对。",
        f"Near the end raters were asked whether they recognised the model; {n_named} of {n_answered} "
        f"answers named one, {n_right} of these the right one.",
    )
    if told:
        return (
            lead
            + asked
            + say(
                f"{speaker.listed(told)} 被认出的次数多于碰巧，看结果时要考虑这一点。",
                f" {speaker.listed(told)} was recognised more often than by chance; keep that in mind.",
            )
        )
    return (
        lead
        + asked
        + say(
            "没有哪一组被认出的次数可以肯定地多于碰巧。",
            " No arm was surely recognised above chance.",
        )
    )


def _everyone(speaker: Speaker) -> list[str]:
    everyone, say = speaker.result.everyone, speaker.say
    if everyone is None or not speaker.result.n_raters:
        return []
    one, other = speaker.headline(), speaker.headline(everyone)
    key = "ranking" if speaker.is_pair else "ratings"
    same = settled_pairs(getattr(one, key)) == settled_pairs(getattr(other, key))
    return [
        f"**{say('如果不排除任何人', 'With nobody left out')}**{say('：', ': ')}"
        + (
            say("可以肯定的差别不变。", "The same pairs are settled.")
            if same
            else say("可以肯定的差别会不同：", "Other pairs would be settled: ")
            + headline_words(speaker, other)
        )
    ]
