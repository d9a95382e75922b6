"""What the report says in whole sentences: names of metrics, findings, advice."""

from __future__ import annotations

from collections.abc import Mapping

_METRICS: Mapping[str, tuple[str, str]] = {
    "metric_bits-per-byte": ("每字节比特数", "bits per byte"),
    "metric_bleu": ("BLEU-4", "BLEU-4"),
    "metric_rouge": ("ROUGE-{order}", "ROUGE-{order}"),
    "metric_rouge_precision": ("ROUGE-{order} 精确率", "ROUGE-{order} precision"),
    "metric_rouge_recall": ("ROUGE-{order} 召回率", "ROUGE-{order} recall"),
    "metric_meteor": ("METEOR", "METEOR"),
    "metric_meteor-stem": ("METEOR（词干）", "METEOR (stems)"),
    "metric_chrf": ("chrF", "chrF"),
    "metric_distinct": ("distinct-{order}", "distinct-{order}"),
    "metric_repetition": ("重复率", "repetition"),
    "metric_length": ("回答长度", "answer length"),
    "metric_choice": ("知识题正确率（{how}）", "knowledge accuracy ({how})"),
    "how_likelihood_exact": ("按选项概率", "by option likelihood"),
    "how_text_exact": ("按写出的答案", "by written answer"),
    "how_likelihood_elastic": ("按选项概率，多选给部分分", "by option likelihood, partial credit"),
    "how_text_elastic": ("按写出的答案，多选给部分分", "by written answer, partial credit"),
    "hint_bits-per-byte": (
        "模型对咨询师原话有多意外：越不意外越好，不同切词方式之间可以比较",
        "how surprised the model is by a counsellor's real words; comparable across tokenizers",
    ),
    "hint_overlap": (
        "与咨询师原话在用词上的接近程度",
        "closeness of wording to the counsellor's reply",
    ),
    "hint_distinct": (
        "用词的丰富程度；回答越长，数值自然越低",
        "variety of wording; falls as answers grow longer",
    ),
    "hint_repetition": (
        "同一个回答里重复出现的四词片段占比",
        "share of four-word pieces repeated within one answer",
    ),
    "hint_length": ("以词元计，不分好坏", "in tokens; neither good nor bad"),
    "hint_choice": ("选择题答对的比例", "share of questions answered right"),
    "hint_none": ("", ""),
    "with_language": ("{metric}（{language}）", "{metric} ({language})"),
}

