"""`models list`, `show`, `add`, `recommend` and `choose` as a person runs them."""

from __future__ import annotations

import json
import re

import pytest
from typer.testing import CliRunner

from qingting.cli.models import app
from qingting.core.errors import NotFoundError, SpecificationError, StoreError
from qingting.models.resolve import shipped_models
from unit.report.sample_results import sample_results


def run(*arguments):
    return CliRunner().invoke(app, [str(one) for one in arguments])


def test_the_list_holds_every_card():
    listed = {row["name"]: row for row in json.loads(run("list", "--json").stdout)}
    assert listed["Qwen2.5-7B-Instruct"]["n_parameters"] == 7_615_616_512
    assert listed["Qwen2.5-3B-Instruct"]["commercial"] == "no"
    assert set(shipped_models()) <= set(listed)
    text = run("list").stdout
    assert all(name in text for name in listed)


def test_a_card_is_shown_with_its_sources():
    text = run("show", "baichuan-inc/Baichuan2-7B-Chat").stdout
    assert "7,505,973,248" in text and "https://arxiv.org/abs/2309.10305" in text
    assert "4,096 tokens" in text
    record = json.loads(run("show", "ChatGLM3-6B", "--json").stdout)
    assert record["architecture"]["class"] == "GlmForCausalLM"


def test_a_miss_offers_the_near_name():
    result = run("show", "Qwen2.5-7B-Instuct")
    assert isinstance(result.exception, NotFoundError)
    assert "Did you mean 'Qwen2.5-7B-Instruct'" in str(result.exception)


def test_a_drafted_card_joins_the_list(tmp_path):
    folder = shipped_models()["qwen2.5-tiny"]
    added = run("add", folder, "--cards", tmp_path, "--json")
    assert added.exit_code == 0, added.output
    assert "licence.commercial" in json.loads(added.stdout)["unknown"]
    (path,) = tmp_path.iterdir()
    again = run("add", folder, "--out", path)
    assert isinstance(again.exception, StoreError) and "--force" in str(again.exception)
    listed = json.loads(run("list", "--cards", tmp_path, "--json").stdout)
    assert [r["developer"] for r in listed if r["name"] == "qwen2.5-tiny"] == ["unknown"]
    nowhere = run("add", folder)
    assert isinstance(nowhere.exception, SpecificationError)


def test_a_recommendation_is_read_as_text_json_and_picture(tmp_path):
    arguments = ("recommend", "--gpu-memory-gib", 24, "--language", "zh", "--use", "commercial")
    record = json.loads(run(*arguments, "--json").stdout)
    assert record["ranked"][0]["rank"] == 1
    assert {"criterion", "text", "source"} == set(record["ranked"][0]["reasons"][0])
    text = run(*arguments, "--figure", tmp_path / "r.svg").stdout
    assert all(one["name"] in text for one in (*record["ranked"], *record["excluded"]))
    assert "not known before it is measured" in text
    assert record["ranked"][0]["name"] in (tmp_path / "r.svg").read_text(encoding="utf-8")


def test_nothing_fits_says_what_stands_in_the_way():
    text = run("recommend", "--gpu-memory-gib", 1, "--language", "zh").stdout
    assert "no model fits" in text and "memory: LoRA on rows" in text


# -- choosing from results --------------------------------------------------------------------------


@pytest.fixture
def results(tmp_path):
    path = tmp_path / "results.json"
    path.write_text(sample_results().model_dump_json(), encoding="utf-8")
    return path


def choose(results, weights="quality=.5,cost=.5", *more):
    return run("choose", results, "--weights", weights, *more, "--json")


def test_the_order_follows_the_weights(results):
    quality = json.loads(choose(results, "quality=1,cost=0").stdout)
    scores = [arm["score"] for arm in quality["arms"] if arm["rank"]]
    assert scores == sorted(scores, reverse=True)
    best = quality["arms"][0]
    bits = [arm["measures"]["bits-per-byte"]["mean"] for arm in quality["arms"] if arm["rank"]]
    assert best["measures"]["bits-per-byte"]["mean"] == min(bits)
    assert best["criteria"]["quality"] == 1.0


