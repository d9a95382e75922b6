"""Log-likelihoods of targets under a model, from hidden states alone."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel

from qingting.engines.native.batches import MicroBatch
from qingting.engines.native.loading import output_head
from qingting.engines.native.loss import TokenLosses, chunked_cross_entropy


class DialogueLoss(NamedTuple):
    """Loss of one dialogue: ``nats`` summed over its ``n_targets`` tokens."""

    nats: float
    n_targets: int


def token_losses(model: PreTrainedModel, batch: MicroBatch) -> TokenLosses:
    """Return the loss of every target of a batch; ``model`` must use varlen attention."""
    hidden = model.base_model(
        input_ids=batch.input_ids,
        position_ids=batch.positions,
        segments=batch.segments,
        use_cache=False,
    ).last_hidden_state
    head = output_head(model)
    states = hidden.reshape(-1, hidden.shape[-1]).index_select(0, batch.sources)
    return chunked_cross_entropy(states, head.weight, batch.labels, bias=head.bias)


class Owned(Protocol):
    """Targets of several dialogues or texts; ``owners[i]`` is the place of target ``i`` in ``ids``."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Return the ids."""

    @property
    def owners(self) -> Tensor:
        """Return whose each target is."""


def dialogue_losses(losses: TokenLosses, batch: Owned) -> dict[str, DialogueLoss]:
    """Return the loss of each dialogue of a batch, by its id."""
    n = len(batch.ids)
    nats = torch.zeros(n, dtype=torch.float64)
    nats.index_add_(0, batch.owners.cpu(), losses.nats.detach().double().cpu())
    counts = torch.bincount(batch.owners.cpu(), minlength=n)
    return {
        name: DialogueLoss(float(nats[index]), int(counts[index]))
        for index, name in enumerate(batch.ids)
    }


def autocast(device: torch.device, dtype: torch.dtype | None) -> AbstractContextManager[object]:
    """Return a context in which matrix products run in ``dtype``; nothing changes where None."""
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)
