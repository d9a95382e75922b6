import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from qingting.cli.data import app
from qingting.core.errors import DataError, NotFoundError

runner = CliRunner()
ROWS = [
    {
        "messages": [
            {"role": "user", "content": f"问题{n}"},
            {"role": "assistant", "content": f"回答{n * n}"},
        ]
    }
    for n in range(20)
]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "data.jsonl"
    rows = [*ROWS, {"messages": [{"role": "user", "content": "a"}]}]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n{oops", encoding="utf-8")
    return path


def test_check_prints_counts_meanings_and_places(path):
    result = runner.invoke(app, ["check", str(path)])
    assert result.exit_code == 0
    assert "strictly valid" in result.stdout and "MB/s" in result.stdout
    assert "cannot be read as a dialogue" in result.stdout
    assert "data.jsonl:22" in result.stdout
    assert "没有得到回应" in runner.invoke(app, ["check", str(path), "--language", "zh"]).stdout


def test_check_prints_json(path):
    record = json.loads(runner.invoke(app, ["check", str(path), "--json"]).stdout)
    assert record["n_dialogues"] == 22 and record["n_strictly_valid"] == 20
    assert record["defects"]["malformed"] == 1


def test_check_counts_repairs_and_quarantines(path, tmp_path):
    bad = tmp_path / "bad.jsonl"
    command = ["check", str(path), "--json", "--repair", "merge_turns", "--quarantine", str(bad)]
    result = runner.invoke(app, command)
    assert json.loads(result.stdout)["repairs"] == {"merge-turns": 0}
    assert len(bad.read_text().splitlines()) == 2
    assert isinstance(runner.invoke(app, command).exception, DataError)
    assert runner.invoke(app, [*command, "--force"]).exit_code == 0


def test_check_without_a_readable_dialogue_fails(tmp_path):
    path = tmp_path / "dpo.json"
    path.write_text('[{"chosen": "a", "rejected": "b"}]')
    result = runner.invoke(app, ["check", str(path), "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["defects"]["malformed"] == 1
    assert "no dialogue" in result.stderr


def test_what_is_not_there_is_an_expected_error(tmp_path):
    for command in (["check"], ["convert", "--to", "alpaca"], ["split"]):
        paths = [str(tmp_path / "absent"), str(tmp_path / "out")][
            : 1 if command[0] == "check" else 2
        ]
        result = runner.invoke(app, [command[0], *paths, *command[1:]])
        assert isinstance(result.exception, NotFoundError)
    assert list(tmp_path.iterdir()) == []


def test_a_misspelt_repair_is_a_usage_error(path):
    result = runner.invoke(app, ["check", str(path), "--repair", "merge-turn"])
    assert result.exit_code == 2
    assert "merge-turns" in result.stderr


def test_convert_writes_the_rest_to_a_quarantine(path, tmp_path):
    out = tmp_path / "out.json"
    result = runner.invoke(app, ["convert", str(path), str(out), "--to", "alpaca", "--json"])
    assert result.exit_code == 0
    record = json.loads(result.stdout)
    assert (record["n_dialogues"], record["n_quarantined"], record["n_unfit"]) == (20, 2, 1)
    assert len(json.loads(out.read_text())) == 20
    assert len((tmp_path / "out.json.quarantine.jsonl").read_text().splitlines()) == 2
    again = runner.invoke(app, ["convert", str(path), str(out), "--to", "sharegpt"])
    assert isinstance(again.exception, DataError) and "--force" in str(again.exception)
    assert "instruction" in out.read_text()
    command = ["convert", str(path), str(out), "--to", "sharegpt", "--force"]
    assert runner.invoke(app, command).exit_code == 0
    assert "conversations" in out.read_text()


def test_convert_of_nothing_usable_writes_no_output(tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_text("{oops\n{oops")
    out = tmp_path / "out.jsonl"
    result = runner.invoke(app, ["convert", str(path), str(out), "--to", "messages"])
    assert isinstance(result.exception, DataError)
    assert not out.exists()
    assert (tmp_path / "out.jsonl.quarantine.jsonl").exists()


def test_split_writes_three_files(path, tmp_path):
    out = tmp_path / "split"
    command = ["split", str(path), str(out), "--validation", "3", "--test", "0.2", "--json"]
    result = runner.invoke(app, command)
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert (record["n_train"], record["n_validation"], record["n_test"]) == (13, 3, 4)
    assert record["n_quarantined"] == 2
    texts = [
        json.loads(line)["messages"][0]["content"]
        for name in ("train", "validation", "test")
        for line in (out / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert sorted(texts) == sorted(row["messages"][0]["content"] for row in ROWS)
    assert isinstance(runner.invoke(app, command).exception, DataError)
    assert runner.invoke(app, ["split", str(path), str(out), "--test", "many"]).exit_code == 2


def test_help_needs_no_heavy_import():
    code = (
        "import sys; import qingting.cli.data; "
        "print(sorted({'numpy', 'orjson', 'torch'} & sys.modules.keys()))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "[]"


@pytest.mark.parametrize("size", ["-1", "1.5", "-0.1", "many"])
def test_a_size_that_is_none_is_a_usage_error(path, tmp_path, size):
    result = runner.invoke(app, ["split", str(path), str(tmp_path / "out"), "--test", size])
    assert result.exit_code == 2
    assert "neither a share" in result.stderr
