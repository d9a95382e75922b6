import json

import pytest
from typer.testing import CliRunner

from qingting.cli.metrics import app
from qingting.core.errors import DataError, IncomparableError, SpecificationError

runner = CliRunner()


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.jsonl"
    rows = [
        {"response": "我理解你", "reference": "我很理解你"},
        {"response": "好", "reference": ""},
    ]
    path.write_text("\n".join(map(json.dumps, rows)) + "\noops\n", encoding="utf-8")
    return path


def test_a_table_shows_values_counts_and_signatures(pairs):
    result = runner.invoke(app, ["score", str(pairs), "--metrics", "bleu,rouge"])
    assert result.exit_code == 0
    assert "rouge-l-f" in result.stdout
    assert "tok:char" in result.stdout
    assert f"{pairs}:3: not JSON" in result.stderr


def test_json_holds_every_item_with_its_reason(pairs):
    result = runner.invoke(
        app, ["score", str(pairs), "--metrics", "chrf", "--level", "item", "--json"]
    )
    record = json.loads(result.stdout)
    items = record["scores"]["chrf"]["items"]
    assert 0 < items[0] < 1
    assert items[1] == {"missing": "the reference is empty"}
    assert record["scores"]["chrf"]["n_missing"] == 2
    assert record["problems"] == [f"{pairs}:3: not JSON (Expecting value at column 1)"]


def test_items_can_be_printed_as_a_table(pairs):
    result = runner.invoke(app, ["score", str(pairs), "--metrics", "length", "--level", "item"])
    assert result.stdout.splitlines()[1:] == ["item\tlength", "1\t4.000000", "2\t1.000000", "3\t"]


def test_an_unknown_metric_is_an_expected_error(pairs):
    result = runner.invoke(app, ["score", str(pairs), "--metrics", "blue"])
    assert isinstance(result.exception, SpecificationError)


def test_an_unknown_metric_or_a_folder_is_told_with_its_cure(pairs):
    result = runner.invoke(app, ["score", str(pairs), "--metrics", "bleu,chfr"])
    assert isinstance(result.exception, SpecificationError)
    assert "Did you mean 'chrf'? Known are: bleu" in str(result.exception)
    result = runner.invoke(app, ["score", str(pairs.parent)])
    assert isinstance(result.exception, SpecificationError)
    assert "a folder; name a file" in str(result.exception)


def test_another_stack_is_reproduced_by_name(pairs):
    result = runner.invoke(app, ["score", str(pairs), "--like", "llama-factory", "--json"])
    record = json.loads(result.stdout)
    assert record["like"] == "llama-factory"
    assert set(record["scores"]) == {"bleu-4", "rouge-1-f", "rouge-2-f", "rouge-l-f"}
    assert "like:llama-factory" in record["scores"]["bleu-4"]["signature"]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--like", "evalscop"], "Did you mean 'evalscope'"),
        (["--like", "evalscope", "--metrics", "chrf"], "evalscope has no such metric"),
        (["--like", "evalscope", "--by", "char"], "--by has no part in --like"),
        (["--metrics", ","], "--metrics names none"),
    ],
)
def test_what_a_stack_does_not_have_is_refused(pairs, options, why):
    result = runner.invoke(app, ["score", str(pairs), *options])
    assert isinstance(result.exception, SpecificationError)
    assert why in str(result.exception)


@pytest.fixture
def printed(pairs):
    def _printed(name, *options):
        path = pairs.parent / name
        path.write_text(runner.invoke(app, ["score", str(pairs), "--json", *options]).stdout)
        return str(path)

    return _printed


def test_equal_signatures_are_compared(printed):
    one, other = printed("one.json"), printed("other.json", "--metrics", "chrf,length")
    result = runner.invoke(app, ["compare", one, other, "--json"])
    rows = json.loads(result.stdout)["scores"]
    assert [(row["metric"], row["difference"]) for row in rows] == [("chrf", 0.0), ("length", 0.0)]
    assert "chrf" in runner.invoke(app, ["compare", one, other]).stdout


def test_different_signatures_are_refused_with_a_sentence(printed):
    by_character, by_word = printed("char.json"), printed("word.json", "--by", "word")
    result = runner.invoke(app, ["compare", by_character, by_word])
    assert isinstance(result.exception, IncomparableError)
    assert "tok is char on one side and rjieba" in str(result.exception)
    other = printed("swift.json", "--like", "ms-swift")
    result = runner.invoke(app, ["compare", by_character, other])
    assert isinstance(result.exception, IncomparableError)


def test_a_file_that_is_no_result_is_refused(pairs):
    result = runner.invoke(app, ["compare", str(pairs), str(pairs)])
    assert isinstance(result.exception, DataError)
    assert "not what qingting metrics score --json prints" in str(result.exception)


def test_which_class_one_column_of_scores_speaks_of_is_said(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("label,predicted,s\n危机,危机,0.9\n无,无,0.1\n", encoding="utf-8")
    result = runner.invoke(app, ["classify", str(path), "--score-column", "s"])
    # Sorted, 危机 comes first: the scores speak of 无 unless the order is given.
    assert "'s' is read as the score for '无'" in result.stderr
    assert "--classes 无,危机" in result.stderr
    turned = runner.invoke(
        app, ["classify", str(path), "--score-column", "s", "--classes", "无,危机", "--json"]
    )
    assert json.loads(turned.stdout)["auroc_macro"] == 1.0


def test_metrics_of_one_side_only_are_named(pairs, tmp_path):
    paths = []
    for name in ("bleu,length", "bleu,chrf"):
        path = tmp_path / f"{name}.json"
        done = runner.invoke(app, ["score", str(pairs), "--metrics", name, "--json"])
        path.write_text(done.stdout, encoding="utf-8")
        paths.append(path)
    result = runner.invoke(app, ["compare", *map(str, paths)])
    assert result.exit_code == 0
    assert f"only in {paths[0]}: length" in result.stderr
    assert f"only in {paths[1]}: chrf" in result.stderr
