import json
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

from qingting.cli.stats import app
from qingting.core.errors import DataError, SpecificationError, StoreError

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


def scores(n=40, *, dialogues=False, raters=False):
    r = np.random.default_rng(1)
    header = "prompt,model,score" + ",dialogue" * dialogues + ",rater" * raters
    rows = [header]
    for i in range(n):
        quality = r.normal(3, 1)
        for model, shift in (("base", 0.0), ("tuned", 0.6)):
            row = f"p{i},{model},{quality + shift + 0.3 * r.normal():.2f}"
            rows.append(row + f",d{i // 2}" * dialogues + f",r{i % 3}" * raters)
    return "\n".join(rows) + "\n"


def test_a_difference_with_interval_test_and_margin(write):
    record = json.loads(run("compare", write(scores()), "--margin", "0.3", "--json").stdout)
    (one,) = record["contrasts"]
    assert (one["first"], one["second"], one["n_pairs"]) == ("base", "tuned", 40)
    assert one["difference"]["interval"][1] < 0
    assert one["verdict"] == "second higher"
    assert one["equivalence"]["verdict"] == "not superior"
    assert one["equivalence"]["p_equivalent_adjusted"] == one["equivalence"]["p_equivalent"]
    assert record["warnings"] == []


def test_two_columns_of_scores_are_the_same_comparison(write):
    long = scores()
    cells = [line.split(",") for line in long.splitlines()[1:]]
    wide = "prompt,base,tuned\n" + "".join(
        f"{a[0]},{a[2]},{b[2]}\n" for a, b in zip(cells[::2], cells[1::2], strict=True)
    )
    path = write(wide, "wide.csv")
    first, second = (
        json.loads(run("compare", p, "--json").stdout)["contrasts"][0] for p in (write(long), path)
    )
    assert {**first, "difference": None} == {**second, "difference": None}
    assert first["difference"]["value"] == second["difference"]["value"]
    named = run("compare", path, "--first", "tuned", "--second", "base")
    assert named.stdout.startswith("tuned − base: +")


def test_dialogues_are_the_units_and_crossed_raters_are_warned_of(write):
    result = run("compare", write(scores(dialogues=True)), "--test", "wilcoxon")
    assert "20 independent units" in result.stdout
    assert "Wilcoxon signed rank, clustered" in result.stdout
    assert result.stderr == ""
    result = run("compare", write(scores(raters=True)))
    assert "3 of 3 raters scored several prompts" in result.stderr
    assert "crossed" in result.stderr


def test_rare_events_have_exact_bounds(write):
    rows = ["prompt,base,tuned"] + [f"{i},{int(i == 0)},0" for i in range(60)]
    result = run("compare", write("\n".join(rows)), "--test", "mcnemar")
    # No event among 60: 1 − 0.05**(1/60) = 4.9%.
    assert "tuned: 0 of 60 (0.0%), exact 0.0% to 6.0%; one-sided upper bound 4.9%" in result.stdout
    assert "McNemar, exact" in result.stdout
    rows = ["prompt,base,tuned,dialogue"] + [f"{i},{int(i == 0)},0,d{i // 2}" for i in range(60)]
    result = run("compare", write("\n".join(rows)), "--first", "base", "--second", "tuned")
    assert "no exact interval: prompts share dialogues" in result.stdout


def test_several_arms_are_corrected_for_together(write):
    rows = scores() + scores().replace("base", "third").replace("tuned", "fourth").split("\n", 1)[1]
    path = write(rows)
    record = json.loads(run("compare", path, "--json", "--family", "benjamini-hochberg").stdout)
    assert len(record["contrasts"]) == 6
    assert all(one["n_tests"] == 6 for one in record["contrasts"])
    record = json.loads(run("compare", path, "--json", "--baseline", "base").stdout)
    assert [one["second"] for one in record["contrasts"]] == ["base"] * 3


def test_tables_that_do_not_say_what_to_compare_are_refused(write):
    for text, arguments, why in (
        ("prompt,a,b,c\n1,1,2,3\n", (), "neither a long table"),
        ("prompt,model,score\n1,a,2\n", (), "one arm only"),
        ("prompt,a,b\n1,1,2\n", ("--first", "a"), "both --first and --second"),
        ("prompt,a,b\n1,1,2\n", ("--first", "a", "--second", "bb"), "no column 'bb'"),
        ("prompt,a,b\n1,1,2\n", ("--margin", "0"), "must be positive"),
    ):
        result = run("compare", write(text), *arguments)
        assert isinstance(result.exception, SpecificationError), why
        assert why in str(result.exception)
    two = "prompt,model,score,dialogue\np,a,1,d\np,b,2,e\n"
    result = run("compare", write(two))
    assert isinstance(result.exception, DataError)
    assert "belongs to dialogue 'd' and to 'e'" in str(result.exception)


