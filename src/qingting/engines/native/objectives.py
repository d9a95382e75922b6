"""What training minimises, by task: the words of a dialogue or text, or the label of a text.

The loop in ``training.py`` knows steps, micro-batches, moments and checkpoints; here stands what
one forward pass sees and what it is charged for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel

from qingting.core.dialogue import Dialogue
from qingting.core.errors import DataError
from qingting.engines.native.attention import VARLEN
from qingting.engines.native.batches import encode_dialogue, micro_batches
from qingting.engines.native.classifiers import fitted, label_logits
from qingting.engines.native.likelihood import token_losses
from qingting.engines.native.loss import TokenLosses
from qingting.engines.protocol import TrainJob
from qingting.models.templates import Template, TextTemplate


class Item(Protocol):
    """One dialogue or text, encoded."""

    @property
    def id(self) -> str:
        """Return its id."""

    @property
    def n_targets(self) -> int:
        """Return how many targets it is charged for."""


class Batch(Protocol):
    """What one forward pass sees; ``owners[i]`` is the place in ``ids`` that target ``i`` is of."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Return the ids of its items."""

    @property
    def labels(self) -> Tensor:
        """Return the targets."""

    @property
    def owners(self) -> Tensor:
        """Return whose each target is."""

    @property
    def n_tokens(self) -> int:
        """Return the number of real tokens."""

    def to(self, device: torch.device) -> Any:
        """Return the batch on a device."""


class Objective(Protocol):
    """How one task is trained. ``attention`` is what the model attends with in training."""

    attention: str

    def encode(self, template: Template, dialogue: Dialogue, *, n_messages: int | None) -> Any:
        """Return one dialogue or text, cut to ``n_messages``, as an item."""

    def batches(self, items: Sequence[Any], *, pad_id: int) -> Sequence[Any]:
        """Return the forward passes of one optimiser step."""

    def losses(self, model: PreTrainedModel, batch: Any) -> TokenLosses:
        """Return the loss of every target of a batch."""


def objective_of(job: TrainJob) -> Objective:
    """Return what a job minimises."""
    return LabelObjective(job) if job.task == "classification" else WordObjective(job)


class WordObjective:
    """Words: a counsellor's turns, or all of a text."""

    attention = VARLEN

    def __init__(self, job: TrainJob) -> None:
        self._job = job

    def encode(self, template: Template, dialogue: Dialogue, *, n_messages: int | None) -> Any:
        """Return the dialogue with what is learned of it."""
        return encode_dialogue(template, dialogue, n_messages=n_messages)

    def batches(self, items: Sequence[Any], *, pad_id: int) -> Sequence[Any]:
        """Return packed or padded rows."""
        recipe = self._job.recipe
        return micro_batches(
            items,
            rows_per_batch=self._job.micro_batch,
            row_capacity=recipe.max_length,
            packing=recipe.packing,
            pad_id=pad_id,
        )

    def losses(self, model: PreTrainedModel, batch: Any) -> TokenLosses:
        """Return the loss of every learned token."""
        return token_losses(model, batch)


class LabelledText(NamedTuple):
    """One text as tokens, and the number of its label."""

    id: str
    input_ids: tuple[int, ...]
    label: int

    @property
    def n_targets(self) -> int:
        """Return 1: a text has one label."""
        return 1


class TextBatch(NamedTuple):
    """Texts of one forward pass, of similar length, padded by the model call."""

    ids: tuple[str, ...]
    texts: tuple[tuple[int, ...], ...]
    labels: Tensor
    owners: Tensor
    pad_id: int

    @property
    def n_tokens(self) -> int:
        """Return the number of real tokens, padding left out."""
        return sum(len(ids) for ids in self.texts)

    def to(self, device: torch.device) -> TextBatch:
        """Return the batch with its targets on ``device``."""
        return self._replace(labels=self.labels.to(device), owners=self.owners.to(device))


class LabelObjective:
    """Labels: cross-entropy in nats per text. Packing does not apply; rows are padded."""

    def __init__(self, job: TrainJob) -> None:
        self._job = job
        self._numbers = {label: number for number, label in enumerate(job.labels)}
        self.attention = "eager" if job.runtime.attention == "eager" else "sdpa"

    def encode(self, template: Template, dialogue: Dialogue, *, n_messages: int | None) -> Any:
        """Return the text with the number of its label."""
        assert isinstance(template, TextTemplate)
        if dialogue.kind not in self._numbers:
            raise DataError(f"text {dialogue.id}: {dialogue.kind!r} is none of the labels")
        ids = template.encode(dialogue.messages[:n_messages]).input_ids
        ids = fitted(template, ids, max_length=self._job.recipe.max_length)
        return LabelledText(dialogue.id, tuple(ids), self._numbers[dialogue.kind])

    def batches(self, items: Sequence[Any], *, pad_id: int) -> Sequence[Any]:
        """Return ``micro_batch`` texts at a time, longest first."""
        ordered = sorted(items, key=lambda item: -len(item.input_ids))
        size = self._job.micro_batch
        groups = [ordered[start : start + size] for start in range(0, len(ordered), size)]
        return [
            TextBatch(
                tuple(item.id for item in group),
                tuple(item.input_ids for item in group),
                torch.tensor([item.label for item in group]),
                torch.arange(len(group)),
                pad_id,
            )
            for group in groups
        ]

    def losses(self, model: PreTrainedModel, batch: Any) -> TokenLosses:
        """Return the cross-entropy of every text."""
        logits = label_logits(model, batch.texts, pad_id=batch.pad_id)
        nats = torch.nn.functional.cross_entropy(logits, batch.labels, reduction="none")
        return TokenLosses(nats.sum(), nats.detach())
