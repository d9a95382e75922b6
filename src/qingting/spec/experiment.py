"""The experiment file: which models, for what task, on what data, by which recipe, judged how."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from qingting.spec.base import Frozen
from qingting.spec.judging import CampaignSpec
from qingting.spec.recipe import PositiveInt, Recipe

Share = Annotated[float, Field(gt=0.0, lt=1.0)]
SEED = Annotated[int, Field(ge=0, lt=2**63)]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")

Task = Literal["dialogue", "classification", "generation"]
"""What models are trained for: answering in a dialogue, sorting texts, or going on with a text."""


def _is_none(value: object) -> bool:
    return value is None


class ModelSpec(Frozen):
    """One candidate: a model that ships, a local folder, or a hub id (``hf:ID``, ``ms:ID``, ``ID``)."""

    model: str = Field(description="Name of a small model that ships, a folder, or a hub id.")
    name: str | None = Field(
        None, description="What tables call it; by default the id's last part."
    )
    revision: str | None = Field(None, description="Commit or tag of a hub model; pin it.")
    recipe: dict[str, Any] = Field(
        default_factory=dict,
        description="Deviations from the common recipe for this model; every one is printed.",
    )

    @property
    def label(self) -> str:
        """Return the short name of the candidate."""
        return self.name or self.model.rstrip("/").split(":")[-1].split("/")[-1]


class DataSpec(Frozen):
    """What to train on and what to hold out."""

    train: tuple[str, ...] = Field(
        ("counselling",), min_length=1, description="A pack that ships, or files and folders."
    )
    system_prompt: str | None = Field(None, description="The same for every arm; none where null.")
    keep_system_messages: bool = Field(
        False, description="Keep the data's own system messages in place of system_prompt."
    )
    language: Literal["zh", "en"] | None = Field(
        None, description="Keep dialogues of one language."
    )
    repairs: tuple[str, ...] = Field(
        (), description="Repairs that lose no words; see `data check`."
    )
    max_dialogues: PositiveInt | None = Field(None, description="Take a seeded sample of the data.")
    validation: Share | PositiveInt = Field(0.05, description="Share or number of dialogues.")
    test: Share | PositiveInt = Field(0.15, description="Share or number of dialogues.")
    seed: SEED = 7
    text_column: str | None = Field(
        None,
        description="Tasks on texts: the column that holds the text; recognised where null.",
        exclude_if=_is_none,
    )
    label_column: str | None = Field(
        None,
        description="Classification: the column that holds the label; recognised where null.",
        exclude_if=_is_none,
    )
    labels: Annotated[tuple[str, ...], Field(min_length=2)] | None = Field(
        None,
        description="Classification: the labels there may be; any other is an error. By default "
        "those that the data hold.",
        exclude_if=_is_none,
    )


class TextEvaluation(Frozen):
    """Answers to held-out prompts, compared with the reference counsellor's words."""

    n_prompts: PositiveInt = 40
    max_new_tokens: PositiveInt = 64
    min_new_tokens: Annotated[int, Field(ge=0)] = Field(
        0, description="Tokens before an answer may end; equal to max_new_tokens to time engines."
    )
    batch_size: PositiveInt = 8
    temperature: Annotated[float, Field(ge=0.0)] = 0.0
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    repetition_penalty: Annotated[float, Field(gt=0.0)] = 1.0
    metrics: tuple[str, ...] = Field(
        ("bleu", "rouge", "meteor", "chrf", "distinct", "length"), min_length=1
    )
    prompt_characters: PositiveInt = Field(
        200,
        description="Generation: characters of a held-out text that are given, half of it at most.",
        exclude_if=lambda value: value == 200,
    )


class ClassificationEvaluation(Frozen):
    """Held-out texts sorted: accuracy, precision, recall, F1, confusion, calibration."""

    batch_size: PositiveInt = 32
    n_bins: Annotated[int, Field(ge=2, le=50)] = Field(
        10, description="Equally wide bins of confidence in the reliability diagram."
    )


class KnowledgeEvaluation(Frozen):
    """Multiple-choice questions, answered by option likelihood and in words."""

    source: str = "counselling"
    language: Literal["zh", "en"] | None = None
    n_questions: PositiveInt | None = None
    methods: tuple[Literal["likelihood", "generation"], ...] = Field(
        ("likelihood", "generation"), min_length=1
    )
    max_new_tokens: PositiveInt = 16


class InferenceEvaluation(Frozen):
    """Speed and memory of answering: time to first token, tokens per second, peak memory."""

    batch_sizes: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (1, 8)
    n_new_tokens: Annotated[int, Field(ge=2)] = 64
    n_repeats: PositiveInt = 3


