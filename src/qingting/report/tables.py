"""Tables of the report, independent of how they are written; HTML and Markdown print the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from qingting.report.findings import Findings, is_number
from qingting.report.measures import Measure
from qingting.report.quantities import decimal, level
from qingting.report.results import (
    ArmResult,
    ContrastResult,
    Interval,
    MissingValue,
    Number,
    RankedArm,
    Score,
)
from qingting.report.texts import Bilingual, both, text
from qingting.report.words import baseline_name

Mark = Literal["", "best", "tied", "better", "worse", "inconclusive", "missing", "failed", "self"]
DASH = "—"


class Cell(NamedTuple):
    """What stands in one place: the figure, smaller lines below it, a mark, a footnote's number."""

    shown: Bilingual
    details: tuple[Bilingual, ...] = ()
    mark: Mark = ""
    note: int = 0


class Column(NamedTuple):
    """A column's head: its name, in smaller type what to know of it, and how it is set."""

    name: Bilingual
    hint: Bilingual | None = None
    is_text: bool = False


class Row(NamedTuple):
    """A row: its name, what is said beneath it, and its cells."""

    head: Bilingual
    cells: tuple[Cell, ...]
    under: Bilingual | None = None
    is_code: bool = True


class Table(NamedTuple):
    """A table with its caption and the footnotes that its dashes point to."""

    caption: Bilingual
    corner: Bilingual
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[Bilingual, ...] = ()


class Notes:
    """Collects the footnotes of one table; the same reason has one number."""

    def __init__(self) -> None:
        self._numbers: dict[Bilingual, int] = {}

    def missing(self, reason: str | Bilingual) -> Cell:
        """Return a dash that points to its reason."""
        note = text("missing_note", reason=reason)
        number = self._numbers.setdefault(note, len(self._numbers) + 1)
        return Cell(both(DASH), mark="missing", note=number)

    def collected(self) -> tuple[Bilingual, ...]:
        """Return the notes in the order of their numbers."""
        return tuple(self._numbers)


def plain_cell(words: str | Bilingual) -> Cell:
    """Return a cell that holds words or a number and nothing else."""
    return Cell(words if isinstance(words, Bilingual) else both(words))


def why_absent(findings: Findings, arm_id: str) -> Bilingual:
    """Return why an arm has no value of some kind: it failed, or this was not measured."""
    arm = findings.arm(arm_id)
    if arm is not None and arm.status == "failed":
        return text("arm_failed", reason=arm.reason or text("no_reason"))
    return text("not_measured")


def column_of(findings: Findings, measure: Measure, *, with_language: bool = True) -> Column:
    """Return a measure's head with the way that is better."""
    direction = findings.direction(measure)
    hint = text(f"{direction}_better" if direction != "neutral" else "neutral")
    return Column(measure.title if with_language else measure.name, hint)


def arm_row(arm: ArmResult, cells: Sequence[Cell]) -> Row:
    """Return a row named after an arm."""
    under = text("failed") if arm.status == "failed" else text(arm.variant)
    return Row(both(arm.id), tuple(cells), under)


def overview_table(findings: Findings) -> Table:
    """Return arms by main measures: mean, interval, rank interval; best and inseparable marked."""
    return score_table(findings, findings.overview, text("overview_caption"), with_ranks=True)


def score_table(
    findings: Findings,
    measures: Sequence[Measure],
    caption: Bilingual,
    *,
    with_ranks: bool = False,
    with_counts: bool = False,
    with_language: bool = True,
) -> Table:
    """Return arms by measures; only a ranking marks the best, for only it says who may tie."""
    notes = Notes()
    rows = []
    for arm in findings.arms:
        cells = []
        for measure in measures:
            score = findings.score(arm.id, measure)
            rank = _rank_of(findings, arm.id, measure)
            if score is None:
                cells.append(notes.missing(why_absent(findings, arm.id)))
            else:
                cells.append(
                    score_cell(
                        measure,
                        score,
                        rank if with_ranks else None,
                        notes,
                        with_counts,
                        is_flat=_is_flat(findings, measure),
                    )
                )
        rows.append(arm_row(arm, cells))
    columns = tuple(column_of(findings, m, with_language=with_language) for m in measures)
    return Table(caption, text("arm"), columns, tuple(rows), notes.collected())


