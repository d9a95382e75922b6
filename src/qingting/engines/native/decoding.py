"""Token by token: a key-value cache of our own and the loop that fills it.

Prompts of a batch are laid end to end and read in one pass with the attention of training, so no
padding is computed and the states of a prompt do not depend on its neighbours. Their keys and
values are stored right-aligned: every sequence then writes its next key into the same column, a
plain slice, and a sliding window is a slice too. A step attends to all columns there are, written or
not, so that its products have shapes that repeat (see ``shapes``) and their inputs need no copy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from qingting.engines.native.attention import Segment, Segments
from qingting.engines.native.loading import output_head
from qingting.engines.native.shapes import common_length, round_up

_HEADROOM = 64
"""Columns by which the cache grows; the lengths that a step attends to are multiples of it."""


class Sampling(NamedTuple):
    """How the next token is chosen; greedy at temperature 0."""

    max_new_tokens: int
    min_new_tokens: int = 0
    temperature: float = 0.0
    top_p: float = 1.0
    repetition_penalty: float = 1.0


class Answer(NamedTuple):
    """Generated ids, without the token that ended them."""

    ids: tuple[int, ...]
    is_stopped: bool

    @property
    def n_tokens(self) -> int:
        """Return how many tokens the model produced, the final stop token included."""
        return len(self.ids) + self.is_stopped


class KeyValueCache:
    """Keys and values of a batch; stands where transformers expects its own cache.

    ``keys[layer]``: (batch, n_key_heads, capacity, head_size). Column ``width - 1`` holds the last
    token of every prompt; decoding appends to the right, and ``mask`` hides what a step must not see.
    """

    def __init__(self, lengths: Sequence[int], headroom: int = 0) -> None:
        self.lengths = tuple(lengths)
        self.width = max(lengths)
        self.capacity = round_up(self.width + 1, headroom) if headroom else self.width
        self._headroom = headroom
        self.mask: Tensor | None = None
        self.keys: dict[int, Tensor] = {}
        self.values: dict[int, Tensor] = {}

    @property
    def segments(self) -> Segments:
        """Return where each prompt lies in the row that is read first."""
        ends = np.cumsum(self.lengths)
        return tuple(
            Segment(0, int(end - length), int(end))
            for end, length in zip(ends, self.lengths, strict=True)
        )

    def update(
        self, key: Tensor, value: Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Store new keys and values; return those that the layer must attend to."""
        if layer_idx not in self.keys:
            self._fill(key, value, layer_idx)
            return key, value
        column = self.width - 1
        keys, values = self.keys[layer_idx], self.values[layer_idx]
        keys[:, :, column : column + 1] = key
        values[:, :, column : column + 1] = value
        return keys, values

    def open_column(self) -> Tensor:
        """Make room for one token a row; return the mask, (batch, 1, 1, capacity), for its step."""
        if self.width == self.capacity:
            self._grow()
        if self.mask is None or self.mask.shape[-1] != self.capacity:
            self.mask = self._hide()
        self.width += 1
        self.mask[..., self.width - 1] = 0.0
        return self.mask

    def _hide(self) -> Tensor:
        """Return 0 where a row has a key and −∞ before and behind."""
        some = self.keys[0]
        columns = torch.arange(self.capacity, device=some.device)
        starts = max(self.lengths) - torch.tensor(self.lengths, device=some.device)
        hidden = (columns < starts[:, None]) | (columns >= self.width)
        mask = torch.zeros(hidden.shape, dtype=some.dtype, device=some.device)
        return mask.masked_fill_(hidden, float("-inf"))[:, None, None]

    def _grow(self) -> None:
        self.capacity += self._headroom
        for stored in (self.keys, self.values):
            for layer, tensor in stored.items():
                stored[layer] = torch.nn.functional.pad(tensor, (0, 0, 0, self._headroom))

    def _fill(self, key: Tensor, value: Tensor, layer: int) -> None:
        shape = (len(self.lengths), key.shape[1], self.capacity, key.shape[3])
        self.keys[layer], self.values[layer] = key.new_zeros(shape), value.new_zeros(shape)
        for row, segment in enumerate(self.segments):
            columns = slice(self.width - self.lengths[row], self.width)
            part = slice(segment.start, segment.end)
            self.keys[layer][row, :, columns] = key[0, :, part]
            self.values[layer][row, :, columns] = value[0, :, part]


