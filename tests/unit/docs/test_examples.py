"""Every experiment file that ships loads and plans, on any machine."""

from importlib.resources import files
from pathlib import Path

import pytest

from qingting.planning.build import build
from qingting.planning.plan import make_plan
from qingting.spec.load import load_experiment
from qingting.store.artifacts import ArtifactStore

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "examples").glob("*.y*ml"))
SCAFFOLD = Path(str(files("qingting.spec"))) / "scaffold.yaml"


def planned(path: Path, work: Path):
    blueprint = build(load_experiment(path), base=path.parent)
    return blueprint, make_plan(blueprint, ArtifactStore.for_reading(work))


@pytest.mark.parametrize("path", [*EXAMPLES, SCAFFOLD], ids=lambda path: path.name)
def test_an_experiment_that_ships_plans(path, tmp_path):
    blueprint, stages = planned(path, tmp_path / "work")
    # a model that was not trained sorts nothing, so that task has no bases
    sorts = blueprint.experiment.task == "classification"
    assert {arm.variant for arm in blueprint.arms} == {"tuned"} | (set() if sorts else {"base"})
    assert stages[-1].stage.id == "report"
    judged = [stage.stage.kind for stage in stages if stage.status == "waiting"]
    has_study = blueprint.experiment.judging is not None
    assert judged == (["collect", "analyse_judgments"] if has_study else [])
    assert all(stage.status in ("to do", "blocked", "waiting") for stage in stages)
    assert not (tmp_path / "work").exists()


def test_the_quickstart_compares_all_small_models_untuned_and_tuned(tmp_path):
    from qingting.models.tiny.architectures import TINY_FAMILIES

    blueprint, stages = planned(ROOT / "examples" / "quickstart.yaml", tmp_path / "work")
    assert {model.label for model in blueprint.experiment.models} == set(TINY_FAMILIES)
    assert len(blueprint.arms) == 12
    assert not [stage for stage in stages if stage.status == "blocked"]


def test_the_published_experiment_is_as_published_practice_has_it(tmp_path):
    experiment = load_experiment(ROOT / "examples" / "published_bakeoff.yaml")
    assert len(experiment.models) == 7
    recipe = experiment.recipe
    assert (recipe.lora.rank, recipe.lora.alpha, recipe.lora.dropout) == (8, 32, 0.1)
    assert (recipe.effective_batch, recipe.max_length, recipe.epochs) == (32, 3072, 1)
    largest = experiment.recipe_of(experiment.models[-1])
    assert (largest.lora.rank, largest.lora.alpha, largest.lora.dropout) == (16, 64, 0.0)
    assert largest.lora.experts
    assert largest.learning_rate == 1e-4
    assert largest.effective_batch == 32
