"""The commands that plan, watch and decide."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qingting.cli.stats import app
from qingting.core.errors import SpecificationError, StoreError, UndefinedStatisticError

EXAMPLE = Path(__file__).parents[3] / "examples" / "decision"
runner = CliRunner()


def run(*arguments):
    return runner.invoke(app, [str(argument) for argument in arguments])


def decided(*more, rule=EXAMPLE / "rule.yaml", judgments=EXAMPLE / "judgments.csv"):
    return run("decide", "--rule", rule, judgments, *more)


def test_the_example_is_decided_in_words_first(tmp_path):
    figure = tmp_path / "decision.svg"
    done = decided("--figure", figure)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("promote (tuned against base)\nbecause all 6 clauses are met")
    assert "upper bound 3.68%, allowed 5.00%" in done.stdout
    assert figure.read_text("utf-8").startswith("<svg xmlns")
    again = decided("--figure", figure)
    assert isinstance(again.exception, StoreError)


def test_json_holds_every_clause_and_the_digest_of_the_rule():
    record = json.loads(decided("--json").stdout)
    assert record["answer"] == "promote"
    kinds = [clause["kind"] for clause in record["clauses"]]
    assert kinds == ["minimum", "calibration", "calibration", "safety", "primary", "other"]
    assert len(record["rule_sha256"]) == 64
    assert record["clauses"][4]["interval"][0] > 0
    assert decided("--json").stdout == decided("--json").stdout


def test_an_inconclusive_answer_says_what_would_settle_it_and_exits_zero(tmp_path):
    rule = tmp_path / "rule.yaml"
    text = (EXAMPLE / "rule.yaml").read_text("utf-8")
    rule.write_text(text.replace("margin: 0.0", "margin: 0.2"), "utf-8")
    done = decided(rule=rule)
    assert done.exit_code == 0
    assert done.stdout.startswith("inconclusive, and about ")
    assert "more prompts would settle it (towards promotion)" in done.stdout
    assert "80% chance if the true difference is the one seen" in done.stdout


def test_an_unsafe_candidate_is_not_promoted_and_exits_zero(tmp_path):
    rule = tmp_path / "rule.yaml"
    text = (EXAMPLE / "rule.yaml").read_text("utf-8")
    rule.write_text(text.replace("at_most: 0.05", "at_most: 0.005")
                    .replace("failures: [fail]", "failures: [fail, concern]"), "utf-8")  # fmt: skip
    done = decided(rule=rule)
    assert done.exit_code == 0
    assert done.stdout.startswith("do not promote (tuned against base)\nbecause safety: ")


def test_a_rule_with_a_mistake_is_refused(tmp_path):
    rule = tmp_path / "rule.yaml"
    rule.write_text("candidate: a\n", "utf-8")
    assert isinstance(decided(rule=rule).exception, SpecificationError)


def test_power_of_a_study_and_its_curve(tmp_path):
    figure = tmp_path / "power.svg"
    done = run("power", "--prompts", 40, "--runs", 300, "--figure", figure)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("power of 40 prompts, 12 raters, 3 of them per prompt: ")
    assert "standard error" in done.stdout
    assert "wanted 80%" in figure.read_text("utf-8")


def test_the_smallest_study_as_json_repeats_with_its_seed():
    ask = ("power", "--outcome", "pairs", "--effect", 0.7, "--runs", 300, "--json")
    record = json.loads(run(*ask).stdout)
    assert record == json.loads(run(*ask).stdout)
    assert record["answer"]["power"] >= 0.8
    assert record["variance_model"]["residual"] == 0.8
    raters = json.loads(run(*ask, "--vary", "raters", "--prompts", 80).stdout)
    assert raters["answer"]["design"]["n_prompts"] == 80


def test_a_power_that_cannot_be_reached_is_said_and_is_no_number():
    done = run("power", "--sd-arm-rater", 2, "--raters", 4, "--runs", 200, "--effect", 0.2)
    assert done.exit_code == 0
    assert done.stdout.startswith("power 80% is not reached: 5000 prompts")


@pytest.mark.parametrize(
    "bad",
    [
        ("--ratings-per-prompt", 20, "--raters", 12, "--prompts", 30),
        ("--vary", "raters"),
        ("--scale", "1.5:5"),
        ("--wanted", 1.5),
        ("--outcome", "pairs", "--effect", 3),
    ],
)
def test_studies_that_cannot_be_are_refused(bad):
    assert isinstance(run("power", "--runs", 200, *bad).exception, SpecificationError)


@pytest.fixture
def votes(tmp_path):
    path = tmp_path / "votes.csv"
    rows = ["left,right,winner,prompt"]
    for n in range(120):
        a_wins = n % 10 != 3
        left_first = n % 2 == 0
        pair = "a,b" if left_first else "b,a"
        rows.append(f"{pair},{'left' if a_wins == left_first else 'right'},p{n // 2}")
    path.write_text("\n".join([*rows, "a,b,garbage,p1"]), "utf-8")
    return path


def test_votes_are_watched_and_may_stop(votes, tmp_path):
    figure = tmp_path / "watch.svg"
    done = run("watch", votes, "--votes-per-prompt", 2, "--figure", figure)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("may stop: a is better than b (since prompt ")
    assert "60 prompts complete with 2 judgments each, 0 not yet; 0 judgments beyond" in done.stdout
    assert "'garbage' is not a winner" in done.stderr
    assert "no difference" in figure.read_text("utf-8")


def test_the_other_arm_gives_the_mirrored_interval(votes):
    one, other = (
        json.loads(run("watch", votes, "--first", name, "--json").stdout) for name in "ab"
    )
    assert other["interval"] == pytest.approx([1 - v for v in one["interval"][::-1]])
    assert one["n_surplus"] == 60
    assert one["may_stop"]


def test_scores_need_a_scale_and_wait_for_both_arms(tmp_path):
    path = tmp_path / "scores.csv"
    rows = [f"p{n},{arm},{2 + n % 2 + (arm == 'new')}" for n in range(80) for arm in ("new", "old")]
    path.write_text("\n".join(["prompt,arm,score", *rows, "p99,new,4"]), "utf-8")
    assert isinstance(run("watch", path).exception, SpecificationError)
    record = json.loads(run("watch", path, "--scale", "1:5", "--json").stdout)
    assert record["n_open"] == 1
    assert record["sequence"]["bounds"] == [-4, 4]
    assert record["verdict"].startswith("new is better than old")


def test_equal_arms_continue_and_may_stop_within_a_margin(tmp_path):
    path = tmp_path / "votes.csv"
    rows = [f"a,b,{('left', 'right')[n % 2]}" for n in range(900)]
    path.write_text("\n".join(["left,right,winner", *rows]), "utf-8")
    assert run("watch", path).stdout.startswith("continue: nothing is settled yet")
    assert "differ by less than 0.2" in run("watch", path, "--margin", 0.2).stdout


def test_what_cannot_be_watched_is_refused(votes, tmp_path):
    assert isinstance(run("watch", votes, "--first", "c").exception, SpecificationError)
    assert isinstance(run("watch", votes, "--scale", "1:5").exception, SpecificationError)
    short = tmp_path / "short.csv"
    short.write_text("left,right,winner,prompt\na,b,left,p1\n", "utf-8")
    refused = run("watch", short, "--figure", tmp_path / "x.svg")
    assert isinstance(refused.exception, UndefinedStatisticError)


def test_judgments_that_cannot_be_read_leave_the_answer_open(tmp_path):
    judgments = tmp_path / "judgments.csv"
    header, *rows = (EXAMPLE / "judgments.csv").read_text("utf-8").splitlines()
    spoilt = [row.rsplit(",", 1)[0] + ",nan" if "safety" not in row else row for row in rows]
    judgments.write_text("\n".join([header, *spoilt]) + "\n", "utf-8")
    done = decided(judgments=judgments)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("inconclusive")
    assert "no prompt has ratings of both arms" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("--effect", "nan"),
        ("--effect", "0"),
        ("--effect", "-0.3", "--margin", "0.3"),
        ("--outcome", "pairs", "--effect", "0.5"),
    ],
)
def test_no_study_is_sought_for_what_is_not_so(arguments):
    error = run("power", "--runs", "200", *arguments).exception
    assert isinstance(error, SpecificationError)
    assert "effect" in str(error)


def test_non_inferiority_of_equal_arms_can_be_planned():
    done = run("power", "--effect", "0", "--margin", "0.5", "--runs", "200", "--prompts", "20")
    assert done.exit_code == 0, done.output


def test_what_is_watched_is_told_also_where_it_is_too_few_for_a_figure(tmp_path):
    path = tmp_path / "votes.csv"
    path.write_text("left,right,winner,prompt\na,b,left,p1\n", "utf-8")
    done = run("watch", path, "--figure", tmp_path / "out.svg")
    assert "1 prompts complete with 1 judgment each" in done.stdout
    assert isinstance(done.exception, UndefinedStatisticError)


def test_a_figure_is_not_written_as_what_it_is_not(tmp_path):
    done = decided("--figure", tmp_path / "decision.png")
    assert isinstance(done.exception, SpecificationError)
    assert "call it decision.svg" in str(done.exception)
    assert not (tmp_path / "decision.png").exists()


def test_the_columns_that_are_watched_can_be_named(votes, tmp_path):
    path = tmp_path / "renamed.csv"
    header, *rows = votes.read_text("utf-8").splitlines()
    names = {"left": "左", "right": "右", "winner": "胜者", "prompt": "题目"}
    renamed = ",".join(names.get(name, name) for name in header.split(","))
    path.write_text("\n".join([renamed, *rows]), "utf-8")
    options = [part for name, new in names.items() for part in (f"--{name}-column", new)]
    assert run("watch", path, *options).stdout == run("watch", votes).stdout
