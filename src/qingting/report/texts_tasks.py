"""What the report says otherwise where models sort texts or go on with them.

A key with ``_classification``, ``_generation`` or ``_texts`` (either of the two) behind it takes the
place of the key without.
"""

from __future__ import annotations

from collections.abc import Mapping

_BOTH: Mapping[str, tuple[str, str]] = {
    "n_dialogues_texts": ("条可用文本", "usable texts"),
    "curves_intro_texts": (
        "细线是训练损失，粗线是验证损失（没有参与训练的文本）。两条线一起下降是好现象；验证损失掉头向上，说明开始死记硬背。",
        "The thin line is training loss, the thick line validation loss, on texts not trained on. Falling together is good; validation turning upward means memorising has begun.",
    ),
    "data_intro_texts": (
        "读入 {n} 条文本，其中 {valid} 条没有问题。",
        "Of {n} texts, {valid} are without fault.",
    ),
    "n_affected_texts": ("文本数", "Texts"),
    "defects_caption_texts": ("发现的问题", "What was found"),
    "defect_contradicting_labels": (
        "同一条文本有不止一个标签",
        "the same text under more than one label",
    ),
    "kept_caption_texts": ("怎样从原始文本走到训练集", "From what was read to what was used"),
    "n_read_texts": ("读入的文本", "Texts read"),
    "n_strictly_valid_texts": ("其中没有问题", "Of these, without fault"),
    "n_near_duplicate_groups_texts": (
        "近似重复的文本组（同组不跨训练与测试）",
        "Groups of near-duplicates (a group never straddles the split)",
    ),
    "n_cut_texts": (
        "太长，在所有模型都放得下的句末截断",
        "Too long, cut at the end of a sentence that all models can hold",
    ),
    "n_left_out_texts": (
        "连第一句都放不下，没有使用",
        "Left out: not even the first sentence fits",
    ),
    "fairness_intro_texts": (
        "所有参评模型用同一份配方、同样的文本、同样的顺序、同样的有效批大小训练；凡有不同，都列在下面。",
        "All models were trained by one recipe on the same texts in the same order with the same effective batch. Whatever differed is listed here.",
    ),
    "proof_probes_encoded_differently_texts": (
        "编码不同的文本条数",
        "texts encoded differently",
    ),
    "read_tuned_texts": (
        "“基座”是没有微调过的原模型；“微调”是用这批文本训练过的。",
        "A “base” is the model as it came; “tuned” means trained on these texts.",
    ),
    "limit_same_source_texts": (
        "**测试和训练来自同一来源。** 换成别处来的文本，结果可能不同。",
        "**Test and training share a source.** On texts from elsewhere the results may differ.",
    ),
    "limit_synthetic_texts": (
        "**数据是合成的。** 这些请求是为软件编写的，不是真人写的；真实的请求更长、更乱、更难分。",
        "**The data are synthetic.** The requests were written for this software and not by people in need; real ones are longer, messier and harder to sort.",
    ),
    "limit_seed_texts": (
        "**每个模型只训练了一次。** 区间反映的是换一批文本的出入，不包括重新训练的出入。",
        "**Each model was trained once.** Intervals cover another set of texts, not another training run.",
    ),
    "limit_seeds_texts": (
        "**区间只反映换一批文本的出入。** 重新训练的出入要看不同种子之间的差别（这里有 {n} 个种子）。",
        "**Intervals cover another set of texts only.** For another training run, compare the {n} seeds.",
    ),
    "advice_cut_texts": (
        "{share} 的文本因为太长被截断：把 max_length 调大，或者先把长文本分成几条。",
        "{share} of the texts were cut for length: raise max_length, or divide long texts beforehand.",
    ),
    "find_cut_texts": ("{total} 条文本里截断了 {n} 条", "{n} of {total} texts cut"),
    "advice_data_lost_texts": (
        "{share} 的文本没有用上：看一看隔离文件里写的原因。",
        "{share} of the texts were not used: see the reasons in the quarantine file.",
    ),
    "find_quarantined_texts": (
        "{total} 条文本里隔离了 {n} 条",
        "{n} of {total} texts set aside",
    ),
    "advice_still_falling_texts": (
        "{arms} 到训练结束时验证损失还在下降：可以用更多文本或多训练一些，再看是否继续变好。",
        "Validation loss of {arms} was still falling at the end: try more texts or longer training and see whether it goes on.",
    ),
    "no_question_texts": (
        "这些模型用同样的数据、同样的方法训练之后，哪一个做得最好？",
        "Which of these models, trained on the same data in the same way, does best?",
    ),
}

