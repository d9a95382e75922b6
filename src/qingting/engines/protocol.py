"""What every worker speaks: a job as JSON in, typed events as JSON Lines out, a result file last.

A job file is ``{"kind": …, …}``, one of the models below. The worker writes its outputs into
``job.output`` (an empty folder that becomes the artifact), keeps what resumption needs in
``job.state`` (survives a kill; the same folder is handed to the next attempt at the same work),
prints events, and writes ``result.json`` into ``job.output`` when everything else is on disk.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Protocol

from pydantic import Field, TypeAdapter

from qingting.spec.base import Frozen
from qingting.spec.experiment import Task
from qingting.spec.recipe import Recipe


class Runtime(Frozen):
    """What was resolved before step 0 and may change a result; it enters the stage's key."""

    device: Literal["cpu", "cuda"] = "cpu"
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    attention: Literal["eager", "sdpa", "flash_attention_2"] = "sdpa"
    n_threads: int = 1


class Job(Frozen):
    """What all jobs share."""

    output: str
    state: str
    runtime: Runtime
    checkpoint: str = Field(
        description="Folder of the model: config, weights, tokenizer, template."
    )
    task: Task = Field(
        "dialogue",
        description="Other tasks work on texts: dialogues of one speaker, sentence by sentence.",
    )


class MeasureJob(Job):
    """Count tokens: ``lengths.jsonl`` gets ``{"id", "message_ends"}`` per dialogue, in order.

    ``message_ends[i]`` is the number of tokens of the first ``i + 1`` messages, the system prompt
    of the experiment included as message 0 where there is one.
    """

    kind: Literal["measure"] = "measure"
    dialogues: tuple[str, ...]


class TrainJob(Job):
    """Train one arm. ``dialogues`` and ``validation`` are JSON Lines of ``Dialogue`` records.

    ``schedule`` is JSON: ``{"steps": [[id, …], …], "n_messages": {id: n}}``: each optimiser step
    holds these dialogues, each cut to its first ``n`` messages; ``n_messages`` covers the
    validation dialogues too. Output: ``adapter/`` (PEFT) or, for full fine-tuning, ``model/``;
    ``log.jsonl`` (step, loss, learning rate, gradient norm, tokens, seconds), ``samples.jsonl``.
    To classify, the ``kind`` of each text is its label, one of ``labels``; all losses are per text.
    """

    kind: Literal["train"] = "train"
    labels: tuple[str, ...] = ()
    dialogues: str
    validation: str
    schedule: str
    recipe: Recipe
    seed: int
    micro_batch: int
    gradient_checkpointing: bool
    frozen_modules: tuple[str, ...] = Field(
        (), description="Name suffixes that stay frozen (Baichuan2's folded lm_head)."
    )


class ExportJob(Job):
    """Merge ``trained`` (a train artifact) into ``checkpoint``; write ``model/`` and its proofs."""

    kind: Literal["export"] = "export"
    labels: tuple[str, ...] = ()
    trained: str
    probes: str = Field(description="JSON Lines of dialogues on which the proofs are computed.")
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    shard_bytes: int = 2_000_000_000
    max_merge_error: float = 1e-5
    max_rounding_kl: float = 0.01
    min_rounding_agreement: float = 0.95


class GenerateJob(Job):
    """Answer prompts: JSON Lines ``{"id", "messages"}`` in, ``responses.jsonl`` out, in order.

    A response is ``{"id", "text", "n_prompt_tokens", "n_tokens", "finish": "stop" | "length"}``.
    Batches are formed once, by position after sorting by length; a batch is the unit of
    resumption, so that a killed job ends in the same bytes.
    """

    kind: Literal["generate"] = "generate"
    prompts: str
    max_new_tokens: int
    min_new_tokens: int = 0
    temperature: float = 0.0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    batch_size: int = 8
    seed: int = 0


class ScoreJob(Job):
    """Measure likelihoods under the model's own chat template.

    ``references`` (JSON Lines of dialogues) → ``references.jsonl``: ``{"id", "nats", "n_bytes",
    "n_tokens"}`` summed over the counsellor's words of that dialogue (content only: neither
    template nor end-of-turn tokens, so that tokenizers can be compared).
    ``choices`` (JSON Lines ``{"id", "messages", "options": {"A": text}}``) → ``choices.jsonl``:
    ``{"id", "nats": {"A": …}, "n_tokens": {"A": …}}`` for each option as the whole answer.
    """

    kind: Literal["score"] = "score"
    references: str | None = None
    choices: str | None = None
    tokens_per_batch: int = 8192


class PredictJob(Job):
    """Sort texts: JSON Lines of texts in, ``predictions.jsonl`` out, in order.

    A prediction is ``{"id", "probabilities", "n_tokens", "is_cut"}``; ``probabilities`` follow
    ``labels`` and sum to 1. A text longer than ``max_length`` tokens is read up to there. Batches
    are formed once, by length, and are the unit of resumption.
    """

    kind: Literal["predict"] = "predict"
    texts: str
    labels: tuple[str, ...]
    max_length: int
    batch_size: int = 32


class BenchmarkJob(Job):
    """Time inference: ``benchmark.json`` holds one record per batch size."""

    kind: Literal["benchmark"] = "benchmark"
    prompts: str
    batch_sizes: tuple[int, ...] = (1, 8)
    n_new_tokens: int = 64
    n_repeats: int = 3


AnyJob = Annotated[
    MeasureJob | TrainJob | ExportJob | GenerateJob | ScoreJob | PredictJob | BenchmarkJob,
    Field(discriminator="kind"),
]
JOB: TypeAdapter[AnyJob] = TypeAdapter(AnyJob)


class Emit(Protocol):
    """How a job reports: ``emit("progress", done=3, total=40, unit="step", loss=2.1)``.

    Events that every engine uses: ``resolved`` (settings as they will be), ``progress`` (done,
    total, unit, and what is worth showing: loss, tokens_per_s), ``logged`` (a row of the log),
    ``sample`` (an answer during training), ``note`` (message; something a person should know).
    Participants' words stay out of every event but ``sample``, whose prompts are held-out data.
    """

    def __call__(self, event: str, /, **fields: Any) -> None:
        """Write one event."""


class JobFunction(Protocol):
    """The work of one kind of job; returns what ``result.json`` will hold."""

    def __call__(self, job: Any, emit: Emit, /) -> dict[str, Any]:
        """Do the job."""
