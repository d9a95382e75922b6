"""What a study says of its raters: agreement, checks and severity, and how blind they were."""

from __future__ import annotations

from qingting.core.missing import Missing
from qingting.judging.criteria import SIGNIFICANCE
from qingting.judging.exclusion import Exclusion
from qingting.judging.leakage import FeatureLeak
from qingting.report.judging_blocks import Block, Bullets, Heading, Paragraph, table
from qingting.report.judging_language import Speaker
from qingting.stats.rating_results import OrdinalMixedFit


def agreement(speaker: Speaker) -> list[Block]:
    """Return how far raters agree with each other, themselves, experts and the reference."""
    say = speaker.say
    rows = [
        (
            speaker.names[one.criterion],
            speaker.estimate(one.alpha),
            speaker.why(one.repeats)
            if isinstance(one.repeats, Missing)
            else speaker.share(one.repeats.share_same),
        )
        for one in speaker.result.criteria
    ]
    heads = say(
        "标准|不同的人之间：Krippendorff α [95% 区间]|同一人再评一次，给出同样评价",
        "criterion|between raters: Krippendorff's alpha [95 %]|same rater, same judgment again",
    )
    return [
        Heading(2, say("一致性", "Agreement")),
        table(heads, rows),
        *_reference(speaker),
        *_experts(speaker),
    ]


def _reference(speaker: Speaker) -> list[Block]:
    groups, say = speaker.result.reference, speaker.say
    headline = speaker.names[speaker.result.headline]
    title: Block = Heading(3, say("与参考评分", "With the reference ratings"))
    if not groups:
        return [
            title,
            Paragraph(
                say(
                    "没有可以与参考评分对照的校准题。",
                    "No calibration item with a reference rating was judged.",
                )
            ),
        ]
    rows = [
        (
            f"{speaker.name(one.by)}{say('：', ': ')}{speaker.name(one.group)}",
            f"{one.n_raters} / {one.n_judgments}",
            speaker.estimate(one.alpha),
            speaker.share(one.same),
            "–" if speaker.is_pair else _signed(speaker, one.bias),
        )
        for one in groups
    ]
    heads = say(
        "评价者|人数/评价数|与参考的 α [95% 区间]|与参考相同|比参考高多少分 [95% 区间]",
        "raters|people / judgments|alpha with reference [95 %]|equal to it|points above it [95 %]",
    )
    words = say(
        f"校准题带有本研究所用标准的作者给出的参考评分，下表只看“{headline}”。",
        f"Calibration items carry reference ratings by the authors of the rubric; for {headline}.",
    )
    return [title, Paragraph(words), table(heads, rows)]


def _signed(speaker: Speaker, one: object) -> str:
    if isinstance(one, Missing):
        return speaker.why(one)
    value, interval = one.value, one.interval  # type: ignore[attr-defined]
    return speaker.with_interval(f"{value:+.2f}", interval)


def _experts(speaker: Speaker) -> list[Block]:
    found, say = speaker.result.experts, speaker.say
    title: Block = Heading(3, say("专家与其他评价者", "Experts and the other raters"))
    if isinstance(found, Missing):
        return [
            title,
            Paragraph(say("无法比较：", "Not compared: ") + speaker.why(found) + say("。", ".")),
        ]
    words = say(
        f"{found.n_experts} 位专家与 {found.n_others} 位其他评价者都评过 {found.n_answers} "
        f"{'对' if speaker.is_pair else '条'}回复；两边平均评价之间的 α 为 {speaker.estimate(found.alpha)}",
        f"{found.n_experts} experts and {found.n_others} other raters both judged {found.n_answers} "
        f"{'comparisons' if speaker.is_pair else 'answers'}; alpha between the two sides' means is "
        f"{speaker.estimate(found.alpha)}",
    )
    if speaker.is_pair:
        return [title, Paragraph(words + say("。", "."))]
    bias = _signed(speaker, found.bias)
    return [
        title,
        Paragraph(
            words
            + say(
                f"；同一回复，专家的平均分减去其他人的平均分为 {bias}。",
                f"; on the same answer experts score {bias} points above the others.",
            )
        ),
    ]


