"""From an experiment to its stages, in an order in which they can run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qingting.core.errors import NotFoundError, Problem, SpecificationError, did_you_mean
from qingting.data.repair import Repair
from qingting.domains.packs import find_pack, locate, pack_names
from qingting.engines.protocol import Runtime
from qingting.models.resolve import ResolvedModel, read_config, resolve, shipped_pretraining_record
from qingting.models.shipped import stated_licence
from qingting.planning.arms import Arm, arms_of, deviations, unfair_deviations
from qingting.planning.installed import installed_versions
from qingting.planning.runtime import (
    resolve_memory,
    resolve_runtime,
    runtime_obstacles,
)
from qingting.spec.experiment import Evaluations, Experiment
from qingting.stages.base import ARM_KINDS, VERSIONS, Stage

if TYPE_CHECKING:
    from qingting.judging.run_studies import StudyPlace

_ENGINE = "native"
_ENGINE_PACKAGES = ("torch", "transformers", "peft", "tokenizers", "safetensors")
METRIC_PACKAGES = ("numpy", "scipy", "rapidfuzz", "rjieba")


@dataclass(frozen=True, slots=True)
class Blueprint:
    """An experiment resolved on this machine: its arms, models and stages.

    ``stages`` are in topological order. ``obstacles`` keep it from running here and do not keep
    it from being planned: a model not yet fetched, a GPU that is not there.
    """

    experiment: Experiment
    arms: tuple[Arm, ...]
    models: Mapping[str, ResolvedModel]
    runtimes: Mapping[str, Runtime]
    stages: tuple[Stage, ...]
    obstacles: tuple[Problem, ...]


def build(
    experiment: Experiment, *, base: Path, study_place: StudyPlace | None = None
) -> Blueprint:
    """Return the stages of an experiment.

    Args:
        experiment: what is asked.
        base: the folder that its paths are relative to.
        study_place: where a study of it lives; only those that run or read stages need one.

    Raises:
        SpecificationError: everything that cannot be resolved, at once.
    """
    from qingting.planning.build_texts import ClassificationBuilder, GenerationBuilder

    # imported here because they build on this module
    builders = {"classification": ClassificationBuilder, "generation": GenerationBuilder}
    return builders.get(experiment.task, Builder)(experiment, base, study_place).build()


class Builder:
    """Plans dialogues; the tasks on texts differ in the data they prepare and what they evaluate."""

    data_part = "dialogues"
    data_stage = "prepare_data"
    prompts_stage: str | None = "prepare_prompts"

    def __init__(
        self, experiment: Experiment, base: Path, study_place: StudyPlace | None = None
    ) -> None:
        self.experiment = experiment
        self.base = base
        self.study_place = study_place
        self.problems: list[Problem] = []
        self.obstacles: list[Problem] = []
        self.stages: list[Stage] = []
        self.models: dict[str, ResolvedModel] = {}
        self.runtimes: dict[str, Runtime] = {}

    def build(self) -> Blueprint:
        """Return the blueprint.

        Raises:
            SpecificationError: everything that cannot be resolved, at once.
        """
        experiment = self.experiment
        self.problems += unfair_deviations(experiment)
        self._resolve_models()
        data_sources = self._data_sources()
        knowledge_source = self._knowledge_source()
        self._check_names()
        self._check_task()
        if self.problems:
            raise SpecificationError(self.problems)
        arms = arms_of(experiment)
        self._shared_stages(data_sources, knowledge_source)
        for arm in arms:
            self._arm_stages(arm)
        self._closing_stages(arms)
        return Blueprint(
            experiment, arms, self.models, self.runtimes, tuple(self.stages), tuple(self.obstacles)
        )

    # -- what is read ---------------------------------------------------------------------------

    def _resolve_models(self) -> None:
        for index, model in enumerate(self.experiment.models):
            place = f"models.{index}"
            try:
                found = resolve(
                    model.model,
                    revision=model.revision,
                    base=self.base,
                    task=self.experiment.task,
                )
            except NotFoundError as error:
                self.problems.append(Problem(place, str(error)))
                continue
            if found.obstacle is not None:
                blocked = found.source != "folder"
                problem = Problem(place, found.obstacle)
                (self.obstacles if blocked else self.problems).append(problem)
            self.models[model.label] = found
            recipe = self.experiment.recipe_of(model)
            runtime = resolve_runtime(self.experiment.resources, recipe)
            self.runtimes[model.label] = runtime
            for obstacle in runtime_obstacles("recipe", recipe, runtime):
                if obstacle not in self.obstacles:
                    self.obstacles.append(obstacle)

    def _data_sources(self) -> dict[str, Path]:
        sources = {}
        for index, reference in enumerate(self.experiment.data.train):
            try:
                sources[f"train{index}"] = locate(reference, base=self.base, part=self.data_part)
            except NotFoundError as error:
                self.problems.append(Problem("data.train", str(error)))
        if any(model.source == "shipped" for model in self.models.values()):
            sources["pretraining"] = shipped_pretraining_record()
        return sources

    def _knowledge_source(self) -> Path | None:
        knowledge = self.experiment.evaluations.knowledge
        if knowledge is None:
            return None
        try:
            return locate(knowledge.source, base=self.base, part="knowledge")
        except NotFoundError as error:
            self.problems.append(Problem("evaluations.knowledge.source", str(error)))
            return None

    def _check_names(self) -> None:
        from qingting.metrics.text import METRICS

        for name in self.experiment.data.repairs:
            if name not in list(Repair):
                self.problems.append(
                    Problem(
                        "data.repairs",
                        f"unknown repair {name!r}.{did_you_mean(name, Repair)} "
                        f"Known: {', '.join(Repair)}.",
                    )
                )
        if self.experiment.judging is not None:
            from qingting.planning.build_judging import judging_problems  # brings a database layer

            self.problems += judging_problems(self.experiment, base=self.base)
        text = self.experiment.evaluations.text
        for name in text.metrics if text else ():
            if name not in METRICS:
                self.problems.append(
                    Problem(
                        "evaluations.text.metrics",
                        f"unknown metric {name!r}.{did_you_mean(name, METRICS)} "
                        f"Known: {', '.join(METRICS)}.",
                    )
                )

    def _check_task(self) -> None:
        for name in ("text_column", "label_column", "labels"):
            if getattr(self.experiment.data, name) is not None:
                self.problems.append(
                    Problem(f"data.{name}", "dialogues have none; it belongs to a task on texts")
                )

    # -- stages ---------------------------------------------------------------------------------

    @property
    def _task(self) -> dict[str, Any]:
        """Return what the stages of a task on texts are told of it; a dialogue's are told nothing."""
        return {} if self.experiment.task == "dialogue" else {"task": self.experiment.task}

    def _add(self, kind: str, name: str = "", **fields: Any) -> str:
        identity = f"{kind}/{name}" if name else kind
        self.stages.append(Stage(id=identity, kind=kind, version=VERSIONS[kind], **fields))
        return identity

    def _system_prompt(self) -> str | None:
        data = self.experiment.data
        if data.system_prompt is not None or data.keep_system_messages:
            return data.system_prompt
        packs = [name for name in data.train if name in pack_names()]
        return find_pack(packs[0]).system_prompt if packs else None

    def _shared_stages(self, data_sources: dict[str, Path], knowledge: Path | None) -> None:
        experiment = self.experiment
        data, text = experiment.data, experiment.evaluations.text
        self._add(
            "prepare_data",
            config={
                **data.model_dump(mode="json", exclude={"train", "system_prompt"}),
                "system_prompt": self._system_prompt(),
            },
            sources=data_sources,
            versions=installed_versions(("numpy",)),
        )
        self._add(
            "prepare_prompts",
            config={"n_prompts": text.n_prompts if text else 8, "seed": data.seed},
            inputs={"data": "prepare_data"},
        )
        self._knowledge_stage(knowledge)
        self._scenarios_stage()
        self._schedule_stages()

    def _scenarios_stage(self) -> None:
        """Plan the scenarios that people will judge, where the experiment asks for judging."""
        judging = self.experiment.judging
        if judging is None or judging.mode == "conversation":
            return  # conversations are held by `judge converse`, or live
        self._add(
            "prepare_scenarios",
            config={
                "scenarios": judging.scenarios.model_dump(mode="json"),
                "languages": list(judging.languages),
                "system_prompt": self._system_prompt(),
            },
            sources={"pack": find_pack(judging.domain).folder / "judging"},
        )

    def _knowledge_stage(self, knowledge: Path | None) -> None:
        experiment, data = self.experiment, self.experiment.data
        if knowledge is not None:
            spec = experiment.evaluations.knowledge
            assert spec is not None
            self._add(
                "prepare_knowledge",
                config={
                    "language": spec.language,
                    "n_questions": spec.n_questions,
                    "system_prompt": self._system_prompt(),
                    "seed": data.seed,
                },
                sources={"questions": knowledge},
            )

    def _schedule_stages(self) -> None:
        experiment = self.experiment
        for model in experiment.models:
            self._add(
                "measure",
                model.label,
                config={"engine": _ENGINE} | self._task,
                inputs={"data": self.data_stage},
                sources=self._model_source(model.label),
                versions=installed_versions(("transformers", "tokenizers")),
                uses_worker=True,
            )
        recipe = experiment.recipe
        self._add(
            "schedule",
            config={
                name: getattr(recipe, name)
                for name in ("max_length", "effective_batch", "epochs", "max_steps", "token_budget")
            }
            | {"seeds": list(recipe.seeds)},
            inputs={"data": self.data_stage}
            | {model.label: f"measure/{model.label}" for model in experiment.models},
            optional=frozenset(model.label for model in experiment.models),
        )

    def _model_source(self, label: str) -> dict[str, Path]:
        folder = self.models[label].folder
        return {"model": folder if folder is not None else Path(f"/not-fetched/{label}")}

    def _arm_stages(self, arm: Arm) -> None:
        label = arm.model.label
        runtime = self.runtimes[label]
        worker: dict[str, Any] = {
            "arm": arm.id,
            "sources": self._model_source(label),
            "versions": installed_versions(_ENGINE_PACKAGES),
            "uses_worker": True,
        }
        common = {"engine": _ENGINE, "runtime": runtime.model_dump(mode="json")} | self._task
        exported: dict[str, str] = {}
        if arm.variant == "tuned":
            train = self._add(
                "train",
                arm.id,
                config=common | self._training_config(arm, runtime),
                inputs={
                    "data": self.data_stage,
                    "schedule": "schedule",
                    "measure": f"measure/{label}",
                },
                **worker,
            )
            export = self._add(
                "export",
                arm.id,
                config=common | {"dtype": "bfloat16"},
                inputs={"train": train, "data": self.data_stage},
                **worker,
            )
            exported = {"export": export}
        self._evaluation_stages(arm, common, exported, worker)

    def _training_config(self, arm: Arm, runtime: Runtime) -> dict[str, Any]:
        recipe = arm.recipe.model_dump(mode="json", exclude={"seeds"})
        recipe["seeds"] = [arm.seed]
        model = self.models[arm.model.label]
        is_there = model.folder is not None and model.obstacle is None
        config = read_config(model.require()) if is_there else None
        memory = resolve_memory(arm.recipe, runtime, config=config)
        return {
            "recipe": recipe,
            "seed": arm.seed,
            "micro_batch": memory.micro_batch,
            "gradient_checkpointing": memory.gradient_checkpointing,
            "frozen_modules": [],
        }

    def _evaluation_stages(
        self, arm: Arm, common: dict[str, Any], exported: dict[str, str], worker: dict[str, Any]
    ) -> None:
        self._plan_evaluations(self.experiment.evaluations, arm, common, exported, worker)

    def _plan_evaluations(
        self,
        wanted: Evaluations,
        arm: Arm,
        common: dict[str, Any],
        exported: dict[str, str],
        worker: dict[str, Any],
    ) -> None:
        prompts = self.prompts_stage
        assert prompts is not None
        evaluated: dict[str, str] = {"prompts": prompts}
        if wanted.text is not None:
            unused = {"n_prompts", "metrics", "prompt_characters"}
            settings = wanted.text.model_dump(mode="json", exclude=unused)
            evaluated["responses"] = self._add(
                "generate",
                arm.id,
                config=common | settings | {"seed": arm.seed or 0},
                inputs=exported | {"prompts": prompts},
                **worker,
            )
        knowledge = wanted.knowledge
        if knowledge is not None and "generation" in knowledge.methods:
            evaluated["answers"] = self._add(
                "generate",
                f"{arm.id}/knowledge",
                config=common
                | {
                    "max_new_tokens": knowledge.max_new_tokens,
                    "min_new_tokens": 0,
                    "batch_size": 16,
                    "temperature": 0.0,
                    "top_p": 1.0,
                    "repetition_penalty": 1.0,
                    "seed": 0,
                },
                inputs=exported | {"prompts": "prepare_knowledge"},
                **worker,
            )
        if any(stage.kind == "prepare_scenarios" for stage in self.stages):
            assert self.experiment.judging is not None
            settings = {
                "max_new_tokens": self.experiment.judging.max_new_tokens,
                "min_new_tokens": 0,
                "batch_size": 8,
                "temperature": wanted.text.temperature if wanted.text else 0.0,
                "top_p": wanted.text.top_p if wanted.text else 1.0,
                "repetition_penalty": wanted.text.repetition_penalty if wanted.text else 1.0,
                "seed": arm.seed or 0,
            }
            self._add(
                "generate",
                f"{arm.id}/scenarios",
                config=common | settings,
                inputs=exported | {"prompts": "prepare_scenarios"},
                **worker,
            )
        by_likelihood = knowledge is not None and "likelihood" in knowledge.methods
        if wanted.likelihood or by_likelihood:
            inputs = exported | {"data": self.data_stage}
            if by_likelihood:
                inputs["knowledge"] = "prepare_knowledge"
            evaluated["likelihoods"] = self._add(
                "score",
                arm.id,
                config=common | {"references": wanted.likelihood},
                inputs=inputs,
                **worker,
            )
        if knowledge is not None:
            evaluated["knowledge"] = "prepare_knowledge"
        if wanted.inference is not None:
            self._add(
                "benchmark",
                arm.id,
                config=common | wanted.inference.model_dump(mode="json"),
                inputs=exported | {"prompts": prompts},
                exclusive=True,
                **worker,
            )
        self._add(
            "evaluate",
            arm.id,
            config={"metrics": list(wanted.text.metrics) if wanted.text else []} | self._task,
            inputs=evaluated,
            versions=installed_versions(METRIC_PACKAGES),
            arm=arm.id,
        )

    def _closing_stages(self, arms: tuple[Arm, ...]) -> None:
        evaluations = {arm.id: f"evaluate/{arm.id}" for arm in arms}
        self._add(
            "analyse",
            config={
                **self.experiment.analysis.model_dump(mode="json"),
                "arms": [_arm_record(arm) for arm in arms],
            },
            inputs=evaluations,
            optional=frozenset(evaluations),
            versions=installed_versions(METRIC_PACKAGES),
        )
        known = {stage.id for stage in self.stages}
        inputs = {
            "data": self.data_stage,
            "schedule": "schedule",
            "analysis": "analyse",
        }
        if "prepare_scenarios" in known:
            from qingting.planning.build_judging import judging_stages

            judged = judging_stages(self.experiment, arms, base=self.base, place=self.study_place)
            self.stages += judged
            inputs |= {stage.kind: stage.id for stage in judged}
        if self.prompts_stage is not None:
            inputs["prompts"] = self.prompts_stage
        for part in ("knowledge", "scenarios"):
            if f"prepare_{part}" in known:
                inputs[part] = f"prepare_{part}"
        for arm in arms:
            for identity in (
                *(f"{kind}/{arm.id}" for kind in ARM_KINDS),
                f"generate/{arm.id}/knowledge",
                f"generate/{arm.id}/scenarios",
            ):
                if identity in known:
                    inputs[identity] = identity
        self._add(
            "report",
            config={
                "experiment": self.experiment.model_dump(mode="json", exclude={"resources"}),
                "arms": [
                    _arm_record(arm) | {"deviations": deviations(self.experiment, arm.model)}
                    for arm in arms
                ],
                "models": {label: _model_record(model) for label, model in self.models.items()},
            },
            inputs=inputs,
            optional=frozenset(inputs) - {"data", "prompts"},
            sources={
                label: path for label in self.models for path in self._model_source(label).values()
            },
            versions=installed_versions((*_ENGINE_PACKAGES, *METRIC_PACKAGES, "jinja2")),
        )


def _arm_record(arm: Arm) -> dict[str, Any]:
    return {"id": arm.id, "model": arm.model.label, "variant": arm.variant, "seed": arm.seed}


def _model_record(model: ResolvedModel) -> dict[str, Any]:
    architectures = read_config(model.folder).get("architectures") if model.folder else None
    return {
        "source": model.source,
        "hub_id": model.hub_id,
        "revision": model.revision,
        "architecture": architectures[0] if architectures else "unknown until fetched",
        "licence": stated_licence(model.folder) if model.folder else None,
    }
