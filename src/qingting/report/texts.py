"""Every text of the report in Chinese and English, in one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from qingting.report.texts_judging import JUDGING_TEXTS
from qingting.report.texts_sentences import SENTENCES
from qingting.report.texts_tasks import TASK_TEXTS


class Bilingual(NamedTuple):
    """The same thing said in Chinese and in English."""

    zh: str
    en: str


def both(text: str) -> Bilingual:
    """Return a text that is the same in both languages: a name, a number, a quotation."""
    return Bilingual(text, text)


def text(key: str, **values: object) -> Bilingual:
    """Return the text of ``key`` with ``values`` filled in; a value may be ``Bilingual`` itself.

    Raises:
        KeyError: there is no such text, or a value is wanting.
    """
    zh, en = TEXTS[key]
    pairs = {
        name: value if isinstance(value, Bilingual) else both(str(value))
        for name, value in values.items()
    }
    return Bilingual(
        # A name in code type takes a space after it, the words that end a `listing` do not.
        zh.format(**{name: pair.zh for name, pair in pairs.items()}).replace("个模型 ", "个模型"),
        en.format(**{name: pair.en for name, pair in pairs.items()}),
    )


def text_for(task: str, key: str, **values: object) -> Bilingual:
    """Return the text of ``key`` as a task has it, or else the common one.

    Raises:
        KeyError: there is no such text, or a value is wanting.
    """
    own = (f"{key}_{task}", f"{key}_texts") if task != "dialogue" else ()
    return text(next((name for name in own if name in TEXTS), key), **values)


def listing(items: list[str] | tuple[str, ...], *, at_most: int = 3) -> Bilingual:
    """Return names as an enumeration in code type, shortened past ``at_most``."""
    shown = [f"`{item}`" for item in items[:at_most]]
    rest = len(items) - len(shown)
    if rest:
        return Bilingual(
            f"{'、'.join(shown)} 等 {len(items)} 个模型", f"{', '.join(shown)} and {rest} more"
        )
    if len(shown) < 2:
        return both("".join(shown))
    return Bilingual(
        f"{'、'.join(shown[:-1])} 和 {shown[-1]}", f"{', '.join(shown[:-1])} and {shown[-1]}"
    )


_PAGE: Mapping[str, tuple[str, str]] = {
    "report": ("咨询模型对比报告", "Counselling models compared"),
    "language": ("语言", "Language"),
    "skip": ("跳到结论", "Skip to the answer"),
    "contents": ("目录", "Contents"),
    "no_question": (
        "这些模型用同样的数据、同样的方法微调之后，哪一个更适合做心理咨询对话？",
        "Which of these models, tuned on the same data in the same way, suits counselling dialogues better?",
    ),
    "no_question_note": (
        "实验文件里没有写问题，这里用的是通用问法。",
        "The experiment file states no question; this is the general one.",
    ),
    "n_models": ("候选模型", "candidates"),
    "n_arms": ("参评模型（含未微调的基座）", "models compared, untuned bases included"),
    "n_dialogues": ("条可用对话", "usable dialogues"),
    "n_test": ("条留作测试，训练时没有见过", "held out for testing, never trained on"),
    "n_failed": ("个参评模型失败", "failed"),
    "finished": ("完成于", "Finished"),
    "section_answer": ("结论", "The answer"),
    "section_overview": ("总览", "At a glance"),
    "section_curves": ("训练过程", "How training went"),
    "section_contrasts": ("谁比谁好", "Who beats whom"),
    "section_knowledge": ("心理学知识", "Knowledge of psychology"),
    "section_quality": ("回答与咨询师原话有多像", "How close answers come to a counsellor's"),
    "section_efficiency": ("开销与效果放在一起看", "Cost beside quality"),
    "section_examples": ("同一段来访，各家怎么答", "One prompt, every answer"),
    "section_data": ("数据里有什么", "What is in the data"),
    "section_fairness": ("比得公平吗", "Was it fair?"),
    "section_advice": ("建议", "Advice"),
    "section_reproduce": ("怎样重做一遍", "How to do it again"),
    "answer_best": ("谁做得最好", "Who did best, at what"),
    "answer_tuning": ("微调有没有用", "Did tuning help?"),
    "answer_each": ("逐个模型，用文字说", "Model by model, in words"),
    "answer_inconclusive": ("还判断不了的", "What stays open"),
    "answer_failures": ("失败与缺失", "Failures and gaps"),
    "answer_limits": ("这份报告不能说明什么", "What this does not show"),
    "how_to_read": ("怎么读这些数字", "How to read the numbers"),
    "read_interval": (
        "每个数字都带着区间：只测了有限道题，换一批题结果会有出入，区间就是这种出入的大致范围。",
        "Every figure has an interval: only so many prompts were tested, another set would give somewhat different figures, and the interval says how different.",
    ),
    "read_rank": (
        "“名次区间”是与其他模型逐一比较后仍说得过去的名次。区间重叠的，就不要硬分先后。",
        "A rank interval holds the places that remain possible after comparing with all others. Where they overlap, do not insist on an order.",
    ),
    "read_verdict": (
        "“更好”“更差”只在多重比较校正（Holm）之后仍然成立时才用；其余一律写“判断不了”，意思是证据不够，不是两者相同。",
        "“Better” and “worse” are said only where they survive correction for many comparisons (Holm); all else is “inconclusive”, which means too little evidence, not equality.",
    ),
    "read_tuned": (
        "“基座”是没有微调过的原模型；“微调”是用这批咨询对话训练过的。",
        "A “base” is the model as it came; “tuned” means trained on these counselling dialogues.",
    ),
    "arm": ("参评模型", "Model"),
    "model": ("模型", "Model"),
    "metric": ("指标", "Measure"),
    "zh": ("中文", "Chinese"),
    "en": ("英文", "English"),
    "all_languages": ("全部语言", "all languages"),
    "base": ("基座", "base"),
    "tuned": ("微调", "tuned"),
    "failed": ("失败", "failed"),
    "reference": ("参考：咨询师原话", "Reference: the counsellor's own words"),
    "missing": ("缺失", "missing"),
    "missing_note": ("没有数值。原因：{reason}", "No value. Reason: {reason}"),
    "not_measured": ("没有测量", "not measured"),
    "not_computed": ("没有计算", "not computed"),
    "arm_failed": ("这个参评模型失败了：{reason}", "this model failed: {reason}"),
    "no_reason": ("没有记录原因", "no reason was recorded"),
    "better": ("更好", "better"),
    "worse": ("更差", "worse"),
    "inconclusive": ("判断不了", "inconclusive"),
    "undefined": ("无法计算", "undefined"),
    "higher_better": ("越高越好", "higher is better"),
    "lower_better": ("越低越好", "lower is better"),
    "neutral": ("只描述，不分好坏", "describes only"),
    "best_mark": ("当前最好", "best so far"),
    "tied_mark": ("与最好的分不开", "not separable from the best"),
    "rank": ("名次 {low}–{high}", "rank {low}–{high}"),
    "rank_one": ("名次 {low}", "rank {low}"),
    "interval": ("{level} 置信区间", "{level} confidence interval"),
    "verdict": ("结论", "Verdict"),
    "difference": ("差值", "Difference"),
    "difference_points": ("差值（百分点）", "Difference (points)"),
    "p_raw": ("p 值", "p"),
    "p_adjusted": ("校正后 p 值", "p, corrected"),
    "n_items": ("题数", "Items"),
    "show_table": ("用表格看这些数字", "The same figures as a table"),
    "show_signatures": ("指标签名：怎么算出来的", "Signatures: how each was computed"),
    "none": ("无", "none"),
    "nothing_here": ("这次实验没有这部分结果。", "This experiment has no result of this kind."),
    "yes": ("是", "yes"),
    "no": ("否", "no"),
    "passed": ("通过", "passed"),
    "not_passed": ("未通过", "not passed"),
}

_EVIDENCE: Mapping[str, tuple[str, str]] = {
    "overview_intro": (
        "每格是平均值、{level} 置信区间和名次区间。实心圆点表示当前最好，空心圆点表示与最好的分不开。",
        "Each cell holds the mean, its {level} confidence interval and the rank interval. A filled dot marks the best so far, an open dot what cannot be told from it.",
    ),
    "overview_caption": ("各参评模型的主要指标", "Main measures of every model"),
    "curves_intro": (
        "细线是训练损失，粗线是验证损失（没有参与训练的对话）。两条线一起下降是好现象；验证损失掉头向上，说明开始死记硬背。各模型的切词方式不同，每词元损失不能跨模型比高低，只看各自的走势。",
        "The thin line is training loss, the thick line validation loss, on dialogues not trained on. Falling together is good; validation turning upward means memorising has begun. Tokenizers differ, so loss per token cannot be compared across models: look at each shape.",
    ),
    "curve_training": ("训练", "training"),
    "curve_validation": ("验证", "validation"),
    "curve_axes": (
        "横轴：训练步数；纵轴：每词元损失（nat）",
        "Across: training step. Up: loss per token (nats)",
    ),
    "curve_description": (
        "训练损失从 {first} 到 {last}；验证损失最低 {lowest}，在第 {step} 步。",
        "Training loss from {first} to {last}; lowest validation loss {lowest}, at step {step}.",
    ),
    "curve_description_short": (
        "训练损失从 {first} 到 {last}；没有验证损失。",
        "Training loss from {first} to {last}; no validation loss.",
    ),
    "no_curve": ("没有损失曲线", "no loss curve"),
    "contrasts_base": ("微调之后，比自己的基座好吗？", "Tuned against its own base"),
    "contrasts_base_intro": (
        "圆点是差值（微调减基座），横线是这一项比较自己的 {level} 置信区间；落在零线哪一边、离多远，一眼可见。颜色和形状表示校正之后的结论，所以个别区间虽不含零，也可能写着“判断不了”。",
        "The mark is the difference (tuned minus base), the line its own {level} confidence interval. Colour and shape give the verdict after correction, so an interval may exclude zero and still read “inconclusive”.",
    ),
    "contrasts_base_intro_table": (
        "差值是微调减基座，方括号里是这一项比较自己的 {level} 置信区间；结论经过多重比较校正，所以个别区间虽不含零，也可能写着“判断不了”。",
        "Differences are tuned minus base with their own {level} confidence interval; the verdict is corrected for many comparisons, so an interval may exclude zero and still read “inconclusive”.",
    ),
    "contrasts_tuned": ("微调模型之间", "Tuned against tuned"),
    "contrasts_tuned_intro": (
        "每格是行减列的差值。▲ 行更好，▼ 行更差，○ 判断不了。",
        "Each cell is row minus column. ▲ the row is better, ▼ the row is worse, ○ inconclusive.",
    ),
    "forest_better_left": ("← 微调更好", "← tuned better"),
    "forest_better_right": ("微调更好 →", "tuned better →"),
    "forest_worse_left": ("← 微调更差", "← tuned worse"),
    "forest_worse_right": ("微调更差 →", "tuned worse →"),
    "forest_title": ("微调减基座：{metric}", "Tuned minus base: {metric}"),
    "forest_description": (
        "{n} 项比较：更好 {better}，更差 {worse}，判断不了 {open}。",
        "{n} comparisons: {better} better, {worse} worse, {open} inconclusive.",
    ),
    "contrast_caption": ("微调减基座，逐项", "Tuned minus base, one by one"),
    "matrix_caption": ("{metric}：行减列", "{metric}: row minus column"),
    "knowledge_intro": (
        "选择题正确率要跟“不懂也能得的分”放在一起看：随机猜的得分，和永远只选一个字母的得分。区间碰到这些线，就不能说模型掌握了知识。",
        "Accuracy must be read beside what no knowledge earns: guessing, and always choosing one letter. Where an interval reaches those lines, knowledge is not shown.",
    ),
    "knowledge_caption": ("选择题正确率与基线", "Accuracy beside its baselines"),
    "knowledge_title": ("知识正确率：{metric}", "Knowledge: {metric}"),
    "knowledge_description": (
        "{n} 个参评模型；最高 {best}；基线最高 {baseline}。",
        "{n} models; highest {best}; highest baseline {baseline}.",
    ),
    "knowledge_no_baseline": ("无基线", "no baseline"),
    "baseline": ("基线", "Baseline"),
    "baseline_chance": ("随机猜", "guessing"),
    "baseline_letter": ("总选 {letter}", "always {letter}"),
    "quality_intro": (
        "这些指标比较模型的回答和咨询师原话在用词上的接近程度。一句好的回应可以与原话完全不同，所以它们只能粗看，不能代替人来评。",
        "These measures compare an answer's wording with the counsellor's. A good reply may share no word with it, so read them as rough signs, no substitute for human judgment.",
    ),
    "quality_caption": (
        "与参考回答的接近程度和文字特征（{language}）",
        "Closeness to the reference, and form ({language})",
    ),
    "quality_rest": ("其余分数（{language}）", "All other scores ({language})"),
    "signature": ("签名", "Signature"),
    "n_of": ("{n}/{total} 题", "{n}/{total} items"),
    "efficiency_intro": (
        "时间和内存是在下面写明的这台机器上量的，换一台机器会变；模型之间的相对关系更值得参考。",
        "Time and memory were measured on the machine named below and will differ elsewhere; the relations between models carry further.",
    ),
    "scatter_speed": ("速度与质量", "Speed and quality"),
    "scatter_training": ("训练开销与收益", "Training cost and gain"),
    "scatter_memory": ("内存与知识", "Memory and knowledge"),
    "scatter_latency": ("等待与质量", "Waiting and quality"),
    "scatter_legend": (
        "空心为基座，实心为微调，连线是同一模型的前后变化。",
        "Hollow: base. Filled: tuned. A line joins the same model before and after.",
    ),
    "scatter_corner_up": ("越靠右上越好", "Upper right is best"),
    "scatter_corner_up_left": ("越靠左上越好", "Upper left is best"),
    "scatter_corner_down": ("越靠右下越好", "Lower right is best"),
    "scatter_corner_down_left": ("越靠左下越好", "Lower left is best"),
    "scatter_description": (
        "{n} 个点，横轴 {x}，纵轴 {y}。数值见下表。",
        "{n} points; across: {x}; up: {y}. The figures are in the table below.",
    ),
    "axis_speed": (
        "生成速度，词元/秒（批大小 {batch}）",
        "answering speed, tokens/s (batch {batch})",
    ),
    "axis_first_token": (
        "首词元延迟，毫秒（批大小 {batch}）",
        "time to first token, ms (batch {batch})",
    ),
    "axis_train_time": ("训练用时（秒）", "training time (s)"),
    "axis_memory": (
        "推理内存峰值（{unit}，批大小 {batch}）",
        "peak memory when answering ({unit}, batch {batch})",
    ),
    "training_cost_caption": ("训练开销与效果", "Cost of training beside results"),
    "inference_cost_caption": ("推理开销与效果", "Cost of answering beside results"),
    "wall_time": ("用时", "Time"),
    "cpu_time": ("CPU 用时", "CPU time"),
    "speed": ("词元/秒", "Tokens/s"),
    "peak_memory": ("内存峰值", "Peak memory"),
    "trainable": ("可训练参数", "Trainable"),
    "trained_tokens": ("训练词元", "Tokens trained"),
    "steps": ("步数", "Steps"),
    "first_token": ("首词元延迟", "Time to first token"),
    "batch": ("批大小 {batch}", "batch {batch}"),
    "memory_note": (
        "内存峰值是进程从开始到该批大小为止的最高值。",
        "Peak memory is the highest of the process up to that batch size.",
    ),
    "stage_costs": ("每一步花了多少时间", "What each stage cost"),
    "stage": ("步骤", "Stage"),
    "examples_intro": (
        "下面是训练时没有见过的对话，原样展示，没有挑选好坏。模型的回答可能不合适，请不要当作咨询建议。",
        "These are held-out dialogues, shown as they came and not picked for quality. Answers may be unsuitable; do not take them as counsel.",
    ),
    "example": ("例 {n}", "Example {n}"),
    "example_crisis": (
        "这是危机情形：下面这些回答一个也不能用，真实的来访者此刻需要真人。",
        "This is a crisis: none of these answers is fit for use, and a real client needs a person now.",
    ),
    "role_user": ("来访者", "Client"),
    "role_assistant": ("咨询师", "Counsellor"),
    "role_system": ("系统提示", "System prompt"),
    "no_response": ("没有回答", "no answer"),
    "empty_response": ("（模型给出了空回答）", "(the model answered with nothing)"),
    "training_samples": (
        "训练中途的回答：看它怎样学会",
        "Answers during training: watching it learn",
    ),
    "prompt": ("提示", "Prompt"),
    "step": ("第 {step} 步", "Step {step}"),
}

_METHOD: Mapping[str, tuple[str, str]] = {
    "data_intro": (
        "{n} 条对话中，{valid} 条完全合规：每行都有说话人，来访者先开口，一来一往，没有空行，以咨询师结束。",
        "Of {n} dialogues, {valid} are strictly valid: every line has a speaker, the client begins, turns alternate, none is empty, the counsellor ends.",
    ),
    "data_sources": ("来源", "Sources"),
    "data_formats": ("格式", "Formats"),
    "data_languages": ("语言", "Languages"),
    "data_kinds": ("类型", "Kinds"),
    "data_turns": ("话轮", "Turns"),
    "system_prompt": ("系统提示", "System prompt"),
    "no_system_prompt": ("没有使用", "none was used"),
    "defects_caption": (
        "发现的问题（一条对话可以同时有几种）",
        "What was found (a dialogue may show several)",
    ),
    "defect": ("问题", "Defect"),
    "n_affected": ("对话数", "Dialogues"),
    "share": ("占比", "Share"),
    "no_defects": ("没有发现问题。", "Nothing was found."),
    "kept_caption": ("怎样从原始对话走到训练集", "From what was read to what was used"),
    "flow": ("去向", "Where they went"),
    "n_read": ("读入的对话", "Dialogues read"),
    "n_strictly_valid": ("其中完全合规", "Of these, strictly valid"),
    "n_quarantined": ("无法使用，已隔离存放", "Unusable, set aside in the quarantine file"),
    "n_duplicates_dropped": ("重复，只留一份", "Copies dropped"),
    "n_other_language": ("不是所选语言，没有用", "Left out, in another language"),
    "n_not_sampled": ("没有抽到，没有用", "Left out of the sample"),
    "n_usable": ("可以使用", "Usable"),
    "n_near_duplicate_groups": (
        "近似重复的对话组（同组不跨训练与测试）",
        "Groups of near-duplicates (a group never straddles the split)",
    ),
    "n_seen_in_pretraining": (
        "小模型预训练时见过（不会进入测试）",
        "Seen by a small model in pre-training (never held out)",
    ),
    "n_cut": ("太长，在所有模型共同的话轮处截断", "Too long, cut at a turn common to all models"),
    "n_left_out": ("连第一个来回都放不下，没有使用", "Left out: not even the first exchange fits"),
    "n_unlabelled_lines": ("没有说话人的行", "Lines without a speaker"),
    "repair": ("修复：{name}", "Repaired: {name}"),
    "split_title": ("训练、验证、测试", "Training, validation, test"),
    "split_description": (
        "训练 {train}，验证 {validation}，测试 {test}。",
        "Training {train}, validation {validation}, test {test}.",
    ),
    "split_train": ("训练", "training"),
    "split_validation": ("验证", "validation"),
    "split_test": ("测试", "test"),
    "defect_malformed": ("读不出来：不是一段对话", "cannot be read as a dialogue"),
    "defect_missing_turns": ("没有话轮", "has no turns"),
    "defect_unknown_role": ("说话人不明", "a speaker of unknown role"),
    "defect_unlabelled_line": ("有的行没有写是谁说的", "a line without a speaker"),
    "defect_empty_turn": ("有空的话轮", "an empty turn"),
    "defect_alternation_break": ("同一个人连说了两轮", "one speaker twice in a row"),
    "defect_starts_on_counsellor": ("由咨询师先开口", "begins with the counsellor"),
    "defect_ends_on_client": ("停在来访者的话上", "ends with the client"),
    "defect_single_message": ("只有一句话", "a single message only"),
    "defect_exact_duplicate": ("与另一条一字不差", "an exact copy of another"),
    "defect_bad_encoding": ("文字编码损坏", "damaged text encoding"),
    "fairness_intro": (
        "所有参评模型用同一份配方、同样的对话、同样的顺序、同样的有效批大小训练；每个模型用自己的对话模板，系统提示相同。凡有不同，都列在下面。",
        "All models were trained by one recipe on the same dialogues in the same order with the same effective batch; each uses its own chat template with the same system prompt. Whatever differed is listed here.",
    ),
    "recipe_caption": ("共同的配方", "The common recipe"),
    "setting": ("设置", "Setting"),
    "value": ("取值", "Value"),
    "deviations_caption": ("与共同配方不同之处", "Deviations from the common recipe"),
    "no_deviations": (
        "没有：所有参评模型完全按共同配方训练。",
        "None: every model followed the common recipe.",
    ),
    "common_value": ("共同取值", "Common value"),
    "own_value": ("该模型取值", "This model's value"),
    "resolved_caption": ("实际运行时的设置", "Settings as they were at run time"),
    "proofs_caption": (
        "导出证明：导出的模型就是训练出来的那个",
        "Export proofs: what was exported is what was trained",
    ),
    "proof_training_changes_logits": (
        "训练改变了模型的输出",
        "training changes the model's output",
    ),
    "proof_merge_error": ("合并适配器的误差", "error of merging the adapter"),
    "proof_rounding_kl": ("取整带来的 KL 散度（nat）", "KL divergence from rounding (nats)"),
    "proof_rounding_agreement": (
        "取整前后首选词一致的比例",
        "same first choice before and after rounding",
    ),
    "proof_weights_differing_after_reload": (
        "重新读入后不同的权重",
        "weights that differ after reloading",
    ),
    "proof_probes_encoded_differently": (
        "对话模板编码不同的条数",
        "dialogues the chat template encodes differently",
    ),
    "no_proofs": ("没有导出证明。", "There are no export proofs."),
    "advice_intro": (
        "每条建议都写明依据的是哪些结果；依据变了，建议也会变。",
        "Each piece of advice names the findings that it follows from; other findings would give other advice.",
    ),
    "advice_outcomes": ("由结果而来", "From the results"),
    "advice_measurements": ("由时间与内存而来", "From time and memory"),
    "advice_evidence": ("依据", "Follows from"),
    "no_advice": ("没有需要特别提醒的。", "Nothing calls for advice."),
    "reproduce_intro": (
        "把下面的内容存成 experiment.yaml，在装好同样版本的机器上运行。",
        "Save the text below as experiment.yaml and run it where the same versions are installed.",
    ),
    "reproduce_commands": ("命令", "Commands"),
    "reproduce_specification": ("实验文件", "Experiment file"),
    "reproduce_models": ("模型来源", "Where the models come from"),
    "reproduce_versions": ("软件版本", "Software versions"),
    "reproduce_hardware": ("机器", "Machine"),
    "reproduce_seeds": ("随机种子", "Seeds"),
    "reproduce_note": (
        "在同类设备、同样版本上，结果部分应当逐字节相同；时间、内存和速度每次都会不同。",
        "On the same kind of device with the same versions the outcomes come out the same to the byte; time, memory and speed differ each time.",
    ),
    "architecture": ("结构", "Architecture"),
    "parameters": ("参数量", "Parameters"),
    "source": ("来源", "Source"),
    "source_shipped": ("随软件附带", "ships with the software"),
    "source_folder": ("本地文件夹", "local folder"),
    "source_hub": ("模型库", "model hub"),
    "licence": ("许可", "Licence"),
    "revision": ("版本", "Revision"),
    "digest": ("摘要", "Digest"),
    "component": ("组件", "Component"),
    "version": ("版本号", "Version"),
    "seed_training": ("训练", "training"),
    "seed_data": ("划分数据", "splitting the data"),
    "seed_analysis": ("统计重抽样", "resampling in the statistics"),
    "unknown": ("不详", "unknown"),
    "footer": (
        "由倾听（Qingting）生成。本页不联网，不收集任何信息。",
        "Made by Qingting (倾听). This page loads nothing and collects nothing.",
    ),
}

TEXTS: Mapping[str, tuple[str, str]] = {
    **_PAGE,
    **_EVIDENCE,
    **_METHOD,
    **SENTENCES,
    **TASK_TEXTS,
    **JUDGING_TEXTS,
}
"""Key → (Chinese, English); ``{name}`` stands for a value."""