def judged(n=400, share=0.5):
    r = np.random.default_rng(2)
    rows = ["prompt,model,human,judge,judge_new"]
    for i in range(n):
        for model in "ab":
            true = r.normal(3 + 0.4 * (model == "a"), 1)
            human = f"{true:.2f}" if r.random() < share else ""
            rows.append(f"{i},{model},{human},{true + 0.5 * r.normal():.2f},{true + 0.3:.2f}")
    return "\n".join(rows) + "\n"


def test_a_judge_is_corrected_only_where_labels_were_chosen_at_random(write):
    path = write(judged())
    refused = run("judge", path)
    assert refused.exit_code == 0
    assert refused.stdout.count("refused: prediction-powered inference needs human labels") == 3
    assert "--labels-chosen-at-random" in refused.stdout
    record = json.loads(
        run("judge", path, "--labels-chosen-at-random", "--margin", "1", "--json").stdout
    )
    found = record["prediction_powered"]
    assert list(found) == ["a", "b", "a − b"]
    low, high = found["a − b"]["estimate"]["interval"]
    assert low < 0.4 < high
    assert found["a"]["gain"] > 1.2
    assert record["agreement"]["alpha"]["value"] > 0.7
    assert record["drift"]["within_margin"]["verdict"] == "equivalent"


def test_too_few_human_labels_are_refused(write):
    result = run("judge", write(judged(share=0.1)), "--labels-chosen-at-random")
    assert "needs 100 human labels chosen at random" in result.stdout


def test_criteria_are_never_averaged_together(write):
    rows = scores().splitlines()
    both = [rows[0] + ",criterion"]
    both += [f"{row},{name}" for row in rows[1:] for name in ("warmth", "safety")]
    path = write("\n".join(both))
    result = run("compare", path)
    assert isinstance(result.exception, SpecificationError)
    assert "2 criteria (warmth, safety)" in str(result.exception)
    one = run("compare", path, "--criterion", "safety")
    assert one.stdout == run("compare", write(scores(), "one.csv")).stdout
    result = run("compare", path, "--criterion", "safty")
    assert "Did you mean 'safety'?" in str(result.exception)


def test_a_picture_stands_alone_and_is_not_overwritten(write, tmp_path):
    table, picture = write(scores()), tmp_path / "differences.svg"
    result = run("compare", table, "--figure", picture)
    root = ElementTree.parse(picture).getroot()
    shown = "".join(root.itertext())
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "base − tuned" in shown and "--worse:" in shown
    assert isinstance(run("compare", table, "--figure", picture).exception, StoreError)
    assert run("compare", table, "--figure", picture, "--force").stdout == result.stdout


def test_the_interval_is_students_t_unless_another_is_asked_for(write):
    path = write(scores(20))
    (one,) = json.loads(run("compare", path, "--json").stdout)["contrasts"]
    assert one["difference"]["method"] == "Student t"


def test_a_small_p_value_is_bounded_and_the_higher_arm_is_named(write):
    rows = [f"p{i},{arm},{i % 3 + shift}" for i in range(40) for arm, shift in (("a", 0), ("b", 1))]
    path = write("prompt,arm,score\n" + "\n".join(rows) + "\n")
    shown = run("compare", path, "--test", "wilcoxon").stdout
    assert "p < 0.0001 (Wilcoxon" in shown and "0.0000" not in shown
    assert shown.rstrip().endswith(": b higher")


def test_a_margin_without_a_second_version_of_the_judge_is_refused(write):
    path = write("prompt,judge,human\n" + "".join(f"p{i},3,{i % 5}\n" for i in range(10)))
    done = run("judge", path, "--margin", "0.2")
    assert isinstance(done.exception, SpecificationError)
    assert "--next-column" in str(done.exception)


def test_scores_none_of_which_can_be_used_are_refused_with_the_first_reason(write):
    error = run("compare", write("prompt,arm,score\np1,a,true\np1,b,false\n")).exception
    assert isinstance(error, DataError)
    assert "no usable score; the first: " in str(error) and "'true' is not a number" in str(error)
