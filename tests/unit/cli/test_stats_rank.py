"""The command that ranks arms by votes."""

import json

import pytest
from typer.testing import CliRunner

from qingting.cli.stats import app


@pytest.fixture
def votes(tmp_path):
    path = tmp_path / "votes.csv"
    rows = ["left,right,winner,prompt,worker"]
    winners = ("left", "left", "right", "tie", "left", "right", "left", "tie")
    for n in range(480):
        pair = ("a,b", "b,c", "c,a", "b,a", "a,c")[n % 5]
        rows.append(f"{pair},{winners[n * 7 % 8]},p{n % 32},w{n % 25}")
    rows.append("a,b,garbage,p1,w1")
    path.write_text("\n".join(rows), "utf-8")
    return path


def invoke(*arguments):
    return CliRunner().invoke(app, ["rank", *map(str, arguments)])


def test_the_table_names_ranks_effects_and_what_was_left_out(votes):
    done = invoke(votes)
    assert done.exit_code == 0, done.output
    assert "3 arms, 480 votes, 32 prompts, 25 raters; davidson" in done.stdout
    assert "order effect (left)" in done.stdout
    assert "all true ranks" in done.stdout
    assert "votes.csv:482, column 'winner': 'garbage' is not a winner" in done.stderr


def test_json_holds_every_figure_and_repeats_with_the_seed(votes):
    one, other = invoke(votes, "--json", "--elo"), invoke(votes, "--json", "--elo")
    record = json.loads(one.stdout)
    assert one.stdout == other.stdout
    assert record["n_votes"] == 480
    assert record["n_clusters"] == {"prompt": 32, "rater": 25}
    assert len(record["contrasts"]) == 3
    assert len(record["problems_of_rows"]) == 1
    assert {arm["arm"] for arm in record["arms"]} == set(record["elo_ratings"]) == {"a", "b", "c"}
    low, high = record["arms"][0]["interval"]
    assert low < record["arms"][0]["strength"] < high


def test_the_figure_is_not_overwritten_without_force(votes, tmp_path):
    path = tmp_path / "strengths.svg"
    assert invoke(votes, "--method", "sandwich", "--figure", path).exit_code == 0
    assert path.read_text("utf-8").startswith("<svg")
    again = invoke(votes, "--method", "sandwich", "--figure", path)
    assert again.exit_code != 0
    assert invoke(votes, "--method", "sandwich", "--figure", path, "--force").exit_code == 0


def test_separated_and_disconnected_arms_are_named(tmp_path):
    path = tmp_path / "votes.csv"
    rows = ["left,right,winner", *["a,b,left", "b,a,left", "s,a,left", "x,y,left", "y,x,left"] * 9]
    path.write_text("\n".join(rows), "utf-8")
    done = invoke(path, "--method", "sandwich", "--order-effect", "no")
    assert done.exit_code == 0, done.output
    assert "comparable among themselves only" in done.stdout
    assert "no finite distance to another arm (9 won, 0 lost)" in done.stdout
    assert "fall into 2 parts" in done.stderr
    assert "separation: s won all 9 votes" in done.stderr
    record = json.loads(invoke(path, "--method", "sandwich", "--json").stdout)
    star = next(arm for arm in record["arms"] if arm["arm"] == "s")
    assert "missing" in star["strength"]


def test_votes_cast_twice_are_told_whichever_side_the_arms_stood_on(tmp_path):
    path = tmp_path / "votes.csv"
    rows = [f"a,b,{'left' if n % 3 else 'right'},p{n},w{n % 4}" for n in range(24)]
    path.write_text("\n".join(["left,right,winner,prompt,rater", *rows, rows[0]]), "utf-8")
    assert "1 of 25 votes are on a pair and prompt" in invoke(path).stderr
    swapped = "b,a,left,p0,w0"
    path.write_text("\n".join(["left,right,winner,prompt,rater", *rows, swapped]), "utf-8")
    assert json.loads(invoke(path, "--json").stdout)["n_repeated"] == 1
    path.write_text("\n".join(["left,right,winner,prompt,rater", *rows]), "utf-8")
    once = invoke(path)
    assert "voted on before" not in once.stderr
    assert "1000 is the average arm" in once.stdout


def test_a_figure_of_arms_never_compared_names_their_parts(tmp_path):
    path, figure = tmp_path / "votes.csv", tmp_path / "out.svg"
    rows = [
        f"{pair},{'left' if n % 3 else 'right'},p{n},w{n % 4}"
        for n in range(24)
        for pair in ("a,b", "c,d")
    ]
    path.write_text("\n".join(["left,right,winner,prompt,rater", *rows]), "utf-8")
    assert invoke(path, "--figure", figure).exit_code == 0
    drawn = figure.read_text("utf-8")
    assert drawn.count("(part 1)") == drawn.count("(part 2)") > 0


def test_winners_may_be_chinese_words(tmp_path):
    records = []
    for words in (("left", "right", "tie", "tie"), ("左", "右", "平", "平局")):
        path = tmp_path / "votes.csv"
        rows = [f"a,b,{words[n % 4]},p{n},w{n % 4}" for n in range(24)]
        path.write_text("\n".join(["left,right,winner,prompt,rater", *rows]), "utf-8")
        records.append(json.loads(invoke(path, "--json").stdout))
    assert records[0] == records[1]
    assert records[0]["problems_of_rows"] == []
