from pathlib import Path

import pytest

from qingting.core.errors import SpecificationError
from qingting.models.resolve import shipped_models
from qingting.planning.build import build
from qingting.planning.keys import explain, ingredients, key_of
from qingting.planning.plan import make_plan
from qingting.spec.experiment import Experiment
from qingting.store.artifacts import ArtifactStore

EXAMPLES = Path(__file__).parents[3] / "examples"


TWO_MODELS = '[{"model": "qwen2.5-tiny"}, {"model": "gpt-oss-tiny"}]'


def experiment(text="", models=TWO_MODELS):
    extra = f", {text}" if text else ""
    return Experiment.model_validate_json(f'{{"experiment": "e", "models": {models}{extra}}}')


@pytest.fixture(scope="module")
def blueprint():
    return build(experiment(), base=EXAMPLES)


def test_stages_stand_after_what_they_need(blueprint):
    seen = set()
    for stage in blueprint.stages:
        assert set(stage.inputs.values()) <= seen, stage.id
        seen.add(stage.id)


def test_every_model_is_an_arm_untuned_and_tuned(blueprint):
    assert [arm.id for arm in blueprint.arms] == [
        "qwen2.5-tiny/base",
        "qwen2.5-tiny/lora",
        "gpt-oss-tiny/base",
        "gpt-oss-tiny/lora",
    ]


def test_all_arms_train_on_one_schedule(blueprint):
    trains = [stage for stage in blueprint.stages if stage.kind == "train"]
    assert {stage.inputs["schedule"] for stage in trains} == {"schedule"}


def test_more_seeds_make_more_arms():
    arms = build(experiment('"recipe": {"seeds": [1, 2]}'), base=EXAMPLES).arms
    assert [arm.id for arm in arms][:3] == [
        "qwen2.5-tiny/base",
        "qwen2.5-tiny/lora-seed1",
        "qwen2.5-tiny/lora-seed2",
    ]


def test_what_would_make_arms_unequal_is_refused():
    deviating = '[{"model": "qwen2.5-tiny", "recipe": {"effective_batch": 4}}]'
    with pytest.raises(SpecificationError, match="same dialogues in every arm"):
        build(experiment(models=deviating), base=EXAMPLES)


def test_everything_that_cannot_be_found_is_reported_at_once():
    wrong = '"data": {"train": ["counseling", "absent.json"]}, "evaluations": {"text": {"metrics": ["blue"]}}'
    with pytest.raises(SpecificationError) as caught:
        build(experiment(wrong, models='[{"model": "qwen2.5-tniy"}]'), base=EXAMPLES)
    said = str(caught.value)
    for hint in (
        "Did you mean 'qwen2.5-tiny'",
        "Did you mean 'counselling'",
        "absent.json",
        "'bleu'",
    ):
        assert hint in said, said


