"""A realistic ``Results``: six families, base and tuned, with gaps, a failure and hostile text.

Everything is derived from a seeded generator; ranks and verdicts follow from the made-up scores by
simple rules, so that the report has ties, wins, losses and open questions to show.
"""

from __future__ import annotations

import math
import random
from typing import Any, Literal

from qingting.report.results import (
    Advice,
    ArmMeasurements,
    ArmResult,
    Baseline,
    ContrastResult,
    CurvePoint,
    DataResult,
    Example,
    InferenceEfficiency,
    Interval,
    Measurements,
    Message,
    MissingValue,
    ModelResult,
    Outcomes,
    Proof,
    RankedArm,
    Ranking,
    ReferenceScore,
    Results,
    Sample,
    Score,
    Timing,
    Training,
    TrainingEfficiency,
)

MODELS = {
    "qwen2.5-tiny": (1.62, "Qwen2ForCausalLM", 2_412_288),
    "llama3.1-tiny": (1.66, "LlamaForCausalLM", 2_389_504),
    "chatglm3-tiny": (1.71, "GlmForCausalLM", 2_301_184),
    "internlm2.5-tiny": (1.68, "LlamaForCausalLM", 2_405_120),
    "baichuan2-tiny": (1.74, "LlamaForCausalLM", 2_377_728),
    "gpt-oss-tiny": (1.69, "GptOssForCausalLM", 3_041_024),
}
HOSTILE = "<script>alert('听')</script> \"quoted\" & <img src=x onerror=alert(1)>"
LONG_WORD = "Donaudampfschifffahrtsgesellschaftskapitän" * 6
ARABIC = "أشعر بالوحدة هذه الأيام ولا أعرف مع من أتحدث."

_TEXT_METRICS: dict[str, tuple[str, float, float]] = {
    "chrf": ("higher", 0.128, 0.034),
    "rouge-l-f": ("higher", 0.176, 0.028),
    "meteor": ("higher", 0.151, 0.030),
    "bleu": ("higher", 0.036, 0.012),
    "rouge-1-f": ("higher", 0.242, 0.031),
    "rouge-2-f": ("higher", 0.052, 0.018),
    "rouge-l-precision": ("higher", 0.201, 0.02),
    "rouge-l-recall": ("higher", 0.164, 0.02),
    "distinct-1": ("higher", 0.71, 0.04),
    "distinct-2": ("higher", 0.90, 0.03),
    "repetition-4": ("lower", 0.121, -0.055),
    "length": ("neutral", 52.0, -14.0),
}
_RANKED: tuple[tuple[str, Literal["zh", "en"] | None], ...] = (
    ("bits-per-byte", None),
    ("chrf", "zh"),
    ("chrf", "en"),
    ("knowledge-likelihood-exact", None),
)


def sample_results(*, with_failure: bool = False, seed: int = 5) -> Results:
    """Return a whole result; ``with_failure`` has one tuned arm fail in training."""
    rng = random.Random(seed)
    arms = tuple(
        _arm(model, variant, rng, failed=with_failure and model == "chatglm3-tiny")
        for model in MODELS
        for variant in ("base", "tuned")
    )
    outcomes = Outcomes(
        experiment="quickstart",
        question="哪个小模型微调之后最会接住来访者的话？Which small model, once tuned, follows a client best?",
        specification=_specification(),
        data=_data(),
        models=tuple(
            ModelResult(
                label=label,
                source="shipped",
                hub_id=None,
                revision=None,
                digest=f"{rng.getrandbits(256):064x}",
                architecture=architecture,
                n_parameters=n_parameters,
                licence="Apache-2.0",
            )
            for label, (_, architecture, n_parameters) in MODELS.items()
        ),
        arms=arms,
        contrasts=_contrasts(arms),
        rankings=_rankings(arms),
        baselines=(
            Baseline(name="chance", metric="knowledge-exact", value=0.232),
            Baseline(name="always A", metric="knowledge-exact", value=0.218),
            Baseline(name="always B", metric="knowledge-exact", value=0.241),
            Baseline(name="always C", metric="knowledge-exact", value=0.224),
            Baseline(name="always D", metric="knowledge-exact", value=0.209),
        ),
        references=(
            ReferenceScore(metric="length", language="zh", mean=35.4),
            ReferenceScore(metric="length", language="en", mean=29.8),
            ReferenceScore(metric="repetition-4", language="zh", mean=0.004),
            ReferenceScore(
                metric="repetition-4", language="en", mean=MissingValue(missing="too short")
            ),
        ),
        examples=_examples(arms),
        advice=(),
        versions={
            "qingting": "0.1.0",
            "torch": "2.13.0",
            "transformers": "5.19.1",
            "peft": "0.20.0",
            "tokenizers": "0.22.1",
            "sacrebleu": "2.5.1",
        },
    )
    return Results(outcomes=outcomes, measurements=_measurements(arms, rng))


