import json

import pytest
from typer.testing import CliRunner

from qingting.cli.metrics import app

runner = CliRunner()


@pytest.fixture
def questions(tmp_path):
    path = tmp_path / "questions.csv"
    path.write_text(
        "reply,key,kind,p_A,p_B,p_C,p_D\n"
        "答案是B,B,single,.1,.7,.1,.1\n"
        "选A和C,ABC,multiple,,,,\n"
        '我选C,"C,",single,.2,.2,.5,.1\n'
        "A或B,A,single,.6,.2,.1,.1\n"
        "D,C,single,.1,.1,.2,.6\n",
        encoding="utf-8",
    )
    return path


def test_both_ways_of_answering_stand_beside_the_baselines(questions):
    result = runner.invoke(app, ["choice", str(questions), "--json"])
    record = json.loads(result.stdout)
    text, likelihood = record["results"]["text"], record["results"]["likelihood"]
    # Four usable keys: B right, AC of ABC not exact, "A or B" unread, D wrong.
    assert (text["accuracy"], text["accuracy_of_answered"]) == (1 / 4, 1 / 3)
    assert text["elastic_of_answered"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert (text["n_unread"], text["n_unusable_keys"]) == (1, 1)
    assert text["interval"]["low"] < 1 / 4 < text["interval"]["high"]
    # B and A are likeliest where they are right; the question with several answers is not ranked.
    assert (likelihood["accuracy"], likelihood["accuracy_of_answered"]) == (2 / 4, 2 / 3)
    assert text["signature"] != likelihood["signature"]
    assert [one["accuracy"] for one in record["baselines"]] == [1 / 4, 1 / 4, 1 / 4, 0]
    assert record["baselines"][0]["elastic"] == pytest.approx((1 + 1 / 3) / 4)
    assert record["calibration"]["n_valid"] == 3
    assert record["calibration"]["mean_confidence"] == pytest.approx((0.7 + 0.6 + 0.6) / 3)
    assert record["problems"] == [
        f"{questions}:4, column 'key': the key 'C,' holds more than the letters ABCD"
    ]


def test_the_table_names_what_could_not_be_used(questions):
    result = runner.invoke(app, ["choice", str(questions)])
    assert result.exit_code == 0
    assert "1 right of 4 with a usable key" in result.stdout
    assert "always one letter\n  A  0.250" in result.stdout
    assert "ECE" in result.stdout
    assert "the key 'C,' holds more" in result.stderr


def test_without_a_usable_key_the_accuracy_is_undefined(tmp_path):
    path = tmp_path / "questions.csv"
    path.write_text("reply,key,p_A,p_B\nA,?,.5,.5\n", encoding="utf-8")
    result = runner.invoke(app, ["choice", str(path)])
    assert "undefined (no item has a usable key)" in result.stdout
    assert "calibration: undefined" in result.stdout
    record = json.loads(runner.invoke(app, ["choice", str(path), "--json"]).stdout)
    assert record["results"]["text"]["accuracy"] == {"missing": "no item has a usable key"}
    assert record["results"]["text"]["interval"] is None


def test_labels_are_scored_and_undefined_figures_named(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("label,predicted\na,a\nb,a\na,\n", encoding="utf-8")
    result = runner.invoke(app, ["classify", str(path), "--classes", "a,b"])
    assert result.exit_code == 0
    assert "2 predictions, 1 missing" in result.stdout
    assert "MCC                         undefined (all predictions are the same)" in result.stdout
    assert "– undefined: never predicted" in result.stdout
    assert f"{path}:4, column 'predicted': no prediction" in result.stderr
    record = json.loads(
        runner.invoke(app, ["classify", str(path), "--json", "--classes", "a,b"]).stdout
    )
    assert record["accuracy"] == 1 / 2
    assert record["strict_accuracy"] == 1 / 3
    assert record["confusion"] == [[1, 0], [1, 0]]


def test_areas_come_from_a_column_of_scores(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("label,predicted,risk\nno,no,.1\nyes,no,.4\nno,yes,.6\nyes,yes,.9\n")
    asked = ["classify", str(path), "--score-column", "risk", "--json"]
    assert json.loads(runner.invoke(app, asked).stdout)["auroc_macro"] == 3 / 4


def test_a_class_that_is_only_predicted_is_told(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("label,predicted\na,a\nb,z\n")
    result = runner.invoke(app, ["classify", str(path)])
    assert "'z' occurs among predictions only" in result.stderr
