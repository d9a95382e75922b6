"""Files of labels: true ones, predicted ones and, where there are any, scores per class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qingting.core.columns import Columns, RowProblem, find_column, finite_number, read_columns
from qingting.core.errors import DataError, SpecificationError
from qingting.core.missing import Missing
from qingting.metrics.scores import FloatArray

LABEL_COLUMNS = ("label", "true", "gold", "reference", "target", "y_true", "truth", "key")
PREDICTION_COLUMNS = ("predicted", "prediction", "predict", "response", "output", "y_pred")
SCORE_PREFIXES = ("p_", "score_")


@dataclass(frozen=True, slots=True, eq=False)
class LabelFile:
    """The rows with a usable label, all (n_items,) or (n_items, n_classes).

    ``problems`` names rows that cannot be used, and predictions and scores that count as missing.
    ``only_predicted``: classes that were taken as such because they were predicted.
    """

    labels: tuple[str, ...]
    predictions: tuple[str | Missing, ...]
    scores_items_classes: FloatArray | None
    classes: tuple[str, ...]
    columns: Mapping[str, str]
    problems: tuple[RowProblem, ...]
    only_predicted: tuple[str, ...] = ()


def read_labels(
    path: Path,
    *,
    classes: Sequence[str] | None = None,
    label_column: str | None = None,
    prediction_column: str | None = None,
    score_column: str | None = None,
) -> LabelFile:
    """Return the labels of a CSV, TSV or JSON Lines file.

    Labels are compared as written, white space around them aside. A row without a label is left
    out; a prediction that is empty or none of the classes is missing; both are named in
    ``problems``.

    Args:
        path: the file.
        classes: every class, in the order of the table; by default the labels and predictions
            that occur, sorted.
        label_column: the column of the true labels, where its name is not recognised.
        prediction_column: that of the predictions.
        score_column: with two classes, the column of scores for the second one. Otherwise
            ``p_CLASS`` or ``score_CLASS`` hold scores per class, where every class has one.

    Raises:
        SpecificationError: a column is not there.
        DataError: fewer than two classes, or no label.
    """
    table = read_columns(path)
    label_name = find_column(
        table, role="true label", names=LABEL_COLUMNS, mapped=label_column, option="--label-column"
    )
    predicted_name = find_column(
        table,
        role="predicted label",
        names=PREDICTION_COLUMNS,
        mapped=prediction_column,
        option="--prediction-column",
    )
    assert label_name is not None and predicted_name is not None
    true = [text.strip() for text in table.values(label_name)]
    predicted = [text.strip() for text in table.values(predicted_name)]
    if classes is None:
        found = sorted({one for one in (*true, *predicted) if one})
    else:
        found = list(classes)
    if len(found) < 2:
        raise DataError(
            f"{path}: two or more classes are needed, found {', '.join(found) or 'none'}; "
            "name them all with --classes"
        )
    problems: list[RowProblem] = []
    kept = []
    for row, label in enumerate(true):
        if label in found:
            kept.append(row)
        else:
            what = f"{label!r} is none of the classes" if label else "no label"
            problems.append(table.problem(row, label_name, f"{what}; the row is left out"))
    if not kept:
        raise DataError(f"{path}: no row has a label of {', '.join(found)}")
    predictions: list[str | Missing] = []
    for row in kept:
        one = predicted[row]
        if one in found:
            predictions.append(one)
            continue
        reason = "the prediction is none of the classes" if one else "no prediction"
        predictions.append(Missing(reason))
        problems.append(
            table.problem(row, predicted_name, f"{reason}" + (f" ({one})" if one else ""))
        )
    scores = _scores(table, kept, found, score_column, problems)
    return LabelFile(
        tuple(true[row] for row in kept),
        tuple(predictions),
        scores,
        tuple(found),
        {"label": label_name, "prediction": predicted_name},
        tuple(sorted(problems, key=lambda problem: problem.line)),
        () if classes is not None else tuple(one for one in found if one not in true),
    )


def _scores(
    table: Columns,
    kept: Sequence[int],
    classes: Sequence[str],
    score_column: str | None,
    problems: list[RowProblem],
) -> FloatArray | None:
    if score_column is not None:
        find_column(table, role="scores", names=(), mapped=score_column)
        if len(classes) != 2:
            raise SpecificationError(
                f"{table.path}: --score-column needs two classes, there are {len(classes)}; name "
                "the scores p_CLASS for each class"
            )
        second = _numbers(table, kept, score_column, problems)
        return np.stack((-second, second), axis=1)
    for prefix in SCORE_PREFIXES:
        names = [f"{prefix}{one}" for one in classes]
        absent = [name for name in names if name not in table.names]
        if absent and len(absent) < len(names):
            raise SpecificationError(
                f"{table.path}: scores stand in {prefix}… for some classes, but not in "
                f"{', '.join(absent)}; add them, or name the classes with --classes"
            )
        if not absent:
            columns = [_numbers(table, kept, name, problems) for name in names]
            scores: FloatArray = np.stack(columns, axis=1)
            scores[np.isnan(scores).any(axis=1)] = np.nan
            return scores
    return None


def _numbers(
    table: Columns, kept: Sequence[int], name: str, problems: list[RowProblem]
) -> FloatArray:
    texts = table.values(name)
    numbers = np.full(len(kept), np.nan)
    for place, row in enumerate(kept):
        number = finite_number(texts[row])
        if number is None:
            what = f"{texts[row]!r} is no finite number" if texts[row].strip() else "no score"
            problems.append(table.problem(row, name, what))
        else:
            numbers[place] = number
    return numbers