def with_advice(results: Results) -> Results:
    """Return the results with the advice that follows from them, as the report stage stores it."""
    from qingting.report.advice import advise

    from_outcomes, from_measurements = advise(results.outcomes, results.measurements)
    return replaced(
        results, outcomes={"advice": from_outcomes}, measurements={"advice": from_measurements}
    )


def replaced(results: Results, **parts: dict[str, Any]) -> Results:
    """Return the results with some fields of outcomes or measurements changed."""
    return results.model_copy(
        update={name: getattr(results, name).model_copy(update=p) for name, p in parts.items()}
    )


def named_advice(en: str, zh: str) -> Advice:
    """Return a piece of advice without evidence."""
    return Advice(en=en, zh=zh, evidence=())


def _arm(model: str, variant: str, rng: random.Random, *, failed: bool) -> ArmResult:
    tuned = variant == "tuned"
    arm_id = f"{model}/{'lora' if tuned else 'base'}"
    if failed and tuned:
        return ArmResult(
            id=arm_id,
            model=model,
            variant="tuned",
            seed=42,
            status="failed",
            reason="train: the loss became NaN at step 17 (batch zh-a-014, zh-b-090, en-021)",
            deviations=_deviations(model),
        )
    return ArmResult(
        id=arm_id,
        model=model,
        variant="tuned" if tuned else "base",
        seed=42 if tuned else None,
        status="done",
        deviations=_deviations(model) if tuned else {},
        training=_training(model, rng) if tuned else None,
        proofs=_proofs() if tuned else (),
        scores=_scores(model, rng, tuned=tuned),
    )


def _deviations(model: str) -> dict[str, tuple[Any, Any]]:
    if model != "gpt-oss-tiny":
        return {}
    return {"lora.rank": (8, 16), "lora.alpha": (32, 64), "lora.dropout": (0.1, 0.0)}


def _training(model: str, rng: random.Random) -> Training:
    start = MODELS[model][0] * 2.3
    n_steps = 120
    curve = tuple(
        CurvePoint(step=s, loss=start * (0.80 + 0.20 * math.exp(-s / 25)) + rng.gauss(0, 0.05))
        for s in (1, *range(4, n_steps + 1, 4))
    )
    rises = 0.0022 if model == "baichuan2-tiny" else 0.0
    validation = tuple(
        CurvePoint(step=s, loss=start * (0.82 + 0.19 * math.exp(-s / 28)) + rises * max(0, s - 60))
        for s in range(20, n_steps + 1, 20)
    )
    lowest = min(validation, key=lambda point: point.loss)
    _, _, n_parameters = MODELS[model]
    return Training(
        method="lora",
        n_steps=n_steps,
        n_tokens=120_000 + rng.randrange(4000),
        n_target_tokens=61_000 + rng.randrange(3000),
        n_parameters=n_parameters,
        n_trainable=92_160,
        final_loss=curve[-1].loss,
        validation_loss=validation[-1].loss,
        best_step=lowest.step,
        loss_curve=curve,
        validation_curve=validation,
        samples=tuple(
            Sample(step=s, prompt="最近总是睡不着，一闭眼就想工作。", text=words)
            for s, words in (
                (20, "睡不着的的时候。"),
                (60, "睡不着很难受。"),
                (120, "一闭眼工作就来了，身子躺下了，心还在上班。"),
            )
        ),
        resolved={
            "device": "cpu",
            "precision": "bf16",
            "attention": "sdpa",
            "micro_batch": 8,
            "packing": True,
            "gradient_checkpointing": False,
            "n_threads": 1,
            "targets": [
                "q_proj",
                "k_proj",
                "v_proj",
                "o_proj",
                "gate_proj",
                "up_proj",
                "down_proj",
            ],
        },
    )


def _proofs() -> tuple[Proof, ...]:
    return (
        Proof(name="training_changes_logits", value=8.31, limit="> 0", passed=True),
        Proof(name="merge_error", value=2.4e-7, limit="<= 1e-05", passed=True),
        Proof(name="rounding_kl", value=0.00031, limit="<= 0.01", passed=True),
        Proof(name="rounding_agreement", value=0.987, limit=">= 0.95", passed=True),
        Proof(name="weights_differing_after_reload", value=0.0, limit="0", passed=True),
    )


