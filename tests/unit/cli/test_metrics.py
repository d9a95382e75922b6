import json

import pytest
from typer.testing import CliRunner

from qingting.cli.metrics import app
from qingting.core.errors import SpecificationError

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
