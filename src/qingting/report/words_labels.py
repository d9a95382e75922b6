"""The answer in plain words where models sort texts."""

from __future__ import annotations

from qingting.report.findings import Findings
from qingting.report.quantities import parameters
from qingting.report.results import Results
from qingting.report.texts import Bilingual, listing, text
from qingting.report.words import (
    SHIPPED_PACK,
    SMALL_MODEL_PARAMETERS,
    Summary,
    baseline_sentence,
    best_sentence,
    contrast_part,
    failure_sentences,
    first_places,
    is_confident,
    join,
    open_sentences,
    summarise,
    value_with_interval,
)


def summarise_labels(results: Results) -> Summary:
    """Return who sorts best, how models compare, and what the report does not show."""
    findings = Findings(results.outcomes)
    return Summary(
        headline=_headline(findings),
        best=tuple(best_sentence(findings, measure) for measure in findings.main),
        tuning=_pair_sentences(findings),
        each=(),
        open=open_sentences(findings),
        failures=failure_sentences(findings),
        limits=_limits(results),
    )


def summary_of(results: Results) -> Summary:
    """Return the answer of an experiment in sentences, whatever its task."""
    is_sorting = results.outcomes.task == "classification"
    return summarise_labels(results) if is_sorting else summarise(results)


def _headline(findings: Findings) -> Bilingual:
    measures = findings.primary("labels")
    best = findings.best(measures[0]) if measures else None
    if best is None:
        return text("headline_label_none")
    arm, mean = best
    score = findings.score(arm, measures[0])
    value: str | Bilingual = measures[0].show(mean)
    if score is not None:
        value = value_with_interval(measures[0], score)
    ranking = findings.ranking(measures[0])
    if ranking is None or len(ranking.rows) < 2:
        sentence = text("headline_label_open", arm=arm, value=value)
    else:
        row, others = first_places(ranking.rows)
        if others:
            named = listing(others)
            sentence = text("headline_label_tied", arm=row.arm, value=value, others=named)
        elif row.rank_high > 1 or not is_confident(ranking):
            sentence = text("headline_label_open", arm=row.arm, value=value)
        else:
            sentence = text("headline_label_alone", arm=row.arm, value=value)
    against = baseline_sentence(findings, measures[0])
    return sentence if against is None else join(sentence, against)


def _pair_sentences(findings: Findings) -> tuple[Bilingual, ...]:
    """Return each pair of models on the main measures, in words."""
    pairs: dict[tuple[str, str], list[Bilingual]] = {}
    for measure in findings.main:
        for one in findings.contrasts("tuned vs tuned", measure):
            pairs.setdefault((one.arm, one.other), []).append(contrast_part(measure, one))
    return tuple(
        text(
            "pair_sentence",
            arm=arm,
            other=other,
            parts=Bilingual("；".join(p.zh for p in parts), "; ".join(p.en for p in parts)),
        )
        for (arm, other), parts in pairs.items()
    )


def _limits(results: Results) -> tuple[Bilingual, ...]:
    outcomes = results.outcomes
    sizes = [model.n_parameters for model in outcomes.models if model.n_parameters]
    small = bool(sizes) and max(sizes) < SMALL_MODEL_PARAMETERS
    seeds = {arm.seed for arm in outcomes.arms if arm.seed is not None}
    is_shipped = SHIPPED_PACK in outcomes.data.sources
    return (
        text("limit_synthetic_texts" if is_shipped else "limit_same_source_texts"),
        text("limit_errors_differ"),
        *(() if is_shipped else (text("limit_labels"),)),
        *((text("limit_small", largest=parameters(max(sizes))),) if small else ()),
        text("limit_clinical_classification"),
        text("limit_seed_texts") if len(seeds) < 2 else text("limit_seeds_texts", n=len(seeds)),
    )
