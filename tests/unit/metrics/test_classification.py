import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    matthews_corrcoef,
    precision_recall_fscore_support,
    roc_auc_score,
)

from qingting.core.errors import DataError, UndefinedStatisticError
from qingting.core.missing import Missing
from qingting.metrics.classification import (
    area_under_roc,
    classification_report,
    matthews_correlation,
)

CLASSES = ("low", "mid", "high")


def draw(n_items, n_classes, *, seed=5, skill=0.6):
    """Labels, predictions and normalised scores, with all classes present and ties in scores."""
    rng = np.random.default_rng(seed)
    classes = [f"class {k}" for k in range(n_classes)]
    true = np.concatenate((np.arange(n_classes), rng.integers(0, n_classes, n_items)))
    right = rng.random(len(true)) < skill
    predicted = np.where(right, true, rng.integers(0, n_classes, len(true)))
    predicted[:n_classes] = np.arange(n_classes)
    scores = np.round(rng.random((len(true), n_classes)) + (np.eye(n_classes)[true]) * 0.5, 1)
    scores /= scores.sum(axis=1, keepdims=True)
    return classes, true, predicted, scores


@pytest.mark.parametrize("n_classes", [2, 3, 7])
@pytest.mark.parametrize("n_items", [30, 400])
def test_every_figure_equals_scikit_learn(n_classes, n_items):
    classes, true, predicted, scores = draw(n_items, n_classes)
    found = classification_report(
        [classes[k] for k in true],
        [classes[k] for k in predicted],
        classes=classes,
        scores_items_classes=scores,
    )
    near = {"abs": 1e-12, "rel": 0}
    assert found.accuracy == pytest.approx(accuracy_score(true, predicted), **near)
    assert found.mcc == pytest.approx(matthews_corrcoef(true, predicted), **near)
    assert np.array_equal(found.confusion_true_predicted, confusion_matrix(true, predicted))
    for average in ("macro", "micro", "weighted"):
        theirs = precision_recall_fscore_support(true, predicted, average=average)
        ours = getattr(found, average)
        assert (ours.precision, ours.recall, ours.f1) == pytest.approx(theirs[:3], **near)
    theirs = precision_recall_fscore_support(true, predicted)
    for k, one in enumerate(found.by_class):
        assert (one.precision, one.recall, one.f1, one.n_true) == pytest.approx(
            tuple(part[k] for part in theirs), **near
        )
    if n_classes == 2:
        # The second column alone is what scikit-learn reads; the columns sum to one.
        expected = roc_auc_score(true, scores[:, 1])
        assert found.auroc_macro == pytest.approx(expected, **near)
        first = roc_auc_score(true == 0, scores[:, 0])
        assert found.by_class[0].auroc == pytest.approx(first, **near)
    else:
        for average, ours in (("macro", found.auroc_macro), ("weighted", found.auroc_weighted)):
            expected = roc_auc_score(true, scores, multi_class="ovr", average=average)
            assert ours == pytest.approx(expected, **near)


def test_figures_by_hand():
    # true  low low mid mid high ; predicted low mid mid mid low: right 3 of 5.
    found = classification_report(
        ["low", "low", "mid", "mid", "high"], ["low", "mid", "mid", "mid", "low"], classes=CLASSES
    )
    assert found.confusion_true_predicted.tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 0]]
    assert found.accuracy == 3 / 5
    low, mid, high = found.by_class
    assert (low.precision, low.recall, low.f1) == (1 / 2, 1 / 2, 1 / 2)
    assert (mid.precision, mid.recall, mid.f1) == (2 / 3, 1.0, 4 / 5)
    assert (high.recall, high.f1) == (0.0, 0.0)
    assert high.precision == Missing("never predicted")
    assert found.macro.f1 == pytest.approx((1 / 2 + 4 / 5 + 0) / 3)
    # Scikit-learn would average a 0 into it.
    assert found.macro.precision == Missing("class 'high': never predicted")
    assert found.weighted.precision == Missing("class 'high': never predicted")
    assert found.weighted.recall == pytest.approx(3 / 5)
    assert found.auroc_macro == Missing("no scores were given")


