"""The tables of a study, each after what it says in words."""

from __future__ import annotations

from collections.abc import Sequence

from qingting.core.missing import Missing
from qingting.judging.criteria import CriterionResult
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
        return [*found, *_votes(speaker, model), *_reweighted(speaker, one, model)]
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


def _reweighted(speaker: Speaker, one: CriterionResult, ranking: VoteRanking) -> list[Block]:
    """Say how the ranking stands without the model: with pairs as if chosen uniformly."""
    say, again = speaker.say, one.reweighted
    if again is None:
        return []
    if isinstance(again, Missing):
        return [
            Paragraph(
                say("按选中概率的倒数加权后没有结果：", "No result with weighted votes: ")
                + speaker.why(again.reason)
            )
        ]
    before = {arm.arm: arm.strength for arm in ranking.arms}
    shifts = [
        abs(arm.strength - was)
        for arm in again.arms
        if not isinstance(arm.strength, Missing) and not isinstance(was := before[arm.arm], Missing)
    ]
    same = [arm.arm for arm in again.arms] == [arm.arm for arm in ranking.arms]
    order, shift = " > ".join(arm.arm for arm in again.arms), max(shifts, default=0.0)
    return [
        Paragraph(
            say(
                f"稳健性：配对是主动选择的；按选中概率的倒数加权后，顺序{'不变' if same else '变为'}"
                f"（{order}），强度最多相差 {shift:.2f}。",
                "Robustness: pairs were chosen actively; with every vote weighted by one over its "
                f"pair's propensity the order {'stays' if same else 'becomes'} {order}, and strengths "
                f"shift by {shift:.2f} at most.",
            )
        )
    ]


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