def score_cell(
    measure: Measure,
    score: Score,
    rank: RankedArm | None,
    notes: Notes,
    with_counts: bool = False,
    *,
    is_flat: bool = False,
) -> Cell:
    """Return a score with its interval; a missing one as a dash with its reason.

    Where all arms score the same (``is_flat``) none is marked as the best.
    """
    if isinstance(score.mean, MissingValue):
        return notes.missing(score.mean.missing)
    details = [interval_text(measure, score.interval)]
    if with_counts and score.n_missing:
        details.append(text("n_of", n=score.n_valid, total=score.n_valid + score.n_missing))
    mark: Mark = ""
    if rank is not None:
        details.append(rank_text(rank))
        if not is_flat:
            mark = "best" if rank.rank == 1 else "tied" if rank.rank_low == 1 else ""
    return Cell(both(measure.show(score.mean)), tuple(d for d in details if d.en), mark)


def interval_text(measure: Measure, interval: Interval | MissingValue) -> Bilingual:
    """Return an interval in brackets, or nothing."""
    if isinstance(interval, MissingValue):
        return both("")
    return both(f"[{measure.show(interval.low)}, {measure.show(interval.high)}]")


def rank_text(row: RankedArm) -> Bilingual:
    """Return a rank interval in words."""
    if row.rank_low == row.rank_high:
        return text("rank_one", low=row.rank_low)
    return text("rank", low=row.rank_low, high=row.rank_high)


def _is_flat(findings: Findings, measure: Measure) -> bool:
    """Return whether every arm has the same mean, so that there is no best one."""
    ranking = findings.ranking(measure)
    return ranking is not None and len({row.mean for row in ranking.rows}) == 1


def _rank_of(findings: Findings, arm_id: str, measure: Measure) -> RankedArm | None:
    ranking = findings.ranking(measure)
    return next((r for r in ranking.rows if r.arm == arm_id), None) if ranking else None


def scoreboard(findings: Findings) -> Table:
    """Return tuned models by main measures: the verdict against their own base and by how much."""
    measures = [m for m in findings.main if findings.contrasts("tuned vs base", m)]
    notes = Notes()
    rows = []
    for arm in findings.tuned:
        base = findings.base_of(arm)
        cells = []
        for measure in measures:
            contrast = base and findings.contrast(arm.id, base.id, measure)
            cells.append(
                verdict_cell(measure, contrast, notes)
                if contrast
                else notes.missing(_why_no_contrast(findings, arm, base))
            )
        rows.append(arm_row(arm, cells)._replace(under=None))
    return Table(
        text("contrasts_base"),
        text("arm"),
        tuple(column_of(findings, measure) for measure in measures),
        tuple(rows),
        notes.collected(),
    )


def _why_no_contrast(findings: Findings, arm: ArmResult, base: ArmResult | None) -> Bilingual:
    for one in (arm, base):
        if one is not None and one.status == "failed":
            return why_absent(findings, one.id)
    return text("not_computed")


def verdict_cell(measure: Measure, contrast: ContrastResult, notes: Notes) -> Cell:
    """Return the verdict of a contrast, then the difference and its interval."""
    if contrast.verdict == "undefined" or not is_number(contrast.difference):
        return notes.missing(_reason(contrast.difference))
    return Cell(
        text(contrast.verdict),
        (both(difference_text(measure, contrast)),),
        contrast.verdict,
    )


def difference_text(measure: Measure, contrast: ContrastResult) -> str:
    """Return a difference and its interval in figures."""
    if not is_number(contrast.difference):
        return DASH
    shown = measure.show_difference(contrast.difference)
    interval = contrast.interval
    if isinstance(interval, MissingValue):
        return shown
    low, high = measure.show_difference(interval.low), measure.show_difference(interval.high)
    return f"{shown} [{low}, {high}]"


def _reason(value: Number) -> str | Bilingual:
    return value.missing if isinstance(value, MissingValue) else text("no_reason")


def contrast_table(findings: Findings) -> Table:
    """Return every tuned-against-base contrast with its p values and counts."""
    notes = Notes()
    rows = []
    for measure in findings.contrasted("tuned vs base"):
        if measure.group == "detail":
            continue
        for one in findings.contrasts("tuned vs base", measure):
            difference = (
                plain_cell(difference_text(measure, one))
                if is_number(one.difference)
                else notes.missing(_reason(one.difference))
            )
            mark: Mark = "missing" if one.verdict == "undefined" else one.verdict
            cells = (
                Cell(measure.title),
                difference,
                _p_cell(one.p, notes),
                _p_cell(one.p_adjusted, notes),
                Cell(text(one.verdict), mark=mark),
                plain_cell(str(one.n_items)),
            )
            rows.append(Row(both(one.arm), cells))
    columns = (
        Column(text("metric"), is_text=True),
        Column(text("difference"), text("interval", level=_level_of(findings))),
        Column(text("p_raw")),
        Column(text("p_adjusted"), both("Holm")),
        Column(text("verdict"), is_text=True),
        Column(text("n_items")),
    )
    return Table(text("contrast_caption"), text("arm"), columns, tuple(rows), notes.collected())


