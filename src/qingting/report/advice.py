"""Practical advice that follows from the findings and says from which; pure and deterministic."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from statistics import NormalDist
from typing import NamedTuple

from qingting.report.advice_cost import advice_from_measurements
from qingting.report.findings import Findings, is_number
from qingting.report.measures import Measure
from qingting.report.quantities import count, decimal, percent
from qingting.report.results import (
    Advice,
    ArmResult,
    ContrastResult,
    Finding,
    Interval,
    Measurements,
    Outcomes,
    Training,
)
from qingting.report.texts import Bilingual, listing, text
from qingting.report.words import baseline_name, signed, value_with_interval

FALLING_SHARE = 0.002
"""Validation loss counts as still falling if the last check improved it by this share or more."""
RISING_SHARE = 0.005
"""… and as rising if it ends this share above its lowest."""
GAP_SHARE = 0.10
"""Training loss counts as well below validation loss from this share on."""
MAX_REPETITION = 0.15
SHORT_RATIO, LONG_RATIO = 0.6, 1.6
LOST_SHARE = 0.05
POWER = 0.8
MAX_PROMPTS_WORTH_NAMING = 5000


class Planned(NamedTuple):
    """An undecided contrast and the items that would settle it, by a normal approximation."""

    measure: Measure
    contrast: ContrastResult
    n_comparisons: int
    n_needed: int


def advise(
    outcomes: Outcomes, measurements: Measurements
) -> tuple[tuple[Advice, ...], tuple[Advice, ...]]:
    """Return advice that follows from the outcomes alone, and advice that needs measurements.

    The first is the same however often a run was interrupted; the second rests on time and memory
    and belongs with them. ``advice`` already in the arguments is not read.
    """
    findings = Findings(outcomes)
    rules: Sequence[Callable[[Findings], Iterable[Advice]]] = (
        _failed,
        _training,
        _worse_likelihood,
        _forgotten,
        _near_chance,
        _form,
        _gaps_in_scores,
        _undecided,
        _seeds,
        _data,
    )
    return (
        tuple(advice for rule in rules for advice in rule(findings)),
        advice_from_measurements(findings, measurements),
    )


def make_advice(sentence: Bilingual, evidence: Iterable[Bilingual]) -> Advice:
    """Return advice in the form of ``results.json``."""
    return Advice(
        en=sentence.en,
        zh=sentence.zh,
        evidence=tuple(Finding(en=one.en, zh=one.zh) for one in evidence),
    )


def prompts_to_settle(
    contrast: ContrastResult, *, n_comparisons: int = 1, power: float = POWER
) -> int | None:
    """Return about how many items would decide a contrast, or None where that cannot be said.

    Takes the observed difference for the true one and its interval for normal:
    n · ((z₁₋α/₂ₖ + z_power) · SE / |difference|)², SE from the interval's half width and k the
    number of comparisons corrected for (Bonferroni, an upper bound on what Holm asks).
    """
    interval = contrast.interval
    if not isinstance(interval, Interval) or not is_number(contrast.difference):
        return None
    z_level = NormalDist().inv_cdf(0.5 + interval.confidence_level / 2)
    standard_error = (interval.high - interval.low) / 2 / z_level
    if contrast.difference == 0 or standard_error <= 0 or contrast.n_items < 2:
        return None
    corrected = NormalDist().inv_cdf(1 - (1 - interval.confidence_level) / 2 / n_comparisons)
    ratio = (corrected + NormalDist().inv_cdf(power)) * standard_error / abs(contrast.difference)
    return max(contrast.n_items + 1, math.ceil(contrast.n_items * ratio**2))


def _failed(findings: Findings) -> Iterable[Advice]:
    if findings.failed:
        yield make_advice(
            text("advice_failed", arms=listing([arm.id for arm in findings.failed])),
            [
                text("find_failure", arm=arm.id, reason=arm.reason or text("no_reason"))
                for arm in findings.failed
            ],
        )


def _training(findings: Findings) -> Iterable[Advice]:
    falling: list[tuple[ArmResult, Bilingual]] = []
    rising: list[tuple[ArmResult, Bilingual]] = []
    gaps: list[tuple[ArmResult, Bilingual]] = []
    steps: set[int] = set()
    for arm in findings.tuned:
        if arm.training is None:
            continue
        if (found := _falling(arm, arm.training)) is not None:
            falling.append((arm, found))
        if (risen := _rising(arm, arm.training)) is not None:
            rising.append((arm, risen[0]))
            steps.add(risen[1])
        if (found := _gap(arm, arm.training)) is not None:
            gaps.append((arm, found))
    if falling:
        names = listing(list(dict.fromkeys(arm.id for arm, _ in falling)))
        sentence = findings.words("advice_still_falling", arms=names)
        yield make_advice(sentence, [one for _, one in falling])
    named = ", ".join(str(step) for step in sorted(steps))
    yield from _grouped("advice_rising", rising, steps=named)
    yield from _grouped("advice_gap", gaps)


def _falling(arm: ArmResult, training: Training) -> Bilingual | None:
    curve = training.validation_curve
    if len(curve) < 2:
        return None
    before, last = curve[-2], curve[-1]
    if last.loss > before.loss * (1 - FALLING_SHARE) or last.loss > min(p.loss for p in curve):
        return None
    return text(
        "find_validation_falling",
        arm=arm.id,
        before_step=before.step,
        before=decimal(before.loss),
        step=last.step,
        last=decimal(last.loss),
    )


def _rising(arm: ArmResult, training: Training) -> tuple[Bilingual, int] | None:
    curve = training.validation_curve
    if len(curve) < 2:
        return None
    lowest, last = min(curve, key=lambda point: point.loss), curve[-1]
    if last.loss < lowest.loss * (1 + RISING_SHARE):
        return None
    found = text(
        "find_validation_rising",
        arm=arm.id,
        step=lowest.step,
        lowest=decimal(lowest.loss),
        last=decimal(last.loss),
    )
    return found, lowest.step


def _gap(arm: ArmResult, training: Training) -> Bilingual | None:
    validation = training.validation_loss
    if validation is None or training.final_loss > validation * (1 - GAP_SHARE):
        return None
    return text(
        "find_gap",
        arm=arm.id,
        training=decimal(training.final_loss),
        validation=decimal(validation),
    )


def _worse_likelihood(findings: Findings) -> Iterable[Advice]:
    yield from _grouped("advice_worse_likelihood", _worse_than_base(findings, "likelihood"))


def _forgotten(findings: Findings) -> Iterable[Advice]:
    yield from _grouped("advice_forgot", _worse_than_base(findings, "knowledge"))


def _worse_than_base(findings: Findings, group: str) -> list[tuple[ArmResult, Bilingual]]:
    found = []
    for measure in findings.contrasted("tuned vs base"):
        for one in findings.contrasts("tuned vs base", measure):
            arm = findings.arm(one.arm)
            if measure.group == group and one.verdict == "worse" and arm is not None:
                found.append((arm, describe_contrast(measure, one)))
    return found


def describe_contrast(measure: Measure, contrast: ContrastResult) -> Bilingual:
    """Return a contrast as a finding in a phrase."""
    return text(
        "find_contrast",
        metric=measure.title,
        arm=contrast.arm,
        other=contrast.other,
        amount=signed(measure, contrast),
        n=contrast.n_items,
        verdict=text(contrast.verdict),
    )


def _near_chance(findings: Findings) -> Iterable[Advice]:
    for measure in findings.primary("knowledge"):
        baselines = findings.baselines(measure)
        if not baselines:
            continue
        highest = baselines[-1]
        low = []
        for arm in findings.arms:
            score = findings.score(arm.id, measure)
            if score is None or not isinstance(score.interval, Interval):
                continue
            if score.interval.low <= highest.value:
                low.append(
                    (
                        arm,
                        text(
                            "find_baseline",
                            arm=arm.id,
                            metric=measure.title,
                            value=value_with_interval(measure, score),
                            baseline=baseline_name(highest.name),
                            baseline_value=measure.show(highest.value),
                        ),
                    )
                )
        yield from _grouped("advice_near_chance", low)


def _form(findings: Findings) -> Iterable[Advice]:
    references = {
        Measure(one.metric, one.language): one.mean for one in findings.outcomes.references
    }
    short, long, repeating = [], [], []
    for measure in findings.measures_of("form"):
        reference = references.get(measure)
        for arm in findings.arms:
            score = findings.score(arm.id, measure)
            if score is None or not is_number(score.mean):
                continue
            has_reference = reference is not None and is_number(reference)
            values = {"arm": arm.id, "metric": measure.title, "value": measure.show(score.mean)}
            if has_reference:
                assert isinstance(reference, float)
                found = text("find_score_reference", **values, reference=measure.show(reference))
            else:
                found = text("find_score", **values)
            if measure.canonical.startswith("repetition") and score.mean > MAX_REPETITION:
                repeating.append((arm, found))
            elif measure.canonical == "length" and has_reference:
                assert isinstance(reference, float)
                if score.mean < SHORT_RATIO * reference:
                    short.append((arm, found))
                elif score.mean > LONG_RATIO * reference:
                    long.append((arm, found))
    yield from _grouped("advice_repetition", repeating)
    yield from _grouped("advice_short", short)
    yield from _grouped("advice_long", long)


def _gaps_in_scores(findings: Findings) -> Iterable[Advice]:
    gaps = []
    for measure in findings.measures:
        if measure.group == "detail" or "elastic" in measure.canonical:
            continue
        for arm in findings.arms:
            score = findings.score(arm.id, measure)
            if score is None or not score.n_missing:
                continue
            total = score.n_valid + score.n_missing
            if score.n_missing > LOST_SHARE * total:
                found = text(
                    "find_missing",
                    arm=arm.id,
                    metric=measure.title,
                    total=count(total),
                    n=count(score.n_missing),
                )
                gaps.append((arm, found))
    yield from _grouped("advice_missing", gaps, share=percent(LOST_SHARE, digits=0))


def _undecided(findings: Findings) -> Iterable[Advice]:
    planned = []
    for measure in findings.main:
        family = findings.contrasts("tuned vs base", measure)
        for one in family:
            if one.verdict != "inconclusive":
                continue
            n_needed = prompts_to_settle(one, n_comparisons=len(family))
            if n_needed is not None:
                planned.append(Planned(measure, one, len(family), n_needed))
    near = [plan for plan in planned if plan.n_needed <= MAX_PROMPTS_WORTH_NAMING]
    far = [plan for plan in planned if plan.n_needed > MAX_PROMPTS_WORTH_NAMING]
    # One a measure, the cheapest to settle: a list of thirty would bury the point.
    cheapest: dict[Measure, Planned] = {}
    for plan in sorted(near, key=lambda plan: plan.n_needed):
        cheapest.setdefault(plan.measure, plan)
    for plan in cheapest.values():
        yield make_advice(
            text(
                "advice_sample_size",
                arm=f"`{plan.contrast.arm}`",
                other=f"`{plan.contrast.other}`",
                metric=plan.measure.title,
                needed=count(plan.n_needed),
                n=plan.contrast.n_items,
                n_comparisons=plan.n_comparisons,
                difference=plan.measure.amount(plan.measure.show_difference(_value(plan.contrast))),
            ),
            [describe_contrast(plan.measure, plan.contrast)],
        )
    if far:
        yield make_advice(
            text("advice_sample_size_many", n=len(far), limit=count(MAX_PROMPTS_WORTH_NAMING)),
            [describe_contrast(plan.measure, plan.contrast) for plan in far],
        )


def _value(contrast: ContrastResult) -> float:
    assert is_number(contrast.difference)
    return contrast.difference


def _seeds(findings: Findings) -> Iterable[Advice]:
    seeds = sorted({arm.seed for arm in findings.tuned if arm.seed is not None})
    if len(seeds) == 1:
        yield make_advice(text("advice_one_seed"), [text("find_seeds", seeds=seeds[0])])


def _data(findings: Findings) -> Iterable[Advice]:
    data = findings.outcomes.data
    if data.n_dialogues and data.n_quarantined > LOST_SHARE * data.n_dialogues:
        yield make_advice(
            findings.words(
                "advice_data_lost", share=percent(data.n_quarantined / data.n_dialogues)
            ),
            [
                findings.words(
                    "find_quarantined",
                    n=count(data.n_quarantined),
                    total=count(data.n_dialogues),
                )
            ],
        )
    if data.n_usable and data.n_cut > LOST_SHARE * data.n_usable:
        yield make_advice(
            findings.words("advice_cut", share=percent(data.n_cut / data.n_usable)),
            [findings.words("find_cut", n=count(data.n_cut), total=count(data.n_usable))],
        )


def _grouped(
    key: str, found: Sequence[tuple[ArmResult, Bilingual]], **values: object
) -> Iterable[Advice]:
    """Yield one piece of advice for all the arms that it holds for; none where there are none."""
    if found:
        names = list(dict.fromkeys(arm.id for arm, _ in found))
        yield make_advice(text(key, arms=listing(names), **values), [one for _, one in found])
