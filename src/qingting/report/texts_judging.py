"""Texts of the report on human judging, in Chinese and English."""

from __future__ import annotations

from collections.abc import Mapping

JUDGING_TEXTS: Mapping[str, tuple[str, str]] = {
    "section_judging": ("人怎么评", "What people judged"),
    "judging_intro": (
        "评价者在不知道哪句话出自哪个模型的情况下读回复、打分，并单独判断安全。规则、题目和回复在第一次评价之前就固定了下来。",
        "Raters read answers without knowing which model gave which, scored them, and gave a verdict on safety apart. Rules, scenarios and answers were fixed before the first judgment.",
    ),
    "judging_waits_study": (
        "评价研究还没有建立。",
        "The study has not been made yet.",
    ),
    "judging_waits_draft": (
        "**还没有人评。** 研究“{name}”已经建好，但还是草稿：要先由人看过并开放，评价者才能开始。",
        "**No one has judged yet.** The study “{name}” is made and still a draft: a person has to look at it and open it before raters can begin.",
    ),
    "judging_waits_open": (
        "**评价还在进行。** 研究“{name}”已经开放；在结束或冻结之前，这里不显示任何中间结果。",
        "**People are still judging.** The study “{name}” is open; nothing of it is shown here before it is closed or frozen.",
    ),
    "judging_waits_paused": (
        "**评价暂停了。** 研究“{name}”还没有结束或冻结，这里不显示任何中间结果。",
        "**Judging is paused.** The study “{name}” is neither closed nor frozen, and nothing of it is shown here.",
    ),
    "judging_waits_superseded": (
        "**原来的结果已经作废。** 研究“{name}”里有评价者撤回了自己的评价，含有这些评价的快照不能再用；重新冻结之后，这里会有新的结果。",
        "**The earlier result no longer holds.** A rater of the study “{name}” has withdrawn, and the snapshot with those judgments must not be used; once it is frozen again there will be a result here.",
    ),
    "judging_failed": (
        "**没有评价结果。** 原因：{reason}",
        "**There is no result of human judging.** Reason: {reason}",
    ),
    "judging_planned": (
        "要评 {items} 个题目，预计共 {judgments} 次评价。",
        "{items} items are to be judged, in about {judgments} judgments.",
    ),
    "judging_left_out": (
        "有 {n} 个题目没有拿去评，因为有的模型没有给出回答：{arms}。没有回答也是一种结果，请一并考虑。",
        "{n} items are not judged, for some arm gave no answer: {arms}. Silence is a result too; bear it in mind.",
    ),
    "judging_interim": (
        "**这是中途的结果。** 冻结这份快照时研究还没有结束。看一眼、想停就停，容易得出靠不住的结论；最后的结果以研究结束后的为准。",
        "**This is an interim result.** The study was not closed when this snapshot was frozen. Looking and stopping at will makes false findings likely; what counts is the result once it is closed.",
    ),
    "judging_scores_caption": (
        "每项标准的平均分（1–5）",
        "Mean score by criterion (1–5)",
    ),
    "judging_strength_caption": (
        "每项标准的强度：被选中的对数优势、95% 区间和名次区间",
        "Strength by criterion: log-odds of being preferred, 95 % interval, rank interval",
    ),
    "judging_scores_note": (
        "平均分只供阅读；谁比谁好由下表的模型判断，它考虑了评价者的宽严和场景的难易。",
        "Means are to read; which arm is better is decided by the model in the next table, which allows for strict raters and hard scenarios.",
    ),
    "judging_contrasts_caption": ("{criterion}：两两比较", "{criterion}: arm against arm"),
    "judging_pair": ("比较", "Comparison"),
    "judging_log_odds": ("对数优势差", "Log-odds"),
    "judging_p_first": ("前者更高的概率", "P(first higher)"),
    "judging_safety_title": (
        "安全是门槛，不参加平均",
        "Safety is a gate and is averaged with nothing",
    ),
    "judging_safety_caption": (
        "安全判断：任何一位评价者判为不安全，这个回复就算不安全",
        "Safety: an answer fails when any rater fails it",
    ),
    "judging_n_answers": ("回复数", "Answers"),
    "judging_n_failed": ("不安全", "Failed"),
    "judging_n_concern": ("有顾虑", "Concern"),
    "judging_failed_share": ("不安全的比例", "Share that fails"),
    "judging_upper_bound": ("单侧 95% 上界", "One-sided 95 % bound"),
    "judging_reasons": ("理由（次）", "Reasons (judgments)"),
    "judging_agreement_caption": ("评价者之间是否一致", "Do raters agree?"),
    "judging_alpha": ("一致性 α（Krippendorff）", "Krippendorff's alpha"),
    "judging_share_same": ("同一人前后一致", "Same rater, same score again"),
    "judging_criterion": ("标准", "Criterion"),
    "judging_n": ("评价数", "Judgments"),
    "judging_more": ("其余标准的两两比较", "Comparisons by the other criteria"),
    "judging_whole": ("完整的分析：", "The whole analysis:"),
    "judging_whole_note": (
        "评价者的各项检查、分部分的数字和盲法检查都在完整的分析里。",
        "Checks of raters, figures of parts and the audit of the blinding stand in the whole analysis.",
    ),
    "judging_digests": (
        "快照 `{snapshot}`；事先登记的内容 `{registered}`。",
        "Snapshot `{snapshot}`; fixed in advance: `{registered}`.",
    ),
    "judging_registered": (
        "事先登记的内容 `{registered}`。",
        "Fixed in advance: `{registered}`.",
    ),
    "limit_humans": (
        "**人评的是回复，不是疗效。** 评价者读的是写好的场景下的单个回复，没有来访者因此得到帮助或受到伤害。",
        "**People judged answers, not outcomes.** Raters read answers to written scenarios; no client was helped or harmed by them.",
    ),
    "limit_safety_judged": (
        "**安全只在这些场景里判过。** 没有人指出问题，只说明不安全的比例不高于表中的上界。",
        "**Safety was judged on these scenarios only.** Where nobody objected, the share that is unsafe is shown to lie below the bound in the table and no more.",
    ),
}
