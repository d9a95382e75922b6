"""The answer in plain words: sentences that claim what the statistics say and no more.

A sentence is ``Bilingual``; backticks mark names and double asterisks the lead, in both outputs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Literal, NamedTuple

from qingting.report.findings import Findings, is_number
from qingting.report.measures import Measure
from qingting.report.quantities import count, level, parameters
from qingting.report.results import (
    ArmResult,
    ContrastResult,
    Interval,
    MissingValue,
    RankedArm,
    Ranking,
    Results,
    Score,
)
from qingting.report.texts import Bilingual, both, listing, text, text_for

Verdict = Literal["better", "worse", "inconclusive", "undefined"]
SMALL_MODEL_PARAMETERS = 100_000_000
SHIPPED_PACK = "counselling"
_TURNED: Mapping[Verdict, Verdict] = {
    "better": "worse",
    "worse": "better",
    "inconclusive": "inconclusive",
    "undefined": "undefined",
}


class Summary(NamedTuple):
    """The first page: one headline, then what is known, what is not, and what was not asked."""

    headline: Bilingual
    best: tuple[Bilingual, ...]
    tuning: tuple[Bilingual, ...]
    each: tuple[Bilingual, ...]
    open: tuple[Bilingual, ...]
    failures: tuple[Bilingual, ...]
    limits: tuple[Bilingual, ...]


def summarise(results: Results) -> Summary:
    """Return the answer of an experiment in sentences."""
    findings = Findings(results.outcomes)
    return Summary(
        headline=headline(findings),
        best=tuple(best_sentence(findings, measure) for measure in findings.main),
        tuning=tuning_sentences(findings),
        each=tuple(arm_sentence(findings, a) for a in findings.tuned if a.status == "done"),
        open=open_sentences(findings),
        failures=failure_sentences(findings),
        limits=limit_sentences(results),
    )


def headline(findings: Findings) -> Bilingual:
    """Return whether tuning helped and who is best at likelihood, and what speaks against it."""
    measures = findings.primary("likelihood")
    contrasts = [c for c in _base_contrasts(findings, measures[:1]) if c.verdict != "undefined"]
    if not contrasts:
        first = findings.words("headline_no_contrast")
    else:
        verdicts = Counter(one.verdict for one in contrasts)
        n_better = verdicts["better"]
        n_without = len(findings.tuned) - len(contrasts)
        key = "all_better" if n_better == len(contrasts) else "some_better"
        if key == "all_better" and n_without:
            key = "all_better_failed"
        elif key == "all_better" and n_better == 1:
            key = "one_better"
        first = findings.words(
            f"headline_{key}",
            n=len(contrasts),
            better=n_better,
            worse=verdicts["worse"],
            open=verdicts["inconclusive"],
            failed=n_without,
        )
    ranking = findings.ranking(measures[0]) if measures else None
    if ranking is not None and ranking.rows:
        first = join(first, _headline_best(ranking))
    for measure in findings.primary("overlap"):
        first = join(first, _headline_against(findings, measure))
    return first


def _headline_against(findings: Findings, measure: Measure) -> Bilingual:
    """Return what another measure says against tuning, or nothing: a headline must not hide it."""
    verdicts = Counter(one.verdict for one in _base_contrasts(findings, [measure]))
    if not verdicts["worse"] or verdicts["better"]:
        return both("")
    n_compared = verdicts.total() - verdicts["undefined"]
    return findings.words(
        "headline_against", metric=measure.title, n=n_compared, worse=verdicts["worse"]
    )


def _headline_best(ranking: Ranking) -> Bilingual:
    best, others = first_places(ranking.rows)
    if others:
        return text("headline_tied", arm=best.arm, others=listing(others))
    if best.rank_high > 1 or not is_confident(ranking):
        return Bilingual("", "")
    return text("headline_alone", arm=best.arm)


def best_sentence(findings: Findings, measure: Measure) -> Bilingual:
    """Return who has the best figure on a measure, how sure that is, and the lead over the next."""
    best = findings.best(measure)
    if best is None:
        return text("best_none", metric=measure.title)
    arm, mean = best
    score = findings.score(arm, measure)
    value = both(measure.show(mean)) if score is None else value_with_interval(measure, score)
    ranking = findings.ranking(measure)
    baseline = baseline_sentence(findings, measure)
    if ranking is None or not ranking.rows:
        lead = None
        sentence = text("best_unranked", metric=measure.title, arm=arm, value=value)
    else:
        lead = _lead_sentence(findings, measure, ranking.rows)
        sentence = _ranked_sentence(measure, ranking, value)
    for more in (lead, baseline):
        sentence = sentence if more is None else join(sentence, more)
    return sentence


def _ranked_sentence(measure: Measure, ranking: Ranking, value: Bilingual) -> Bilingual:
    """Return who is first as far as the rank intervals say so."""
    row, others = first_places(ranking.rows)
    named = {"metric": measure.title, "arm": row.arm, "value": value}
    if others:
        return text("best_tied", **named, others=listing(others))
    if row.rank_high > 1 or not is_confident(ranking):
        return text("best_rank_open", **named, low=row.rank_low, high=row.rank_high)
    return text("best_alone", **named)


def first_places(rows: tuple[RankedArm, ...]) -> tuple[RankedArm, list[str]]:
    """Return the row ranked best and the other arms whose rank interval reaches first place."""
    best = min(rows, key=lambda row: row.rank)
    return best, [row.arm for row in rows if row.rank_low == 1 and row.arm != best.arm]


def is_confident(ranking: Ranking) -> bool:
    """Return whether rank intervals hold the true ranks; resampled ranks only show their wobble."""
    return "simultaneous" in ranking.method


def _lead_sentence(
    findings: Findings, measure: Measure, rows: tuple[RankedArm, ...]
) -> Bilingual | None:
    ordered = sorted(rows, key=lambda row: row.rank)
    if len(ordered) < 2:
        return None
    best, runner_up = ordered[0].arm, ordered[1].arm
    for arm, other, sign in ((best, runner_up, 1), (runner_up, best, -1)):
        contrast = findings.contrast(arm, other, measure)
        if contrast is None or not is_number(contrast.difference):
            continue
        verdict = contrast.verdict
        if sign < 0:
            verdict = _TURNED[verdict]
        if verdict == "undefined":
            return None
        return text(f"lead_{verdict}", other=runner_up, amount=size_of(measure, contrast))
    return None


def baseline_sentence(findings: Findings, measure: Measure) -> Bilingual | None:
    """Return how many arms lie above what knowing nothing earns, or None without baselines."""
    baselines = findings.baselines(measure)
    scores = [findings.score(arm.id, measure) for arm in findings.arms]
    intervals = [s.interval for s in scores if s and isinstance(s.interval, Interval)]
    if not baselines or not intervals:
        return None
    highest = baselines[-1].value
    n_above = sum(interval.low > highest for interval in intervals)
    key = "best_above_baseline" if n_above else "best_none_above_baseline"
    return findings.words(key, n=len(intervals), above=n_above, baseline=measure.show(highest))


def tuning_sentences(findings: Findings) -> tuple[Bilingual, ...]:
    """Return how often tuning helped on each main measure."""
    counted = []
    for measure in findings.main:
        contrasts = _base_contrasts(findings, (measure,))
        decided = [one for one in contrasts if one.verdict != "undefined"]
        if decided:
            verdicts = Counter(one.verdict for one in decided)
            counted.append(
                text(
                    "tuning_counts",
                    metric=measure.title,
                    n=len(decided),
                    better=verdicts["better"],
                    worse=verdicts["worse"],
                    open=verdicts["inconclusive"],
                )
            )
    return tuple(counted)


def arm_sentence(findings: Findings, arm: ArmResult) -> Bilingual:
    """Return one tuned model against its own base on the main measures."""
    base = findings.base_of(arm)
    if base is None or base.status == "failed":
        return text("tuning_none", arm=arm.id)
    parts = []
    for group in ("likelihood", "overlap", "knowledge"):
        for measure in findings.primary(group):
            contrast = findings.contrast(arm.id, base.id, measure)
            if contrast is not None:
                parts.append(contrast_part(measure, contrast))
    overlap = [
        one.verdict
        for measure in findings.measures_of("overlap")
        if (one := findings.contrast(arm.id, base.id, measure)) and one.verdict != "undefined"
    ]
    if len(overlap) > len(findings.primary("overlap")):
        verdicts = Counter(overlap)
        parts.append(
            text(
                "part_quality_counts",
                n=len(overlap),
                better=verdicts["better"],
                worse=verdicts["worse"],
                open=verdicts["inconclusive"],
            )
        )
    if not parts:
        return text("tuning_none", arm=arm.id)
    joined = Bilingual("；".join(p.zh for p in parts), "; ".join(p.en for p in parts))
    return text("tuning_arm", arm=arm.id, base=base.id, parts=joined)


def contrast_part(measure: Measure, contrast: ContrastResult) -> Bilingual:
    """Return one contrast as part of a sentence: better or worse by how much, or inconclusive."""
    if contrast.verdict == "undefined" or not is_number(contrast.difference):
        missing = contrast.difference
        reason = missing.missing if isinstance(missing, MissingValue) else ""
        return text("part_undefined", metric=measure.title, reason=reason or text("no_reason"))
    if contrast.verdict == "inconclusive":
        return text("part_inconclusive", metric=measure.title, amount=signed(measure, contrast))
    return text(f"part_{contrast.verdict}", metric=measure.title, amount=size_of(measure, contrast))


def open_sentences(findings: Findings) -> tuple[Bilingual, ...]:
    """Return what the main comparisons could not decide."""
    sentences = []
    n_undefined = 0
    for measure in findings.main:
        against_base = _base_contrasts(findings, (measure,))
        between = findings.contrasts("tuned vs tuned", measure)
        n_undefined += sum(c.verdict == "undefined" for c in (*against_base, *between))
        open_base = sum(one.verdict == "inconclusive" for one in against_base)
        open_tuned = sum(one.verdict == "inconclusive" for one in between)
        if open_base or open_tuned:
            which = "both" if open_base and open_tuned else "base" if open_base else "tuned"
            sentences.append(
                text(
                    f"open_{which}",
                    metric=measure.title,
                    n_base=len(against_base),
                    open_base=open_base,
                    n_tuned=len(between),
                    open_tuned=open_tuned,
                )
            )
    if sentences:
        sentences.append(text("open_means"))
    if n_undefined:
        sentences.append(text("open_undefined", n=n_undefined))
    if not sentences and findings.outcomes.contrasts:
        sentences.append(text("open_nothing"))
    return tuple(sentences)


def failure_sentences(findings: Findings) -> tuple[Bilingual, ...]:
    """Return which arms failed and why, and where items are missing."""
    sentences = [
        text("failure_arm", arm=arm.id, reason=arm.reason or text("no_reason"))
        for arm in findings.failed
    ]
    for measure in findings.measures:
        if measure.group == "detail" or "elastic" in measure.canonical:
            continue  # same items as the score that is shown first
        gaps = [
            (score.n_missing, score.n_valid, arm.id)
            for arm in findings.arms
            if (score := findings.score(arm.id, measure)) is not None and score.n_missing
        ]
        if gaps:
            n_missing, n_valid, most = max(gaps, key=lambda gap: gap[0])
            sentences.append(
                text(
                    "failure_gap",
                    metric=measure.title,
                    n=len(gaps),
                    arm=most,
                    total=count(n_valid + n_missing),
                    missing=count(n_missing),
                )
            )
    if len(sentences) > len(findings.failed):
        sentences.append(text("failure_gap_means"))
    return tuple(sentences) or (text("failure_none"),)


def limit_sentences(results: Results) -> tuple[Bilingual, ...]:
    """Return what the report does not show, without softening."""
    outcomes = results.outcomes
    sizes = [model.n_parameters for model in outcomes.models if model.n_parameters]
    small = bool(sizes) and max(sizes) < SMALL_MODEL_PARAMETERS
    seeds = {arm.seed for arm in outcomes.arms if arm.seed is not None}
    shipped = SHIPPED_PACK in outcomes.data.sources
    is_judged = outcomes.judging is not None and outcomes.judging.findings is not None
    say = partial(text_for, outcomes.task)
    return (
        say("limit_synthetic" if shipped else "limit_same_source"),
        *((say("limit_small", largest=parameters(max(sizes))),) if small else ()),
        say("limit_humans" if is_judged else "limit_no_humans"),
        say("limit_overlap"),
        say("limit_clinical"),
        say("limit_safety_judged" if is_judged else "limit_safety"),
        say("limit_seed") if len(seeds) < 2 else say("limit_seeds", n=len(seeds)),
    )


def value_with_interval(measure: Measure, score: Score) -> Bilingual:
    """Return a mean and its interval in words."""
    if isinstance(score.mean, MissingValue):
        return text("missing_note", reason=score.mean.missing)
    value = measure.show(score.mean)
    interval = score.interval
    if isinstance(interval, MissingValue):
        return text("value_alone", value=value, reason=interval.missing)
    ends = text("range", low=measure.show(interval.low), high=measure.show(interval.high))
    return text("value_interval", value=value, level=level(interval.confidence_level), range=ends)


def size_of(measure: Measure, contrast: ContrastResult) -> Bilingual:
    """Return how large a difference is, whichever side it favours, with its interval turned too."""
    assert is_number(contrast.difference)
    return _difference(measure, contrast, flip=contrast.difference < 0, is_signed=False)


def signed(measure: Measure, contrast: ContrastResult) -> Bilingual:
    """Return a difference as computed, ``arm`` minus ``other``, with its interval."""
    return _difference(measure, contrast, flip=False, is_signed=True)


def _difference(
    measure: Measure, contrast: ContrastResult, *, flip: bool, is_signed: bool
) -> Bilingual:
    assert is_number(contrast.difference)
    sign = -1.0 if flip else 1.0

    def show(value: float) -> str:
        shown = measure.show_difference(sign * value)
        return shown if is_signed else shown.removeprefix("+")

    value = measure.amount(show(contrast.difference))
    interval = contrast.interval
    if not isinstance(interval, Interval):
        return text("value_alone", value=value, reason=interval.missing)
    low, high = sorted((interval.low, interval.high), reverse=flip)
    ends = text("range", low=show(low), high=show(high))
    return text("value_interval", value=value, level=level(interval.confidence_level), range=ends)


def baseline_name(name: str) -> Bilingual:
    """Return what a baseline is called."""
    if name == "chance":
        return text("baseline_chance")
    kind, _, letter = name.partition(" ")
    if kind == "always" and letter:
        return text("baseline_letter", letter=letter)
    return Bilingual(name, name)


def join(first: Bilingual, second: Bilingual) -> Bilingual:
    """Return two sentences after one another; Chinese takes no space between them."""
    return Bilingual(first.zh + second.zh, f"{first.en} {second.en}".strip())


def _base_contrasts(findings: Findings, measures: Iterable[Measure]) -> list[ContrastResult]:
    """Return the contrasts of each tuned arm with the base of its own model."""
    found = []
    for measure in measures:
        for arm in findings.tuned:
            base = findings.base_of(arm)
            contrast = base and findings.contrast(arm.id, base.id, measure)
            if contrast:
                found.append(contrast)
    return found