_SUMMARY: Mapping[str, tuple[str, str]] = {
    "range": ("{low} 至 {high}", "{low} to {high}"),
    "value_interval": ("{value}（{level} 置信区间 {range}）", "{value} ({level} CI {range})"),
    "value_alone": ("{value}（没有区间：{reason}）", "{value} (no interval: {reason})"),
    "points": ("{value} 个百分点", "{value} percentage points"),
    "tokens": ("{value} 个词元", "{value} tokens"),
    "minutes": ("{minutes} 分 {seconds} 秒", "{minutes} min {seconds} s"),
    "hours": ("{hours} 小时 {minutes} 分", "{hours} h {minutes} min"),
    "seconds": ("{value} 秒", "{value} s"),
    "milliseconds": ("{value} 毫秒", "{value} ms"),
    "headline_all_better": (
        "{n} 个微调模型都比自己的基座更会预测咨询师的话。",
        "All {n} tuned models predict a counsellor's words better than their own bases.",
    ),
    "headline_one_better": (
        "微调后的模型比自己的基座更会预测咨询师的话。",
        "The tuned model predicts a counsellor's words better than its own base.",
    ),
    "headline_all_better_failed": (
        "能比较的 {n} 个微调模型都比自己的基座更会预测咨询师的话，另有 {failed} 个微调模型没有可比的结果。",
        "All {n} tuned models that could be compared predict a counsellor's words better than their own bases; {failed} more could not be compared.",
    ),
    "headline_some_better": (
        "{n} 个微调模型里，{better} 个比自己的基座更会预测咨询师的话，{worse} 个更差，{open} 个判断不了。",
        "Of {n} tuned models, {better} predict a counsellor's words better than their own bases, {worse} worse, and {open} cannot be decided.",
    ),
    "headline_no_contrast": (
        "没有可用的“微调对基座”比较，因此不能说微调有没有用。",
        "No tuned model could be compared with its base, so nothing can be said about tuning.",
    ),
    "headline_against": (
        "但是看 {metric}，{n} 个里没有一个变好，{worse} 个变差了：请读一读并排的回答，再下结论。",
        "But in {metric}, none of {n} got better and {worse} got worse: read the answers side by side before concluding.",
    ),
    "headline_alone": (
        "这一项做得最好的是 `{arm}`，与其他模型都拉开了差距。",
        "The best at it is `{arm}`, clearly apart from all others.",
    ),
    "headline_tied": (
        "这一项数值最好的是 `{arm}`，但与 {others} 分不出先后。",
        "`{arm}` has the best figure, but cannot be told apart from {others}.",
    ),
    "best_alone": (
        "**{metric}**：`{arm}` 最好，{value}，名次区间只有第 1 名。",
        "**{metric}**: `{arm}` is best with {value}; first place is its only possible rank.",
    ),
    "best_tied": (
        "**{metric}**：`{arm}` 的数值最好，{value}，但 {others} 也可能是第 1 名。",
        "**{metric}**: `{arm}` has the best figure, {value}, but {others} may be first as well.",
    ),
    "best_rank_open": (
        "**{metric}**：`{arm}` 的数值最好，{value}，名次区间 {low}–{high}。",
        "**{metric}**: `{arm}` has the best figure, {value}; its rank interval is {low}–{high}.",
    ),
    "best_unranked": (
        "**{metric}**：`{arm}` 的数值最好，{value}；没有做排名检验，领先是否可靠不知道。",
        "**{metric}**: `{arm}` has the best figure, {value}; no ranking was computed, so whether the lead is real is not known.",
    ),
    "best_above_baseline": (
        "{n} 个参评模型中，{above} 个的区间高于“不懂也能得的分”（最高 {baseline}）。",
        "Of {n} models, {above} have an interval above what no knowledge earns (at most {baseline}).",
    ),
    "best_none_above_baseline": (
        "没有一个参评模型的区间高于“不懂也能得的分”（最高 {baseline}），也就是说这里没有显示出知识。",
        "No model's interval lies above what no knowledge earns (at most {baseline}): knowledge is not shown here.",
    ),
    "best_none": (
        "**{metric}**：没有任何参评模型得到数值。",
        "**{metric}**: no model has a value.",
    ),
    "lead_better": (
        "领先第二名 `{other}`，差距 {amount}。",
        "It leads the runner-up `{other}` by {amount}.",
    ),
    "lead_worse": (
        "不过两两比较的结果是它不如 `{other}`（差 {amount}），排名和比较用的题目可能不同。",
        "Yet compared pairwise it falls behind `{other}` by {amount}; ranking and comparison may rest on different items.",
    ),
    "lead_inconclusive": (
        "与第二名 `{other}` 相差 {amount}，判断不了谁更好。",
        "The gap to the runner-up `{other}`, {amount}, is inconclusive.",
    ),
    "tuning_counts": (
        "**{metric}**：{n} 项比较中，微调更好 {better} 项，更差 {worse} 项，判断不了 {open} 项。",
        "**{metric}**: of {n} comparisons with the base, {better} better, {worse} worse, {open} inconclusive.",
    ),
    "tuning_arm": ("`{arm}` 对 `{base}`：{parts}。", "`{arm}` against `{base}`: {parts}."),
    "tuning_none": (
        "`{arm}`：没有可比的基座结果。",
        "`{arm}`: there is no base result to compare with.",
    ),
    "part_better": ("{metric}更好，{amount}", "{metric} better by {amount}"),
    "part_worse": ("{metric}更差，{amount}", "{metric} worse by {amount}"),
    "part_inconclusive": (
        "{metric}判断不了，差值 {amount}",
        "{metric} inconclusive, difference {amount}",
    ),
    "part_undefined": ("{metric}无法计算（{reason}）", "{metric} undefined ({reason})"),
    "part_quality_counts": (
        "与原话的接近程度共 {n} 项：更好 {better}，更差 {worse}，判断不了 {open}",
        "closeness to the reference on {n} measures: {better} better, {worse} worse, {open} inconclusive",
    ),
    "open_both": (
        "**{metric}**：与基座的 {n_base} 项比较里有 {open_base} 项、微调模型之间的 {n_tuned} 项比较里有 {open_tuned} 项判断不了。",
        "**{metric}**: inconclusive in {open_base} of {n_base} comparisons with the base and {open_tuned} of {n_tuned} between tuned models.",
    ),
    "open_base": (
        "**{metric}**：与基座的 {n_base} 项比较里有 {open_base} 项判断不了。",
        "**{metric}**: inconclusive in {open_base} of {n_base} comparisons with the base.",
    ),
    "open_tuned": (
        "**{metric}**：微调模型之间的 {n_tuned} 项比较里有 {open_tuned} 项判断不了。",
        "**{metric}**: inconclusive in {open_tuned} of {n_tuned} comparisons between tuned models.",
    ),
    "open_undefined": (
        "{n} 项比较无法计算，因为两边没有可以配对的结果。",
        "{n} comparisons are undefined, for want of paired results.",
    ),
    "open_means": (
        "判断不了是说证据不够，不是说两者一样好。",
        "Inconclusive means too little evidence, not that the two are equal.",
    ),
    "open_nothing": (
        "主要指标上的比较都有了定论。",
        "Every comparison on the main measures was decided.",
    ),
    "failure_arm": (
        "`{arm}` 失败了，没有进入任何比较。原因：{reason}",
        "`{arm}` failed and enters no comparison. Reason: {reason}",
    ),
    "failure_gap": (
        "**{metric}**：{n} 个参评模型有题目没有得分，缺得最多的是 `{arm}`，{total} 题缺 {missing} 题。",
        "**{metric}**: items without a score in {n} of the models, most in `{arm}`: {missing} of {total}.",
    ),
    "failure_gap_means": (
        "分数只按有结果的题计算。",
        "Scores count only the items that have a value.",
    ),
    "failure_none": (
        "没有参评模型失败，也没有缺失的题目。",
        "No model failed and no item is missing.",
    ),
    "limit_synthetic": (
        "**数据是合成的。** 这套咨询对话和知识题是为软件编写的，没有经过临床验证，来访者不是真人。",
        "**The data are synthetic.** Dialogues and questions were written for this software and not clinically validated; the clients are not real people.",
    ),
    "limit_same_source": (
        "**测试和训练来自同一来源。** 换成另一家机构的来访者，结果可能不同。",
        "**Test and training share a source.** With another service's clients the results may differ.",
    ),
    "limit_small": (
        "**模型很小。** 参评模型最大只有 {largest} 参数，是用来演示流程的，不能服务任何人；结论不能搬到大模型上。",
        "**The models are small.** The largest has {largest} parameters. They demonstrate the procedure and serve nobody; nothing here carries over to large models.",
    ),
    "limit_no_humans": (
        "**还没有人评过。** 所有分数由程序计算，没有咨询师或来访者读过这些回答并打分。",
        "**No human has judged yet.** Programs computed every score; no counsellor or client has rated these answers.",
    ),
    "limit_overlap": (
        "**像原话不等于有帮助。** 用词接近度和每字节比特数衡量的是像不像，不是共情、时机或疗效。",
        "**Resemblance is not help.** Overlap and bits per byte measure likeness, not empathy, timing or effect.",
    ),
    "limit_clinical": (
        "**没有临床效度。** 分数高不代表可以用于真实来访者。",
        "**No clinical validity.** A high score does not make a model fit for real clients.",
    ),
    "limit_safety": (
        "**这里没有评安全。** 自伤、伤人、虐待等危机情形要单独过关，不能用平均分抵消。",
        "**Safety was not judged here.** Self-harm, violence and abuse need a gate of their own, which no average can offset.",
    ),
    "limit_seed": (
        "**每个模型只训练了一次。** 区间反映的是换一批题的出入，不包括重新训练的出入。",
        "**Each model was trained once.** Intervals cover another set of prompts, not another training run.",
    ),
    "limit_seeds": (
        "**区间只反映换一批题的出入。** 重新训练的出入要看不同种子之间的差别（这里有 {n} 个种子）。",
        "**Intervals cover another set of prompts only.** For another training run, compare the {n} seeds.",
    ),
}

