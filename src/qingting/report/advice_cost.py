"""Advice that rests on time and memory, so that it differs between machines."""

from __future__ import annotations

from collections.abc import Iterable

from qingting.report.findings import Findings
from qingting.report.quantities import duration, memory, percent, significant
from qingting.report.results import Advice, ArmMeasurements, Finding, Measurements
from qingting.report.texts import Bilingual, listing, text

SLOW_START_S = 2.0
BATCH_GAIN, BATCH_NO_GAIN = 3.0, 1.5
ROOMY_SHARE = 0.5
MEMORY_KEYS = ("gpu_memory_bytes", "memory_bytes")


def advice_from_measurements(findings: Findings, measurements: Measurements) -> tuple[Advice, ...]:
    """Return advice about speed, memory and what quality costs."""
    return (
        *_cheapest_of_the_best(findings, measurements),
        *_batching(measurements),
        *_slow_start(measurements),
        *_packing(findings, measurements),
        *_micro_batch(findings, measurements),
    )


def _advice(sentence: Bilingual, evidence: Iterable[Bilingual]) -> Advice:
    return Advice(
        en=sentence.en,
        zh=sentence.zh,
        evidence=tuple(Finding(en=one.en, zh=one.zh) for one in evidence),
    )


def _cheapest_of_the_best(findings: Findings, measurements: Measurements) -> Iterable[Advice]:
    speeds = {
        one.arm: max(one.inference, key=lambda i: i.batch_size)
        for one in measurements.arms
        if one.inference
    }
    for measure in findings.main[:1]:
        ranking = findings.ranking(measure)
        if ranking is None:
            continue
        best = [row for row in ranking.rows if row.rank_low == 1 and row.arm in speeds]
        if len(best) < 2:
            continue
        fastest = max(best, key=lambda row: speeds[row.arm].tokens_per_s)
        speed = speeds[fastest.arm]
        yield _advice(
            text(
                "advice_cheapest",
                metric=measure.title,
                arm=fastest.arm,
                speed=significant(speed.tokens_per_s),
            ),
            [
                text(
                    "find_rank",
                    arm=row.arm,
                    metric=measure.title,
                    low=row.rank_low,
                    high=row.rank_high,
                )
                for row in best
            ]
            + [
                text(
                    "find_speed",
                    arm=row.arm,
                    batch=speeds[row.arm].batch_size,
                    speed=significant(speeds[row.arm].tokens_per_s),
                )
                for row in best
            ],
        )


def _batching(measurements: Measurements) -> Iterable[Advice]:
    helped: list[tuple[str, float]] = []
    idle: list[tuple[str, float]] = []
    evidence: dict[str, list[Bilingual]] = {}
    sizes: set[tuple[int, int]] = set()
    for one in measurements.arms:
        if len(one.inference) < 2:
            continue
        ordered = sorted(one.inference, key=lambda i: i.batch_size)
        small, large = ordered[0], ordered[-1]
        if small.tokens_per_s <= 0:
            continue
        sizes.add((small.batch_size, large.batch_size))
        ratio = large.tokens_per_s / small.tokens_per_s
        evidence[one.arm] = _speeds(one)
        if ratio >= BATCH_GAIN:
            helped.append((one.arm, ratio))
        elif ratio < BATCH_NO_GAIN:
            idle.append((one.arm, ratio))
    if len(sizes) != 1:
        return
    small_size, large_size = next(iter(sizes))
    for key, found, typical in (
        ("advice_batch_helps", helped, min),
        ("advice_batch_idle", idle, max),
    ):
        if found:
            names = [arm for arm, _ in found]
            yield _advice(
                text(
                    key,
                    small=small_size,
                    large=large_size,
                    arms=listing(names),
                    ratio=significant(typical(ratio for _, ratio in found), 2),
                ),
                [line for arm in names for line in evidence[arm]],
            )


def _speeds(one: ArmMeasurements) -> list[Bilingual]:
    return [
        text(
            "find_speed",
            arm=one.arm,
            batch=inference.batch_size,
            speed=significant(inference.tokens_per_s),
        )
        for inference in sorted(one.inference, key=lambda i: i.batch_size)
    ]


def _slow_start(measurements: Measurements) -> Iterable[Advice]:
    slow = [
        (one.arm, inference)
        for one in measurements.arms
        for inference in one.inference
        if inference.time_to_first_token_s > SLOW_START_S
    ]
    if slow:
        longest = max(inference.time_to_first_token_s for _, inference in slow)
        yield _advice(
            text(
                "advice_slow_start",
                arms=listing(list(dict.fromkeys(arm for arm, _ in slow))),
                seconds=duration(longest),
            ),
            [
                text(
                    "find_first_token",
                    arm=arm,
                    batch=inference.batch_size,
                    seconds=duration(inference.time_to_first_token_s),
                )
                for arm, inference in slow
            ],
        )


def _packing(findings: Findings, measurements: Measurements) -> Iterable[Advice]:
    recipe = findings.outcomes.specification.get("recipe")
    trained = any(one.training is not None for one in measurements.arms)
    if trained and isinstance(recipe, dict) and recipe.get("packing") is False:
        yield _advice(text("advice_packing"), [text("find_packing")])


def _micro_batch(findings: Findings, measurements: Measurements) -> Iterable[Advice]:
    """Yield advice where training left most of a known memory unused with a split batch."""
    hardware = measurements.hardware
    total = next((hardware[key] for key in MEMORY_KEYS if key in hardware), None)
    if not isinstance(total, int) or total <= 0:
        return
    recipe = findings.outcomes.specification.get("recipe")
    effective = recipe.get("effective_batch", 0) if isinstance(recipe, dict) else 0
    roomy = []
    for one in measurements.arms:
        arm = findings.arm(one.arm)
        if one.training is None or arm is None or arm.training is None:
            continue
        micro = arm.training.resolved.get("micro_batch")
        peak = one.training.peak_memory_bytes
        if isinstance(micro, int) and micro < effective and peak < ROOMY_SHARE * total:
            roomy.append((one.arm, micro, peak))
    if roomy:
        highest = max(peak for _, _, peak in roomy)
        yield _advice(
            text(
                "advice_micro_batch",
                arms=listing([arm for arm, _, _ in roomy]),
                share=percent(highest / total, digits=0),
            ),
            [
                text("find_memory", arm=arm, peak=memory(peak), total=memory(total), micro=micro)
                for arm, micro, peak in roomy
            ],
        )