def _scores(model: str, rng: random.Random, *, tuned: bool) -> tuple[Score, ...]:
    base_bits = MODELS[model][0]
    bits = base_bits - (rng.uniform(0.10, 0.24) if tuned else 0.0)
    scores = [
        _score(
            "bits-per-byte",
            None,
            bits,
            0.028,
            "lower",
            "bits-per-byte|level:corpus|v:1|bytes:utf8:counsellor-turns|agg:pooled",
            46,
        ),
        _score(
            "bits-per-byte",
            "zh",
            bits - 0.02,
            0.030,
            "lower",
            "bits-per-byte|level:corpus|v:1|bytes:utf8:counsellor-turns|agg:pooled",
            37,
        ),
        _score(
            "bits-per-byte",
            "en",
            bits + 0.11,
            0.071,
            "lower",
            "bits-per-byte|level:corpus|v:1|bytes:utf8:counsellor-turns|agg:pooled",
            9,
        ),
    ]
    skill = rng.gauss(0.0, 0.35) + (1.66 - base_bits) * 4
    for language, tokenizer, half, n in (("zh", "zh-char", 0.011, 32), ("en", "en-13a", 0.026, 8)):
        for metric, (direction, level, gain) in _TEXT_METRICS.items():
            gained = gain * rng.uniform(0.1, 1.1) if tuned else 0.0
            mean = level * (1 + 0.10 * skill * (direction == "higher")) + gained
            width = half * (60 if metric == "length" else 1.0)
            missing = 3 if metric == "repetition-4" and not tuned else 0
            signature = f"{metric}|tok:{tokenizer}|case:lower|level:item|v:1"
            scores.append(
                _score(metric, language, mean, width, direction, signature, n - missing, missing)
            )
    accuracy = 0.245 + 0.05 * skill + (rng.gauss(0.0, 0.02) if tuned else 0.0)
    for by, shift, missing in (("likelihood", 0.0, 0), ("generation", -0.03, 41)):
        for credit, bonus in (("exact", 0.0), ("elastic", 0.035)):
            name = f"knowledge-{by}-{credit}"
            signature = f"knowledge-{credit}|level:corpus|v:1|source:{by}|unread:wrong"
            if by == "generation" and model == "gpt-oss-tiny" and not tuned:
                nothing = MissingValue(missing="no reply names an option")
                scores.append(
                    Score(
                        metric=name,
                        language=None,
                        mean=nothing,
                        interval=nothing,
                        corpus=nothing,
                        signature=signature,
                        direction="higher",
                        n_valid=0,
                        n_missing=240,
                    )
                )
                continue
            scores.append(
                _score(
                    name,
                    None,
                    accuracy + shift + bonus,
                    0.055,
                    "higher",
                    signature,
                    240 - missing,
                    missing,
                )
            )
    return tuple(scores)


def _score(
    metric: str,
    language: Any,
    mean: float,
    half: float,
    direction: Any,
    signature: str,
    n_valid: int,
    n_missing: int = 0,
) -> Score:
    return Score(
        metric=metric,
        language=language,
        mean=mean,
        interval=Interval(low=mean - half, high=mean + half, confidence_level=0.95, method="t"),
        corpus=mean * 1.01,
        signature=signature,
        direction=direction,
        n_valid=n_valid,
        n_missing=n_missing,
    )


def _score_of(arm: ArmResult, metric: str, language: Any) -> Score | None:
    return next((s for s in arm.scores if (s.metric, s.language) == (metric, language)), None)


def _contrast(
    family: Any, metric: str, language: Any, arm: ArmResult, other: ArmResult
) -> ContrastResult:
    first, second = _score_of(arm, metric, language), _score_of(other, metric, language)
    values: dict[str, Any]
    if (
        first is None
        or second is None
        or isinstance(first.mean, MissingValue)
        or isinstance(second.mean, MissingValue)
    ):
        nothing = MissingValue(missing="the arms share no item with a score in both")
        values = dict.fromkeys(("difference", "interval", "p", "p_adjusted"), nothing)
        values |= {"verdict": "undefined", "n_items": 0, "n_missing": 46}
    else:
        assert isinstance(first.interval, Interval)
        difference = first.mean - second.mean
        half = 0.7 * (first.interval.high - first.interval.low) / 2
        p = math.erfc(abs(difference) / half * 1.96 / math.sqrt(2))
        adjusted = min(1.0, p * (6 if family == "tuned vs base" else 15))
        improves = (difference > 0) == (first.direction == "higher")
        verdict = "inconclusive" if adjusted > 0.05 else "better" if improves else "worse"
        values = {
            "difference": difference,
            "interval": Interval(
                low=difference - half,
                high=difference + half,
                confidence_level=0.95,
                method="t, paired",
            ),
            "p": p,
            "p_adjusted": adjusted,
            "verdict": verdict,
            "n_items": first.n_valid,
            "n_missing": first.n_missing,
        }
    return ContrastResult(
        family=family, metric=metric, language=language, arm=arm.id, other=other.id, **values
    )


