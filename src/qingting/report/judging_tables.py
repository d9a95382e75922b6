"""Tables on human judging: scores or strengths, comparisons, the gate of safety, agreement."""

from __future__ import annotations

from typing import NamedTuple

from qingting.report.quantities import decimal, percent
from qingting.report.results_judging import (
    JudgedArm,
    JudgedContrast,
    JudgedCriterion,
    StudyFindings,
    StudyResult,
)
from qingting.report.results_values import Interval, MissingValue, Number
from qingting.report.tables import Cell, Column, Notes, Row, Table, plain_cell
from qingting.report.texts import Bilingual, both, text

OVERALL = "overall"


class StudyTables(NamedTuple):
    """The tables of a judged study; ``contrasts`` begins with the overall criterion."""

    arms: Table
    contrasts: tuple[Table, ...]
    safety: Table
    agreement: Table


def study_tables(findings: StudyFindings) -> StudyTables:
    """Return the tables of what people said."""
    criteria = sorted(findings.criteria, key=lambda one: one.criterion != OVERALL)
    return StudyTables(
        _arms(criteria),
        tuple(
            _contrasts(one, one.contrasts)
            for one in criteria
            if not isinstance(one.contrasts, MissingValue)
        ),
        _safety(findings),
        _agreement(criteria),
    )


def standing(study: StudyResult) -> tuple[Bilingual, ...]:
    """Return in sentences how a study stands, whatever there is of it."""
    said = []
    if study.status == "waiting":
        said.append(text(f"judging_waits_{study.waits_for or 'study'}", name=study.name))
    if study.status == "failed":
        said.append(text("judging_failed", reason=study.reason or text("no_reason")))
    if study.findings is not None and study.findings.state != "closed":
        said.append(text("judging_interim"))
    if study.findings is None and study.n_items is not None:
        said.append(
            text("judging_planned", items=study.n_items, judgments=study.n_judgments_planned)
        )
    if study.n_items_left_out:
        silent = ", ".join(f"`{arm}` {n}" for arm, n in study.n_unanswered.items())
        said.append(text("judging_left_out", n=study.n_items_left_out, arms=silent))
    return tuple(said)


def digests(study: StudyResult) -> Bilingual | None:
    """Return which judgments were read and what was fixed in advance, by digest."""
    if study.registered_digest is None:
        return None
    if study.findings is None:
        return text("judging_registered", registered=study.registered_digest)
    return text(
        "judging_digests", snapshot=study.findings.snapshot, registered=study.registered_digest
    )


def _named(criterion: JudgedCriterion) -> Bilingual:
    return Bilingual(criterion.name.zh, criterion.name.en)


def _arms(criteria: list[JudgedCriterion]) -> Table:
    notes = Notes()
    by_criterion = [{arm.arm: arm for arm in one.arms} for one in criteria]
    names = list(dict.fromkeys(arm for arms in by_criterion for arm in arms))
    are_pairs = any(arm.strength is not None for one in criteria for arm in one.arms)
    rows = tuple(
        Row(both(name), tuple(_arm_cell(arms.get(name), notes) for arms in by_criterion))
        for name in names
    )
    caption = text("judging_strength_caption" if are_pairs else "judging_scores_caption")
    columns = tuple(Column(_named(one)) for one in criteria)
    return Table(caption, text("arm"), columns, rows, notes.collected())


def _arm_cell(arm: JudgedArm | None, notes: Notes) -> Cell:
    if arm is None:
        return notes.missing(text("not_computed"))
    if arm.mean is not None:
        return plain_cell(decimal(arm.mean, digits=2))
    if arm.strength is None or isinstance(arm.strength, MissingValue):
        reason = arm.strength.missing if arm.strength is not None else text("not_computed")
        return notes.missing(reason)
    details = [_interval(arm.interval)] if arm.interval is not None else []
    if arm.rank_low is not None and arm.rank_high is not None:
        is_one = arm.rank_low == arm.rank_high
        details.append(
            text("rank_one", low=arm.rank_low)
            if is_one
            else text("rank", low=arm.rank_low, high=arm.rank_high)
        )
    return Cell(both(decimal(arm.strength, digits=2)), tuple(one for one in details if one.en))


