"""The summary claims what the statistics say: better, worse, inconclusive, and no more."""

from __future__ import annotations

from typing import Any

import pytest
from sample_results import replaced, sample_results

from qingting.report.findings import Findings
from qingting.report.measures import Measure
from qingting.report.results import (
    ArmResult,
    Baseline,
    ContrastResult,
    Interval,
    MissingValue,
    RankedArm,
    Ranking,
    Results,
    Score,
)
from qingting.report.words import (
    arm_sentence,
    best_sentence,
    contrast_part,
    headline,
    summarise,
)

BITS = Measure("bits-per-byte", None)


def interval(low: float, high: float) -> Interval:
    return Interval(low=low, high=high, confidence_level=0.95, method="t")


def arm(name: str, bits: float, **fields: Any) -> ArmResult:
    model, _, kind = name.partition("/")
    score = Score(
        metric="bits-per-byte",
        language=None,
        mean=bits,
        interval=interval(bits - 0.1, bits + 0.1),
        corpus=bits,
        signature="s",
        direction="lower",
        n_valid=40,
        n_missing=0,
    )
    values: dict[str, Any] = {
        "id": name,
        "model": model,
        "variant": "base" if kind == "base" else "tuned",
        "seed": None if kind == "base" else 1,
        "status": "done",
        "scores": (score,),
    }
    return ArmResult(**(values | fields))


def contrast(one: str, other: str, difference: Any, verdict: Any) -> ContrastResult:
    values: dict[str, Any] = {
        "family": "tuned vs base" if other.endswith("/base") else "tuned vs tuned",
        "metric": "bits-per-byte",
        "language": None,
        "arm": one,
        "other": other,
        "difference": difference,
        "interval": interval(difference - 0.05, difference + 0.05)
        if isinstance(difference, float)
        else difference,
        "p": 0.01,
        "p_adjusted": 0.02,
        "verdict": verdict,
        "n_items": 40,
        "n_missing": 0,
    }
    return ContrastResult(**values)


def ranked(*rows: tuple[str, int, int, float], method: str = "simultaneous") -> Ranking:
    return Ranking(
        metric="bits-per-byte",
        language=None,
        method=method,
        rows=tuple(
            RankedArm(arm=a, rank=n, rank_low=low, rank_high=high, mean=mean)
            for n, (a, low, high, mean) in enumerate(rows, start=1)
        ),
    )


def findings(
    arms: list[ArmResult],
    contrasts: list[ContrastResult] | None = None,
    rankings: list[Ranking] | None = None,
    **more: Any,
) -> Findings:
    outcomes = sample_results().outcomes.model_copy(
        update={
            "arms": tuple(arms),
            "contrasts": tuple(contrasts or ()),
            "rankings": tuple(rankings or ()),
            "baselines": (),
            **more,
        }
    )
    return Findings(outcomes)


A, B = arm("a/lora", 1.4), arm("a/base", 1.6)
C, D = arm("c/lora", 1.5), arm("c/base", 1.7)


def test_headline_when_all_tuned_models_win_and_one_is_alone_in_front() -> None:
    found = findings(
        [A, B, C, D],
        [
            contrast("a/lora", "a/base", -0.2, "better"),
            contrast("c/lora", "c/base", -0.2, "better"),
        ],
        [ranked(("a/lora", 1, 1, 1.4), ("c/lora", 2, 2, 1.5))],
    )
    assert headline(found).en == (
        "All 2 tuned models predict a counsellor's words better than their own bases. "
        "The best at it is `a/lora`, clearly apart from all others."
    )
    assert headline(found).zh == (
        "2 个微调模型都比自己的基座更会预测咨询师的话。"
        "这一项做得最好的是 `a/lora`，与其他模型都拉开了差距。"
    )


def test_headline_counts_every_verdict_when_they_differ() -> None:
    found = findings(
        [A, B, C, D],
        [
            contrast("a/lora", "a/base", 0.2, "worse"),
            contrast("c/lora", "c/base", -0.01, "inconclusive"),
        ],
    )
    assert headline(found).en == (
        "Of 2 tuned models, 0 predict a counsellor's words better than their own bases, "
        "1 worse, and 1 cannot be decided."
    )