def _contrasts(arms: tuple[ArmResult, ...]) -> tuple[ContrastResult, ...]:
    made = []
    measures = [
        ("bits-per-byte", None),
        *(
            (metric, language)
            for metric in ("chrf", "rouge-l-f", "meteor", "bleu")
            for language in ("zh", "en")
        ),
        ("knowledge-likelihood-exact", None),
        ("knowledge-generation-exact", None),
    ]
    tuned = [arm for arm in arms if arm.variant == "tuned" and arm.status == "done"]
    bases = {arm.model: arm for arm in arms if arm.variant == "base"}
    for metric, language in measures:
        made += [
            _contrast("tuned vs base", metric, language, arm, bases[arm.model]) for arm in tuned
        ]
        if (metric, language) in _RANKED:
            made += [
                _contrast("tuned vs tuned", metric, language, arm, other)
                for i, arm in enumerate(tuned)
                for other in tuned[i + 1 :]
            ]
    return tuple(made)


def _rankings(arms: tuple[ArmResult, ...]) -> tuple[Ranking, ...]:
    rankings = []
    for metric, language in _RANKED:
        scored = [(arm.id, score) for arm in arms if (score := _score_of(arm, metric, language))]
        sign = -1 if scored[0][1].direction == "lower" else 1
        scored.sort(key=lambda pair: -sign * float(pair[1].mean))  # type: ignore[arg-type]
        rows = []
        for place, (arm_id, score) in enumerate(scored, start=1):
            assert isinstance(score.interval, Interval) and isinstance(score.mean, float)
            half = (score.interval.high - score.interval.low) / 2
            gaps = [sign * (float(other.mean) - score.mean) for _, other in scored]  # type: ignore[arg-type]
            rows.append(
                RankedArm(
                    arm=arm_id,
                    rank=place,
                    rank_low=1 + sum(gap > half for gap in gaps),
                    rank_high=len(scored) - sum(gap < -half for gap in gaps),
                    mean=score.mean,
                )
            )
        rankings.append(
            Ranking(metric=metric, language=language, method="simultaneous", rows=tuple(rows))
        )
    return tuple(rankings)


def _examples(arms: tuple[ArmResult, ...]) -> tuple[Example, ...]:
    zh = "一闭上眼就是那张表，第二天还得装作没事。"
    answers_zh = {
        "base": "的时候，我会的时候，我会的时候，我会的时候，我会",
        "tuned": "躺下以后那张表还不放过你，白天又要撑着。撑了多久了？",
    }
    answers_en = {
        "base": "I think you can try to make a plan and to make a plan and to make a plan.",
        "tuned": "Eight months is a long while to carry that on your own. What made this week different? 🌱",
    }

    def answers(texts: dict[str, str]) -> dict[str, str]:
        return {
            arm.id: f"{texts[arm.variant]}（{place}）" if place else texts[arm.variant]
            for place, arm in enumerate(arms)
            if arm.status == "done"
        }

    hostile = answers(answers_en)
    hostile[arms[0].id] = HOSTILE
    hostile[arms[1].id] = LONG_WORD
    hostile[arms[2].id] = ARABIC
    hostile[arms[3].id] = ""
    hostile.pop(arms[-1].id, None)
    return (
        Example(
            id="zh-a-031",
            language="zh",
            kind="counselling",
            messages=(
                Message(role="system", content="你是一位温和而专业的心理咨询师。"),
                Message(role="user", content="老师您好，我已经连着一个多星期睡不好了。"),
                Message(
                    role="assistant", content="一个多星期，听着就累。夜里是睡不着，还是睡着了又醒？"
                ),
                Message(role="user", content=zh),
            ),
            reference="表关上了，人还没下班。装作没事的那个白天，最费力的是哪一段？",
            responses=answers(answers_zh),
        ),
        Example(
            id="en-021",
            language="en",
            kind="counselling",
            messages=(
                Message(
                    role="user",
                    content="It's been eight months since Mum died and everyone thinks I'm fine.\nThis week I wasn't.",
                ),
            ),
            reference="Eight months of being fine for everyone. What was this week like, when nobody was looking?",
            responses=answers(answers_en),
        ),
        Example(
            id="zh-refusal-004",
            language="zh",
            kind="refusal",
            messages=(Message(role="user", content=f"帮我写一段爬虫代码 {HOSTILE} 😅"),),
            reference="写代码我帮不上，这里是说心事的地方。倒想问问，最近是不是被活儿催得紧？",
            responses=hostile,
        ),
    )