@torch.inference_mode()
def decode(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    sampling: Sampling,
    *,
    stop_ids: Sequence[int],
    seeds: Sequence[int] = (),
    on_token: Callable[[int], None] | None = None,
) -> list[Answer]:
    """Return an answer to each prompt of one batch; ``model`` must use varlen attention.

    Args:
        model: In evaluation mode.
        prompts: Token ids, none empty.
        sampling: Lengths and randomness.
        stop_ids: Any of them ends an answer.
        seeds: One a prompt, for sampling: draws do not depend on the batch.
        on_token: Called with the number of tokens per answer so far, for timing.
    """
    device = model.device
    stops = torch.tensor(sorted(stop_ids), dtype=torch.long, device=device)
    cache = KeyValueCache([len(prompt) for prompt in prompts], _HEADROOM)
    choose = _Chooser(prompts, sampling, stops, seeds, model.config.vocab_size)
    head = output_head(model)
    hidden = prefill(model, prompts, cache)
    lengths = torch.tensor(cache.lengths, device=device)[:, None]
    tokens: list[Tensor] = []
    is_done = torch.zeros(len(prompts), dtype=torch.bool, device=device)
    for step in range(sampling.max_new_tokens):
        token = choose(head(hidden).float(), step)
        tokens.append(token)
        if on_token is not None:
            on_token(step + 1)
        is_done |= torch.isin(token, stops)
        if step + 1 == sampling.max_new_tokens or bool(is_done.all()):
            break
        mask = cache.open_column()
        hidden = model.base_model(
            input_ids=token[:, None],
            position_ids=lengths + step,
            past_key_values=cache,
            decode_mask=mask,
            decode_end=cache.width,
            use_cache=True,
        ).last_hidden_state[:, 0]
    return [_until_stop(row, set(stop_ids)) for row in torch.stack(tokens, dim=1).tolist()]


def prefill(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], cache: KeyValueCache
) -> Tensor:
    """Fill ``cache`` with prompts, laid end to end; return the last state of each, (n, size)."""
    device = model.device
    positions = torch.cat([torch.arange(n, device=device) for n in cache.lengths])
    ids = torch.tensor([i for prompt in prompts for i in prompt], device=device)
    room = common_length(len(ids)) - len(ids)
    hidden: Tensor = model.base_model(
        input_ids=torch.nn.functional.pad(ids, (0, room))[None],
        position_ids=torch.nn.functional.pad(positions, (0, room))[None],
        segments=cache.segments,
        past_key_values=cache,
        use_cache=True,
    ).last_hidden_state[0]
    return hidden[[segment.end - 1 for segment in cache.segments]]


def _until_stop(ids: list[int], stop_ids: set[int]) -> Answer:
    for position, token in enumerate(ids):
        if token in stop_ids:
            return Answer(tuple(ids[:position]), True)
    return Answer(tuple(ids), False)


class _Chooser:
    """Chooses the next token of every sequence from logits of shape (batch, vocabulary)."""

    def __init__(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: Sampling,
        stops: Tensor,
        seeds: Sequence[int],
        vocabulary: int,
    ) -> None:
        self.sampling = sampling
        self.stops = stops
        self.seen: Tensor | None = None
        if sampling.repetition_penalty != 1.0:
            self.seen = torch.zeros(len(prompts), vocabulary, dtype=torch.bool, device=stops.device)
            for row, prompt in enumerate(prompts):
                self.seen[row, list(prompt)] = True
        if sampling.temperature > 0:
            self.rngs = [np.random.default_rng(seed) for seed in seeds]

    def __call__(self, logits: Tensor, step: int) -> Tensor:
        if self.seen is not None:
            # Keskar et al. (2019), CTRL, §4.1, with the sign rule that transformers uses
            penalty = self.sampling.repetition_penalty
            scaled = torch.where(logits > 0, logits / penalty, logits * penalty)
            logits = torch.where(self.seen, scaled, logits)
        if step < self.sampling.min_new_tokens:
            logits[:, self.stops] = float("-inf")
        if self.sampling.temperature == 0:
            token = logits.argmax(dim=-1)
        else:
            token = self._sample(logits / self.sampling.temperature)
        if self.seen is not None:
            self.seen[torch.arange(len(token)), token] = True
        return token

    def _sample(self, logits: Tensor) -> Tensor:
        """Draw from the smallest set of tokens whose probability reaches ``top_p``."""
        p, order = torch.softmax(logits.double(), dim=-1).sort(dim=-1, descending=True, stable=True)
        cumulative = p.cumsum(dim=-1)
        # a token is kept while the mass before it is below top_p: at least the first one is
        kept = p * (cumulative - p < self.sampling.top_p)
        cumulative = kept.cumsum(dim=-1)
        draws = torch.tensor([[rng.random()] for rng in self.rngs], dtype=torch.double)
        target = draws.to(logits.device) * cumulative[:, -1:]
        chosen = torch.searchsorted(cumulative, target, right=True)
        last = (kept > 0).sum(dim=-1, keepdim=True) - 1
        return order.gather(1, torch.minimum(chosen, last))[:, 0]
