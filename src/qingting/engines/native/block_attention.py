"""Causal attention of one dialogue in bfloat16 on the CPU, as matrix products over query blocks.

The CPU's flash kernel spends its time in small fp32 products. Processors with bfloat16 dot
products (AVX512-BF16, AMX) do the large ones five times as fast, so at the lengths of a dialogue
it pays to write attention out: a block of queries against all keys that it may see, heads of one
key head stacked into one product. Measured at 600 tokens, 6 heads of 32, with AVX512-BF16: forward 3
times and backward 5 times as fast as the flash kernel; with AMX the flash kernel is the faster one
forward and this one backward, so that it wins only where a backward pass follows (``attention``
decides). Probabilities are kept for the backward pass, which costs n_heads · length² bytes; longer
dialogues go to the flash kernel (:data:`MAX_LENGTH`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

MAX_LENGTH = 1024
"""Longest dialogue, in tokens, whose probabilities are kept."""

BLOCK = 192
"""Queries in a block: half a block a row is computed in vain, fewer would make products small."""

GRAIN = 64
"""Largest step in which callers round lengths up, so that few shapes of products are needed."""


class BlockForward(NamedTuple):
    """``output``: (n_heads, length, size). ``probabilities``: one tensor a block, for backward."""

    output: Tensor
    probabilities: list[Tensor]


def forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    sinks: Tensor | None,
    *,
    window: int | None,
    n_queries: int,
) -> BlockForward:
    """Return causal attention of one dialogue.

    Args:
        query: (n_heads, length, size) bfloat16, already scaled.
        key: (n_key_heads, length, size).
        value: Like ``key``.
        sinks: (n_heads,) logits that take probability and give nothing; None for none.
        window: Number of keys that a query sees, itself included; None for all before it.
        n_queries: Length of the dialogue; positions from here on belong to another one, and their
            output means nothing. Their probabilities are 0, so they get and give no gradient.
    """
    n_heads, length, size = query.shape
    n_keys = key.shape[0]
    output = torch.empty_like(query)
    probabilities = []
    for begin, end, first in _blocks(length, window):
        q = query[:, begin:end].reshape(n_keys, -1, size)
        scores = torch.bmm(q, key[:, first:end].transpose(1, 2))
        mask = _mask(begin, end, first, window, query.dtype)
        # without a window only the last columns hold keys that some query must not see
        scores.view(n_heads, end - begin, -1)[..., -mask.shape[1] :] += mask
        p = torch.softmax(scores, dim=-1)
        if sinks is not None:
            p = _give_to_sinks(p, scores, sinks)
        if end > n_queries:
            p.view(n_heads, end - begin, -1)[:, n_queries - begin :] = 0.0
        probabilities.append(p)
        part = torch.bmm(p, value[:, first:end])
        output[:, begin:end] = part.view(n_heads, end - begin, size)
    return BlockForward(output, probabilities)


class Gradients(NamedTuple):
    """With respect to the scaled query, (n_heads, length, size), and key and value."""

    query: Tensor
    key: Tensor
    value: Tensor


def backward(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    probabilities: list[Tensor],
    window: int | None,
) -> Gradients:
    """Return the gradients of :func:`forward`; sinks are taken to be frozen.

    With probabilities P (rows need not sum to 1 where sinks take a share), the gradient of the
    scores is P·(dP − Σ P·dP), which is what the backward of a softmax computes from P.
    """
    n_heads, length, size = query.shape
    n_keys = key.shape[0]
    grad_query = torch.empty_like(query)
    # lying on their sides: products with the thin factor first are a third faster
    grad_key = key.new_zeros(n_keys, size, length, dtype=torch.float32)
    grad_value = torch.zeros_like(grad_key)
    for (begin, end, first), p in zip(_blocks(length, window), probabilities, strict=True):
        g = grad[:, begin:end].reshape(n_keys, -1, size)
        q = query[:, begin:end].reshape(n_keys, -1, size)
        grad_p = torch.bmm(g, value[:, first:end].transpose(1, 2))
        grad_scores = torch._softmax_backward_data(grad_p, p, -1, p.dtype)
        part = torch.bmm(grad_scores, key[:, first:end])
        grad_query[:, begin:end] = part.view(n_heads, end - begin, size)
        grad_key[..., first:end] += torch.bmm(q.transpose(1, 2), grad_scores)
        grad_value[..., first:end] += torch.bmm(g.transpose(1, 2), p)
    upright = (x.transpose(1, 2).to(key.dtype) for x in (grad_key, grad_value))
    return Gradients(grad_query, *upright)


def _blocks(length: int, window: int | None) -> list[tuple[int, int, int]]:
    """Return (first query, end of queries and keys, first key) of each block."""
    blocks = []
    for begin in range(0, length, BLOCK):
        first = 0 if window is None else max(0, begin - window + 1)
        blocks.append((begin, min(begin + BLOCK, length), first))
    return blocks


@lru_cache(maxsize=512)
def _mask(begin: int, end: int, first: int, window: int | None, dtype: torch.dtype) -> Tensor:
    """Return 0 where a query of the block sees a key and −∞ elsewhere, (n_queries, n_keys).

    Without a window only the columns of the block's own keys are given: all see those before.
    """
    first = begin if window is None else first
    query, key = torch.arange(begin, end)[:, None], torch.arange(first, end)[None, :]
    hidden = key > query
    if window is not None:
        hidden |= key <= query - window
    return torch.zeros(hidden.shape, dtype=dtype).masked_fill_(hidden, float("-inf"))


def _give_to_sinks(p: Tensor, scores: Tensor, sinks: Tensor) -> Tensor:
    """Return probabilities scaled by σ(lse − sink); lse = largest score − log of its probability."""
    n_keys, rows, _ = p.shape
    lse = scores.amax(dim=-1).float() - p.amax(dim=-1).float().log()
    sink = sinks.float().view(n_keys, -1, 1)
    kept = torch.sigmoid(lse.view(n_keys, sink.shape[1], -1) - sink)
    return p * kept.reshape(n_keys, rows, 1).to(p.dtype)
