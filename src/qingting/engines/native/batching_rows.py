"""Batches that rows may join and leave at any token.

Rows are right-aligned as in :mod:`decoding`: all write their next key into the same column, a
plain slice, and a sliding window is a slice too. A prompt that joins is read alone, with the
attention of training, and its keys are put down left of that column; a row that leaves is replaced
by the last one. So nothing is ever recomputed, and what a row attends to is its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel

from qingting.core.errors import ModelError
from qingting.engines.native.decoding import KeyValueCache, prefill
from qingting.engines.native.kernels import use_own_kernels
from qingting.engines.native.loading import output_head

_HEADROOM = 256
"""Columns beyond what is needed now, so that storage is moved seldom."""

_TOLERANCES = {torch.float32: 1e-3, torch.bfloat16: 6e-2, torch.float16: 2e-2}
"""Largest difference of logits, relative to the largest logit, that rounding explains."""


class Rows(Protocol):
    """What the scheduler asks of a batch."""

    def join(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Append rows; return the logits after each new prompt, (n_new, vocabulary)."""

    def advance(self, tokens: Sequence[int]) -> Tensor:
        """Append one token to every row; return the logits after it, (n_rows, vocabulary)."""

    def leave(self, row: int) -> None:
        """Take a row out; the last row takes its place."""

    def clear(self) -> None:
        """Take all rows out and give their memory back."""


