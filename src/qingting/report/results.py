"""``results.json``: everything a run found, in a documented, versioned form.

``outcomes`` are the same bytes however often the run was killed and started again.
``measurements`` are time, memory, speed and all that follows from them; they differ from run to run.
A value that could not be had is ``{"missing": reason}``, never a number.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from qingting.report.results_judging import StudyResult
from qingting.report.results_values import Interval as Interval
from qingting.report.results_values import MissingValue as MissingValue
from qingting.report.results_values import Number as Number
from qingting.spec.base import Frozen
from qingting.spec.experiment import Task

SCHEMA_VERSION = 2
"""2 added ``outcomes.judging``; files of version 1 are read as they are."""


def _is_none(value: object) -> bool:
    return value is None


class Score(Frozen):
    """One metric of one arm: the mean over items with its interval, and the pooled corpus value."""

    metric: str = Field(
        description="As in the metric's signature; accuracies carry how answers were read: "
        "knowledge-likelihood-exact, knowledge-generation-exact, knowledge-likelihood-elastic, …"
    )
    language: Literal["zh", "en"] | None = Field(
        None, description="Which items; null where all languages count together."
    )
    mean: Number
    interval: Interval | MissingValue
    corpus: Number
    signature: str
    direction: Literal["higher", "lower", "neutral"]
    n_valid: int
    n_missing: int


class CurvePoint(Frozen):
    """One point of a loss curve; ``loss`` in nats per trained token."""

    step: int
    loss: float


class Sample(Frozen):
    """An answer given during training, to watch the model learn."""

    step: int
    prompt: str
    text: str


class Training(Frozen):
    """What training did; speeds and times stand under ``measurements``."""

    method: str
    n_steps: int
    n_tokens: int = Field(description="Real tokens processed, padding excluded.")
    n_target_tokens: int = Field(description="Of these, tokens of counsellor turns under loss.")
    n_parameters: int
    n_trainable: int
    final_loss: float
    validation_loss: float | None
    best_step: int | None
    loss_curve: tuple[CurvePoint, ...]
    validation_curve: tuple[CurvePoint, ...]
    samples: tuple[Sample, ...]
    resolved: dict[str, Any] = Field(
        description="Precision, attention, micro-batch, LoRA layers and the like, as they were."
    )


class Proof(Frozen):
    """One thing that was proved of an exported model: the figure and its limit."""

    name: str
    value: float | bool
    limit: str
    passed: bool


class Share(Frozen):
    """A figure of one class with its interval."""

    value: float
    interval: Interval


class ClassScore(Frozen):
    """How well one label is found: of those so labelled, and of those so sorted."""

    label: str
    n_true: int
    n_predicted: int
    precision: Share | MissingValue
    recall: Share | MissingValue
    f1: Share | MissingValue
    auroc: Number = Field(description="This label against all others, by its probability.")


class ReliabilityBin(Frozen):
    """Texts sorted with a confidence in (low, high]: how sure, and how often right."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


class Classification(Frozen):
    """How one arm sorted the held-out texts, all of them together."""

    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...] = Field(
        description="Row: the label; column: what it was sorted as; both in the order of labels."
    )
    classes: tuple[ClassScore, ...]
    macro_f1: Share | MissingValue = Field(description="The mean of the classes' F1.")
    weighted_f1: Number = Field(description="The classes' F1, weighted by how many texts have it.")
    mcc: Number = Field(description="Matthews' correlation, -1 to 1.")
    auroc: Number = Field(description="The mean over labels of one label against all others.")
    signature: str
    mean_confidence: float = Field(description="Mean probability of the chosen label.")
    ece: float = Field(description="Expected calibration error, 0 to 1.")
    reliability: tuple[ReliabilityBin, ...]


class ArmResult(Frozen):
    """One arm: model × recipe × seed; base models are arms too."""

    id: str
    model: str
    variant: Literal["base", "tuned"]
    seed: int | None
    status: Literal["done", "failed"]
    reason: str | None = Field(None, description="Why it failed, and at which stage.")
    deviations: dict[str, tuple[Any, Any]] = Field(
        default_factory=dict, description="Recipe key → (common value, this arm's value)."
    )
    training: Training | None = None
    proofs: tuple[Proof, ...] = ()
    scores: tuple[Score, ...] = ()
    classification: Classification | None = Field(None, exclude_if=_is_none)


class ContrastResult(Frozen):
    """``arm`` minus ``other`` on the same items; ``p_adjusted`` is Holm's within the family."""

    family: Literal["tuned vs base", "tuned vs tuned"]
    metric: str
    language: Literal["zh", "en"] | None
    arm: str
    other: str
    difference: Number
    interval: Interval | MissingValue
    p: Number
    p_adjusted: Number
    verdict: Literal["better", "worse", "inconclusive", "undefined"]
    n_items: int
    n_missing: int


