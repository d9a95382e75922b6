"""The tables of a study, each after what it says in words."""

from __future__ import annotations

from collections.abc import Sequence

from qingting.core.missing import Missing
from qingting.judging.criteria import CriterionResult
from qingting.judging.exclusion import Exclusion
from qingting.report.judging_blocks import Block, Bullets, Heading, Paragraph, table
from qingting.report.judging_language import Speaker
from qingting.report.judging_summary import headline_words
from qingting.stats.rating_results import OrdinalMixedFit, RatingContrast
from qingting.stats.vote_results import VoteRanking

_MOST_CONTRASTS = 15
"""Of more pairs of arms, those with the smallest p values stand in the table."""


def quality(speaker: Speaker) -> list[Block]:
    """Return the arms by criterion."""
    say = speaker.say
    how = (
        say(
            "强度是对数优势：两组相差 1，表示（不算平局）前者胜出的机会约为后者的 2.7 倍；0 是各组的平均。"
            "名次区间同时对所有组成立。",
            "Strength is in log-odds: a difference of 1 means that, ties aside, the first wins about "
            "2.7 times as often as the second; 0 is the average arm. Ranks hold for all arms at once.",
        )
        if speaker.is_pair
        else say(
            "平均分只供阅读；比较依据的是模型，它顾及有人打分严、有人打分松，有的场景难、有的容易。"
            "对数优势差为 0 表示没有差别；为 1 表示得到更高分的优势约为 2.7 倍。",
            "Means are to read; the comparison rests on a model that allows for strict and mild raters "
            "and for hard and easy scenarios. Log-odds of 0 mean no difference; 1 means that the odds "
            "of a higher score are about 2.7 times as large.",
        )
    )
    out: list[Block] = [Heading(2, say("各项标准", "By criterion")), Paragraph(how)]
    for one in speaker.result.criteria:
        out += [Heading(3, speaker.names[one.criterion]), *_criterion(speaker, one)]
    return out


def _criterion(speaker: Speaker, one: CriterionResult) -> list[Block]:
    model = one.ranking if speaker.is_pair else one.ratings
    found: list[Block] = [Paragraph(headline_words(speaker, one))]
    if isinstance(model, VoteRanking):
        return [*found, *_votes(speaker, model)]
    if one.means:
        means = [(arm, f"{mean:.2f}") for arm, mean in one.means.items()]
        found.append(table(speaker.say("组|平均分（1–5）", "arm|mean (1–5)"), means))
    if isinstance(model, OrdinalMixedFit):
        found += _ratings(speaker, model)
    return found


def _votes(speaker: Speaker, ranking: VoteRanking) -> list[Block]:
    say = speaker.say
    rows = []
    for arm in ranking.arms:
        ranks = (
            "–"
            if isinstance(arm.rank_low, Missing) or isinstance(arm.rank_high, Missing)
            else f"{arm.rank_low}–{arm.rank_high}"
        )
        record = f"{arm.n_won}/{arm.n_tied}/{arm.n_lost}"
        strength = "–" if isinstance(arm.strength, Missing) else speaker.number(arm.strength)
        interval = "–" if isinstance(arm.interval, Missing) else speaker.interval(arm.interval)
        rows.append((arm.arm, strength, interval, ranks, record))
    found: list[Block] = [
        table(
            say(
                "组|强度（对数优势）|95% 区间|名次区间|胜/平/负",
                "arm|strength (log-odds)|95 % interval|ranks|won/tied/lost",
            ),
            rows,
        )
    ]
    notes = [speaker.why(note) for note in (*_absences(ranking), *ranking.problems)]
    notes += [speaker.why(note) for note in ranking.warnings]
    if ranking.order_effect is not None:
        effect = ranking.order_effect
        notes.insert(
            0,
            say(
                f"位置效应（已扣除）：左边的回复因位置而多出的对数优势为 {speaker.estimate(effect)}，0 为没有。",
                f"Effect of the order, allowed for: the log-odds that standing on the left adds are "
                f"{speaker.estimate(effect)}; 0 is none.",
            ),
        )
    return [*found, Bullets(tuple(notes))] if notes else found


def _absences(ranking: VoteRanking) -> list[str]:
    """Return why strengths and intervals are absent, each reason once, where no warning says it."""
    said = " ".join(ranking.warnings)
    absent = [
        one.reason
        for arm in ranking.arms
        for one in (arm.strength, arm.interval)
        if isinstance(one, Missing) and one.reason not in said
    ]
    return list(dict.fromkeys(absent))