class RowCache:
    """Keys and values of rows of different lengths; stands where transformers expects its cache.

    ``keys[layer]``: (n_slots, n_key_heads, capacity, head_size). Row ``i`` occupies the columns
    ``width - lengths[i]`` to ``width``.
    """

    def __init__(self, n_slots: int) -> None:
        self.n_slots = n_slots
        self.clear()

    def clear(self) -> None:
        """Forget all rows and their storage."""
        self.lengths: list[int] = []
        self.width = 0
        self.capacity = 0
        self.keys: dict[int, Tensor] = {}
        self.values: dict[int, Tensor] = {}

    @property
    def longest(self) -> int:
        """Return the length of the longest row."""
        return max(self.lengths, default=0)

    def join(self, prompts: KeyValueCache) -> None:
        """Append the rows of prompts that were read."""
        first, count = len(self.lengths), len(prompts.lengths)
        needed = max(self.longest, prompts.width)
        if not self.keys:
            self._allocate(prompts, needed)
        elif self.width < needed:
            self._move(needed)
        for stored, read in ((self.keys, prompts.keys), (self.values, prompts.values)):
            for layer, tensor in read.items():
                columns = slice(self.width - prompts.width, self.width)
                stored[layer][first : first + count, :, columns] = tensor[:, :, : prompts.width]
        self.lengths.extend(prompts.lengths)

    def leave(self, row: int) -> None:
        """Take a row out; the last one is moved into its place."""
        last = len(self.lengths) - 1
        if row != last:
            columns = slice(self.width - self.lengths[last], self.width)
            for stored in (*self.keys.values(), *self.values.values()):
                stored[row, :, columns] = stored[last, :, columns]
        self.lengths[row] = self.lengths[last]
        self.lengths.pop()

    def open_column(self) -> Tensor:
        """Make room for one token a row; return the mask over what is then to be attended to."""
        if self.width == self.capacity:
            self._move(self.longest)
        self.width += 1
        self.lengths = [length + 1 for length in self.lengths]
        device = self.keys[0].device
        absent = [self.longest - length for length in self.lengths]
        columns = torch.arange(self.longest, device=device)
        hidden = columns[None] < torch.tensor(absent, device=device)[:, None]
        mask = torch.zeros(hidden.shape, dtype=self.keys[0].dtype, device=device)
        return mask.masked_fill_(hidden, float("-inf"))[:, None, None]

    def update(
        self, key: Tensor, value: Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Store one new key and value a row; return those that the layer must attend to."""
        n, keys, values = len(self.lengths), self.keys[layer_idx], self.values[layer_idx]
        keys[:n, :, self.width - 1 : self.width] = key
        values[:n, :, self.width - 1 : self.width] = value
        seen = slice(self.width - self.longest, self.width)
        return keys[:n, :, seen], values[:n, :, seen]

    def _allocate(self, prompts: KeyValueCache, width: int) -> None:
        self.width, self.capacity = width, width + _HEADROOM
        for stored, read in ((self.keys, prompts.keys), (self.values, prompts.values)):
            for layer, tensor in read.items():
                shape = (self.n_slots, tensor.shape[1], self.capacity, tensor.shape[3])
                stored[layer] = tensor.new_zeros(shape)

    def _move(self, width: int) -> None:
        """Put the rows down so that they end at column ``width``, with room behind it."""
        n, kept = len(self.lengths), self.longest
        capacity = max(self.capacity, width + max(_HEADROOM, width // 2))
        for stored in (self.keys, self.values):
            for layer, tensor in stored.items():
                shape = (self.n_slots, tensor.shape[1], capacity, tensor.shape[3])
                moved = tensor.new_zeros(shape)
                columns = slice(self.width - kept, self.width)
                moved[:n, :, width - kept : width] = tensor[:n, :, columns]
                stored[layer] = moved
        self.width, self.capacity = width, capacity


class CachedRows:
    """Rows over a key-value cache; the model must use varlen attention."""

    def __init__(self, model: PreTrainedModel, n_slots: int) -> None:
        self._model = model
        self._head = output_head(model)
        self._cache = RowCache(n_slots)
        use_own_kernels(model)

    @torch.inference_mode()
    def join(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Read new prompts, laid end to end; return the logits after each."""
        cache = KeyValueCache([len(prompt) for prompt in prompts])
        states = prefill(self._model, prompts, cache)
        self._cache.join(cache)
        return self._logits(states)

    @torch.inference_mode()
    def advance(self, tokens: Sequence[int]) -> Tensor:
        """Append one token to every row; return the logits after it."""
        device = self._model.device
        positions = torch.tensor(self._cache.lengths, device=device)[:, None]
        mask = self._cache.open_column()
        hidden = self._model.base_model(
            input_ids=torch.tensor(tokens, device=device)[:, None],
            position_ids=positions,
            past_key_values=self._cache,
            decode_mask=mask,
            use_cache=True,
        ).last_hidden_state[:, 0]
        return self._logits(hidden)

    @torch.inference_mode()
    def leave(self, row: int) -> None:
        """Take a row out; the last row takes its place."""
        self._cache.leave(row)

    def clear(self) -> None:
        """Take all rows out."""
        self._cache.clear()

    def _logits(self, hidden: Tensor) -> Tensor:
        logits: Tensor = self._head(hidden).float()
        return logits


class RecomputedRows:
    """Rows of a model whose state the cache above cannot hold: read anew for every token.

    Shorter rows are filled up at the right, which no causal model can see from the left, so this
    is right for every architecture, recurrent ones included, and slow for long dialogues.
    """

    def __init__(self, model: PreTrainedModel, pad_id: int) -> None:
        self._model = model
        self._pad_id = pad_id
        self._rows: list[list[int]] = []

    def join(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Append rows; return the logits after each."""
        self._rows.extend(list(prompt) for prompt in prompts)
        return self._read(self._rows[-len(prompts) :])

    def advance(self, tokens: Sequence[int]) -> Tensor:
        """Append one token to every row; return the logits after it."""
        for row, token in zip(self._rows, tokens, strict=True):
            row.append(token)
        return self._read(self._rows)

    def leave(self, row: int) -> None:
        """Take a row out; the last row takes its place."""
        self._rows[row] = self._rows[-1]
        self._rows.pop()

    def clear(self) -> None:
        """Take all rows out."""
        self._rows.clear()

    @torch.inference_mode()
    def _read(self, rows: Sequence[Sequence[int]]) -> Tensor:
        width = max(len(row) for row in rows)
        filled = [[*row, *[self._pad_id] * (width - len(row))] for row in rows]
        ids = torch.tensor(filled, device=self._model.device)
        logits: Tensor = self._model(input_ids=ids, use_cache=False).logits
        return logits[range(len(rows)), [len(row) - 1 for row in rows]].float()


class SeparateRows:
    """Rows that each keep the cache which the model makes for itself, and are computed in turn.

    Nothing is shared and nothing is padded, so any kind of state will do: that of recurrent layers,
    or of attention with code of its own.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._caches: list[dict[str, Any]] = []

    def join(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Append rows; return the logits after each."""
        read = [self._read(prompt, {}) for prompt in prompts]
        self._caches.extend(cache for _, cache in read)
        return torch.stack([logits for logits, _ in read])

    def advance(self, tokens: Sequence[int]) -> Tensor:
        """Append one token to every row; return the logits after it."""
        read = [self._read([t], cache) for t, cache in zip(tokens, self._caches, strict=True)]
        self._caches = [cache for _, cache in read]
        return torch.stack([logits for logits, _ in read])

    def leave(self, row: int) -> None:
        """Take a row out; the last row takes its place."""
        self._caches[row] = self._caches[-1]
        self._caches.pop()

    def clear(self) -> None:
        """Take all rows out."""
        self._caches.clear()

    @torch.inference_mode()
    def _read(self, ids: Sequence[int], cache: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
        """Return the logits after some tokens, and the cache under the name that it goes by."""
        given = torch.tensor([list(ids)], device=self._model.device)
        output = self._model(input_ids=given, use_cache=True, **cache)
        kept = {name: output[name] for name in _CACHE_NAMES if output.get(name) is not None}
        return output.logits[0, -1].float(), kept


_CACHE_NAMES = ("past_key_values", "cache_params", "state")
"""What the models of transformers call what they keep between tokens."""


class ChosenRows(NamedTuple):
    """Rows that compute what their model computes; ``reason`` says why they are slower ones."""

    rows: Rows
    reason: str | None


def rows_for(model: PreTrainedModel, n_slots: int, pad_id: int) -> ChosenRows:
    """Return the fastest rows that compute what the model's own code computes.

    Each kind is tried on a few tokens and compared with the model's plain forward pass, so an
    architecture that ignores their masks, scales its logits or keeps another kind of state is found
    out before it answers anybody.

    Raises:
        ModelError: The model computes no finite logits.
    """
    before = model.config._attn_implementation
    expected = _try_out(RecomputedRows(model, pad_id))
    if not all(bool(logits.isfinite().all()) for logits in expected):
        raise ModelError(
            f"{type(model).__name__} computes numbers that are not finite: its weights are damaged, "
            "or need another --precision (bf16 or fp32 for what was trained in bf16)"
        )
    cached = CachedRows(model, n_slots)
    reason = _objection(cached, expected, model.dtype)
    if reason is None:
        return ChosenRows(cached, None)
    model.config._attn_implementation = before
    separate = SeparateRows(model)
    if _objection(separate, expected, model.dtype) is None:
        return ChosenRows(separate, f"each answer is computed by itself ({reason})")
    return ChosenRows(
        RecomputedRows(model, pad_id), f"dialogues are read anew for every token ({reason})"
    )


def _objection(rows: Rows, expected: Sequence[Tensor], dtype: torch.dtype) -> str | None:
    """Return what rows compute otherwise than they should, or None."""
    try:
        difference = max(
            float((mine - theirs).abs().max() / theirs.abs().max())
            for mine, theirs in zip(_try_out(rows), expected, strict=True)
        )
    except (TypeError, ValueError, RuntimeError, LookupError, AttributeError) as error:
        # whatever foreign code raises where it is called as it was not meant to be
        return f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
    if not difference <= _TOLERANCES[dtype]:
        return f"logits differ by {difference:.2g} of the largest"
    return None


def _try_out(rows: Rows) -> list[Tensor]:
    """Return the logits of a row that another, longer one joins, and outlives."""
    seen = [rows.join([(5, 3, 4)]), rows.advance([6]), rows.join([(7, 2, 9, 4, 3, 8)])]
    seen.append(rows.advance([3, 5]))
    rows.leave(0)
    seen.append(rows.advance([4]))
    rows.clear()
    return seen
