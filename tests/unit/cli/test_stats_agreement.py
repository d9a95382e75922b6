import json

import numpy as np
import pytest
from typer.testing import CliRunner

from qingting.cli.stats import app
from qingting.core.errors import DataError, SpecificationError

runner = CliRunner()


def run(*arguments):
    return runner.invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def write(tmp_path):
    def write(text, name="table.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def long_table(n_items=30):
    r = np.random.default_rng(1)
    rows = ["item,rater,rating"]
    for item in range(n_items):
        quality = r.integers(1, 6)
        rows += [f"i{item},r{k},{np.clip(quality + r.integers(-1, 2), 1, 5)}" for k in range(2)]
    return "\n".join(rows) + "\n"


def test_a_long_and_a_wide_table_agree(write):
    text = long_table()
    cells = [line.split(",") for line in text.splitlines()[1:]]
    wide = ["item,r0,r1"] + [
        f"{a[0]},{a[2]},{b[2]}" for a, b in zip(cells[::2], cells[1::2], strict=True)
    ]
    first = json.loads(run("agreement", write(text), "--json").stdout)
    second = json.loads(run("agreement", write("\n".join(wide), "wide.csv"), "--json").stdout)
    assert (first["layout"], second["layout"]) == ("long", "wide")
    assert first["criteria"] == second["criteria"]
    coefficients = first["criteria"][0]["coefficients"]
    assert {"Krippendorff's alpha, ordinal", "Cohen's kappa, quadratic", "ICC(A,1)"} <= set(
        coefficients
    )
    assert coefficients["ICC(A,1)"]["n_valid"] == 30


def test_what_cannot_be_used_is_named_and_never_coerced(write):
    text = long_table() + "i3,r7,9\ni3,r8,garbage\ni3,r9,0\n,r9,1\ni4,r9,\n"
    path = write(text)
    result = run("agreement", path, "--scale", "1:5", "--json")
    assert f"{path}:62, column 'rating': 9 lies outside the scale 1 to 5" in result.stderr
    assert f"{path}:63, column 'rating': 'garbage' is not a number" in result.stderr
    assert "4 cells cannot be used and are left out" in result.stderr
    record = json.loads(result.stdout)
    assert record["n_empty"] == 1
    clean = json.loads(run("agreement", write(long_table(), "clean.csv"), "--json").stdout)
    assert record["criteria"] == clean["criteria"]


def test_undefined_coefficients_say_so_and_are_no_number(write):
    result = run("agreement", write("item,a,b\n1,3,3\n2,3,3\n"))
    assert result.exit_code == 0
    assert result.stdout.count("undefined") >= 9
    assert "all 4 ratings are the same" in result.stdout
    assert "1.000" not in result.stdout and "0.000" not in result.stdout


def test_words_need_an_order_for_more_than_nominal(write):
    text = "item,a,b\n" + "".join(f"{i},{'low' if i % 3 else 'high'},low\n" for i in range(12))
    path = write(text + "x,middling,low\n")
    assert "alpha, nominal" in run("agreement", path).stdout
    result = run("agreement", path, "--level", "ordinal")
    assert isinstance(result.exception, SpecificationError)
    assert "--categories" in str(result.exception)
    result = run("agreement", path, "--categories", "low,high")
    assert "alpha, ordinal" in result.stdout
    assert "unknown label 'middling'; known are low, high" in result.stderr


def test_each_criterion_alone_and_repeats_apart(write):
    rows = ["item,rater,rating,criterion"]
    for criterion in ("warmth", "safety"):
        rows += [f"{i},{r},{(i + (r == 'b') * (i % 2)) % 3},{criterion}"
                 for i in range(12) for r in "ab"]  # fmt: skip
    rows.append("0,a,2,warmth")
    result = run("agreement", write("\n".join(rows)))
    assert "warmth: 12 items, 2 raters, 24 ratings, 1 repeats" in result.stdout
    assert "safety: 12 items, 2 raters, 24 ratings, 0 repeats" in result.stdout
    assert "a: 1 items again, 0% equal, mean difference 2.00" in result.stdout


def test_a_table_without_raters_is_refused(write):
    result = run("agreement", write("item,score\n1,2\n"))
    assert isinstance(result.exception, SpecificationError)
    assert "neither a long table" in str(result.exception)
    result = run("agreement", write("item,a,b\n1,,\n"))
    assert isinstance(result.exception, DataError)
    result = run("agreement", write(long_table()), "--scale", "5:1")
    assert isinstance(result.exception, SpecificationError)


@pytest.mark.parametrize("level", ["95", "0", "1"])
def test_a_confidence_level_is_a_share(write, level):
    result = run("agreement", write(long_table()), "--confidence-level", level)
    assert isinstance(result.exception, SpecificationError)
    assert "--confidence-level" in str(result.exception)


def test_replies_of_several_arms_to_one_prompt_are_items_and_no_repeats(write):
    cells = [line.split(",") for line in long_table().splitlines()[1:]]
    arms = [(arm, *cell) for cell in cells for arm in ("base", "tuned")]
    lines = "\n".join(f"{arm},{item},{rater},{rating}" for arm, item, rater, rating in arms)
    done = run("agreement", write("arm,item,rater,rating\n" + lines + "\n"))
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("60 items, 2 raters, 120 ratings, 0 repeats")
    assert "what is rated is a reply: 'item' by 'arm'" in done.stderr
    assert "same rater again" not in done.stdout


def test_replies_to_one_prompt_cluster(write):
    cells = [line.split(",") for line in long_table().splitlines()[1:]]
    lines = [(arm, *cell) for cell in cells for arm in ("base", "tuned")]
    by_arm = write("arm,item,rater,rating\n" + "\n".join(map(",".join, lines)) + "\n", "arms.csv")
    named = [f"{arm}{item},{item},{rater},{rating}" for arm, item, rater, rating in lines]
    by_cluster = write("item,dialogue,rater,rating\n" + "\n".join(named) + "\n", "clusters.csv")
    first, second = (
        json.loads(run("agreement", path, "--json").stdout)["criteria"][0]["coefficients"]
        for path in (by_arm, by_cluster)
    )
    assert first == second


def test_a_table_with_raters_and_an_unknown_rating_column_is_not_read_as_wide(write):
    path = write("left,right,winner,prompt,rater\na,b,left,p1,r1\na,b,right,p1,r2\n")
    error = run("agreement", path).exception
    assert isinstance(error, SpecificationError)
    assert "column 'rater' names raters" in str(error) and "--rating-column" in str(error)


def test_a_wide_table_says_which_columns_it_takes_for_raters(write):
    done = run("agreement", write("item,anna,judge\n1,2,3\n2,3,3\n3,4,5\n"))
    assert "the raters are the columns anna, judge" in done.stderr


def test_a_file_without_a_usable_rating_names_the_first_fault(write):
    path = write("item,rater,rating\n1,a,6\n1,b,7\n2,a,\n")
    error = run("agreement", path, "--scale", "1-5").exception
    assert isinstance(error, DataError)
    assert "1 cells are empty and 2 cannot be used; the first: " in str(error)
    assert str(error).endswith("table.csv:2, column 'rating': 6 lies outside the scale 1 to 5")