_ADVICE: Mapping[str, tuple[str, str]] = {
    "advice_still_falling": (
        "{arms} 到训练结束时验证损失还在下降：可以用更多对话或多训练一些，再看是否继续变好。",
        "Validation loss of {arms} was still falling at the end: try more dialogues or longer training and see whether it goes on.",
    ),
    "advice_rising": (
        "{arms} 的验证损失在第 {steps} 步之后回升：少训练一些，或打开早停（early_stopping）。",
        "Validation loss of {arms} rose after step {steps}: train less, or turn on early_stopping.",
    ),
    "advice_gap": (
        "{arms} 的训练损失明显低于验证损失，有死记硬背的迹象：增加数据、减少轮数，或提高 dropout。",
        "Training loss of {arms} lies well below validation loss, a sign of memorising: add data, train fewer epochs, or raise dropout.",
    ),
    "advice_worse_likelihood": (
        "{arms} 微调后反而更不会预测咨询师的话：先检查对话模板和学习率，再考虑使用。",
        "Tuning made {arms} predict a counsellor's words worse: check chat template and learning rate before any use.",
    ),
    "advice_forgot": (
        "{arms} 微调后知识题变差：降低学习率或 LoRA 强度，或在训练数据里掺一些通用问答。",
        "{arms} lost knowledge through tuning: lower the learning rate or the LoRA strength, or mix general question answering into the training data.",
    ),
    "advice_near_chance": (
        "没有证据表明 {arms} 的知识正确率高过“不懂也能得的分”：不要让它讲解心理知识，需要时引用审核过的材料。",
        "Nothing shows that the accuracy of {arms} exceeds what no knowledge earns: do not use it to explain facts of psychology; quote reviewed material instead.",
    ),
    "advice_short": (
        "{arms} 的回答比咨询师短得多：检查生成长度上限，读几段例子看是否敷衍。",
        "Answers of {arms} are much shorter than the counsellor's: check the length limit, and read examples for curtness.",
    ),
    "advice_long": (
        "{arms} 的回答比咨询师长得多：多半在说教或停不下来，检查结束符和长度上限。",
        "Answers of {arms} are much longer than the counsellor's, often a sign of lecturing or of not stopping: check the end-of-turn token and the length limit.",
    ),
    "advice_repetition": (
        "{arms} 的回答里重复很多：生成时加一点 repetition_penalty，或改用采样；仍不行就增加训练数据。",
        "Answers of {arms} repeat themselves: add a little repetition_penalty or sample; if that does not help, train on more data.",
    ),
    "advice_sample_size": (
        "要让“{arm} 对 {other}”在{metric}上有定论，大约需要 {needed} 题（现在 {n} 题）。这是正态近似：假定真实差值就是现在看到的 {difference}，按 {n_comparisons} 项比较校正，把握八成。",
        "To settle {arm} against {other} on {metric}, about {needed} prompts would be needed (there are {n}). A normal approximation: it takes the observed difference of {difference} for the true one, corrects for {n_comparisons} comparisons, and asks for 80% power.",
    ),
    "advice_sample_size_many": (
        "另有 {n} 项比较要 {limit} 题以上才可能有定论（同样的正态近似）：差别即使有也很小，不如换别的理由来选。",
        "Another {n} comparisons would need more than {limit} prompts to settle (same approximation): if there is a difference it is small, so choose on other grounds.",
    ),
    "advice_one_seed": (
        "每个模型只用一个种子训练。差距不大时，先用三个以上的种子重训再下结论。",
        "Each model was trained with one seed. Where leads are small, train with three seeds or more before concluding.",
    ),
    "advice_data_lost": (
        "{share} 的对话因格式问题没有用上：看隔离文件，能修的用 repairs 修好再训练。",
        "{share} of the dialogues went unused for their defects: look at the quarantine file and repair what can be repaired.",
    ),
    "advice_cut": (
        "{share} 的对话因太长被截断：显存允许的话提高 max_length。",
        "{share} of the dialogues were cut for length: raise max_length if memory allows.",
    ),
    "advice_missing": (
        "{arms} 有超过 {share} 的题没有得分：先查清原因，缺题多的分数不可靠。",
        "More than {share} of the items of {arms} have no score: find out why first, for scores with many gaps mislead.",
    ),
    "advice_failed": (
        "{arms} 失败了：按报告里的原因处理后重跑，已完成的部分不会重做。",
        "{arms} failed: deal with the reason given and run again; finished stages are not repeated.",
    ),
    "advice_cheapest": (
        "在{metric}上与最好的分不开的模型里，`{arm}` 生成最快（每秒 {speed} 个词元）：质量分不出高下时选它最省。",
        "Among the models not separable from the best on {metric}, `{arm}` answers fastest ({speed} tokens/s): where quality cannot decide, it costs least.",
    ),
    "advice_batch_helps": (
        "批大小从 {small} 到 {large}，{arms} 的总速度至少是原来的 {ratio} 倍：服务多人时把请求合批。",
        "From batch {small} to {large}, the total speed of {arms} rises at least {ratio}×: batch requests when serving many people.",
    ),
    "advice_batch_idle": (
        "批大小从 {small} 到 {large}，{arms} 的总速度最多是原来的 {ratio} 倍：这台机器上合批没有多大好处，逐个回答延迟更低。",
        "From batch {small} to {large}, the total speed of {arms} rises at most {ratio}×: batching gains little on this machine, and answering one by one waits less.",
    ),
    "advice_slow_start": (
        "{arms} 最慢要等 {seconds} 才出第一个词元：来访者会觉得冷场，用流式输出、更小的批或更小的模型。",
        "The first token of {arms} takes up to {seconds}, a silence clients notice: stream the answer, use smaller batches, or a smaller model.",
    ),
    "advice_packing": (
        "训练没有打开 packing：打开它，结果不变，填充不再占用计算。",
        "Training ran without packing: turn it on; results stay the same and padding costs nothing.",
    ),
    "advice_micro_batch": (
        "{arms} 训练时内存最多只用到 {share}：micro_batch 可以加大，训练更快，有效批大小不变。",
        "Training of {arms} used {share} of memory at most: a larger micro_batch trains faster at the same effective batch.",
    ),
    "find_validation_falling": (
        "`{arm}` 验证损失：第 {before_step} 步 {before}，最后第 {step} 步 {last}",
        "`{arm}` validation loss: {before} at step {before_step}, {last} at the end (step {step})",
    ),
    "find_validation_rising": (
        "`{arm}` 验证损失：第 {step} 步最低 {lowest}，结束时 {last}",
        "`{arm}` validation loss: lowest {lowest} at step {step}, {last} at the end",
    ),
    "find_gap": (
        "`{arm}`：训练损失 {training}，验证损失 {validation}",
        "`{arm}`: training loss {training}, validation loss {validation}",
    ),
    "find_contrast": (
        "{metric}：`{arm}` 减 `{other}` 为 {amount}，{n} 题，{verdict}",
        "{metric}: `{arm}` minus `{other}` is {amount} on {n} items, {verdict}",
    ),
    "find_baseline": (
        "`{arm}` {metric}：{value}；基线“{baseline}”{baseline_value}",
        "`{arm}` {metric}: {value}; baseline “{baseline}” {baseline_value}",
    ),
    "find_score_reference": (
        "`{arm}` {metric}：{value}；咨询师 {reference}",
        "`{arm}` {metric}: {value}; the counsellor {reference}",
    ),
    "find_score": ("`{arm}` {metric}：{value}", "`{arm}` {metric}: {value}"),
    "find_seeds": ("种子：{seeds}", "Seeds: {seeds}"),
    "find_quarantined": ("{total} 条对话中隔离 {n} 条", "{n} of {total} dialogues set aside"),
    "find_cut": ("{total} 条可用对话中截断 {n} 条", "{n} of {total} usable dialogues cut"),
    "find_missing": (
        "`{arm}` {metric}：{total} 题缺 {n} 题",
        "`{arm}` {metric}: {n} of {total} items missing",
    ),
    "find_failure": ("`{arm}`：{reason}", "`{arm}`: {reason}"),
    "find_rank": (
        "`{arm}` {metric}：名次区间 {low}–{high}",
        "`{arm}` {metric}: rank interval {low}–{high}",
    ),
    "find_speed": (
        "`{arm}`：批大小 {batch} 时每秒 {speed} 个词元",
        "`{arm}`: {speed} tokens/s at batch {batch}",
    ),
    "find_first_token": (
        "`{arm}`：批大小 {batch} 时首词元延迟 {seconds}",
        "`{arm}`: {seconds} to the first token at batch {batch}",
    ),
    "find_packing": ("recipe.packing 为 false", "recipe.packing is false"),
    "find_memory": (
        "`{arm}`：训练内存峰值 {peak}，机器共 {total}，micro_batch {micro}",
        "`{arm}`: training peaked at {peak} of {total}, micro_batch {micro}",
    ),
}

SENTENCES: Mapping[str, tuple[str, str]] = {**_METRICS, **_SUMMARY, **_ADVICE}
"""Key → (Chinese, English), beside those in ``texts``."""
