"""Measure how likely a model finds given words: reference answers, and options of a question.

The options of a question share its prompt. They are laid behind it in one row as *branches*: each
option's positions continue the prompt's, and it attends to the prompt and to itself. The prompt is
computed once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import torch

from qingting.core.dialogue import Dialogue, Message
from qingting.core.errors import DataError
from qingting.engines.native.attention import Segment
from qingting.engines.native.batches import Example, MicroBatch, micro_batches, pack, read_dialogues
from qingting.engines.native.kernels import use_own_kernels
from qingting.engines.native.likelihood import DialogueLoss, dialogue_losses, token_losses
from qingting.engines.native.loading import DTYPES, Checkpoint, load_checkpoint, memory_errors
from qingting.engines.protocol import Emit, ScoreJob
from qingting.models.templates import Template, TextTemplate


class Question(NamedTuple):
    """A prompt and its options as tokens; each option ends with the end of the turn."""

    id: str
    prompt_ids: tuple[int, ...]
    options: Mapping[str, tuple[int, ...]]

    @property
    def n_tokens(self) -> int:
        """Return the tokens that are computed: the prompt once, every option."""
        return len(self.prompt_ids) + sum(len(ids) for ids in self.options.values())


def score(job: ScoreJob, emit: Emit) -> dict[str, Any]:
    """Write ``references.jsonl`` and ``choices.jsonl`` as far as the job asks for them."""
    result: dict[str, Any] = {}
    with memory_errors(f"scoring {job.tokens_per_batch} tokens at a time"), torch.inference_mode():
        checkpoint = load_checkpoint(
            job.checkpoint, job.runtime, dtype=DTYPES[job.runtime.precision], task=job.task
        )
        use_own_kernels(checkpoint.model)
        if job.references is not None:
            result |= _score_references(job, job.references, checkpoint, emit)
        if job.choices is not None:
            result |= _score_choices(job, job.choices, checkpoint, emit)
    return result


def _score_references(
    job: ScoreJob, path: str, checkpoint: Checkpoint, emit: Emit
) -> dict[str, Any]:
    examples: list[Example] = []
    n_bytes: list[int] = []
    for dialogue in read_dialogues(path):
        is_text = job.task != "dialogue"
        messages = list(dialogue.messages) if is_text else reference_messages(dialogue)
        chat = checkpoint.template.encode(messages)
        examples.append(Example(dialogue.id, tuple(chat.input_ids), tuple(chat.content_mask)))
        words = (m.content for m in messages if m.role == "assistant")
        n_bytes.append(sum(len(text.encode()) for text in words))
    _require(examples, path)
    windows = {one.id: windows_of(one, checkpoint.template) for one in examples}
    batches = micro_batches(
        [window for found in windows.values() for window in found],
        rows_per_batch=1,
        row_capacity=job.tokens_per_batch,
        packing=True,
    )
    losses = _losses(checkpoint, batches, emit, unit="reference")
    records = [
        {
            "id": example.id,
            "nats": sum(losses[window.id].nats for window in windows[example.id]),
            "n_bytes": size,
            "n_tokens": sum(losses[window.id].n_targets for window in windows[example.id]),
        }
        for example, size in zip(examples, n_bytes, strict=True)
    ]
    _write(Path(job.output) / "references.jsonl", records)
    return {"n_references": len(records), "n_reference_bytes": sum(n_bytes)}


def windows_of(example: Example, template: Template) -> list[Example]:
    """Return a text in windows that the model can see, each begun anew; a dialogue as it is.

    The words at the beginning of a later window are predicted without those before it, so a model
    with few positions is charged for its short sight.
    """
    limit = template.max_positions if isinstance(template, TextTemplate) else None
    if limit is None or not isinstance(template, TextTemplate) or len(example.input_ids) <= limit:
        return [example]
    start = template.start_ids
    size = limit - len(start)
    windows = []
    for number, at in enumerate(range(len(start), len(example.input_ids), size)):
        ids = (*start, *example.input_ids[at : at + size])
        mask = (*[False] * len(start), *example.is_target[at : at + size])
        windows.append(Example(_key(example.id, str(number)), ids, mask))
    return windows


def reference_messages(dialogue: Dialogue) -> list[Message]:
    """Return the messages that are scored: outer white space of counsellor turns is left out.

    Some templates trim it and some do not; the bytes are those of the words that tokens encode.
    """
    return [
        m._replace(content=m.content.strip()) if m.role == "assistant" else m
        for m in dialogue.messages
    ]


def _score_choices(job: ScoreJob, path: str, checkpoint: Checkpoint, emit: Emit) -> dict[str, Any]:
    questions = [
        encode_question(checkpoint.template, orjson.loads(line))
        for line in filter(None, Path(path).read_bytes().splitlines())
    ]
    _require(questions, path)
    rows = pack([question.n_tokens for question in questions], job.tokens_per_batch)
    batches = [lay_out_questions([questions[i] for i in row]) for row in rows]
    losses = _losses(checkpoint, batches, emit, unit="option")
    records = []
    for question in questions:
        scored = {name: losses[_key(question.id, name)] for name in question.options}
        records.append(
            {
                "id": question.id,
                "nats": {name: loss.nats for name, loss in scored.items()},
                "n_tokens": {name: loss.n_targets for name, loss in scored.items()},
            }
        )
    _write(Path(job.output) / "choices.jsonl", records)
    return {"n_choices": len(records)}


def encode_question(template: Template, record: dict[str, Any]) -> Question:
    """Return a question of ``choices`` as tokens.

    Raises:
        DataError: An answer does not continue the prompt under this template.
    """
    messages = [Message(m["role"], m["content"]) for m in record["messages"]]
    prompt = template.encode(messages, add_generation_prompt=True).input_ids
    options = {}
    for name, text in record["options"].items():
        chat = template.encode([*messages, Message("assistant", text)])
        if chat.input_ids[: len(prompt)] != prompt:
            raise DataError(f"question {record['id']}: option {name} does not continue the prompt")
        last = max(t for t, is_target in enumerate(chat.target_mask) if is_target)
        options[name] = tuple(chat.input_ids[len(prompt) : last + 1])
    return Question(record["id"], tuple(prompt), options)


def lay_out_questions(questions: Sequence[Question]) -> MicroBatch:
    """Return questions as one row: each prompt, then its options as branches."""
    ids: list[str] = []
    tokens: list[int] = []
    positions: list[int] = []
    segments: list[Segment] = []
    targets: list[tuple[int, int, int]] = []  # source, label, owner
    for question in questions:
        begin, end = len(tokens), len(tokens) + len(question.prompt_ids)
        tokens.extend(question.prompt_ids)
        positions.extend(range(end - begin))
        segments.append(Segment(0, begin, end))
        for name, option in question.options.items():
            start = len(tokens)
            # the prompt's last token predicts the option's first
            sources = (end - 1, *range(start, start + len(option) - 1))
            targets.extend((s, t, len(ids)) for s, t in zip(sources, option, strict=True))
            ids.append(_key(question.id, name))
            tokens.extend(option)
            positions.extend(range(end - begin, end - begin + len(option)))
            segments.append(Segment(0, start, len(tokens), prefix=(begin, end)))
    sources_labels_owners = torch.tensor(targets, dtype=torch.long).T
    return MicroBatch(
        tuple(ids),
        torch.tensor([tokens]),
        torch.tensor([positions]),
        tuple(segments),
        *(column.contiguous() for column in sources_labels_owners),
    )


def _losses(
    checkpoint: Checkpoint, batches: Sequence[MicroBatch], emit: Emit, *, unit: str
) -> dict[str, DialogueLoss]:
    losses: dict[str, DialogueLoss] = {}
    total = sum(len(batch.ids) for batch in batches)
    for batch in batches:
        on_device = batch.to(checkpoint.device)
        losses |= dialogue_losses(token_losses(checkpoint.model, on_device), on_device)
        emit("progress", done=len(losses), total=total, unit=unit)
    return losses


def _key(question_id: str, option: str) -> str:
    return f"{question_id}\0{option}"


def _require(items: Sequence[Example] | Sequence[Question], path: str) -> None:
    """Refuse an empty file, and ids that would hide one another."""
    if not items:
        raise DataError(f"{path} is empty: nothing to score")
    name, count = Counter(item.id for item in items).most_common(1)[0]
    if count > 1:
        raise DataError(f"{path} holds the id {name!r} more than once")


def _write(path: Path, records: Sequence[dict[str, Any]]) -> None:
    lines: Iterator[bytes] = (orjson.dumps(r, option=orjson.OPT_APPEND_NEWLINE) for r in records)
    path.write_bytes(b"".join(lines))