class RankedArm(Frozen):
    """One row of a ranking: the rank by point estimate and the interval of ranks."""

    arm: str
    rank: int
    rank_low: int
    rank_high: int
    mean: float


class Ranking(Frozen):
    """Arms ordered by one metric."""

    metric: str
    language: Literal["zh", "en"] | None
    method: str
    rows: tuple[RankedArm, ...]


class Baseline(Frozen):
    """What a choice of no knowledge scores on the questions: chance, always one letter."""

    name: str = Field(description='"chance", "always B", or a name of its own.')
    metric: str = Field(
        description="knowledge-exact stands beside every knowledge-…-exact, however answered."
    )
    value: float


class ReferenceScore(Frozen):
    """What the reference answers themselves score on a metric that needs no reference.

    Such as length and repetition: how long a counsellor's answer is, beside a model's.
    """

    metric: str
    language: Literal["zh", "en"] | None
    mean: Number


class Message(Frozen):
    """One turn of an example prompt."""

    role: Literal["system", "user", "assistant"]
    content: str


class Example(Frozen):
    """The same held-out prompt answered by every arm, beside the reference."""

    id: str
    language: Literal["zh", "en"] | None
    kind: str | None
    messages: tuple[Message, ...]
    reference: str
    responses: dict[str, str]


class DataResult(Frozen):
    """What the data check found and how the data were divided.

    For a task on texts, dialogues and turns count texts, and kinds are their labels.
    """

    sources: tuple[str, ...]
    formats: tuple[str, ...]
    n_dialogues: int
    n_strictly_valid: int
    n_turns: int
    n_unlabelled_lines: int
    defects: dict[str, int]
    repairs: dict[str, int] = Field(description="Repairs asked for → dialogues they changed.")
    n_quarantined: int
    n_usable: int
    n_duplicates_dropped: int
    n_other_language: int = Field(0, description="Left out by data.language.")
    n_not_sampled: int = Field(0, description="Left out by data.max_dialogues.")
    n_near_duplicate_groups: int
    n_seen_in_pretraining: int = Field(
        description="Dialogues a small model was pre-trained on; none of them is held out."
    )
    n_train: int
    n_validation: int
    n_test: int
    languages: dict[str, int]
    kinds: dict[str, int]
    n_cut: int = Field(description="Dialogues cut at a turn boundary common to all tokenizers.")
    n_left_out: int
    system_prompt: str | None


class ModelResult(Frozen):
    """Where a candidate came from and what it is."""

    label: str
    source: Literal["shipped", "folder", "hub"]
    hub_id: str | None
    revision: str | None
    digest: str
    architecture: str
    n_parameters: int | None
    licence: str | None = None


class Finding(Frozen):
    """A finding in a phrase, with its figures."""

    en: str
    zh: str


class Advice(Frozen):
    """A piece of practical advice and the findings that it follows from."""

    en: str
    zh: str
    evidence: tuple[Finding, ...]


class Question(Frozen):
    """What was asked, in both languages."""

    zh: str
    en: str


class Outcomes(Frozen):
    """All that does not depend on time."""

    experiment: str
    question: str | Question | None
    task: Task = Field("dialogue", exclude_if=lambda value: value == "dialogue")
    specification: dict[str, Any]
    data: DataResult
    models: tuple[ModelResult, ...]
    arms: tuple[ArmResult, ...]
    contrasts: tuple[ContrastResult, ...]
    rankings: tuple[Ranking, ...]
    baselines: tuple[Baseline, ...]
    references: tuple[ReferenceScore, ...] = ()
    judging: StudyResult | None = Field(
        None,
        exclude_if=_is_none,
        description="What people judged; absent where the experiment has no `judging`.",
    )
    examples: tuple[Example, ...]
    advice: tuple[Advice, ...]
    versions: dict[str, str]


class Timing(Frozen):
    """Cost of one stage."""

    stage: str
    wall_s: float
    cpu_s: float
    peak_memory_bytes: int


class TrainingEfficiency(Frozen):
    """Cost and speed of training one arm."""

    wall_s: float
    cpu_s: float
    tokens_per_s: float
    peak_memory_bytes: int


class InferenceEfficiency(Frozen):
    """Speed and memory of answering at one batch size; medians over repeats."""

    batch_size: int
    time_to_first_token_s: float
    tokens_per_s: float
    peak_memory_bytes: int


class ArmMeasurements(Frozen):
    """What one arm cost."""

    arm: str
    training: TrainingEfficiency | None = None
    inference: tuple[InferenceEfficiency, ...] = ()
    stages: tuple[Timing, ...] = ()


class Measurements(Frozen):
    """Time, memory, speed and all that follows from them."""

    hardware: dict[str, Any]
    arms: tuple[ArmMeasurements, ...]
    advice: tuple[Advice, ...]
    finished: str


class Results(Frozen):
    """The whole file."""

    schema_version: Literal[1, 2] = 2
    outcomes: Outcomes
    measurements: Measurements
