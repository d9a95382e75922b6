"""The stages of tasks on texts: sorting them by label, and going on with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qingting.core.errors import Problem
from qingting.models.resolve import read_config
from qingting.models.templates import max_positions
from qingting.planning.arms import Arm
from qingting.planning.build import METRIC_PACKAGES, Builder
from qingting.planning.installed import installed_versions
from qingting.stages.base import VERSIONS, Stage


class TextBuilder(Builder):
    """What both tasks on texts share: how texts are prepared, and what does not apply to them."""

    data_part = "texts"
    data_stage = "prepare_texts"
    unused_data: tuple[str, ...] = ("system_prompt", "keep_system_messages", "repairs")
    unused_evaluations: tuple[str, ...] = ("knowledge",)

    def _knowledge_source(self) -> Path | None:
        return None

    def _check_task(self) -> None:
        experiment = self.experiment
        for section, names in (
            ("data", self.unused_data),
            ("evaluations", self.unused_evaluations),
        ):
            settings = getattr(experiment, section)
            for name in names:
                if name in settings.model_fields_set and getattr(settings, name):
                    self.problems.append(
                        Problem(
                            f"{section}.{name}",
                            f"does not apply to task: {experiment.task}; leave it out",
                        )
                    )
        if experiment.judging is not None:
            self.problems.append(
                Problem("judging", f"does not apply to task: {experiment.task}; leave it out")
            )
        for model in experiment.models:
            folder = self.models[model.label].folder if model.label in self.models else None
            limit = max_positions(read_config(folder)) if folder is not None else None
            if limit is not None and experiment.recipe.max_length > limit:
                self.problems.append(
                    Problem(
                        "recipe.max_length",
                        f"{experiment.recipe.max_length} is more than the {limit} tokens that "
                        f"{model.label} can see; set it to {limit} or less",
                    )
                )

    def _shared_stages(self, data_sources: dict[str, Path], knowledge: Path | None) -> None:
        data = self.experiment.data
        self._add(
            "prepare_texts",
            config=self._task
            | {
                "language": data.language,
                "max_dialogues": data.max_dialogues,
                "validation": data.validation,
                "test": data.test,
                "seed": data.seed,
                "text_column": data.text_column,
                "label_column": data.label_column,
                "labels": list(data.labels) if data.labels else None,
            },
            sources=data_sources,
            versions=installed_versions(("numpy",)),
        )
        self._prompt_stage()
        self._schedule_stages()

    def _prompt_stage(self) -> None:
        """Add what prepares prompts, where there are any."""


class GenerationBuilder(TextBuilder):
    """Plans language models that go on with texts."""

    prompts_stage = "prepare_continuations"
    unused_data = (*TextBuilder.unused_data, "label_column", "labels")

    def _prompt_stage(self) -> None:
        text = self.experiment.evaluations.text
        self._add(
            "prepare_continuations",
            config={
                "n_prompts": text.n_prompts if text else 8,
                "prompt_characters": text.prompt_characters if text else 200,
                "seed": self.experiment.data.seed,
            },
            inputs={"data": self.data_stage},
        )

    def _evaluation_stages(
        self, arm: Arm, common: dict[str, Any], exported: dict[str, str], worker: dict[str, Any]
    ) -> None:
        # the questions on psychology are put to models that answer
        evaluations = self.experiment.evaluations.model_copy(update={"knowledge": None})
        self._plan_evaluations(evaluations, arm, common, exported, worker)


class ClassificationBuilder(TextBuilder):
    """Plans models that sort texts by label."""

    data_part = "requests"
    prompts_stage = None
    unused_evaluations = ("likelihood", "text", "knowledge", "inference")

    def _evaluation_stages(
        self, arm: Arm, common: dict[str, Any], exported: dict[str, str], worker: dict[str, Any]
    ) -> None:
        settings = self.experiment.evaluations.classification
        predicted = self._add(
            "predict",
            arm.id,
            config=common
            | {"max_length": arm.recipe.max_length, "batch_size": settings.batch_size},
            inputs=exported | {"data": self.data_stage},
            **worker,
        )
        self.stages.append(
            Stage(
                id=f"evaluate/{arm.id}",
                kind="evaluate",
                version=VERSIONS["evaluate"],
                config=self._task
                | {"n_bins": settings.n_bins}
                | self.experiment.analysis.model_dump(mode="json"),
                inputs={"predictions": predicted, "data": self.data_stage},
                versions=installed_versions(METRIC_PACKAGES),
                arm=arm.id,
            )
        )
