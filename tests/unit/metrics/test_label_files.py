import numpy as np
import pytest

from qingting.core.errors import DataError, SpecificationError
from qingting.core.missing import Missing
from qingting.metrics.label_files import read_labels


@pytest.fixture
def write(tmp_path):
    def _write(text):
        path = tmp_path / "labels.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return _write


def test_labels_predictions_and_scores_are_read(write):
    read = read_labels(write("label,predicted,p_a,p_b\na,a,.9,.1\nb,,.2,.8\n b ,b,.4,x\n"))
    assert read.labels == ("a", "b", "b")
    assert read.predictions == ("a", Missing("no prediction"), "b")
    assert read.classes == ("a", "b")
    assert read.scores_items_classes[:2].tolist() == [[0.9, 0.1], [0.2, 0.8]]
    assert np.isnan(read.scores_items_classes[2]).all()
    assert [problem.line for problem in read.problems] == [3, 4]


def test_rows_without_a_known_label_are_left_out_and_named(write):
    path = write("label,predicted\na,b\n,a\nc,a\nb,c\n")
    read = read_labels(path, classes=["a", "b"])
    assert read.labels == ("a", "b")
    assert isinstance(read.predictions[1], Missing)
    assert [str(problem) for problem in read.problems] == [
        f"{path}:3, column 'label': no label; the row is left out",
        f"{path}:4, column 'label': 'c' is none of the classes; the row is left out",
        f"{path}:5, column 'predicted': the prediction is none of the classes (c)",
    ]


def test_a_class_that_was_only_predicted_is_told(write):
    assert read_labels(write("label,predicted\na,a\nb,z\n")).only_predicted == ("z",)


def test_one_column_of_scores_serves_two_classes(write):
    read = read_labels(write("label,predicted,risk\na,a,-2\nb,b,3\n"), score_column="risk")
    assert read.scores_items_classes.tolist() == [[2.0, -2.0], [-3.0, 3.0]]


def test_what_cannot_be_scored_is_refused(write):
    with pytest.raises(DataError, match="two or more classes"):
        read_labels(write("label,predicted\na,a\n"))
    with pytest.raises(DataError, match="no row has a label of x, y"):
        read_labels(write("label,predicted\na,a\n"), classes=["x", "y"])
    with pytest.raises(SpecificationError, match="not in p_b"):
        read_labels(write("label,predicted,p_a\na,a,1\nb,b,0\n"))
    with pytest.raises(SpecificationError, match="needs two classes, there are 3"):
        read_labels(write("label,predicted,s\na,b,1\nc,c,1\n"), score_column="s")
    with pytest.raises(SpecificationError, match="predicted label"):
        read_labels(write("label,other\na,a\n"))


def test_every_score_that_is_not_finite_is_named(write):
    read = read_labels(write("label,predicted,s\na,a,nan\nb,b,-inf\nb,a,0.5\n"), score_column="s")
    assert np.isnan(read.scores_items_classes).all(axis=1).tolist() == [True, True, False]
    assert [str(one).partition(": ")[2] for one in read.problems] == [
        "'nan' is no finite number",
        "'-inf' is no finite number",
    ]