class Evaluations(Frozen):
    """What is measured; ``null`` leaves one out."""

    base_models: bool = Field(True, description="Evaluate every untuned model too.")
    likelihood: bool = Field(True, description="Bits per byte of the reference answers.")
    text: TextEvaluation | None = TextEvaluation()
    knowledge: KnowledgeEvaluation | None = KnowledgeEvaluation()
    inference: InferenceEvaluation | None = InferenceEvaluation()
    classification: ClassificationEvaluation = Field(
        ClassificationEvaluation(), exclude_if=lambda value: value == ClassificationEvaluation()
    )


class AnalysisSpec(Frozen):
    """How arms are contrasted: paired over prompts, Holm-corrected."""

    confidence_level: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95
    n_resamples: Annotated[int, Field(ge=200)] = 2000
    seed: SEED = 11


class ReportSpec(Frozen):
    """What the report shows."""

    n_examples: Annotated[int, Field(ge=0)] = 6


class Resources(Frozen):
    """Where and how wide to run; of this only the kind of device and the threads enter keys."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    n_workers: PositiveInt | Literal["auto"] = "auto"
    n_threads: PositiveInt = Field(1, description="Threads of one worker on CPU; enters the key.")


class Question(Frozen):
    """What is asked, in both languages of the report."""

    zh: str = Field(description="The question in Chinese.")
    en: str = Field(description="The question in English.")


class Experiment(Frozen):
    """One question with everything needed to answer it."""

    experiment: str = Field(description="A short name: letters, digits, dot, dash, underscore.")
    question: str | Question | None = Field(
        None, description="What is asked, in a sentence or as {zh, en}; heads the report."
    )
    task: Task = Field(
        "dialogue",
        description="dialogue: answer clients. classification: sort texts by label. generation: "
        "go on with a text.",
        exclude_if=lambda value: value == "dialogue",
    )
    models: Annotated[tuple[ModelSpec, ...], Field(min_length=1)]
    data: DataSpec = DataSpec()
    recipe: Recipe = Recipe()
    evaluations: Evaluations = Evaluations()
    analysis: AnalysisSpec = AnalysisSpec()
    judging: CampaignSpec | None = Field(
        None,
        description="Have every arm answer scenarios, and people judge the answers blind.",
        exclude_if=_is_none,
    )
    report: ReportSpec = ReportSpec()
    resources: Resources = Resources()

    @field_validator("experiment")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if not _NAME.match(value):
            raise ValueError("use letters, digits, dots, dashes and underscores only")
        return value

    @model_validator(mode="after")
    def _labels_differ(self) -> Experiment:
        labels = [model.label for model in self.models]
        for label in labels:
            if not _NAME.match(label):
                raise ValueError(
                    f"model name {label!r}: use letters, digits, dots and dashes; set name"
                )
        reserved = sorted(
            {"data", "prompts", "knowledge", "scenarios", "analysis", "schedule"} & set(labels)
        )
        if reserved:
            raise ValueError(
                f"{reserved[0]!r} names a part of the run: give that model another name"
            )
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise ValueError(f"two models are called {', '.join(twice)}: give each its own name")
        return self

    def recipe_of(self, model: ModelSpec) -> Recipe:
        """Return the recipe of one candidate: the common one with its own deviations."""
        return Recipe.model_validate_json(merged_recipe_json(self.recipe, model.recipe))


def expand_shorthand(values: dict[str, Any]) -> dict[str, Any]:
    """Return parsed YAML with a model's bare name and a lone data path written out in full."""
    expanded = dict(values)
    models = values.get("models")
    if isinstance(models, list):
        expanded["models"] = [{"model": m} if isinstance(m, str) else m for m in models]
    data = values.get("data")
    if isinstance(data, dict) and isinstance(data.get("train"), str):
        expanded["data"] = {**data, "train": [data["train"]]}
    return expanded


def merged_recipe_json(recipe: Recipe, deviations: dict[str, Any]) -> str:
    """Return the JSON of a recipe with one candidate's deviations laid over it, unvalidated."""
    merged = recipe.model_dump(mode="json")
    lengths = {"epochs", "max_steps", "token_budget"}
    if lengths & deviations.keys():
        for name in lengths:
            merged[name] = None
    for name, value in deviations.items():
        if isinstance(value, dict) and isinstance(merged.get(name), dict):
            merged[name] = {**merged[name], **value}
        else:
            merged[name] = value
    return json.dumps(merged)