def test_shares_of_weights_add_up_to_one_and_the_front_holds_every_winner(results):
    arms = json.loads(choose(results).stdout)["arms"]
    ranked = [arm for arm in arms if arm["rank"]]
    assert sum(arm["share_of_weights_won"] for arm in ranked) == pytest.approx(1.0)
    assert sum(arm["p_first"] for arm in ranked) == pytest.approx(1.0)
    assert all(arm["on_pareto_front"] for arm in ranked if arm["share_of_weights_won"] > 1e-9)
    for arm in ranked:
        assert sum(arm["share_of_weights_at_rank"]) == pytest.approx(1.0)


def test_an_arm_without_a_measure_is_not_ranked_and_says_why(results):
    failed = sample_results(with_failure=True)
    results.write_text(failed.model_dump_json(), encoding="utf-8")
    arms = json.loads(choose(results).stdout)["arms"]
    without = [arm for arm in arms if arm["rank"] is None]
    assert without
    assert all(arm["score"] is None and arm["why_unranked"] for arm in without)


def test_a_gate_holds_the_unfavourable_end_and_comes_first(results):
    plain = json.loads(choose(results).stdout)["arms"]
    ranked = [arm for arm in plain if arm["rank"]]
    middle = sorted(arm["measures"]["bits-per-byte"]["high"] for arm in ranked)[len(ranked) // 2]
    gated = json.loads(
        choose(results, "quality=.5,cost=.5", "--gate", f"bits-per-byte<={middle}").stdout
    )["arms"]
    for arm in gated:
        value = arm["measures"]["bits-per-byte"]
        if arm["rank"]:
            assert value["high"] <= middle
        elif "missing" not in value:
            assert arm["why_unranked"].startswith("fails") or "missing" in arm["why_unranked"]


def test_a_measure_told_by_language_stands_for_each(results):
    record = json.loads(choose(results, "overlap=1").stdout)
    assert {name.split("/")[0] for name in record["measures"]["overlap"]} == {"chrf", "rouge-l-f"}
    assert len(record["measures"]["overlap"]) > 2


def test_the_picture_names_the_arms(results, tmp_path):
    done = run(
        *("choose", results, "--weights", "quality=.4,knowledge=.3,cost=.3"),
        *("--figure", tmp_path / "c.svg"),
    )
    assert done.exit_code == 0, done.output
    svg = (tmp_path / "c.svg").read_text(encoding="utf-8")
    best = re.search(r"^ +1\*? +(\S+)", done.stdout, re.M)[1]
    assert best in svg and "<polygon" in svg


@pytest.mark.parametrize(
    ("weights", "more", "told"),
    [
        ("quality", (), "is not NAME=NUMBER"),
        ("quality=-1", (), "a weight is a number from 0 up"),
        ("safety=1", (), "hold no measurement of safety"),
        ("qualty=1", (), "Did you mean 'quality'"),
        ("quality=1", ("--measure", "quality=bits-per-bite"), "Did you mean 'bits-per-byte'"),
        ("quality=1", ("--measure", "cost=length"), "is not CRITERION=MEASURE"),
        ("quality=1", ("--measure", "quality=length"), "neither more nor less"),
        ("quality=1", ("--gate", "bits-per-byte=2"), "is not MEASURE>=NUMBER"),
        ("quality=1", ("--gate", "nosuch>=2"), "no arm has this measure"),
    ],
)
def test_what_cannot_be_meant_is_one_clear_line(results, weights, more, told):
    result = choose(results, weights, *more)
    assert result.exception is not None and told in str(result.exception)


def test_another_file_is_no_results(tmp_path):
    (tmp_path / "results.json").write_text("{}", encoding="utf-8")
    result = choose(tmp_path)
    assert "not a results.json" in str(result.exception)
    assert isinstance(choose(tmp_path / "none.json").exception, NotFoundError)