_GENERATION: Mapping[str, tuple[str, str]] = {
    "report_generation": ("文本生成模型对比报告", "Text models compared"),
    "section_quality_generation": (
        "续写与原文有多像",
        "How close continuations come to the original",
    ),
    "section_examples_generation": ("同一个开头，各家怎么续", "One beginning, every continuation"),
    "quality_intro_generation": (
        "这些指标比较模型的续写和原文在用词上的接近程度。好的续写可以与原文完全不同，所以它们只能粗看；每字节比特数更能说明问题。",
        "These measures compare a continuation's wording with the original's. A good one may share no word with it, so read them as rough signs; bits per byte say more.",
    ),
    "examples_intro_generation": (
        "下面是训练时没有见过的文本的开头，原样展示，没有挑选好坏。",
        "These are beginnings of texts not trained on, shown as they came and not picked for quality.",
    ),
    "reference_generation": ("原文", "The original"),
    "role_user_generation": ("开头", "Beginning"),
    "headline_all_better_generation": (
        "能比较的 {n} 个微调模型都比自己的基座更会预测没见过的文本。",
        "All {n} tuned models predict unseen texts better than their own bases.",
    ),
    "headline_one_better_generation": (
        "微调后的模型比自己的基座更会预测没见过的文本。",
        "The tuned model predicts unseen texts better than its own base.",
    ),
    "headline_all_better_failed_generation": (
        "能比较的 {n} 个微调模型都比自己的基座更会预测没见过的文本，另有 {failed} 个微调模型没有可比的结果。",
        "All {n} tuned models that could be compared predict unseen texts better than their own bases; {failed} more could not be compared.",
    ),
    "headline_some_better_generation": (
        "{n} 个微调模型里，{better} 个比自己的基座更会预测没见过的文本，{worse} 个更差，{open} 个判断不了。",
        "Of {n} tuned models, {better} predict unseen texts better than their own bases, {worse} worse, and {open} cannot be decided.",
    ),
    "headline_against_generation": (
        "但是看 {metric}，{n} 个里没有一个变好，{worse} 个变差了：请读一读并排的续写，再下结论。",
        "But in {metric}, none of {n} got better and {worse} got worse: read the continuations side by side before concluding.",
    ),
    "hint_bits-per-byte_generation": (
        "模型预测没见过的文本有多准；可以跨切词方式比较。",
        "How well unseen texts are predicted; comparable across tokenizers.",
    ),
    "limit_no_humans_generation": (
        "**还没有人评过。** 所有分数由程序计算，没有人读过这些续写并打分。",
        "**No human has judged yet.** Programs computed every score; nobody has rated these continuations.",
    ),
    "limit_overlap_generation": (
        "**像原文不等于写得好。** 用词接近度和每字节比特数衡量的是像不像。",
        "**Resemblance is not quality.** Overlap and bits per byte measure likeness.",
    ),
}