def _contrasts(criterion: JudgedCriterion, contrasts: tuple[JudgedContrast, ...]) -> Table:
    notes = Notes()
    rows = []
    for one in contrasts:
        odds = _figure(one.log_odds, notes, digits=2)
        cells = (
            odds._replace(details=tuple(d for d in (_interval(one.interval),) if d.en)),
            _share(one.p_first_higher, notes, one.p_first_higher_interval),
            _figure(one.p_adjusted, notes, digits=4),
            Cell(text(one.verdict), mark="" if one.verdict == "undefined" else one.verdict),
        )
        rows.append(Row(both(f"{one.arm} − {one.other}"), cells))
    columns = (
        Column(text("judging_log_odds")),
        Column(text("judging_p_first")),
        Column(text("p_adjusted")),
        Column(text("verdict"), is_text=True),
    )
    caption = text("judging_contrasts_caption", criterion=_named(criterion))
    said = (*notes.collected(), *(both(note) for note in criterion.notes))
    return Table(caption, text("judging_pair"), columns, tuple(rows), said)


def _safety(findings: StudyFindings) -> Table:
    rows = tuple(
        Row(
            both(one.arm),
            (
                plain_cell(str(one.n_answers)),
                Cell(both(str(one.n_failed)), mark="worse" if one.n_failed else ""),
                plain_cell(str(one.n_concern)),
                Cell(
                    both(percent(one.n_failed / one.n_answers)),
                    (both(f"[{percent(one.failed.low)}, {percent(one.failed.high)}]"),),
                ),
                plain_cell(percent(one.upper_bound)),
                plain_cell(
                    ", ".join(f"{code} {n}" for code, n in one.reasons.items()) or text("none")
                ),
            ),
        )
        for one in findings.safety
    )
    columns = (
        Column(text("judging_n_answers")),
        Column(text("judging_n_failed")),
        Column(text("judging_n_concern")),
        Column(text("judging_failed_share"), text("interval", level="95%")),
        Column(text("judging_upper_bound")),
        Column(text("judging_reasons"), is_text=True),
    )
    return Table(text("judging_safety_caption"), text("arm"), columns, rows)


def _agreement(criteria: list[JudgedCriterion]) -> Table:
    notes = Notes()
    rows = []
    for one in criteria:
        alpha = _figure(one.alpha, notes, digits=2)
        details = tuple(d for d in (_interval(one.alpha_interval),) if d.en)
        cells = (
            plain_cell(str(one.n_judgments)),
            alpha._replace(details=details),
            _share(one.share_same, notes),
        )
        rows.append(Row(_named(one), cells, is_code=False))
    columns = (
        Column(text("judging_n")),
        Column(text("judging_alpha"), text("interval", level="95%")),
        Column(text("judging_share_same")),
    )
    caption = text("judging_agreement_caption")
    return Table(caption, text("judging_criterion"), columns, tuple(rows), notes.collected())


def _figure(value: Number, notes: Notes, *, digits: int) -> Cell:
    if isinstance(value, MissingValue):
        return notes.missing(value.missing)
    return plain_cell(decimal(value, digits=digits))


def _share(value: Number, notes: Notes, interval: Interval | MissingValue | None = None) -> Cell:
    if isinstance(value, MissingValue):
        return notes.missing(value.missing)
    if interval is None or isinstance(interval, MissingValue):
        return plain_cell(percent(value))
    bounds = both(f"[{percent(interval.low)}, {percent(interval.high)}]")
    return Cell(both(percent(value)), (bounds,))


def _interval(interval: Interval | MissingValue) -> Bilingual:
    if isinstance(interval, MissingValue):
        return both("")
    return both(f"[{decimal(interval.low, digits=2)}, {decimal(interval.high, digits=2)}]")