def _p_cell(p: Number, notes: Notes) -> Cell:
    if not is_number(p):
        return notes.missing(_reason(p))
    return plain_cell("< 0.001" if p < 0.001 else decimal(p))


def _level_of(findings: Findings) -> str:
    intervals = (c.interval for c in findings.outcomes.contrasts)
    first = next((i for i in intervals if isinstance(i, Interval)), None)
    return level(first.confidence_level if first else 0.95)


def level_of(findings: Findings) -> str:
    """Return the confidence level of the report's intervals as a percentage."""
    for arm in findings.arms:
        for score in arm.scores:
            if isinstance(score.interval, Interval):
                return level(score.interval.confidence_level)
    return _level_of(findings)


def matrix(findings: Findings, measure: Measure) -> Table:
    """Return tuned arms against tuned arms: row minus column, verdict as a sign."""
    contrasts = findings.contrasts("tuned vs tuned", measure)
    arms = list(dict.fromkeys(name for c in contrasts for name in (c.arm, c.other)))
    notes = Notes()
    rows = []
    for row_arm in arms:
        cells = []
        for column_arm in arms:
            if row_arm == column_arm:
                cells.append(Cell(both("·"), mark="self"))
                continue
            forward = findings.contrast(row_arm, column_arm, measure)
            backward = findings.contrast(column_arm, row_arm, measure)
            one = forward or backward
            if one is None:
                cells.append(notes.missing(text("not_computed")))
            elif not is_number(one.difference) or one.verdict == "undefined":
                cells.append(notes.missing(_reason(one.difference)))
            else:
                cells.append(_signed_cell(measure, one, turned=forward is None))
        rows.append(Row(both(row_arm), tuple(cells)))
    return Table(
        text("matrix_caption", metric=measure.title),
        text("arm"),
        tuple(Column(both(arm)) for arm in arms),
        tuple(rows),
        notes.collected(),
    )


def _signed_cell(measure: Measure, contrast: ContrastResult, *, turned: bool) -> Cell:
    assert is_number(contrast.difference)
    verdict = contrast.verdict
    if turned and verdict in ("better", "worse"):
        verdict = "worse" if verdict == "better" else "better"
    shown = measure.show_difference(-contrast.difference if turned else contrast.difference)
    sign = {"better": "▲", "worse": "▼"}.get(verdict, "○")
    mark: Mark = (
        "better" if verdict == "better" else "worse" if verdict == "worse" else "inconclusive"
    )
    return Cell(both(f"{sign} {shown}"), mark=mark)


def knowledge_table(findings: Findings) -> Table:
    """Return accuracies of every arm, then the baselines that no knowledge earns."""
    measures = findings.measures_of("knowledge")
    table = score_table(findings, measures, text("knowledge_caption"), with_counts=True)
    names = list(dict.fromkeys(one.name for one in findings.outcomes.baselines))
    notes = list(table.notes)
    rows = list(table.rows)
    for name in names:
        cells = []
        for measure in measures:
            found = next((b for b in findings.baselines(measure) if b.name == name), None)
            if found is not None:
                cells.append(plain_cell(measure.show(found.value)))
                continue
            note = text("missing_note", reason=text("not_computed"))
            if note not in notes:
                notes.append(note)
            cells.append(Cell(both(DASH), mark="missing", note=notes.index(note) + 1))
        rows.append(Row(baseline_name(name), tuple(cells), text("baseline"), is_code=False))
    return table._replace(rows=tuple(rows), notes=tuple(notes))


def signature_table(findings: Findings, measures: Sequence[Measure]) -> Table:
    """Return each measure's signature; more than one where arms were scored differently."""
    rows = []
    for measure in measures:
        found = [findings.score(arm.id, measure) for arm in findings.arms]
        signatures = list(dict.fromkeys(score.signature for score in found if score))
        rows.append(Row(measure.title, (Cell(both(" ; ".join(signatures))),), is_code=False))
    return Table(
        text("show_signatures"),
        text("metric"),
        (Column(text("signature"), is_text=True),),
        tuple(rows),
    )