def test_a_folder_without_weights_is_refused(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    with pytest.raises(SpecificationError, match="no weights"):
        build(experiment(models='[{"model": "./m"}]'), base=tmp_path)


def test_a_published_layout_names_the_class_to_convert_to(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text('{"architectures": ["ChatGLMModel"]}')
    with pytest.raises(SpecificationError, match="GlmForCausalLM"):
        build(experiment(models='[{"model": "./m"}]'), base=tmp_path)


def test_a_model_without_template_is_refused(tmp_path):
    (tmp_path / "m").mkdir()
    for name in ("model.safetensors", "tokenizer.json"):
        (tmp_path / "m" / name).write_text("")
    (tmp_path / "m" / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    with pytest.raises(SpecificationError, match="no chat template"):
        build(experiment(models='[{"model": "./m"}]'), base=tmp_path)


def test_a_hub_model_that_is_not_here_blocks_a_run_and_not_a_plan(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    made = build(experiment(models='[{"model": "owner/name"}]'), base=EXAMPLES)
    assert "qingting models fetch owner/name" in str(made.obstacles[0])
    planned = make_plan(made, ArtifactStore.for_reading(tmp_path / "work"))
    status = {item.stage.id: item.status for item in planned}
    assert status["prepare_data"] == "to do"
    assert status["measure/name"] == status["train/name/lora"] == "blocked"


def test_the_published_experiment_plans_without_errors():
    from qingting.spec.load import load_experiment

    path = EXAMPLES / "published_bakeoff.yaml"
    made = build(load_experiment(path), base=path.parent)
    recipe = {arm.id: arm.recipe for arm in made.arms if arm.variant == "tuned"}
    assert len(recipe) == 7
    assert recipe["qwen2.5-7b-instruct/lora"].lora.rank == 8
    assert recipe["gpt-oss-20b/lora"].lora.experts
    assert recipe["gpt-oss-20b/lora"].learning_rate == 1e-4
    assert {r.effective_batch for r in recipe.values()} == {32}


# -- keys -------------------------------------------------------------------------------------------


def keys(made, *, sources="0" * 64):
    found = {}
    for stage in made.stages:
        inputs = {role: found[identity] for role, identity in stage.inputs.items()}
        found[stage.id] = key_of(
            stage, inputs=inputs, sources=dict.fromkeys(stage.sources, sources)
        )
    return found


@pytest.mark.parametrize(
    ("text", "changed", "kept"),
    [
        (
            '"recipe": {"learning_rate": 0.001}',
            "train/qwen2.5-tiny/lora",
            "score/qwen2.5-tiny/base",
        ),
        ('"data": {"seed": 8}', "prepare_data", None),
        (
            '"evaluations": {"text": {"max_new_tokens": 9}}',
            "generate/qwen2.5-tiny/lora",
            "export/qwen2.5-tiny/lora",
        ),
        ('"analysis": {"seed": 9}', "analyse", "evaluate/qwen2.5-tiny/lora"),
    ],
)
def test_what_changes_a_result_changes_its_key_and_no_earlier_one(blueprint, text, changed, kept):
    before, after = keys(blueprint), keys(build(experiment(text), base=EXAMPLES))
    assert before[changed] != after[changed]
    if kept is not None:
        assert before[kept] == after[kept]


def test_names_of_models_and_resources_change_no_training_key(blueprint):
    named = experiment(
        '"resources": {"n_workers": 1}',
        models='[{"model": "qwen2.5-tiny", "name": "q"}, {"model": "gpt-oss-tiny"}]',
    )
    after = keys(build(named, base=EXAMPLES))
    assert after["measure/q"] == keys(blueprint)["measure/qwen2.5-tiny"]


def test_threads_precision_and_versions_are_part_of_a_training_key(blueprint):
    train = next(stage for stage in blueprint.stages if stage.id == "train/qwen2.5-tiny/lora")
    assert train.config["runtime"]["n_threads"] == 1
    assert train.config["runtime"]["precision"] in ("fp32", "bf16")
    assert set(train.versions) >= {"torch", "transformers", "peft", "tokenizers"}


def test_a_miss_is_explained_by_what_changed(blueprint):
    train = next(stage for stage in blueprint.stages if stage.kind == "train")
    other = next(
        stage
        for stage in build(experiment('"recipe": {"learning_rate": 0.001}'), base=EXAMPLES).stages
        if stage.id == train.id
    )
    sources = {"model": "a" * 64}
    before = ingredients(train, inputs={}, sources=sources)
    assert "learning_rate: 0.0002 → 0.001" in explain(
        before, ingredients(other, inputs={}, sources=sources)
    )
    assert "model changed on disk" in explain(
        before, ingredients(train, inputs={}, sources={"model": "b" * 64})
    )


def test_six_small_models_and_a_bert_ship():
    assert sorted(shipped_models()) == [
        "baichuan2-tiny",
        "bert-tiny",
        "chatglm3-tiny",
        "gpt-oss-tiny",
        "internlm2.5-tiny",
        "llama3.1-tiny",
        "qwen2.5-tiny",
    ]


def test_judging_has_every_arm_answer_the_scenarios():
    plain = {stage.id: stage for stage in build(experiment(), base=EXAMPLES).stages}
    judged = {
        stage.id: stage
        for stage in build(
            experiment('"judging": {"languages": ["zh"], "max_new_tokens": 99}'), base=EXAMPLES
        ).stages
    }
    assert not any("scenarios" in identity for identity in plain)
    new = set(judged) - set(plain)
    arms = [stage.arm for stage in judged.values() if stage.kind == "evaluate"]
    of_people = {"judge", "collect", "analyse_judgments"}
    answered = {f"generate/{arm}/scenarios" for arm in arms}
    assert new == {"prepare_scenarios", *answered, *of_people}
    assert set(judged["judge"].inputs.values()) == {"prepare_scenarios", *answered}
    assert of_people <= judged["report"].optional
    assert {judged[f"generate/{arm}/scenarios"].config["max_new_tokens"] for arm in arms} == {99}
    assert judged["report"].inputs["scenarios"] == "prepare_scenarios"
    # what was there before keeps its configuration, so nothing is computed again
    for identity in set(plain) - {"report"}:
        assert judged[identity].config == plain[identity].config


def test_a_pack_for_judging_that_does_not_ship_is_told_with_the_rest():
    with pytest.raises(SpecificationError, match=r"judging\.domain: no pack 'counseling' ships"):
        build(experiment('"judging": {"domain": "counseling"}'), base=EXAMPLES)
