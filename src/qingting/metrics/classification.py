"""Classification: how well predicted labels match true ones; undefined figures say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qingting.core.errors import DataError, UndefinedStatisticError
from qingting.core.missing import Missing
from qingting.core.signature import Signature
from qingting.metrics.scores import FloatArray

IntArray = NDArray[np.int64]
Figure = float | Missing


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """One class against all others; ``n_true`` and ``n_predicted`` count items with a prediction.

    ``precision`` is missing where the class was never predicted, ``recall`` where no item has
    it, ``f1`` where neither happened, ``auroc`` without scores or without both sides.
    """

    label: str
    n_true: int
    n_predicted: int
    n_right: int
    precision: Figure
    recall: Figure
    f1: Figure
    auroc: Figure


@dataclass(frozen=True, slots=True)
class Averages:
    """Precision, recall and F1 over classes.

    ``macro``: every class weighs the same. ``weighted``: as many as items have it. ``micro``:
    counts pooled, which for one label per item equals the accuracy. An average of which one part
    is undefined is missing and names the class; it is not the average of the rest.
    """

    precision: Figure
    recall: Figure
    f1: Figure


@dataclass(frozen=True, eq=False, slots=True)
class ClassificationScores:
    """How well predictions match; all figures but ``strict_accuracy`` over ``n_valid`` items.

    ``accuracy``: right ones over items with a prediction. ``strict_accuracy``: over all items,
    so that an item without a prediction earns nothing. ``confusion_true_predicted``:
    (n_classes, n_classes) counts. ``mcc``: Matthews' correlation in [-1, 1].
    ``auroc_macro``/``auroc_weighted``: means of the classes' one-against-rest areas; with two
    classes, both are the area for the second one.
    """

    classes: tuple[str, ...]
    confusion_true_predicted: IntArray
    accuracy: float
    strict_accuracy: float
    macro: Averages
    micro: Averages
    weighted: Averages
    mcc: Figure
    auroc_macro: Figure
    auroc_weighted: Figure
    by_class: tuple[ClassFigures, ...]
    n_valid: int
    n_missing: int
    reasons: Mapping[str, int]
    signature: Signature

    def to_record(self) -> dict[str, Any]:
        """Return the JSON form; what is undefined is ``{"missing": reason}``."""
        averages = {
            name: {part: _plain(getattr(one, part)) for part in ("precision", "recall", "f1")}
            for name, one in (
                ("macro", self.macro),
                ("micro", self.micro),
                ("weighted", self.weighted),
            )
        }
        return {
            "signature": str(self.signature),
            "classes": list(self.classes),
            "n_valid": self.n_valid,
            "n_missing": self.n_missing,
            "missing": dict(self.reasons),
            "accuracy": self.accuracy,
            "strict_accuracy": self.strict_accuracy,
            **averages,
            "mcc": _plain(self.mcc),
            "auroc_macro": _plain(self.auroc_macro),
            "auroc_weighted": _plain(self.auroc_weighted),
            "confusion": self.confusion_true_predicted.tolist(),
            "by_class": [
                {
                    "label": one.label,
                    "n_true": one.n_true,
                    "n_predicted": one.n_predicted,
                    "n_right": one.n_right,
                    "precision": _plain(one.precision),
                    "recall": _plain(one.recall),
                    "f1": _plain(one.f1),
                    "auroc": _plain(one.auroc),
                }
                for one in self.by_class
            ],
        }


def classification_report(
    labels_true: Sequence[str],
    labels_predicted: Sequence[str | Missing],
    *,
    classes: Sequence[str],
    scores_items_classes: FloatArray | None = None,
) -> ClassificationScores:
    """Return accuracy, precision, recall, F1, MCC, AUROC and the confusion matrix.

    Args:
        labels_true: (n_items,) one true label each.
        labels_predicted: (n_items,) labels; a ``Missing`` where none could be had. It enters
            ``strict_accuracy`` as wrong and no other figure.
        classes: every label that may occur, two or more, in the order of the table.
        scores_items_classes: (n_items, n_classes) probabilities or any scores that grow with
            belief, for AUROC, each class by its own column; a row of NaN where there are none. AUROC is over rows with scores.

    Source: Sokolova and Lapalme (2009); MCC of many classes: Gorodkin (2004), R_K; AUROC: Hanley
    and McNeil (1982), ties count one half. Equals scikit-learn where that is defined; differs:
    scikit-learn puts 0 where precision, recall or MCC is undefined.

    Raises:
        UndefinedStatisticError: no item has a prediction.
        DataError: a label outside ``classes``, fewer than two classes, one named twice, or
            scores of another shape or partly NaN.
    """
    names = tuple(classes)
    if len(labels_true) != len(labels_predicted):
        raise ValueError(f"{len(labels_true)} labels but {len(labels_predicted)} predictions")
    if len(names) < 2 or len(set(names)) != len(names):
        raise DataError(f"two or more classes are needed, each named once; got {', '.join(names)}")
    numbers = {name: number for number, name in enumerate(names)}
    true = _numbered(labels_true, numbers, what="label")
    valid = np.array([not isinstance(one, Missing) for one in labels_predicted], bool)
    if not valid.any():
        raise UndefinedStatisticError("nothing to score: no item has a prediction")
    known = [one for one in labels_predicted if not isinstance(one, Missing)]
    predicted = _numbered(known, numbers, what="prediction")
    n = len(names)
    confusion = np.bincount(true[valid] * n + predicted, minlength=n * n).reshape(n, n)
    areas = _areas(true, scores_items_classes, names)
    by_class = tuple(_of_class(confusion, k, names[k], areas[k]) for k in range(n))
    n_right, n_valid = int(np.trace(confusion)), int(valid.sum())
    accuracy = n_right / n_valid
    reasons: dict[str, int] = {}
    for one in labels_predicted:
        if isinstance(one, Missing):
            reasons[one.reason] = reasons.get(one.reason, 0) + 1
    n_true_all = np.bincount(true, minlength=n)
    return ClassificationScores(
        names,
        confusion,
        accuracy,
        n_right / len(true),
        _averages(by_class, np.ones(n)),
        Averages(accuracy, accuracy, accuracy),
        _averages(by_class, confusion.sum(axis=1).astype(float)),
        matthews_correlation(confusion),
        _overall_area(areas, np.ones(n), names),
        _overall_area(areas, n_true_all.astype(float), names),
        by_class,
        n_valid,
        len(true) - n_valid,
        reasons,
        Signature("classification", parameters=(("classes", str(n)),), level="corpus"),
    )


def matthews_correlation(confusion_true_predicted: IntArray) -> Figure:
    """Return Matthews' correlation of a confusion matrix, in [-1, 1], for any number of classes.

    Missing where all items have one true class or one predicted class: nothing can correlate.
    """
    counts = confusion_true_predicted.astype(float)
    n, n_right = counts.sum(), np.trace(counts)
    n_true, n_predicted = counts.sum(axis=1), counts.sum(axis=0)
    spread_true, spread_predicted = n**2 - n_true @ n_true, n**2 - n_predicted @ n_predicted
    if not spread_true:
        return Missing("all items have the same label")
    if not spread_predicted:
        return Missing("all predictions are the same")
    return float((n_right * n - n_true @ n_predicted) / np.sqrt(spread_true * spread_predicted))


def area_under_roc(is_positive: NDArray[np.bool_], scores: FloatArray) -> Figure:
    """Return the probability that a positive item scores above a negative one; ties count half.

    ``is_positive``, ``scores``: (n_items,). Missing unless both kinds of item occur.
    """
    n_positive = int(is_positive.sum())
    n_negative = len(is_positive) - n_positive
    if not n_positive or not n_negative:
        return Missing("no item of this class" if not n_positive else "every item is of this class")
    from scipy.stats import rankdata

    ranks = rankdata(scores)[is_positive].sum() - n_positive * (n_positive + 1) / 2
    return float(ranks / (n_positive * n_negative))


def _numbered(labels: Sequence[str], numbers: Mapping[str, int], *, what: str) -> IntArray:
    try:
        return np.fromiter((numbers[label] for label in labels), np.int64, len(labels))
    except KeyError as error:
        known = ", ".join(numbers)
        raise DataError(
            f"{what} {error.args[0]!r} is none of the classes ({known}); "
            f"give it as a class or as missing"
        ) from None


def _areas(true: IntArray, scores: FloatArray | None, names: Sequence[str]) -> tuple[Figure, ...]:
    if scores is None:
        return (Missing("no scores were given"),) * len(names)
    held = np.asarray(scores, np.float64)
    if held.shape != (len(true), len(names)):
        raise DataError(
            f"scores are {held.shape}; needed is one for each of {len(true)} items and "
            f"{len(names)} classes"
        )
    absent = np.isnan(held)
    scored = ~absent.any(axis=1)
    if not np.array_equal(scored, ~absent.all(axis=1)) or np.isinf(held).any():
        raise DataError("scores are infinite, or an item has scores for some classes only")
    if not scored.any():
        return (Missing("no item has scores"),) * len(names)
    true, held = true[scored], held[scored]
    return tuple(area_under_roc(true == k, held[:, k]) for k in range(len(names)))


def _overall_area(areas: Sequence[Figure], weights: FloatArray, names: Sequence[str]) -> Figure:
    reasons = {area.reason for area in areas if isinstance(area, Missing)}
    if len(reasons) == 1 and all(isinstance(area, Missing) for area in areas):
        return Missing(reasons.pop())
    return areas[1] if len(areas) == 2 else _mean(areas, weights, names)


def _of_class(confusion: IntArray, k: int, label: str, area: Figure) -> ClassFigures:
    n_right = int(confusion[k, k])
    n_true, n_predicted = int(confusion[k].sum()), int(confusion[:, k].sum())
    return ClassFigures(
        label,
        n_true,
        n_predicted,
        n_right,
        n_right / n_predicted if n_predicted else Missing("never predicted"),
        n_right / n_true if n_true else Missing("no item has this label"),
        2 * n_right / (n_true + n_predicted)
        if n_true + n_predicted
        else Missing("neither a label nor predicted"),
        area,
    )


def _averages(by_class: Sequence[ClassFigures], weights: FloatArray) -> Averages:
    names = [one.label for one in by_class]
    parts = {
        part: _mean(tuple(getattr(one, part) for one in by_class), weights, names)
        for part in ("precision", "recall", "f1")
    }
    return Averages(parts["precision"], parts["recall"], parts["f1"])


def _mean(values: Sequence[Figure], weights: FloatArray, names: Sequence[str]) -> Figure:
    """Return the weighted mean; a part without weight may be missing, another makes it missing."""
    total = 0.0
    for value, weight, name in zip(values, weights, names, strict=True):
        if not weight:
            continue
        if isinstance(value, Missing):
            return Missing(f"class {name!r}: {value.reason}")
        total += float(value) * float(weight)
    return total / float(weights.sum())


def _plain(value: Figure) -> Any:
    return value.to_record() if isinstance(value, Missing) else value