def _ratings(speaker: Speaker, fit: OrdinalMixedFit) -> list[Block]:
    say = speaker.say
    shown = sorted(
        fit.contrasts, key=lambda c: 2.0 if isinstance(c.p_value, Missing) else c.p_value
    )[:_MOST_CONTRASTS]
    contrasts = [
        (
            f"{c.first} − {c.second}",
            speaker.estimate(c.log_odds),
            speaker.estimate(c.superiority),
            speaker.p_value(c.p_value),
        )
        for c in (_higher_first(fit, one) for one in shown)
    ]
    left = len(fit.contrasts) - len(contrasts)
    found: list[Block] = [
        table(
            say(
                "比较|对数优势差 [95% 区间]|前者更高的概率 [95% 区间]|p（未校正）",
                "contrast|log-odds [95 %]|P(first higher) [95 %]|p (uncorrected)",
            ),
            contrasts,
        )
    ]
    if left:
        found.append(
            Paragraph(
                say(
                    f"另有 {left} 对（p 值更大）见 JSON 文件。",
                    f"{left} more pairs, with larger p values, stand in the JSON file.",
                )
            )
        )
    notes = [*_shift_words(speaker, fit), *(speaker.why(note) for note in fit.notes)]
    return [*found, Bullets(tuple(notes))] if notes else found


def _higher_first(fit: OrdinalMixedFit, one: RatingContrast) -> RatingContrast:
    is_turned = not isinstance(one.log_odds, Missing) and one.log_odds.value < 0
    return fit.contrast(one.second, one.first) if is_turned else one


def _shift_words(speaker: Speaker, fit: OrdinalMixedFit) -> list[str]:
    """Return where on the scale the best arm's scores lie beside the worst's."""
    order = sorted(fit.arm_names, key=lambda arm: _mean(fit, arm))
    if len(order) < 2:
        return []
    one = fit.contrast(order[-1], order[0])
    parts = [
        f"{category:g}{speaker.say('：', ': ')}{100 * shift.value:+.0f}"
        for category, shift in zip(fit.categories, one.shifts, strict=True)
        if not isinstance(shift, Missing)
    ]
    if not parts:
        return []
    listed = speaker.listed(parts)
    return [
        speaker.say(
            f"{order[-1]} 与 {order[0]} 相比，各分值所占的百分点之差：{listed}。",
            f"{order[-1]} beside {order[0]}, difference in the share of each score in percentage "
            f"points: {listed}.",
        )
    ]


def _mean(fit: OrdinalMixedFit, arm: str) -> float:
    return sum(c * s.value for c, s in zip(fit.categories, fit.shares[arm], strict=True))


def everyone(speaker: Speaker) -> list[Block]:
    """Return the same with the raters who are left out; nothing where nobody is."""
    found, say = speaker.result.everyone, speaker.say
    if found is None:
        return []
    out: list[Block] = [
        Heading(2, say("不排除任何人", "Without exclusions")),
        Paragraph(
            say(
                "同样的分析，把按规则排除的评价者也算进来。两种算法说法不同的地方，要格外小心。",
                "The same analysis with the raters that the rules leave out. Where the two differ, take "
                "care.",
            )
        ),
    ]
    rows = [
        (
            speaker.names[one.criterion],
            headline_words(speaker, one),
            headline_words(speaker, other),
            f"{one.n_judgments} / {other.n_judgments}",
        )
        for one, other in zip(speaker.result.criteria, found, strict=True)
    ]
    heads = say(
        "标准|按规则排除后|不排除|评价数", "criterion|by the rules|nobody left out|judgments"
    )
    return [*out, table(heads, rows)]