def raters(speaker: Speaker) -> list[Block]:
    """Return every rater's checks and severity, and why one is left out."""
    say, result = speaker.say, speaker.result
    out_by: dict[str, list[str]] = {}
    for one in result.exclusions:
        out_by.setdefault(one.rater, []).append(exclusion_words(speaker, one))
    severity = _severities(speaker)
    rows = [
        (
            check.rater[:8],
            str(check.n_judgments),
            f"{check.n_failed_attention}/{check.n_attention}",
            "–" if check.repeat_agreement is None else f"{check.repeat_agreement:.0%}",
            "–" if check.calibration_error is None else f"{check.calibration_error:.2f}",
            "–" if check.median_s is None else f"{check.median_s:.0f}",
            *([severity.get(check.rater, "–")] if severity else []),
            ("；" if speaker.is_zh else "; ").join(out_by.get(check.rater, [])) or "–",
        )
        for check in result.checks
    ]
    column = say("|宽严（正为严）", "|severity (above 0: strict)") if severity else ""
    heads = say(
        f"代号|评价|注意力检查未过|复评一致|与参考评分相差|中位用时（秒）{column}|排除原因",
        f"pseudonym|judgments|failed attention|repeats agree|from reference|median s{column}|left out",
    )
    found: list[Block] = [Heading(2, say("评价者", "Raters"))]
    if severity:
        words = say(
            "宽严：在同样的回复上，比一般评价者更难给高分的程度（对数优势，± 标准误）；比较各组时已经扣除。",
            "Severity: how much harder than the average rater somebody is to please on the same "
            "answers (log-odds ± standard error); it is allowed for when arms are compared.",
        )
        found.append(Paragraph(words))
    return [*found, table(heads, rows)]


def _severities(speaker: Speaker) -> dict[str, str]:
    fit = speaker.headline().ratings
    if not isinstance(fit, OrdinalMixedFit) or isinstance(fit.severities, Missing):
        return {}
    return {one.rater: f"{one.value:+.2f} ± {one.standard_error:.2f}" for one in fit.severities}


_BY_HAND = {
    "conflict_of_interest": "有利益冲突",
    "not_eligible": "不符合参加条件",
    "technical_fault": "看到的内容有技术问题",
    "breach_of_protocol": "没有按研究的要求做",
}


def exclusion_words(speaker: Speaker, one: Exclusion) -> str:
    """Return why a rater is left out, in this language."""
    if not speaker.is_zh:
        return one.reason
    if one.is_by_hand:
        when = "，当时已经可以看到结果" if one.is_late else ""
        return f"由研究者排除：{_BY_HAND[one.rule.partition(':')[2]]}{when}"
    value, limit = one.value, one.limit
    return {
        "max_failed_attention": f"注意力检查 {value:g} 次未过，超过 {limit:g} 次",
        "min_repeat_agreement": f"复评与自己一致的只有 {value:.0%}，低于 {limit:.0%}",
        "min_median_s": f"每条只用 {value:.1f} 秒（中位数），少于 {limit:g} 秒",
        "max_same_answers": f"{value:.0%} 的评价在各项标准上都给同一答案，超过 {limit:.0%}",
        "max_calibration_error": f"与参考评分平均相差 {value:.2f} 分，超过 {limit:g} 分",
    }[one.rule]


