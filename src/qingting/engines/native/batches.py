"""From the dialogues of one optimiser step to tensors, packed or padded.

Rows are formed inside a step only, so that a step holds the same dialogues in every arm, whatever
the tokenizer makes of their lengths. Everything here is deterministic: no shuffling, no workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import orjson
import torch
from torch import Tensor

from qingting.core.dialogue import Dialogue
from qingting.core.errors import DataError
from qingting.engines.native.attention import Segment, Segments
from qingting.engines.native.shapes import common_length
from qingting.models.templates import Template

T = TypeVar("T")


class Example(NamedTuple):
    """One dialogue as tokens; ``is_target[t]`` says that token ``t`` is learned."""

    id: str
    input_ids: tuple[int, ...]
    is_target: tuple[bool, ...]

    @property
    def n_targets(self) -> int:
        """Return the number of tokens that carry loss; the first token is never predicted."""
        return sum(self.is_target[1:])


class MicroBatch(NamedTuple):
    """What one forward pass sees.

    ``input_ids`` and ``positions``: (n_rows, length). ``sources``: (n_targets,) flat indices into
    the rows of the positions whose output predicts ``labels``. ``owners``: (n_targets,) index into
    ``ids`` of the dialogue that each target belongs to. ``segments`` follow the order of ``ids``.
    """

    ids: tuple[str, ...]
    input_ids: Tensor
    positions: Tensor
    segments: Segments
    sources: Tensor
    labels: Tensor
    owners: Tensor

    @property
    def n_tokens(self) -> int:
        """Return the number of real tokens, padding left out."""
        return sum(segment.end - segment.start for segment in self.segments)

    def to(self, device: torch.device) -> MicroBatch:
        """Return the batch with its tensors on ``device``."""
        return self._replace(
            input_ids=self.input_ids.to(device),
            positions=self.positions.to(device),
            sources=self.sources.to(device),
            labels=self.labels.to(device),
            owners=self.owners.to(device),
        )


def read_dialogues(path: Path | str) -> Iterator[Dialogue]:
    """Yield the dialogues of a JSON Lines file of ``Dialogue`` records, one at a time."""
    with Path(path).open("rb") as lines:
        for line in lines:
            if line.strip():
                yield Dialogue.from_record(orjson.loads(line))


def encode_dialogue(
    template: Template, dialogue: Dialogue, *, n_messages: int | None = None
) -> Example:
    """Return a dialogue, cut to its first ``n_messages``, under the model's own template."""
    chat = template.encode(dialogue.messages[:n_messages])
    return Example(dialogue.id, tuple(chat.input_ids), tuple(chat.target_mask))


def pack(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Return rows of indices whose lengths sum to at most ``capacity``: first-fit decreasing.

    A length above the capacity gets a row of its own. Ties keep their order; rows are listed in
    the order in which they were opened, and so are the indices within a row.
    """
    rows: list[list[int]] = []
    rooms: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        for row, room in enumerate(rooms):
            if lengths[index] <= room:
                rows[row].append(index)
                rooms[row] -= lengths[index]
                break
        else:
            rows.append([index])
            rooms.append(capacity - lengths[index])
    return rows


def micro_batches(
    examples: Sequence[Example],
    *,
    rows_per_batch: int,
    row_capacity: int,
    packing: bool,
    pad_id: int = 0,
) -> list[MicroBatch]:
    """Return the forward passes of one optimiser step.

    Args:
        examples: The dialogues of the step.
        rows_per_batch: Rows in one pass. Packed rows of one pass are laid end to end as a single
            row, since attention knows where dialogues begin; so packing wastes nothing.
        row_capacity: Tokens of a packed row.
        packing: Put several dialogues into a row; otherwise one a row, padded on the right.
        pad_id: What padding holds; it is never looked at.

    Raises:
        DataError: No dialogue of the step has a token to learn.
    """
    if not any(example.n_targets for example in examples):
        names = ", ".join(example.id for example in examples)
        raise DataError(f"none of the dialogues {names} has a counsellor's turn to learn from")
    lengths = [len(example.input_ids) for example in examples]
    if packing:
        rows = pack(lengths, row_capacity)
        return [
            _lay_out([[examples[i] for row in group for i in row]], pad_id)
            for group in _groups(rows, rows_per_batch)
        ]
    order = sorted(range(len(examples)), key=lambda i: (-lengths[i], i))
    return [
        _lay_out([[examples[i]] for i in group], pad_id) for group in _groups(order, rows_per_batch)
    ]


def _groups(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while group := list(islice(iterator, size)):
        yield group


def _lay_out(rows: Sequence[Sequence[Example]], pad_id: int) -> MicroBatch:
    """Return rows of dialogues laid end to end as tensors, padded to one length that repeats."""
    length = common_length(max(sum(len(example.input_ids) for example in row) for row in rows))
    input_ids = torch.full((len(rows), length), pad_id, dtype=torch.long)
    positions = torch.zeros((len(rows), length), dtype=torch.long)
    segments: list[Segment] = []
    ids: list[str] = []
    sources: list[int] = []
    labels: list[int] = []
    owners: list[int] = []
    for row, examples in enumerate(rows):
        starts = accumulate((len(example.input_ids) for example in examples), initial=0)
        for example, start in zip(examples, starts, strict=False):
            end = start + len(example.input_ids)
            input_ids[row, start:end] = torch.tensor(example.input_ids)
            positions[row, start:end] = torch.arange(end - start)
            targets = [t for t, wanted in enumerate(example.is_target) if wanted and t > 0]
            sources.extend(row * length + start + t - 1 for t in targets)
            labels.extend(example.input_ids[t] for t in targets)
            owners.extend([len(ids)] * len(targets))
            segments.append(Segment(row, start, end))
            ids.append(example.id)
    return MicroBatch(
        tuple(ids),
        input_ids,
        positions,
        tuple(segments),
        torch.tensor(sources, dtype=torch.long),
        torch.tensor(labels, dtype=torch.long),
        torch.tensor(owners, dtype=torch.long),
    )
