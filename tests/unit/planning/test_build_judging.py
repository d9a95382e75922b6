"""The stages of human judging: what is refused before anything is trained, and what they follow."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from qingting.core.errors import SpecificationError
from qingting.planning.build import build
from qingting.planning.plan import make_plan
from qingting.spec.experiment import Experiment
from qingting.stages.base import Stage
from qingting.store.artifacts import ArtifactStore

RULE = """\
candidate: qwen2.5-tiny/lora
baseline: qwen2.5-tiny/base
scale: [1, 5]
primary: {criterion: overall, margin: 0}
safety: {at_most: 0.2}
minimum: {prompts: 20, raters: 3, safety_answers: 20}
"""


def stages(folder: Path, /, **judging: object) -> dict[str, Stage]:
    text = orjson.dumps(
        {"experiment": "e", "models": [{"model": "qwen2.5-tiny"}], "judging": judging}
    )
    made = build(Experiment.model_validate_json(text), base=folder)
    return {stage.id: stage for stage in made.stages}


def problems(folder: Path, /, **judging: object) -> str:
    with pytest.raises(SpecificationError) as caught:
        stages(folder, **judging)
    return str(caught.value)


def test_a_study_waits_for_every_arm_that_it_compares(tmp_path: Path) -> None:
    judge = stages(tmp_path)["judge"]
    assert judge.config["arms"] == ["qwen2.5-tiny/base", "qwen2.5-tiny/lora"]
    assert not judge.optional
    assert judge.inputs["qwen2.5-tiny/lora"] == "generate/qwen2.5-tiny/lora/scenarios"


def test_an_arm_that_is_not_there_is_told_before_training(tmp_path: Path) -> None:
    said = problems(tmp_path, arms=["qwen2.5-tiny/base", "qwen2.5-tiny/lore"])
    assert "judging.arms" in said and "Did you mean 'qwen2.5-tiny/lora'?" in said


def test_a_study_of_one_arm_compares_nothing(tmp_path: Path) -> None:
    said = problems(tmp_path, arms=["qwen2.5-tiny/base", "qwen2.5-tiny/base"])
    assert "at least two arms" in said


def test_the_rule_of_the_decision_is_read_beside_the_experiment(tmp_path: Path) -> None:
    assert "judging.decision" in problems(tmp_path, decision="rule.yaml")
    (tmp_path / "rule.yaml").write_text(RULE.replace("tiny/lora", "tiny/full"), encoding="utf-8")
    assert "is not an arm of the study" in problems(tmp_path, decision="rule.yaml")
    (tmp_path / "rule.yaml").write_text(RULE, encoding="utf-8")
    judge = stages(tmp_path, decision="rule.yaml")["judge"]
    assert judge.sources["rule"] == tmp_path / "rule.yaml"
    # the place on this machine is no part of the study
    assert str(tmp_path) not in str(judge.config)


def test_conversations_are_not_made_into_a_study_by_a_run(tmp_path: Path) -> None:
    assert "judge" not in stages(tmp_path, mode="conversation")


def test_judging_belongs_to_dialogues() -> None:
    text = (
        '{"experiment": "e", "models": [{"model": "qwen2.5-tiny"}], "task": "generation", '
        '"judging": {}}'
    )
    with pytest.raises(SpecificationError, match="judging: does not apply to task: generation"):
        build(Experiment.model_validate_json(text), base=Path())


def test_a_plan_shows_that_people_judge_once_the_study_is_made(tmp_path: Path) -> None:
    text = '{"experiment": "e", "models": [{"model": "qwen2.5-tiny"}], "judging": {}}'
    blueprint = build(Experiment.model_validate_json(text), base=tmp_path)
    planned = {
        one.stage.id: one
        for one in make_plan(blueprint, ArtifactStore.for_reading(tmp_path / "work"))
    }
    assert planned["judge"].status == "to do"
    assert (planned["collect"].status, planned["collect"].key) == ("waiting", None)
    assert "made first" in planned["collect"].reason
    assert planned["analyse_judgments"].status == "waiting"
    assert planned["report"].status == "to do"
