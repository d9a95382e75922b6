import json

import numpy as np
import pytest
from typer.testing import CliRunner

from qingting.cli.stats import app
from qingting.core.errors import DataError, SpecificationError

runner = CliRunner()


def run(*arguments):
    return runner.invoke(app, ["ratings", *map(str, arguments)])


def rows(n_prompts=24, n_raters=6, gain=1.2, seed=3):
    r = np.random.default_rng(seed)
    raters = r.normal(0, 0.5, n_raters)
    lines = []
    for prompt in range(n_prompts):
        level = r.normal(0, 0.7)
        for rater in range(n_raters):
            for arm, name in enumerate(("base", "tuned")):
                eta = level + raters[rater] + gain * arm + r.logistic()
                lines.append(
                    f"{name},p{prompt},r{rater},{1 + np.searchsorted([-1.5, -0.5, 0.5, 1.5], eta)}"
                )
    return lines


@pytest.fixture
def write(tmp_path):
    def write(lines, header="model,prompt,rater,rating", name="ratings.csv"):
        path = tmp_path / name
        path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        return path

    return write


def test_words_come_first_then_the_numbers(write):
    result = run(write(rows()), "--scale", "1-5")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "288 ratings of 2 arms on 24 prompts, 6 raters"
    assert lines[1].startswith("  base − tuned: tuned is rated higher than base; p = ")
    assert "log-odds, first − second" in lines[2]
    assert "P(first above second)" in lines[3]
    assert "clustered by prompt and rater" in lines[4]
    assert "converged" in result.stdout and "NOT" not in result.stdout


def test_json_holds_the_same_and_more(write):
    record = json.loads(run(write(rows()), "--json").stdout)
    (one,) = record["criteria"]
    (contrast,) = one["model"]["contrasts"]
    assert contrast["verdict"] == "second higher"
    assert contrast["log_odds"]["interval"][1] < 0
    assert contrast["p_adjusted"] == contrast["p_value"] < 0.05
    (mean,) = one["mean_differences"]
    assert (mean["first"], mean["second"]) == ("base", "tuned")
    assert mean["interval"][1] < 0
    assert len(one["model"]["severities"]) == 6
    assert record["n_tests"] == 1


def test_criteria_are_fitted_alone_and_corrected_together(write):
    lines = [f"{line},{criterion}" for line in rows() for criterion in ("empathy", "safety")]
    path = write(lines, header="arm,item,judge,score,criterion")
    record = json.loads(run(path, "--json").stdout)
    assert [one["criterion"] for one in record["criteria"]] == ["empathy", "safety"]
    contrast = record["criteria"][0]["model"]["contrasts"][0]
    assert contrast["p_adjusted"] == pytest.approx(2 * contrast["p_value"])
    alone = json.loads(run(path, "--criterion", "safety", "--json").stdout)
    assert len(alone["criteria"]) == 1
    unknown = run(path, "--criterion", "safty").exception
    assert isinstance(unknown, SpecificationError)
    assert "Did you mean 'safety'" in str(unknown)


def test_what_cannot_be_used_is_named_and_never_coerced(write):
    clean = rows()
    odd = ["base,p0,r9,0", "base,p0,r9,9", "base,p0,r9,garbage", "base,,r9,3", "base,p0,r9,2.5",
           "base,p0,r9,"]  # fmt: skip
    path = write(clean + odd)
    result = run(path, "--scale", "1:5", "--json")
    assert f"{path}:290, column 'rating': 0 lies outside the scale 1 to 5" in result.stderr
    assert f"{path}:291, column 'rating': 9 lies outside" in result.stderr
    assert f"{path}:292, column 'rating': 'garbage' is not a number" in result.stderr
    assert f"{path}:293, column 'prompt': no prompt for the rating" in result.stderr
    assert f"{path}:294, column 'rating': 2.5 is no step of the scale" in result.stderr
    record = json.loads(result.stdout)
    assert record["n_empty"] == 1
    expected = json.loads(run(write(clean, name="clean.csv"), "--scale", "1:5", "--json").stdout)
    assert record["criteria"] == expected["criteria"]


def test_zeros_without_a_scale_are_pointed_out(write):
    result = run(write([*rows(), "base,p0,r9,0"]))
    assert "1 ratings are 0" in result.stderr and "--scale 1:5" in result.stderr


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([line.rsplit(",", 1)[0] + ",3" for line in rows()], "every rating is 3"),
        ([line for line in rows() if line.startswith("base")], "one arm only"),
        (
            [
                line.rsplit(",", 1)[0] + ",5" if line.startswith("tuned") else line
                for line in rows()
            ],
            "every rating of 'tuned' is 5",
        ),
    ],
)
def test_undefined_models_say_so_and_print_no_number(write, lines, reason):
    result = run(write(lines))
    assert result.exit_code == 0
    assert f"no model: {reason}" in result.stdout
    assert "log-odds, first" not in result.stdout
    record = json.loads(run(write(lines), "--json").stdout)
    assert reason in record["criteria"][0]["model"]["missing"]


def test_independent_ratings_must_be_asked_for_and_are_warned_about(write):
    result = run(write(rows()), "--effects", "none")
    assert "taken as independent, which they are not" in result.stderr


def test_columns_are_mapped_and_near_names_offered(write):
    path = write(rows(), header="which,prompt,rater,rating")
    assert isinstance(run(path).exception, SpecificationError)
    assert run(path, "--arm-column", "which").exit_code == 0
    assert isinstance(run(write(["a,b,c,x"])).exception, DataError)


def test_a_figure_is_drawn_and_not_overwritten(write, tmp_path):
    picture = tmp_path / "ratings.svg"
    assert run(write(rows()), "--figure", picture).exit_code == 0
    assert "base − tuned" in picture.read_text(encoding="utf-8")
    assert "--force" in str(run(write(rows()), "--figure", picture).exception)


def test_numbers_are_printed_where_there_is_nothing_to_draw(write, tmp_path):
    lines = [f"{m},p{p},r{r},{v}" for m, v in (("a", 1), ("b", 5)) for p in range(6) for r in "xy"]
    result = run(write(lines), "--figure", tmp_path / "out.svg")
    assert result.exit_code == 1
    assert "difference of means" in result.stdout
    assert "no picture" in str(result.exception)


def test_an_unknown_column_or_arm_is_refused_with_what_would_do(write):
    path = write(rows())
    unknown = run(write(rows(), "arm,item,who,points", "other.csv")).exception
    assert isinstance(unknown, SpecificationError)
    assert "or name it with --rating-column" in str(unknown)
    absent = run(path, "--baseline", "x").exception
    assert isinstance(absent, SpecificationError)
    assert "Known are: base, tuned" in str(absent)


def test_a_decimal_comma_is_named(write):
    path = write(["a;p1;r1;4,5"], "model;prompt;rater;rating")
    error = run(path).exception
    assert isinstance(error, DataError)
    assert str(error).endswith("'4,5' is not a number; write it with a point, without commas")


def test_arms_without_a_common_rater_are_told(write):
    apart = [line for line in rows() if (line[0] == "b") == (line.split(",")[2] < "r3")]
    warning = "no rater rated both base and tuned; what differs may be the raters' severity"
    result = run(write(apart))
    assert f"warning: {warning}" in result.stderr
    assert warning not in run(write(rows(), name="all.csv")).stderr
