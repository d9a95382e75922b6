"""``models choose``: what it prints, the record, the picture, and how it refuses."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qingting.cli.main import main
from qingting.cli.models import app
from qingting.core.errors import DataError, NotFoundError, SpecificationError, StoreError
from unit.report.choosing_results import specialists

runner = CliRunner()
WEIGHTS = "quality=.75,knowledge=.25"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    path = tmp_path / "results.json"
    path.write_text(specialists(half=0.05).model_dump_json(), encoding="utf-8")
    return path


def test_the_table_has_the_order_the_shares_and_the_weights(results: Path) -> None:
    result = runner.invoke(app, ["choose", str(results), "--weights", WEIGHTS])
    assert result.exit_code == 0, result.output
    assert "weights: quality 75%, knowledge 25%" in result.stdout
    rows = [line.split() for line in result.stdout.splitlines() if line.startswith("  ")]
    ranked = [row[:3] for row in rows if row[0].rstrip("*").isdigit()]
    assert ranked == [
        ["1*", "writes", "0.750"],
        ["2*", "both", "0.500"],
        ["3*", "knows", "0.250"],
    ]


def test_the_record_holds_what_the_table_says_and_why_an_arm_is_left_out(results: Path) -> None:
    command = ["choose", str(results.parent), "--weights", WEIGHTS, "--json"]
    gate = ["--gate", "knowledge-likelihood-exact>=0.3"]
    record = json.loads(runner.invoke(app, [*command, *gate]).stdout)
    assert record["weights"] == {"quality": 0.75, "knowledge": 0.25}
    first, second, out = record["arms"]
    # Of the two that are left, each is worst in one criterion and best in the other.
    assert (first["arm"], first["score"]) == ("both", 0.75)
    assert (second["arm"], second["score"]) == ("knows", 0.25)
    assert (out["arm"], out["rank"]) == ("writes", None)
    assert out["why_unranked"].startswith("fails knowledge-likelihood-exact>=0.3: 0.15")
    assert first["share_of_weights_won"] == pytest.approx(0.5)
    assert first["measures"]["bits-per-byte"] == {
        "mean": 1.5,
        "low": pytest.approx(1.45),
        "high": pytest.approx(1.55),
    }


def test_a_seed_gives_the_same_record_again_and_another_seed_other_draws(results: Path) -> None:
    results.write_text(specialists(half=0.6).model_dump_json(), encoding="utf-8")
    command = ["choose", str(results), "--weights", WEIGHTS, "--json", "--seed"]
    once, again, other = (runner.invoke(app, [*command, seed]).stdout for seed in "223")
    assert once == again
    first = [json.loads(record)["arms"][0] for record in (once, other)]
    assert first[0]["score"] == first[1]["score"]
    assert first[0]["p_first"] != first[1]["p_first"]


def test_a_picture_is_written_once_and_overwritten_on_demand(results: Path) -> None:
    picture = results.parent / "choice.svg"
    command = ["choose", str(results), "--weights", WEIGHTS, "--figure", str(picture)]
    assert runner.invoke(app, command).exit_code == 0
    assert "writes" in picture.read_text(encoding="utf-8")
    assert isinstance(runner.invoke(app, command).exception, StoreError)
    assert runner.invoke(app, [*command, "--force"]).exit_code == 0
    png = [*command[:-1], str(picture.with_suffix(".png"))]
    assert isinstance(runner.invoke(app, png).exception, SpecificationError)


def test_results_that_are_none_are_told(tmp_path: Path) -> None:
    command = ["choose", str(tmp_path), "--weights", WEIGHTS]
    assert isinstance(runner.invoke(app, command).exception, NotFoundError)
    (tmp_path / "results.json").write_text('{"outcomes": 3}')
    refused = runner.invoke(app, command).exception
    assert isinstance(refused, DataError)
    assert "not a results.json (outcomes" in str(refused)


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], results: Path
) -> Callable[..., tuple[int, str]]:
    def run(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["qingting", "models", "choose", str(results), *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--weights", "quality=1,quality=2"), "qingting: --weights: quality has two weights"),
        (("--weights", "quality=-1"), "qingting: --weights: 'quality=-1': a weight is"),
        (("--weights", "quality=0"), "qingting: --weights: all are 0"),
        (("--weights", "=1"), "qingting: --weights: '=1' is not NAME=NUMBER"),
        (("--weights", "safety=1"), "qingting: safety: these results hold no measurement"),
        (("--weights", WEIGHTS, "--measure", "quality=nothing"), "qingting: nothing: no arm has"),
        (("--weights", WEIGHTS, "--gate", "bleu>3"), "qingting: --gate: 'bleu>3' is not"),
    ],
)
def test_a_wrong_option_is_one_line_and_exit_code_two(
    command: Callable[..., tuple[int, str]], words: tuple[str, ...], complaint: str
) -> None:
    code, said = command(*words)
    assert code == 2
    assert said.startswith(complaint)
    assert said.count("\n") == 1