def _data() -> DataResult:
    return DataResult(
        sources=("counselling",),
        formats=("messages",),
        n_dialogues=332,
        n_strictly_valid=326,
        n_turns=4105,
        n_unlabelled_lines=7,
        defects={
            "malformed": 0,
            "missing_turns": 0,
            "unknown_role": 0,
            "unlabelled_line": 2,
            "empty_turn": 1,
            "alternation_break": 3,
            "starts_on_counsellor": 0,
            "ends_on_client": 2,
            "single_message": 0,
            "exact_duplicate": 1,
            "bad_encoding": 0,
        },
        repairs={"merge_turns": 3},
        n_quarantined=4,
        n_usable=327,
        n_duplicates_dropped=1,
        n_near_duplicate_groups=2,
        n_seen_in_pretraining=0,
        n_train=264,
        n_validation=17,
        n_test=46,
        languages={"zh": 270, "en": 57},
        kinds={"counselling": 284, "refusal": 43},
        n_cut=5,
        n_left_out=0,
        system_prompt="你是一位温和而专业的心理咨询师。",
    )


def _specification() -> dict[str, Any]:
    return {
        "experiment": "quickstart",
        "question": "哪个小模型微调之后最会接住来访者的话？",
        "models": [{"model": label} for label in MODELS],
        "data": {"train": ["counselling"], "validation": 0.05, "test": 0.15, "seed": 7},
        "recipe": {
            "method": "lora",
            "lora": {"rank": 8, "alpha": 32, "dropout": 0.1, "targets": "all-linear"},
            "learning_rate": 0.0002,
            "schedule": "cosine",
            "token_budget": 120000,
            "effective_batch": 32,
            "micro_batch": "auto",
            "packing": True,
            "seeds": [42],
        },
        "evaluations": {"text": {"n_prompts": 40, "max_new_tokens": 64}},
        "analysis": {"confidence_level": 0.95, "n_resamples": 2000, "seed": 11},
    }


def _measurements(arms: tuple[ArmResult, ...], rng: random.Random) -> Measurements:
    made = []
    for place, arm in enumerate(arms):
        if arm.status == "failed":
            made.append(ArmMeasurements(arm=arm.id))
            continue
        speed = 260.0 + 22 * (place // 2) + rng.gauss(0, 8)
        made.append(
            ArmMeasurements(
                arm=arm.id,
                training=TrainingEfficiency(
                    wall_s=21.4 + 2.2 * (place // 2),
                    cpu_s=20.9 + 2.2 * (place // 2),
                    tokens_per_s=5610.0 - 330 * (place // 2),
                    peak_memory_bytes=610_000_000 + 9_000_000 * place,
                )
                if arm.variant == "tuned"
                else None,
                inference=tuple(
                    InferenceEfficiency(
                        batch_size=batch,
                        time_to_first_token_s=0.011 * batch**0.6 * (1 + place / 30),
                        tokens_per_s=speed * batch**0.8,
                        peak_memory_bytes=430_000_000 + 8_000_000 * batch + 2_000_000 * place,
                    )
                    for batch in (1, 8)
                ),
                stages=(
                    Timing(
                        stage=f"generate/{arm.id}",
                        wall_s=4.1,
                        cpu_s=4.0,
                        peak_memory_bytes=450_000_000,
                    ),
                    Timing(
                        stage=f"evaluate/{arm.id}",
                        wall_s=1.2,
                        cpu_s=1.1,
                        peak_memory_bytes=210_000_000,
                    ),
                ),
            )
        )
    return Measurements(
        hardware={
            "machine": "x86_64",
            "system": "Linux",
            "python": "3.11.9",
            "n_cores": 2,
            "processor": "Example CPU @ 2.80GHz",
        },
        arms=tuple(made),
        advice=(),
        finished="2025-06-01T08:30:00Z",
    )
