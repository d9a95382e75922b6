"""Plans of tasks on texts, and that dialogues are told nothing of tasks."""

from pathlib import Path

import pytest

from qingting.core.errors import SpecificationError
from qingting.planning.build import build
from qingting.spec.experiment import Experiment

EXAMPLES = Path(__file__).parents[3] / "examples"


def planned(text="", models='["bert-tiny"]', task="classification", base=EXAMPLES):
    import json

    from qingting.spec.experiment import expand_shorthand

    extra = f", {text}" if text else ""
    values = json.loads(f'{{"experiment": "e", "task": "{task}", "models": {models}{extra}}}')
    return build(Experiment.model_validate_json(json.dumps(expand_shorthand(values))), base=base)


SHORT = '"recipe": {"max_length": 64}'


def complaints(*args, **options):
    with pytest.raises(SpecificationError) as caught:
        planned(*args, **options)
    return [str(problem) for problem in caught.value.problems]


def test_sorting_has_no_bases_and_no_prompts():
    blueprint = planned(SHORT)
    assert [stage.id for stage in blueprint.stages] == [
        "prepare_texts",
        "measure/bert-tiny",
        "schedule",
        "train/bert-tiny/lora",
        "export/bert-tiny/lora",
        "predict/bert-tiny/lora",
        "evaluate/bert-tiny/lora",
        "analyse",
        "report",
    ]
    seen = set()
    for stage in blueprint.stages:
        assert set(stage.inputs.values()) <= seen, stage.id
        seen.add(stage.id)


def test_going_on_with_texts_has_bases_continuations_and_no_questions(tmp_path):
    (tmp_path / "t.txt").write_text("One.\n\nTwo.", encoding="utf-8")
    text = f'{SHORT}, "data": {{"train": "t.txt"}}'
    blueprint = planned(text, '["qwen2.5-tiny"]', "generation", tmp_path)
    kinds = {stage.kind for stage in blueprint.stages}
    assert {"prepare_texts", "prepare_continuations", "generate", "score", "benchmark"} <= kinds
    assert not {"prepare_data", "prepare_prompts", "prepare_knowledge", "predict"} & kinds
    assert [arm.variant for arm in blueprint.arms] == ["base", "tuned"]


def test_stages_of_dialogues_are_told_nothing_of_a_task():
    blueprint = planned(models='["qwen2.5-tiny"]', task="dialogue")
    for stage in blueprint.stages:
        assert "task" not in stage.config
        assert "task" not in stage.config.get("experiment", {})
    written = blueprint.stages[-1].config["experiment"]
    assert set(written["data"]) & {"text_column", "label_column", "labels"} == set()
    assert "classification" not in written["evaluations"]


def test_more_tokens_than_a_model_sees_is_a_problem_with_its_cure():
    (problem,) = complaints('"recipe": {"max_length": 512}')
    assert problem.startswith("recipe.max_length: 512 is more than the 256 tokens")
    assert "256 or less" in problem


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('"evaluations": {"knowledge": {}}', "evaluations.knowledge"),
        ('"evaluations": {"text": {}}', "evaluations.text"),
        ('"evaluations": {"likelihood": true}', "evaluations.likelihood"),
        ('"data": {"train": "counselling", "system_prompt": "x"}', "data.system_prompt"),
        ('"data": {"train": "counselling", "repairs": ["drop_empty"]}', "data.repairs"),
    ],
)
def test_what_does_not_apply_to_sorting_is_named(text, place):
    found = complaints(f"{SHORT}, {text}")
    assert any(problem.startswith(f"{place}: does not apply to task") for problem in found), found


def test_labels_do_not_apply_to_going_on_with_texts(tmp_path):
    (tmp_path / "t.txt").write_text("One.", encoding="utf-8")
    text = f'{SHORT}, "data": {{"train": "t.txt", "labels": ["a", "b"]}}'
    found = complaints(text, '["qwen2.5-tiny"]', "generation", tmp_path)
    assert [p.split(":")[0] for p in found] == ["data.labels"]


def test_columns_of_texts_do_not_apply_to_dialogues():
    text = '"data": {"train": "counselling", "text_column": "x"}'
    (problem,) = complaints(text, '["qwen2.5-tiny"]', "dialogue")
    assert problem.startswith("data.text_column: dialogues have none")


def test_an_encoder_is_refused_where_something_must_be_written():
    (problem,) = [
        str(one) for one in planned(task="dialogue").obstacles if "writes none" in str(one)
    ]
    assert "task: classification" in problem


def test_the_pack_has_requests_and_no_plain_texts():
    found = complaints(SHORT, '["qwen2.5-tiny"]', "generation")
    assert any("the pack counselling has no texts" in problem for problem in found)


def test_other_bins_change_the_evaluation_alone():
    before = {stage.id: stage for stage in planned(SHORT).stages}
    more = f'{SHORT}, "evaluations": {{"classification": {{"n_bins": 5}}}}'
    after = {stage.id: stage for stage in planned(more).stages}
    changed = {name for name in before if before[name].config != after[name].config}
    assert changed == {"evaluate/bert-tiny/lora", "report"}
