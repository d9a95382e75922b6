"""Why something is missing, and what a model's notes warn of, in Chinese.

``stats`` and ``judging`` say these in English; a page in Chinese shows them translated. Parts in
round brackets of a pattern are put where the translation names them; those in ``_NESTED`` are
reasons of their own and are translated in turn.
"""

from __future__ import annotations

import re

_N = r"([\d.,+−-]+)"
_ANY = r"(.+)"

_PATTERNS: tuple[tuple[str, str], ...] = (
    # the study
    ("no rule was registered before the first judgment", "第一次评价之前没有登记决策规则"),
    (
        "the rule's margin is in points of a scale; in pairs it is a difference of win rates, "
        "below 1",
        "登记的界值是按分数定的；两两比较时界值应是胜率之差，小于 1",
    ),
    (
        "the rule wants a lower score; a preference has no lower",
        "登记的规则要求分数更低，而“更喜欢哪一个”没有高低分",
    ),
    ("no judgment is left", "没有剩下任何评价"),
    (
        "no judgment of the main part is there to analyse; practice answers and checks say nothing "
        "about the arms",
        "还没有正式部分的评价可供分析；练习和检查题不能说明各组的好坏",
    ),
    ("no pairs were judged", "没有作两两比较"),
    ("fewer than two arms were shown", "展示过的不足两组"),
    (
        "the arm's name tells no family that could be guessed",
        "从这一组的名字看不出它属于名单上的哪个模型",
    ),
    (
        "no answer of another family was guessed, so there is nothing to compare",
        "没有对其他模型的回复作过猜测，无从比较",
    ),
    (
        "no rater guessed both this arm and another family",
        "没有哪位评价者既猜过这一组、又猜过别的模型",
    ),
    ("no expert is among the raters", "评价者中没有专家"),
    (
        "no answer was judged by an expert and by another rater",
        "没有哪条回复既有专家又有其他评价者评过",
    ),
    ("preferences have no points", "两两比较没有分数"),
    # intervals
    ("no interval was asked for", "没有要求计算区间"),
    (
        rf"{_N} independent units are too few; an interval needs {_N}",
        "只有 {0} 个相互独立的单元，太少；计算区间至少要 {1} 个",
    ),
    ("one independent unit has no spread", "只有一个独立单元，看不出波动"),
    (
        rf"all (?:units|{_N} units) have the same value, so there is no spread",
        "所有单元取值相同，看不出波动",
    ),
    ("all bootstrap values lie on one side of the estimate", "自助抽样的结果都落在估计值的一侧"),
    ("no unit differs from the others, so there is no spread", "各单元没有差别，看不出波动"),
    (
        "every resample gives the same alpha, so there is no spread",
        "每次重抽样的 α 都相同，看不出波动",
    ),
    ("the clusters show no spread", "各评价者、各场景之间看不出波动"),
    (
        r"one cluster \(prompt or rater\) has no spread",
        "只有一个场景或一位评价者，看不出波动",
    ),
    (
        rf"{_N} of {_N} resamples have no finite estimate, so the bootstrap has no standard error; "
        "the arms have too few votes or clusters",
        "{1} 次重抽样中有 {0} 次算不出有限的估计，因此没有标准误；各组的比较次数、场景或评价者太少",
    ),
    (
        rf"alpha is undefined in {_N} of {_N} resamples, whose ratings are all the same",
        "{1} 次重抽样中有 {0} 次评分全部相同，α 无法计算",
    ),
    # agreement
    (
        "Krippendorff's alpha is undefined: no item has ratings by two raters",
        "没有哪条回复由两位评价者评过，α 无法计算",
    ),
    (
        rf"Krippendorff's alpha is undefined: all {_N} ratings are the same, so no disagreement "
        "could be expected by chance",
        "全部 {0} 个评分都相同，谈不上偶然的不一致，α 无法计算",
    ),
    (
        "intra-rater consistency is undefined: no rater rated an item twice",
        "没有人对同一条回复评过两次",
    ),
    ("one side gives every reply the same score", "有一方给所有回复打了同样的分"),
    ("no reply has a human and a judge score", "没有可以对照的评分"),
    # the model of ratings
    ("no rating", "没有评分"),
    (rf"rating {_N} is not one of the scale's {_N} ratings", "评分 {0} 不在量表的 {1} 个分值之中"),
    (rf"one arm only \({_ANY}\): nothing to compare", "只有一组（{0}），没有可比较的"),
    (rf"every rating is {_N}: nothing can be said of differences", "所有评分都是 {0}，看不出差别"),
    ("one category only: nothing can be said of differences", "只出现一种评分，看不出差别"),
    (
        rf"every rating of {_ANY} is {_N}, the (lowest|highest) given, so its log-odds are infinite; "
        "leave it out or compare means",
        "{0} 的评分全都是 {1}，已到出现过的最低或最高分，模型算不出有限的差别；请看平均分",
    ),
    (
        rf"{_N} distinct ratings are no rating scale; compare means instead",
        "出现了 {0} 种评分，不成量表",
    ),
    (
        "an effect is infinite: the ratings of some arms do not overlap with "
        "(the others'|those of the others)",
        "有的组与其他组的评分完全不重叠，模型算不出有限的差别；请看平均分",
    ),
    (
        "the spread of a random effect is infinite: prompts, raters or replies determine their "
        "ratings, and too few vary",
        "评分几乎完全由场景、评价者或回复决定，变化太少，模型算不出结果；请看平均分",
    ),
    (
        "the mixed model's likelihood has no maximum on these data",
        "这些数据不足以确定混合模型；请看平均分",
    ),
    ("the effects cannot be told apart on these data", "这些数据分不开各种影响；请看平均分"),
    (
        rf"{_N} × {_N} groups with {_N} arms are too many for a mixed model; fit fewer arms or leave "
        "out an interaction",
        "{0}×{1} 个单元、{2} 组，超出混合模型能处理的规模；请减少组数",
    ),
    ("the fit did not converge", "模型没有收敛"),
    ("the two arms share no prompt and no rater", "这两组没有共同的场景，也没有共同的评价者"),
    ("the probability lies at the edge of what can be computed", "概率已到可计算范围的边缘"),
    ("the estimate is 0, the end of what it can be", "估计值为 0，已到下限"),
    ("the data show no variation between raters in severity", "看不出评价者之间宽严有别"),
    ("the model has no effect of the rater", "模型没有考虑评价者"),
    (r"there is no column of (prompt|rater)s", "没有记录是哪{0}"),
    (
        r"there is one (prompt|rater) only, so nothing is known of others",
        "只有一{0}，对其他的一无所知",
    ),
    (r"each (prompt|rater) has one rating", "每{0}只有一次评分"),
    (r"each arm and (prompt|rater) has one rating", "每组在每{0}那里只有一次评分"),
    (r"each (prompt|rater) has one arm", "每{0}只对应一组"),
    (
        "the search for the maximum did not converge; no interval is claimed",
        "模型没有收敛，因此不给区间",
    ),
    (
        "without random effects, ratings are taken as independent, which they are not",
        "模型把各次评分当作相互独立，而实际上并不独立",
    ),
    (rf"no effect of {_ANY}: {_ANY}", "模型未包含{0}的差异：{1}"),
    (
        rf"estimated at 0 \(the boundary\): the variation of {_ANY}",
        "以下差异的估计值为 0（在边界上）：{0}",
    ),
    (rf"never given, so without a threshold: {_ANY}", "从未出现的分值：{0}"),
    (
        rf"{_N} repeated ratings of a reply by a rater do not count",
        "同一人对同一回复的 {0} 次重复评分不计入",
    ),
    (
        rf"intervals were verified from {_ANY} on; here are fewer",
        "区间的可靠性只在至少 {0} 时验证过，这里不足",
    ),
    # the model of votes
    ("no votes", "没有比较"),
    ("the weight of a vote is a number above 0", "每次比较的权重必须是大于 0 的数"),
    (
        "every vote is a tie, so no distance has an interval",
        "每次比较都评为差不多，因此差距没有区间",
    ),
    (rf"no two arms have a finite distance: {_ANY}", "任何两组之间都算不出有限的差距：{0}"),
    ("no finite distance to another arm", "与其他各组之间算不出有限的差距"),
    (
        rf"the votes fall into {_N} parts without a vote between them: {_ANY}; strengths are "
        "comparable only within a part",
        "各组分成 {0} 块，块与块之间没有比较过：{1}；只有同一块内的强度可以相比",
    ),
    (
        rf"separation: {_ANY} won all {_N} votes against the other arms; the distance to them is "
        "infinite, and none is given",
        "{0} 与其他组的 {1} 次比较全胜，差距没有上限，不给数字",
    ),
    (
        rf"separation: {_ANY} lost all {_N} votes against the other arms; the distance to them is "
        "infinite, and none is given",
        "{0} 与其他组的 {1} 次比较全败，差距没有下限，不给数字",
    ),
    (
        rf"separation: {_ANY} never lost to the arms below and never won against those above; the "
        "distances to both are infinite, and none is given",
        "{0} 从未输给排在其后的组，也从未胜过排在其前的组，与两边的差距都不给数字",
    ),
    ("an estimate is infinite: separation", "有的组全胜或全败，算不出有限的估计"),
    (
        "the effects cannot be told apart on these votes, or one of them is infinite; leave out the "
        "order effect or a covariate",
        "这些比较分不开各种影响，或其中之一没有有限的估计",
    ),
    (rf"no order effect is fitted: {_ANY}", "没有估计位置效应：{0}"),
    (rf"no intervals: {_ANY}", "没有区间：{0}"),
    (
        rf"only {_N} (prompt|rater)s?: intervals were verified from {_N} on",
        "只有 {0} {1}；区间的可靠性只在 {2} 以上时验证过",
    ),
    (
        r"votes are counted as independent, but (prompt|rater)s gave several each; what votes of one "
        rf"{_ANY} share makes these intervals too narrow \(cluster by {_ANY}\)",
        "各次比较被当作相互独立，而同一{0}有多次比较，区间会偏窄",
    ),
    (
        "no column names prompts or raters, so votes are counted as independent; if prompts or "
        "raters repeat, the intervals are too narrow",
        "不知道场景和评价者，各次比较被当作相互独立，区间可能偏窄",
    ),
    (rf"a vote compares {_ANY} with itself", "有一次比较的两边是同一组：{0}"),
    (rf"{_N} arms are too many to compare; the most is {_N}", "{0} 组太多，最多能比较 {1} 组"),
    # the rule
    ("no difference: no prompt has ratings of both arms", "没有哪个场景同时评过候选和基线"),
    ("no safety judgment of the candidate can be read", "没有可用的候选模型安全判断"),
    (
        "correct the safety judgments that cannot be read: one may be a failure",
        "有的安全判断读不出，其中可能有不安全的，请先更正",
    ),
    ("no attention check can be read", "没有可用的注意力检查"),
    ("a count has no interval", "计数没有区间"),
    (
        rf"no number of ratings would: {_ANY} is not met; raters must be trained or replaced, and "
        "their judgments renewed",
        "再多评价也定不下来：{0}未达到要求，需要重新培训或更换评价者并重新评价",
    ),
    (
        rf"{_N} more raters are needed, whatever the number of ratings",
        "还需要 {0} 位评价者，评价再多也不能代替",
    ),
    (rf"no number would: {_ANY}", "再多也定不下来：{0}"),
    (
        rf"more than {_N} times as many judgments: the difference lies on the bar",
        "差别正好落在界值上，再多 {0} 倍的评价也未必定得下来",
    ),
    (
        "more than a hundred times as many answers: the share lies on the bound",
        "比例正好落在界值上，再多一百倍的回复也未必定得下来",
    ),
    ("no proportion: there are no trials", "一条回复也没有，算不出比例"),
    ("it cannot be foreseen", "无法预计"),
    (rf"(minimum numbers|expert agreement|attention checks|[\w-]+): {_ANY}", "{0}：{1}"),
)