def test_headline_names_those_that_cannot_be_told_apart() -> None:
    found = findings(
        [A, B, C, D],
        [
            contrast("a/lora", "a/base", -0.2, "better"),
            contrast("c/lora", "c/base", -0.2, "better"),
        ],
        [ranked(("a/lora", 1, 2, 1.4), ("c/lora", 1, 2, 1.5))],
    )
    assert headline(found).en.endswith(
        "`a/lora` has the best figure, but cannot be told apart from `c/lora`."
    )
    assert headline(found).zh.endswith("但与 `c/lora` 分不出先后。")


def test_headline_does_not_count_a_failed_model_as_a_success() -> None:
    failed = arm("c/lora", 1.5, status="failed", scores=(), reason="NaN")
    found = findings([A, B, failed, D], [contrast("a/lora", "a/base", -0.2, "better")])
    assert headline(found).en == (
        "All 1 tuned models that could be compared predict a counsellor's words better than "
        "their own bases; 1 more could not be compared."
    )


def test_headline_without_contrasts_claims_nothing() -> None:
    assert headline(findings([A, B])).en == (
        "No tuned model could be compared with its base, so nothing can be said about tuning."
    )
    undefined = contrast("a/lora", "a/base", MissingValue(missing="x"), "undefined")
    assert "nothing can be said" in headline(findings([A, B], [undefined])).en


def test_resampled_ranks_never_prove_a_first_place() -> None:
    found = findings(
        [A, B], [], [ranked(("a/lora", 1, 1, 1.4), ("a/base", 2, 2, 1.6), method="bootstrap")]
    )
    assert "only possible rank" not in best_sentence(found, BITS).en
    assert "clearly apart" not in headline(found).en
    assert "its rank interval is 1–1" in best_sentence(found, BITS).en


def test_best_sentence_alone_with_its_lead() -> None:
    found = findings(
        [A, C],
        [contrast("a/lora", "c/lora", -0.1, "better")],
        [ranked(("a/lora", 1, 1, 1.4), ("c/lora", 2, 2, 1.5))],
    )
    assert best_sentence(found, BITS).en == (
        "**bits per byte**: `a/lora` is best with 1.400 (95% CI 1.300 to 1.500); first place is its "
        "only possible rank. It leads the runner-up `c/lora` by 0.100 (95% CI 0.050 to 0.150)."
    )


def test_a_lead_is_read_from_the_contrast_whichever_way_it_was_asked() -> None:
    found = findings(
        [A, C],
        [contrast("c/lora", "a/lora", 0.1, "worse")],
        [ranked(("a/lora", 1, 1, 1.4), ("c/lora", 2, 2, 1.5))],
    )
    assert "It leads the runner-up `c/lora` by 0.100" in best_sentence(found, BITS).en


def test_an_inconclusive_lead_is_called_so() -> None:
    found = findings(
        [A, C],
        [contrast("a/lora", "c/lora", -0.02, "inconclusive")],
        [ranked(("a/lora", 1, 2, 1.4), ("c/lora", 1, 2, 1.5))],
    )
    sentence = best_sentence(found, BITS)
    assert sentence.en.endswith(
        "The gap to the runner-up `c/lora`, 0.020 (95% CI −0.030 to 0.070), is inconclusive."
    )
    assert "判断不了谁更好" in sentence.zh
    assert "may be first as well" in sentence.en


def test_without_a_ranking_the_lead_is_not_called_real() -> None:
    assert "whether the lead is real is not known" in best_sentence(findings([A, C]), BITS).en


def test_without_a_value_nobody_is_best() -> None:
    assert best_sentence(findings([]), BITS).en == "**bits per byte**: no model has a value."


@pytest.mark.parametrize(
    ("verdict", "difference", "en", "zh"),
    [
        (
            "better",
            -0.2,
            "bits per byte better by 0.200 (95% CI 0.150 to 0.250)",
            "每字节比特数更好，0.200（95% 置信区间 0.150 至 0.250）",
        ),
        (
            "worse",
            0.2,
            "bits per byte worse by 0.200 (95% CI 0.150 to 0.250)",
            "每字节比特数更差，0.200（95% 置信区间 0.150 至 0.250）",
        ),
        (
            "inconclusive",
            -0.02,
            "bits per byte inconclusive, difference −0.020 (95% CI −0.070 to +0.030)",
            "每字节比特数判断不了，差值 −0.020（95% 置信区间 −0.070 至 +0.030）",
        ),
    ],
)
def test_a_contrast_is_said_as_its_verdict(
    verdict: str, difference: float, en: str, zh: str
) -> None:
    part = contrast_part(BITS, contrast("a/lora", "a/base", difference, verdict))
    assert (part.en, part.zh) == (en, zh)