_CLASSIFICATION: Mapping[str, tuple[str, str]] = {
    "report_classification": ("文本分类模型对比报告", "Text classifiers compared"),
    "no_question_classification": (
        "这些模型用同样的文本、同样的方法训练之后，哪一个分得最准？",
        "Which of these models, trained on the same texts in the same way, sorts them best?",
    ),
    "n_arms_classification": ("参评模型", "models compared"),
    "section_labels": ("每个标签分得怎样", "How each label fares"),
    "section_examples_classification": (
        "最难分的文本，各家怎么分",
        "The hardest texts, every verdict",
    ),
    "answer_tuning_classification": ("模型与模型之间", "Model against model"),
    "reference_classification": ("标签", "Label"),
    "role_user_classification": ("文本", "Text"),
    "data_kinds_classification": ("标签", "Labels"),
    "examples_intro_classification": (
        "下面是没有参与训练的文本，分错的模型越多越靠前；括号里是模型自己给的把握。这些例子是挑出来的，不代表平均水平。",
        "These are texts not trained on, those that most models got wrong first; in brackets is how sure the model was. They are picked, and do not show the average.",
    ),
    "contrasts_tuned_intro_classification": (
        "每格是行减列的差值，同一批文本一一配对。▲ 行更好，▼ 行更差，○ 判断不了。",
        "Each cell is row minus column, paired text by text. ▲ the row is better, ▼ the row is worse, ○ inconclusive.",
    ),
    "read_tuned_classification": (
        "没有训练过的模型还不会分类，所以这里没有基座；对照是什么都不看也能得的分。",
        "A model that was not trained cannot sort, so there are no bases; the yardstick is what knowing nothing of a text earns.",
    ),
    "headline_label_alone": (
        "分得最准的是 `{arm}`，准确率 {value}，与其他模型都拉开了差距。",
        "`{arm}` sorts best with an accuracy of {value}, clearly apart from all others.",
    ),
    "headline_label_tied": (
        "准确率最高的是 `{arm}`：{value}，但与 {others} 分不出先后。",
        "`{arm}` has the highest accuracy, {value}, but cannot be told apart from {others}.",
    ),
    "headline_label_open": (
        "准确率最高的是 `{arm}`：{value}。",
        "`{arm}` has the highest accuracy: {value}.",
    ),
    "headline_label_none": (
        "没有任何参评模型得到准确率。",
        "No model has an accuracy.",
    ),
    "best_above_baseline_classification": (
        "{n} 个参评模型中，{above} 个的区间高于“什么都不看也能得的分”（最高 {baseline}）。",
        "Of {n} models, {above} have an interval above what knowing nothing of a text earns (at most {baseline}).",
    ),
    "best_none_above_baseline_classification": (
        "没有一个参评模型的区间高于“什么都不看也能得的分”（最高 {baseline}），也就是说这里没有显示出学会了分类。",
        "No model's interval lies above what knowing nothing of a text earns (at most {baseline}): nothing shows that sorting was learned.",
    ),
    "pair_sentence": ("`{arm}` 对 `{other}`：{parts}。", "`{arm}` against `{other}`: {parts}."),
    "limit_errors_differ": (
        "**分错的代价不一样。** 把求助当成别的事，比反过来严重得多：请看混淆矩阵，不要只看准确率。",
        "**Errors differ in cost.** Taking a call for help for something else is far worse than the reverse: read the confusion matrix, not accuracy alone.",
    ),
    "limit_labels": (
        "**标签本身没有复核。** 标签有错，分数就跟着错。",
        "**The labels were not checked.** Where they are wrong, so are the scores.",
    ),
    "limit_clinical_classification": (
        "**没有临床效度。** 分得准不代表可以用来决定谁能得到帮助。",
        "**No clinical validity.** A high score does not make a classifier fit to decide who is heard.",
    ),
    "labels_intro": (
        "召回率：有这个标签的文本，找出了多少。精确率：被分到这个标签的文本，有多少分对了。F1 是两者的调和平均；宏平均 F1 让每个标签分量相同。召回率和精确率的区间是 Wilson 区间，F1 的区间由重抽样得到。",
        "Recall: of the texts with this label, how many were found. Precision: of the texts sorted there, how many belong. F1 is their harmonic mean; macro F1 gives every label the same weight. Intervals of recall and precision are Wilson's, those of F1 come from resampling.",
    ),
    "labels_caption": ("每个标签的精确率、召回率和 F1", "Precision, recall and F1 of each label"),
    "precision": ("精确率", "Precision"),
    "recall": ("召回率", "Recall"),
    "f1": ("F1", "F1"),
    "mcc": ("马修斯相关", "Matthews’ correlation"),
    "auroc": ("ROC 曲线下面积", "Area under ROC"),
    "macro_f1": ("宏平均 F1", "Macro F1"),
    "n_texts": ("{n} 条", "{n} texts"),
    "confusion_intro": (
        "行是真实标签，列是模型分到的标签。对角线上是分对的；颜色越深，占该行的比例越大。",
        "Rows are the true labels, columns what the model made of them. The diagonal holds what is right; the darker, the larger the share of its row.",
    ),
    "confusion_title": ("混淆矩阵", "Confusion matrix"),
    "confusion_description": (
        "{n} 条文本，分对 {right} 条。",
        "{n} texts, of which {right} are sorted right.",
    ),
    "confusion_true": ("真实标签", "true label"),
    "confusion_predicted": ("分到的标签", "sorted as"),
    "confusion_caption": ("{arm} 的混淆矩阵", "Confusion matrix of {arm}"),
    "calibration_intro": (
        "模型说“八成把握”的时候，是不是真有八成分对？点落在斜线上就是说到做到；在斜线下方是过于自信。圆点越大，落在这一档的文本越多。",
        "When a model is 80% sure, is it right 80% of the time? Dots on the slanted line mean that it is as good as its word, dots below it that it is too sure. The larger a dot, the more texts fell there.",
    ),
    "reliability_title": ("把握与实际", "Confidence against truth"),
    "reliability_description": (
        "{n} 档；平均把握 {confidence}，实际准确率 {accuracy}，校准误差 {ece}。",
        "{n} bins; mean confidence {confidence}, accuracy {accuracy}, calibration error {ece}.",
    ),
    "reliability_x": ("模型的把握", "confidence"),
    "reliability_y": ("分对的比例", "share right"),
    "calibration_caption": ("校准", "Calibration"),
    "mean_confidence": ("平均把握", "Mean confidence"),
    "ece": ("校准误差", "Calibration error"),
    "metric_accuracy": ("准确率", "accuracy"),
    "metric_log-loss": ("对数损失（nat）", "log loss (nats)"),
    "metric_brier": ("Brier 分数", "Brier score"),
    "hint_accuracy": (
        "分对的文本占多少。",
        "The share of texts sorted right.",
    ),
    "hint_log-loss": (
        "给真实标签的概率有多低；又错又自信时最高。",
        "How little probability the true label got; highest where a model is wrong and sure.",
    ),
    "hint_brier": (
        "概率与事实的平方差，0 最好。",
        "The squared gap between probabilities and truth; 0 is best.",
    ),
}

TASK_TEXTS: Mapping[str, tuple[str, str]] = {**_BOTH, **_GENERATION, **_CLASSIFICATION}
"""Key → (Chinese, English)."""
