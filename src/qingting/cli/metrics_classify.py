"""``qingting metrics classify``: labels and predictions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from qingting.core.missing import Missing
    from qingting.metrics.classification import ClassificationScores


def classify(
    file: Annotated[
        Path, typer.Argument(help="CSV, TSV or JSON Lines: a label and a prediction a row.")
    ],
    classes: Annotated[
        str | None,
        typer.Option(help="Every class in order, joined by commas; by default those that occur."),
    ] = None,
    label_column: Annotated[str | None, typer.Option(help="Column of the true labels.")] = None,
    prediction_column: Annotated[
        str | None, typer.Option(help="Column of the predicted labels.")
    ] = None,
    score_column: Annotated[
        str | None,
        typer.Option(help="With two classes: column of scores for the second one, for AUROC."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print accuracy, precision, recall, F1, MCC, AUROC and the confusion matrix."""
    from qingting.cli.output import print_json, show_problems
    from qingting.metrics.classification import classification_report
    from qingting.metrics.label_files import read_labels

    asked = [name.strip() for name in (classes or "").split(",") if name.strip()]
    read = read_labels(
        file,
        classes=asked or None,
        label_column=label_column,
        prediction_column=prediction_column,
        score_column=score_column,
    )
    show_problems(read.problems)
    for one in read.only_predicted:
        typer.echo(
            f"{file}: {one!r} occurs among predictions only and counts as a class; with --classes "
            "it would count as a missing prediction",
            err=True,
        )
    if score_column is not None:
        first, second = read.classes
        typer.echo(
            f"{file}: {score_column!r} is read as the score for {second!r}; were it for {first!r}, "
            f"say --classes {second},{first}",
            err=True,
        )
    scores = classification_report(
        read.labels,
        read.predictions,
        classes=read.classes,
        scores_items_classes=read.scores_items_classes,
    )
    if as_json:
        record = {
            "file": str(file),
            "columns": dict(read.columns),
            "problems": [str(problem) for problem in read.problems],
            **scores.to_record(),
        }
        print_json(record)
        return
    _show(scores)


def _show(scores: ClassificationScores) -> None:
    typer.echo(f"{scores.n_valid} predictions, {scores.n_missing} missing, {scores.signature}")
    for name, value in (
        ("accuracy", scores.accuracy),
        ("accuracy, missing as wrong", scores.strict_accuracy),
        ("MCC", scores.mcc),
        ("AUROC, macro", scores.auroc_macro),
        ("AUROC, weighted", scores.auroc_weighted),
    ):
        typer.echo(f"{name:<27} {_text(value)}")
    typer.echo(f"\n{'average':<12} {'precision':>9} {'recall':>9} {'F1':>9}")
    notes: dict[str, None] = {}
    for name, one in (
        ("macro", scores.macro),
        ("micro", scores.micro),
        ("weighted", scores.weighted),
    ):
        cells = [_cell(value, notes) for value in (one.precision, one.recall, one.f1)]
        typer.echo(f"{name:<12} " + " ".join(f"{cell:>9}" for cell in cells))
    width = max(12, *map(len, scores.classes))
    typer.echo(
        f"\n{'class':<{width}} {'precision':>9} {'recall':>9} {'F1':>9} {'AUROC':>9} {'labels':>7}"
    )
    for figures in scores.by_class:
        cells = [
            _cell(value, notes)
            for value in (figures.precision, figures.recall, figures.f1, figures.auroc)
        ]
        typer.echo(
            f"{figures.label:<{width}} "
            + " ".join(f"{cell:>9}" for cell in cells)
            + f" {figures.n_true:>7}"
        )
    for note in notes:
        typer.echo(f"– undefined: {note}")
    columns = max(7, *map(len, scores.classes))
    typer.echo(f"\n{'label ↓ predicted →':<{max(width, 20)}} ", nl=False)
    typer.echo(" ".join(f"{name:>{columns}}" for name in scores.classes))
    for name, row in zip(scores.classes, scores.confusion_true_predicted.tolist(), strict=True):
        typer.echo(f"{name:<{max(width, 20)}} " + " ".join(f"{count:>{columns}}" for count in row))


def _text(value: float | Missing) -> str:
    from qingting.core.missing import Missing

    return f"undefined ({value.reason})" if isinstance(value, Missing) else f"{value:.4f}"


def _cell(value: float | Missing, notes: dict[str, None]) -> str:
    from qingting.core.missing import Missing

    if isinstance(value, Missing):
        notes[value.reason] = None
        return "–"
    return f"{value:.4f}"
