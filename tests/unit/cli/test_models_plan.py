import json

import pytest
from typer.testing import CliRunner

from qingting.cli.models import app
from unit.models.published_shapes import PUBLISHED


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(PUBLISHED["Qwen2.5-7B"]))
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, ["plan", *map(str, arguments)])


def test_a_folder_with_only_a_configuration_is_planned_for(folder):
    result = run(folder / "config.json", "--gpu", "H100-80GB", "--json")
    assert result.exit_code == 0, result.output
    (model,) = json.loads(result.stdout)["models"]
    assert model["n_parameters"] == 7_615_616_512
    uses = {row["use"]: row for row in model["uses"]}
    assert uses["train lora"]["fits"] == "yes"
    assert uses["train full"]["fits"] == "no"
    assert uses["train full"]["largest_micro_batch"] == 0
    parts = sum(uses["train lora"]["parts_gib"].values())
    assert parts == pytest.approx(uses["train lora"]["allocated_gib"])


def test_an_experiment_is_planned_for_by_its_recipe(tmp_path):
    spec = tmp_path / "e.yaml"
    spec.write_text(
        "experiment: e\nmodels: [{model: qwen2.5-tiny}, {model: llama3.1-tiny}]\n"
        "recipe: {max_length: 512, micro_batch: 2}\n"
    )
    result = run(spec, "--gpu-memory-gib", "8", "--json")
    assert result.exit_code == 0, result.output
    models = json.loads(result.stdout)["models"]
    assert [model["model"] for model in models] == ["qwen2.5-tiny", "llama3.1-tiny"]
    trained = [row for row in models[0]["uses"] if row["use"].startswith("train")]
    assert {(row["length"], row["micro_batch"]) for row in trained} == {(512, 2)}
    assert {row["use"].split(",")[0] for row in trained} == {"train lora"}


def test_the_parts_are_explained(folder):
    result = run(folder / "config.json", "--gpu-memory-gib", "24", "--explain")
    assert result.exit_code == 0
    assert "peak at block, backward: weights 14.19" in result.stdout
    assert "assumed" in result.stdout


def test_the_trace_is_printed_beside_the_closed_form():
    result = run("qwen2.5-tiny", "--method", "lora", "--length", "256", "--trace")
    assert result.exit_code == 0, result.output
    assert "traced train lora:" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing-of-this-name"], "no such folder"),
        (["qwen2.5-tiny", "--gpu", "Z9"], "no GPU 'Z9'"),
        (["qwen2.5-tiny", "--gpu", "L4", "--gpu-memory-gib", "3"], "not both"),
    ],
)
def test_bad_input_is_refused_in_words(arguments, words):
    result = run(*arguments)
    assert result.exit_code != 0
    assert words in str(result.exception)


@pytest.mark.parametrize("name", ["bert-tiny", "bert-base-chinese"])
def test_models_without_a_closed_form_are_counted(name):
    result = run(name, "--gpu-memory-gib", "8", "--micro-batch", "4", "--json")
    assert result.exit_code == 0, result.output
    (model,) = json.loads(result.stdout)["models"]
    uses = {row["use"]: row for row in model["uses"]}
    assert not any("qlora" in use for use in uses)
    # trained weights, gradients and both moments are 16 bytes for each of a classifier's weights
    least = 16 * 0.99 * model["n_parameters"] / 2**30
    assert uses["train full"]["allocated_gib"] > least
    more = uses["train full, no checkpointing"]["allocated_gib"]
    assert uses["train lora"]["allocated_gib"] < uses["train full"]["allocated_gib"] < more


def test_a_card_is_planned_for_by_name_and_a_miss_offers_the_near_one():
    assert "7.62 B parameters" in run("Qwen2.5-7B-Instruct", "--gpu", "H100-80GB").stdout
    missed = run("Qwen2.5-7B-Instuct")
    assert "Did you mean 'Qwen2.5-7B-Instruct'" in str(missed.exception)