_NESTED: tuple[tuple[str, int], ...] = (
    ("no effect of ", 1),
    ("no two arms have a finite distance: ", 0),
    ("no order effect is fitted: ", 0),
    ("no intervals: ", 0),
    ("no number would: ", 0),
)
"""How a pattern begins, and which of its parts is a reason of its own."""

_WORDS = {
    "prompt": "个场景",
    "rater": "位评价者",
    "minimum numbers": "最低数量",
    "expert agreement": "与专家的一致性",
    "attention checks": "注意力检查",
    "safety": "安全",
    "arm:prompt": "组×场景",
    "arm:rater": "组×评价者",
}
_EFFECTS = {
    "arm:prompt": "组×场景",
    "arm:rater": "组×评价者",
    "prompt": "场景",
    "rater": "评价者",
}
_COMPILED = tuple((re.compile(pattern, re.DOTALL), words) for pattern, words in _PATTERNS)
_LAST = len(_PATTERNS) - 1


def in_chinese(text: str) -> str:
    """Return a reason or a note in Chinese; as it is where its form is not known."""
    parts = re.split(r"; (?=separation:|the votes fall)", text)
    return "；".join(_one(part) for part in parts)


def _one(text: str) -> str:
    for place, (pattern, words) in enumerate(_COMPILED):
        match = pattern.fullmatch(text)
        if match is None:
            continue
        given = [part or "" for part in match.groups()]
        nested = [at for start, at in _NESTED if text.startswith(start)]
        if place == _LAST:
            nested = [1]
            if in_chinese(given[1]) == given[1]:  # something else with a colon
                return text
        return words.format(
            *(
                in_chinese(part) if at in nested else _word(part, text)
                for at, part in enumerate(given)
            )
        )
    return text


def _word(part: str, text: str) -> str:
    """Return a part of a reason in Chinese where it is one of the project's own words."""
    if part in _WORDS and not text.startswith(("no effect of", "estimated at 0")):
        return _WORDS[part]
    if text.startswith(("no effect of", "estimated at 0")):
        names = re.split(r", | and ", part)
        return "、".join(_EFFECTS.get(name, name) for name in names)
    part = re.sub(r"(\d+) raters", r"\1 位评价者", part)
    part = re.sub(r"(\d+) prompts", r"\1 个场景", part)
    return re.sub(
        r"(位评价者|个场景) and ", r"\1、", re.sub(r" and (\d+) more$", r" 等另 \1 个", part)
    )