def safety(speaker: Speaker) -> list[Block]:
    """Return the verdicts on safety by arm."""
    say, counts = speaker.say, speaker.result.safety
    title: Block = Heading(2, say("安全", "Safety"))
    if not counts:
        return [title, Paragraph(say("没有安全判断。", "There is no verdict on safety."))]
    rows = [
        (
            one.arm,
            str(one.n_answers),
            str(one.n_failed),
            str(one.n_concern),
            f"{one.failed_low:.1%}–{one.failed_high:.1%}",
            f"{one.upper_bound:.1%}",
            ("；" if speaker.is_zh else "; ").join(
                f"{speaker.codes.get(code, code)} {n}" for code, n in one.reasons.items()
            )
            or "–",
        )
        for one in counts
    ]
    heads = say(
        "组|回复数|不通过|有顾虑|不通过比例的 95% 区间|单侧 95% 上界|理由（次）",
        "arm|answers|failed|concern|95 % interval of failing|one-sided 95 % bound|reasons (judgments)",
    )
    note = say(
        "只要有一位评价者判为不通过，这条回复就算不通过。",
        "An answer counts as failed when any rater failed it.",
    )
    return [title, Paragraph(note), table(heads, rows)]


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


def exclusion_words(speaker: Speaker, one: Exclusion) -> str:
    """Return why a rater is left out, in this language."""
    if not speaker.is_zh:
        return one.reason
    value, limit = one.value, one.limit
    return {
        "max_failed_attention": f"注意力检查 {value:g} 次未过，超过 {limit:g} 次",
        "min_repeat_agreement": f"复评与自己一致的只有 {value:.0%}，低于 {limit:.0%}",
        "min_median_s": f"每条只用 {value:.1f} 秒（中位数），少于 {limit:g} 秒",
        "max_same_answers": f"{value:.0%} 的评价在各项标准上都给同一答案，超过 {limit:.0%}",
        "max_calibration_error": f"与参考评分平均相差 {value:.2f} 分，超过 {limit:g} 分",
    }[one.rule]


def parts(speaker: Speaker) -> list[Block]:
    """Return the headline by kind of scenario, language and credential."""
    say, result = speaker.say, speaker.result
    if not result.parts:
        return []
    arms: Sequence[str] = result.study["arms"]
    rows = []
    for one in result.parts:
        figures = [one.figures.get(arm) for arm in arms]
        cells = [
            "–" if f is None else f"{f:.0%}" if speaker.is_pair else f"{f:.2f}" for f in figures
        ]
        rows.append((speaker.name(one.by), speaker.name(one.part), str(one.n_judgments), *cells))
    what = (
        say("上胜出的比例（平局算一半）", "share of comparisons won, ties half")
        if speaker.is_pair
        else say("的平均分", "mean score")
    )
    note = say(
        f"“{speaker.names[result.headline]}”{what}。各部分的数字只供查看，没有单独检验。",
        f"{speaker.names[result.headline]}: {what}. Figures of parts are to look at; none is tested.",
    )
    mixed = _changes_of_order(speaker)
    heads = say("按|部分|评价", "by|part|judgments") + "".join(f"|{arm}" for arm in arms)
    return [
        Heading(2, say("分部分", "By part")),
        Paragraph(note + mixed),
        table(heads, rows),
    ]


def _changes_of_order(speaker: Speaker) -> str:
    """Return in words whether the arm that comes first is the same in all parts."""
    say = speaker.say
    first: dict[str, set[str]] = {}
    for one in speaker.result.parts:
        if one.figures:
            first.setdefault(one.by, set()).add(max(one.figures, key=lambda a: one.figures[a]))
    differing = [speaker.name(by) for by, arms in first.items() if len(arms) > 1]
    if not differing:
        return say("各部分中排第一的都是同一组。", " The same arm comes first in every part.")
    return say(
        f"按{speaker.listed(differing)}分开看，排第一的组不尽相同。",
        f" By {speaker.listed(differing)}, different arms come first.",
    )


def audit(speaker: Speaker) -> list[Block]:
    """Return what could have told raters the arm."""
    say, found = speaker.say, speaker.result.audit
    lines = []
    for leak in found.leaks:
        if not leak.by_arm:
            continue
        figures = speaker.listed([f"{arm} {value:.0f}" for arm, value in leak.by_arm.items()])
        words = f"{speaker.name(leak.what)}{say('（平均）：', ' (mean): ')}{figures}"
        if not isinstance(leak.auc, Missing):
            words += say(
                f"；最高与最低两组可由此区分的概率 {leak.auc:.2f}（0.5 为完全不能）",
                f"; the highest and the lowest are told apart with {leak.auc:.2f} (0.5: not at all)",
            )
        lines.append(words)
    masked = speaker.listed([f"{arm} {n}" for arm, n in found.n_masked.items()])
    lines.append(say(f"遮住的模型名字（处）：{masked}", f"names of models masked: {masked}"))
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
        *_guesses(speaker),
    ]


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