def test_an_absent_class_without_weight_leaves_the_weighted_average_defined():
    found = classification_report(["low", "mid"], ["low", "mid"], classes=CLASSES)
    assert found.weighted.precision == 1.0
    assert found.macro.recall == Missing("class 'high': no item has this label")


def test_items_without_a_prediction_count_only_against_strict_accuracy():
    found = classification_report(
        ["a", "b", "b"], ["a", Missing("no label in the reply"), "b"], classes="ab"
    )
    assert (found.accuracy, found.strict_accuracy) == (1.0, 2 / 3)
    assert (found.n_valid, found.n_missing) == (2, 1)
    assert found.reasons == {"no label in the reply": 1}


@pytest.mark.parametrize(
    ("true", "predicted", "reason"),
    [
        (["a", "a"], ["a", "b"], "all items have the same label"),
        (["a", "b"], ["a", "a"], "all predictions are the same"),
    ],
)
def test_correlation_without_variation_is_undefined(true, predicted, reason):
    assert classification_report(true, predicted, classes="ab").mcc == Missing(reason)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        assert matthews_corrcoef(true, predicted) == 0.0


def test_area_is_the_share_of_ordered_pairs():
    positive = np.array([True, True, False, False])
    # 0.9 beats both; 0.5 beats 0.1 and ties with 0.5: 3.5 of 4.
    assert area_under_roc(positive, np.array([0.9, 0.5, 0.5, 0.1])) == 3.5 / 4
    assert isinstance(area_under_roc(np.array([True]), np.array([1.0])), Missing)
    assert isinstance(area_under_roc(np.array([False]), np.array([1.0])), Missing)


def test_rows_without_scores_are_left_out_of_the_area():
    scores = np.array([[0.2, 0.8], [0.9, 0.1], [np.nan, np.nan]])
    found = classification_report(
        ["b", "a", "a"], ["b", "a", "a"], classes="ab", scores_items_classes=scores
    )
    assert found.auroc_macro == 1.0
    scores[1, 0] = np.nan
    with pytest.raises(DataError, match="some classes only"):
        classification_report(
            ["b", "a", "a"], ["b", "a", "a"], classes="ab", scores_items_classes=scores
        )


def test_a_perfect_and_a_reversed_classifier_correlate_fully():
    assert matthews_correlation(np.array([[3, 0], [0, 4]])) == 1.0
    assert matthews_correlation(np.array([[0, 3], [4, 0]])) == -1.0


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 5))
def test_renaming_and_reordering_classes_changes_no_overall_figure(seed, n_classes):
    classes, true, predicted, scores = draw(20, n_classes, seed=seed)
    one = classification_report(
        [classes[k] for k in true],
        [classes[k] for k in predicted],
        classes=classes,
        scores_items_classes=scores,
    )
    order = np.random.default_rng(seed).permutation(n_classes)
    other = classification_report(
        [f"new {k}" for k in true],
        [f"new {k}" for k in predicted],
        classes=[f"new {k}" for k in order],
        scores_items_classes=scores[:, order],
    )
    assert other.mcc == pytest.approx(one.mcc)
    assert other.macro.f1 == pytest.approx(one.macro.f1)
    assert [other.by_class[k].auroc for k in np.argsort(order)] == [c.auroc for c in one.by_class]


def test_records_carry_reasons_instead_of_numbers():
    record = classification_report(["a", "b"], ["a", "a"], classes="ab").to_record()
    assert record["mcc"] == {"missing": "all predictions are the same"}
    assert record["by_class"][1]["precision"] == {"missing": "never predicted"}
    assert record["signature"] == "classification|classes:2|level:corpus|v:1"


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(UndefinedStatisticError, match="no item has a prediction"):
        classification_report(["a"], [Missing("x")], classes="ab")
    with pytest.raises(DataError, match="prediction 'c' is none of the classes"):
        classification_report(["a"], ["c"], classes="ab")
    with pytest.raises(DataError, match="two or more classes"):
        classification_report(["a"], ["a"], classes="a")
    with pytest.raises(DataError, match="needed is one for each of 1 items"):
        classification_report(["a"], ["a"], classes="ab", scores_items_classes=np.ones((1, 3)))
    with pytest.raises(ValueError, match="2 labels but 1"):
        classification_report(["a", "b"], ["a"], classes="ab")
