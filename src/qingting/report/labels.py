"""How each label fares: tables, confusion matrices and calibration of every arm that sorted."""

from __future__ import annotations

from collections.abc import Sequence

from qingting.report.charts import series_of
from qingting.report.figures import Figure
from qingting.report.findings import Findings
from qingting.report.label_figures import (
    MAX_LABELS_DRAWN,
    confusion_matrix,
    reliability_diagram,
)
from qingting.report.quantities import count, decimal, percent
from qingting.report.results import ArmResult, Classification, MissingValue, Number, Share
from qingting.report.tables import Cell, Column, Notes, Row, Table, arm_row, plain_cell
from qingting.report.texts import Bilingual, both, text


def sorted_arms(findings: Findings) -> tuple[tuple[ArmResult, Classification], ...]:
    """Return the arms that sorted texts, each with how it did."""
    return tuple((arm, arm.classification) for arm in findings.arms if arm.classification)


def label_table(findings: Findings) -> Table:
    """Return arms by labels: F1 with its interval, precision and recall beneath, and macro F1."""
    arms = sorted_arms(findings)
    labels = arms[0][1].labels if arms else ()
    notes = Notes()
    rows = []
    for arm, found in arms:
        by_label = {one.label: one for one in found.classes}
        cells = [_share_cell(found.macro_f1, notes)]
        cells += [_number_cell(value, notes) for value in (found.mcc, found.auroc)]
        for label in labels:
            one = by_label[label]
            cells += [_share_cell(share, notes) for share in (one.recall, one.precision, one.f1)]
        rows.append(arm_row(arm, cells))
    columns = [Column(text(name), text("higher_better")) for name in ("macro_f1", "mcc", "auroc")]
    for label in labels:
        n_true = next((c.n_true for _, f in arms for c in f.classes if c.label == label), 0)
        hint = text("n_texts", n=count(n_true))
        columns += [Column(_of(text(name), label), hint) for name in ("recall", "precision", "f1")]
    return Table(
        text("labels_caption"), text("arm"), tuple(columns), tuple(rows), notes.collected()
    )


def calibration_table(findings: Findings) -> Table:
    """Return arms by mean confidence, accuracy and calibration error."""
    rows = []
    for arm, found in sorted_arms(findings):
        cells = [
            plain_cell(percent(found.mean_confidence)),
            plain_cell(percent(accuracy_of(found))),
            plain_cell(decimal(found.ece)),
        ]
        rows.append(arm_row(arm, cells))
    columns = (
        Column(text("mean_confidence")),
        Column(text("metric_accuracy"), text("higher_better")),
        Column(text("ece"), text("lower_better")),
    )
    return Table(text("calibration_caption"), text("arm"), columns, tuple(rows))


def confusion_table(arm: ArmResult, found: Classification) -> Table:
    """Return an arm's confusion matrix as a table, for readers without pictures."""
    rows = tuple(
        Row(
            both(label),
            tuple(
                Cell(both(count(n)), mark="self" if n == 0 else "") for n in found.confusion[number]
            ),
            is_code=False,
        )
        for number, label in enumerate(found.labels)
    )
    columns = tuple(Column(both(label)) for label in found.labels)
    caption = text("confusion_caption", arm=f"`{arm.id}`")
    return Table(caption, text("confusion_true"), columns, rows)


def confusion_tables(findings: Findings) -> list[Table]:
    """Return the confusion matrix of every arm as a table."""
    return [confusion_table(arm, found) for arm, found in sorted_arms(findings)]


def confusion_figures(findings: Findings) -> tuple[Figure, ...]:
    """Return the confusion matrix of every arm; none where the labels are too many to draw."""
    return tuple(
        confusion_matrix(
            f"confusion-{number}",
            both(arm.id),
            text("confusion_description", n=count(_total(found)), right=count(_right(found))),
            labels=found.labels,
            counts=found.confusion,
        )
        for number, (arm, found) in enumerate(sorted_arms(findings))
        if len(found.labels) <= MAX_LABELS_DRAWN
    )


def reliability_figures(findings: Findings) -> tuple[Figure, ...]:
    """Return the reliability diagram of every arm, its figures beneath."""
    figures = []
    for number, (arm, found) in enumerate(sorted_arms(findings)):
        description = text(
            "reliability_description",
            n=len(found.reliability),
            confidence=percent(found.mean_confidence),
            accuracy=percent(accuracy_of(found)),
            ece=decimal(found.ece),
        )
        figure = reliability_diagram(
            f"reliability-{number}",
            both(arm.id),
            description,
            bins=found.reliability,
            series=series_of(findings, arm.model),
        )
        figures.append(figure._replace(note=description))
    return tuple(figures)


def accuracy_of(found: Classification) -> float:
    """Return the share of texts sorted right."""
    return _right(found) / _total(found)


def _right(found: Classification) -> int:
    return sum(found.confusion[number][number] for number in range(len(found.labels)))


def _total(found: Classification) -> int:
    return sum(sum(row) for row in found.confusion)


def _share_cell(share: Share | MissingValue, notes: Notes) -> Cell:
    if isinstance(share, MissingValue):
        return notes.missing(share.missing)
    low, high = percent(share.interval.low), percent(share.interval.high)
    return Cell(both(percent(share.value)), (both(f"[{low}, {high}]"),))


def _number_cell(value: Number, notes: Notes) -> Cell:
    if isinstance(value, MissingValue):
        return notes.missing(value.missing)
    return plain_cell(decimal(value))


def _of(name: Bilingual, label: str) -> Bilingual:
    return Bilingual(f"{name.zh}：{label}", f"{name.en}: {label}")


def label_tables(findings: Findings) -> Sequence[Table]:
    """Return the tables of the section, in their order."""
    return (label_table(findings), *confusion_tables(findings), calibration_table(findings))