def audit(speaker: Speaker) -> list[Block]:
    """Return what could have told raters the arm."""
    say, found = speaker.say, speaker.result.audit
    lines = []
    masked = speaker.listed([f"{arm} {n}" for arm, n in found.n_masked.items()])
    lines.append(say(f"遮住的模型名字（处）：{masked}", f"names of models masked: {masked}"))
    for one in found.delays:
        lines.append(
            say(
                f"现场对话的快慢：{one.arm} 的 {one.n_answers} 次回复里有 {one.n_late} 次超过了统一的等待时间，"
                f"{one.n_silent} 段对话以没有回应结束；次数各组不同时，评价者可能由此看出是哪一组",
                f"speed in live conversations: of {one.n_answers} answers of {one.arm}, {one.n_late} "
                f"took longer than the delay that is the same for all, and {one.n_silent} conversations "
                "ended without an answer; where arms differ in this, raters may have told them by it",
            )
        )
    if not isinstance(found.share_left, Missing):
        lines.append(
            say(
                f"左边的回复被选中的比例 {speaker.share(found.share_left)}；50% 为没有位置效应",
                f"the left answer was preferred in {speaker.share(found.share_left)}; 50 % is no "
                "effect of the order",
            )
        )
    return [
        Heading(2, say("盲法检查", "Blinding audit")),
        Bullets(tuple(lines)),
        *_form(speaker),
        *_guesses(speaker),
    ]


def _form(speaker: Speaker) -> list[Block]:
    """Say whether the form of answers tells arms apart, and show each feature at its strongest."""
    say, found = speaker.say, speaker.result.audit.form
    if isinstance(found, Missing):
        return [
            Paragraph(say("回复的形式没有检查：", "The form of answers: ") + speaker.why(found))
        ]
    most = found.strongest
    tells = found.p_value <= SIGNIFICANCE
    words = say(
        f"从回复的形式能不能看出是哪一组？最明显的是“{speaker.name(most.feature)}”（{most.arm} 与 "
        f"{most.other}）：{'比碰巧更明显' if tells else '没有比碰巧更明显'}（p = {found.p_value:.3f}，已校正"
        "所有特征和各对组）。"
        + ("长短和写法本身也是被评价的内容，但评价者可能由此认出同一个模型。" if tells else ""),
        f"Can arms be told by the form of their answers? The clearest sign is {speaker.name(most.feature)} "
        f"({most.arm} and {most.other}): {'more' if tells else 'no more'} than chance would show "
        f"(p = {found.p_value:.3f}, corrected for all features and pairs). "
        + (
            "Length and manner are part of what is judged, but raters may have known an arm again."
            if tells
            else ""
        ),
    )
    strongest: dict[str, FeatureLeak] = {}
    for leak in found.leaks:
        known = strongest.get(leak.feature)
        if known is None or abs(leak.auroc.value - 0.5) > abs(known.auroc.value - 0.5):
            strongest[leak.feature] = leak
    rows = [
        (
            speaker.name(one.feature),
            f"{one.arm} / {one.other}",
            f"{one.mean:.2f} / {one.other_mean:.2f}",
            speaker.estimate(one.auroc),
            f"{one.p_adjusted:.3f}",
        )
        for one in strongest.values()
    ]
    heads = say(
        "特征|差别最大的一对|平均|前者更多的概率 [95% 区间]（0.5 为看不出）|p（已校正）",
        "feature|the pair that differs most|means|P(first has more) [95 %] (0.5: tells nothing)|"
        "p (corrected)",
    )
    return [Paragraph(words), table(heads, rows)]


def _guesses(speaker: Speaker) -> list[Block]:
    say, guesses = speaker.say, speaker.result.audit.guesses
    if not guesses:
        return []
    rows = [
        (
            one.arm,
            str(one.n_asked),
            str(one.n_answered),
            str(one.n_named),
            str(one.n_right),
            speaker.estimate(one.above_chance),
        )
        for one in guesses
    ]
    words = say(
        "临近结束时问评价者是否认出了模型，名单每项研究都一样。最后一栏：同一批评价者在这一组的回复上"
        "说出它的名字，比在其他模型的回复上多多少；0 为认不出，1 为每次都认出。区间同时对所有组成立（95%）。",
        "Near the end raters were asked whether they recognise the model, from a list that is the same "
        "in every study. Last column: by how much more often the same raters name this arm's family "
        "for its answers than for those of others; 0 is blind, 1 is always recognised. The intervals "
        "hold for all arms at once (95 %).",
    )
    heads = say(
        "组|问过|回答|说认出来了|说对|高出碰巧 [区间]",
        "arm|asked|answered|named one|right|above chance [interval]",
    )
    return [Paragraph(words), table(heads, rows)]
