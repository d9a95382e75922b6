"""Arms: model × recipe × seed; the untuned base models are arms too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from qingting.core.errors import Problem
from qingting.spec.experiment import Experiment, ModelSpec
from qingting.spec.recipe import Recipe

COMMON_TO_ALL_ARMS = (
    "effective_batch",
    "max_length",
    "epochs",
    "max_steps",
    "token_budget",
    "seeds",
)
"""Recipe keys that no model may deviate in: every step holds the same dialogues in every arm."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One thing that is compared. ``seed`` is None for a base model."""

    id: str
    model: ModelSpec
    variant: Literal["base", "tuned"]
    seed: int | None
    recipe: Recipe


def arms_of(experiment: Experiment) -> tuple[Arm, ...]:
    """Return every arm of an experiment, each base before its tuned versions.

    To classify there are no bases: a model that was not trained has no classifier.
    """
    arms = []
    for model in experiment.models:
        recipe = experiment.recipe_of(model)
        if experiment.evaluations.base_models and experiment.task != "classification":
            arms.append(Arm(f"{model.label}/base", model, "base", None, recipe))
        for seed in recipe.seeds:
            suffix = f"-seed{seed}" if len(recipe.seeds) > 1 else ""
            arms.append(Arm(f"{model.label}/{recipe.method}{suffix}", model, "tuned", seed, recipe))
    return tuple(arms)


def deviations(experiment: Experiment, model: ModelSpec) -> dict[str, tuple[object, object]]:
    """Return where a model's recipe differs from the common one: key path → (common, its own)."""
    common = experiment.recipe.model_dump(mode="json")
    own = experiment.recipe_of(model).model_dump(mode="json")
    differing: dict[str, tuple[object, object]] = {}

    def compare(left: dict[str, object], right: dict[str, object], at: str) -> None:
        for name in left.keys() | right.keys():
            a, b = left.get(name), right.get(name)
            if isinstance(a, dict) and isinstance(b, dict):
                compare(a, b, f"{at}{name}.")
            elif a != b:
                differing[f"{at}{name}"] = (a, b)

    compare(common, own, "")
    return dict(sorted(differing.items()))


def unfair_deviations(experiment: Experiment) -> list[Problem]:
    """Return deviations that would have arms see different dialogues in a step."""
    return [
        Problem(
            f"models.{index}.recipe.{name}",
            "must be the same for every model, because every optimiser step holds the same "
            "dialogues in every arm; set it in the common recipe",
        )
        for index, model in enumerate(experiment.models)
        for name in deviations(experiment, model)
        if name in COMMON_TO_ALL_ARMS
    ]