def test_an_undefined_contrast_gives_its_reason() -> None:
    missing = MissingValue(missing="no shared item")
    part = contrast_part(BITS, contrast("a/lora", "a/base", missing, "undefined"))
    assert part.en == "bits per byte undefined (no shared item)"


def test_an_arm_without_a_base_is_not_compared() -> None:
    assert arm_sentence(findings([A]), A).en == "`a/lora`: there is no base result to compare with."


def test_knowledge_at_the_level_of_guessing_is_said_to_be_none() -> None:
    accuracy = Score(
        metric="knowledge-likelihood-exact",
        language=None,
        mean=0.30,
        interval=interval(0.22, 0.38),
        corpus=0.30,
        signature="choice-exact|level:item|v:1|by:likelihood",
        direction="higher",
        n_valid=100,
        n_missing=0,
    )
    baselines = (
        Baseline(name="chance", metric="knowledge-exact", value=0.23),
        Baseline(name="always B", metric="knowledge-exact", value=0.25),
    )
    measure = Measure("knowledge-likelihood-exact", None)
    low = findings([arm("a/lora", 1.4, scores=(accuracy,))], baselines=baselines)
    assert "No model's interval lies above what no knowledge earns (at most 25.0%)" in (
        best_sentence(low, measure).en
    )
    clear = accuracy.model_copy(update={"mean": 0.5, "interval": interval(0.42, 0.58)})
    high = findings([arm("a/lora", 1.4, scores=(clear,))], baselines=baselines)
    assert "Of 1 models, 1 have an interval above" in best_sentence(high, measure).en


def test_failures_and_gaps_are_named(results_with_failure: Results) -> None:
    said = [sentence.en for sentence in summarise(results_with_failure).failures]
    assert said[0].startswith(
        "`chatglm3-tiny/lora` failed and enters no comparison. Reason: train:"
    )
    assert any("most in `gpt-oss-tiny/base`: 240 of 240" in sentence for sentence in said)


def test_a_run_without_failures_says_so() -> None:
    assert (
        summarise(
            replaced(sample_results(), outcomes={"arms": (A, B), "contrasts": (), "rankings": ()})
        )
        .failures[0]
        .en
        == "No model failed and no item is missing."
    )


def test_limits_are_frank(results: Results) -> None:
    said = " ".join(sentence.en for sentence in summarise(results).limits)
    for claim in (
        "data are synthetic",
        "models are small",
        "No human has judged",
        "No clinical validity",
        "Safety was not judged",
        "trained once",
    ):
        assert claim in said


def test_real_data_and_large_models_are_not_called_synthetic_or_small(results: Results) -> None:
    outcomes = results.outcomes
    models = tuple(m.model_copy(update={"n_parameters": 7_600_000_000}) for m in outcomes.models)
    data = outcomes.data.model_copy(update={"sources": ("dialogues.jsonl",)})
    said = " ".join(
        s.en for s in summarise(replaced(results, outcomes={"models": models, "data": data})).limits
    )
    assert "synthetic" not in said and "small" not in said and "share a source" in said


def test_open_questions_are_counted(results: Results) -> None:
    said = [sentence.en for sentence in summarise(results).open]
    assert any("comparisons between tuned models" in s or "between tuned models" in s for s in said)
    assert "Inconclusive means too little evidence, not that the two are equal." in said


def test_the_headline_does_not_hide_what_speaks_against_tuning():
    results = sample_results()
    worse = [
        one.model_copy(update={"verdict": "worse" if n == 0 else "inconclusive"})
        if (one.metric, one.language, one.family) == ("chrf", "zh", "tuned vs base")
        else one
        for n, one in enumerate(
            sorted(
                results.outcomes.contrasts,
                key=lambda one: (
                    (one.metric, one.language, one.family) != ("chrf", "zh", "tuned vs base")
                ),
            )
        )
    ]
    said = headline(Findings(replaced(results, outcomes={"contrasts": tuple(worse)}).outcomes))
    assert "got worse" in said.en
    assert "变差了" in said.zh
