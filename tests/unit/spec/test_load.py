import pytest

from qingting.core.errors import NotFoundError, SpecificationError
from qingting.spec.load import load_experiment
from qingting.spec.schema import experiment_schema

MINIMAL = "experiment: quick\nmodels: [qwen2.5-tiny]\n"


@pytest.fixture
def spec(tmp_path):
    def write(text):
        path = tmp_path / "spec.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def problems_of(path, **options):
    with pytest.raises(SpecificationError) as caught:
        load_experiment(path, **options)
    return [str(problem) for problem in caught.value.problems]


def test_minimal_file_gets_every_default(spec):
    experiment = load_experiment(spec(MINIMAL))
    assert experiment.models[0].label == "qwen2.5-tiny"
    assert experiment.data.train == ("counselling",)
    assert experiment.recipe.lora.rank == 8


def test_scientific_notation_is_a_number(spec):
    path = spec(MINIMAL + "recipe: {learning_rate: 1e-4}\n")
    assert load_experiment(path).recipe.learning_rate == 1e-4


def test_no_is_a_string_and_is_refused_where_a_flag_belongs(spec):
    found = problems_of(spec(MINIMAL + "recipe:\n  packing: no\n"))
    assert len(found) == 1
    assert "spec.yaml:4 recipe.packing" in found[0]


def test_every_problem_is_reported_at_once_with_line_and_key_path(spec):
    path = spec(
        "experiment: quick\n"
        "models:\n"
        "  - qwen2.5-tiny\n"
        "  - model: gpt-oss-tiny\n"
        "    recipe:\n"
        "      lora: {rnk: 16}\n"
        "recipe:\n"
        "  leraning_rate: 1e-4\n"
        "  warmup_ratio: 2\n"
    )
    found = problems_of(path)
    assert len(found) == 3
    assert "spec.yaml:6 models.1.recipe.lora.rnk" in found[0]
    assert "Did you mean 'rank'?" in found[0]
    assert "spec.yaml:8 recipe.leraning_rate" in found[1]
    assert "Did you mean 'learning_rate'?" in found[1]
    assert "spec.yaml:9 recipe.warmup_ratio" in found[2]


def test_duplicate_keys_are_an_error_with_their_line(spec):
    found = problems_of(spec(MINIMAL + "recipe: {}\nrecipe: {}\n"))
    assert "spec.yaml:4" in found[0]
    assert "duplicate" in found[0]


def test_broken_yaml_names_the_line(spec):
    found = problems_of(spec("experiment: quick\nmodels: [a\n"))
    assert "spec.yaml:" in found[0]


def test_missing_file_offers_the_near_name(spec):
    path = spec(MINIMAL)
    with pytest.raises(NotFoundError, match=r"Did you mean 'spec\.yaml'"):
        load_experiment(path.with_name("spce.yaml"))


def test_a_list_is_no_experiment(spec):
    assert "mapping" in problems_of(spec("- a\n- b\n"))[0]


def test_not_a_number_is_refused(spec):
    assert problems_of(spec(MINIMAL + "recipe: {learning_rate: .nan}\n"))


def test_two_models_of_one_name_are_refused(spec):
    found = problems_of(spec("experiment: a\nmodels: [x/m, y/m]\n"))
    assert "two models are called m" in found[0]


def test_two_lengths_of_training_are_refused(spec):
    found = problems_of(spec(MINIMAL + "recipe: {epochs: 1, max_steps: 3}\n"))
    assert "give one of" in found[0]


def test_expert_adapters_with_dropout_are_refused_in_a_deviation(spec):
    path = spec(
        "experiment: a\nmodels:\n  - {model: gpt-oss-tiny, recipe: {lora: {experts: true}}}\n"
    )
    found = problems_of(path)
    assert "models.0.recipe" in found[0]
    assert "dropout" in found[0]


def test_overrides_reach_lists_and_nested_keys(spec):
    path = spec("experiment: a\nmodels: [m1, m2]\n")
    experiment = load_experiment(
        path,
        overrides=[
            "recipe.learning_rate=3e-5",
            "models.1.recipe.lora.rank=4",
            "evaluations.text=null",
        ],
    )
    assert experiment.recipe.learning_rate == 3e-5
    assert experiment.recipe_of(experiment.models[1]).lora.rank == 4
    assert experiment.recipe_of(experiment.models[1]).learning_rate == 3e-5
    assert experiment.evaluations.text is None


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("recipe", "key.path=value"),
        ("models.7.name=x", "counted from 0"),
        ("experiment.name=x", "plain value"),
        ("recipe.learning_rate=[", "not YAML"),
    ],
)
def test_a_bad_override_says_what_is_wrong(spec, override, said):
    assert said in problems_of(spec(MINIMAL), overrides=[override])[0]


def test_a_length_in_a_deviation_replaces_the_common_one(spec):
    path = spec(
        "experiment: a\nmodels: [{model: m, recipe: {max_steps: 5}}]\nrecipe: {epochs: 2}\n"
    )
    experiment = load_experiment(path)
    recipe = experiment.recipe_of(experiment.models[0])
    assert (recipe.epochs, recipe.max_steps) == (None, 5)


def test_the_schema_offers_recipe_keys_for_deviations():
    schema = experiment_schema()
    deviation = schema["$defs"]["ModelSpec"]["properties"]["recipe"]
    assert "learning_rate" in deviation["properties"]
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("models=qwen2.5-tiny", "models: must be a list, such as [a, b] (got 'qwen2.5-tiny')"),
        ("models=[]", "models: this list must not be empty"),
        ("models=[1]", "models.0: must be a mapping of keys (got 1)"),
        ("models=[{name: x}]", "models.0.model: this key is required"),
        ("recipe.packing=maybe", "recipe.packing: must be true or false (got 'maybe')"),
        ("recipe.learning_rate=fast", "recipe.learning_rate: must be a number (got 'fast')"),
        ("recipe.lora.rank=8.5", "recipe.lora.rank: must be a whole number (got 8.5)"),
        ("recipe.method=qlora", "recipe.method: must be 'lora' or 'full' (got 'qlora')"),
        ("data.system_prompt=5", "data.system_prompt: must be text (got 5)"),
    ],
)
def test_wrong_values_are_told_once_in_plain_words(spec, override, message):
    found = problems_of(spec(MINIMAL), overrides=[override])
    assert len(found) == 1
    assert found[0].endswith(message)


def test_a_file_nested_beyond_reading_is_refused(spec):
    (found,) = problems_of(spec("[" * 5000))
    assert "nested too deeply" in found


def test_a_list_that_is_too_short_is_told_though_it_is_not_empty(tmp_path):
    from pydantic import Field

    from qingting.spec.base import Frozen
    from qingting.spec.load import read_yaml, validated

    class Pair(Frozen):
        names: tuple[str, ...] = Field(min_length=2)

    path = tmp_path / "pair.yaml"
    path.write_text("names: [one]\n", encoding="utf-8")
    with pytest.raises(SpecificationError, match="needs 2 entries, has 1"):
        validated(read_yaml(path), Pair)
