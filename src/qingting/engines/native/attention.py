"""Attention that keeps dialogues apart when several share a row.

Registered under :data:`VARLEN` in transformers' table of attention functions, so the model code
of every family calls it. The positions of each dialogue arrive as ``segments``; attention is
computed dialogue by dialogue, so a packed row of L tokens costs the sum of the squares of its
parts and never L², no mask of L×L exists, and padding is never looked at.

One autograd function does the loop over segments in both directions: slicing under autograd would
allocate and add a full-width gradient per segment.

GPT-OSS adds one learned logit per head, the *sink*, to each softmax's denominator. With ``lse``
the log-sum-exp of a row of scores and ``s`` the sink, attention with the sink is the plain one
times σ(lse − s), and its probabilities are exp(score − lse′) with lse′ = log(exp lse + exp s).
Flash kernels recompute probabilities from the saved lse in the backward pass, so giving them lse′
and the scaled output makes their gradients exact for queries, keys and values.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from itertools import islice
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from qingting.engines.native import block_attention
from qingting.engines.native.shapes import common_length

VARLEN = "qingting_varlen"
"""Name under which :func:`varlen_attention` stands in transformers' table."""


class Segment(NamedTuple):
    """Where one dialogue lies in a batch: ``batch[row, start:end]``.

    A segment with a ``prefix`` is a branch: it continues ``batch[row, prefix[0]:prefix[1]]``, sees
    all of it, and shares it with its siblings. Branches serve scoring; they carry no gradient.
    """

    row: int
    start: int
    end: int
    prefix: tuple[int, int] | None = None


Segments = tuple[Segment, ...]


class AttentionSettings(NamedTuple):
    """What attention needs beside its tensors; ``window`` counts visible keys, self included.

    ``in_blocks``: short dialogues go through ``block_attention`` and not through the flash kernel.
    """

    segments: Segments
    scale: float
    window: int | None
    in_blocks: bool


def varlen_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    sliding_window: int | None = None,
    s_aux: Tensor | None = None,
    segments: Segments | None = None,
    decode_mask: Tensor | None = None,
    decode_end: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Return causal attention within each segment, (batch, length, n_heads, head_size).

    Args:
        module: The attention layer; unused but part of transformers' interface.
        query: (batch, n_heads, length, head_size), positions already rotated.
        key: (batch, n_key_heads, length, head_size).
        value: Like ``key``.
        attention_mask: Must be None: segments replace masks.
        scaling: Factor on the scores; 1/√head_size where None.
        sliding_window: Number of keys a query sees, itself included.
        s_aux: (n_heads,) sink logits of GPT-OSS.
        segments: Where the dialogues lie; each row is one dialogue where None.
        decode_mask: (batch, 1, 1, n_keys) additive; given where ``query`` holds one new token a
            row and the keys come from a cache.
        decode_end: Column behind the newest key; behind the last one where None.
    """
    if attention_mask is not None:
        raise ValueError("varlen attention takes segments, no mask")
    # under autocast, rotation by fp32 angles leaves queries and keys wider than values
    query, key = query.to(value.dtype), key.to(value.dtype)
    if decode_mask is not None:
        scale = scaling if scaling is not None else query.shape[-1] ** -0.5
        if sliding_window is not None:
            end = key.shape[2] if decode_end is None else decode_end
            seen = slice(max(0, end - sliding_window), end)
            key, value, decode_mask = key[:, :, seen], value[:, :, seen], decode_mask[..., seen]
        return _one_token(query, key, value, s_aux, decode_mask, scale), None
    if segments is None:
        segments = tuple(Segment(row, 0, query.shape[2]) for row in range(query.shape[0]))
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    # The fused kernel of the CPU gives no gradient for sinks; full fine-tuning trains them.
    is_fused = query.device.type == "cpu" and not (s_aux is not None and s_aux.requires_grad)
    is_fused = is_fused and not any(segment.prefix for segment in segments)
    # without a backward pass nothing is gained by keeping probabilities, unless flash is slow here
    has_gradient = torch.is_grad_enabled() and any(x.requires_grad for x in (query, key, value))
    in_blocks = query.dtype is torch.bfloat16 and (has_gradient or not _has_tiles())
    settings = AttentionSettings(segments, scale, sliding_window, in_blocks)
    if is_fused:
        result = _FusedVarlen.apply(query, key, value, s_aux, settings)  # type: ignore[no-untyped-call]
    else:
        result = composed_varlen(query, key, value, s_aux, settings)
    return cast(Tensor, result).transpose(1, 2), None


ALL_ATTENTION_FUNCTIONS.register(VARLEN, varlen_attention)


@cache
def _has_tiles() -> bool:
    """Return whether the CPU multiplies bfloat16 in tiles (AMX), which its flash kernel makes use of.

    There the forward pass of the flash kernel takes half the time of blocks (4 heads of 48, 128 to
    896 tokens, one core of an Intel Xeon); without tiles, three times as long.
    """
    return bool(torch.cpu.get_capabilities().get("amx_bf16"))


@contextmanager
def varlen(model: PreTrainedModel) -> Iterator[None]:
    """Let ``model`` use :func:`varlen_attention` inside the block, and what it used before after."""
    before = model.config._attn_implementation
    model.config._attn_implementation = VARLEN
    try:
        yield
    finally:
        model.config._attn_implementation = before


@lru_cache(maxsize=64)
def window_mask(length: int, window: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return an additive causal mask in which a query sees ``window`` keys, itself included."""
    position = torch.arange(length, device=device)
    distance = position[:, None] - position[None, :]
    hidden = (distance < 0) | (distance >= window)
    return torch.zeros(length, length, dtype=dtype, device=device).masked_fill_(
        hidden, float("-inf")
    )


def _mask_for(length: int, settings: AttentionSettings, like: Tensor) -> Tensor | None:
    if settings.window is None or length <= settings.window:
        return None
    return window_mask(length, settings.window, like.dtype, like.device)


class _FusedVarlen(torch.autograd.Function):
    """Segment-wise attention on the CPU, with sinks and windows; (batch, heads, length, size)."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        sinks: Tensor | None,
        settings: AttentionSettings,
    ) -> Tensor:
        batch, n_heads, length, size = query.shape
        # laid out as the model wants it back: (batch, length, heads, size) in memory
        output = query.new_zeros(batch, length, n_heads, size).transpose(1, 2)
        kept: list[list[Tensor]] = []
        for segment in settings.segments:
            reach = _reach(segment, query, settings)
            q, k, v = (_cut(x, reach) for x in (query, key, value))
            kept.append(_segment_forward(q, k, v, _cut(output, segment), sinks, settings))
        ctx.save_for_backward(query, key, value, output, *(x for part in kept for x in part))
        ctx.settings, ctx.counts = settings, [len(part) for part in kept]
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, output, *kept = ctx.saved_tensors
        grads = [torch.zeros_like(x) for x in (query, key, value)]
        tensors = iter(kept)
        for segment, count in zip(ctx.settings.segments, ctx.counts, strict=True):
            reach = _reach(segment, query, ctx.settings)
            grad, q, k, v, out = (_cut(x, reach) for x in (gradients[0], query, key, value, output))
            lent = list(islice(tensors, count))
            parts = _segment_backward(grad, q, k, v, out, lent, ctx.settings)
            for whole, part in zip(grads, parts, strict=True):
                _cut(whole, segment).copy_(part[:, :, : segment.end - segment.start])
        return (*grads, None, None)


def _in_blocks(length: int, settings: AttentionSettings) -> bool:
    return settings.in_blocks and length <= block_attention.MAX_LENGTH


def _reach(segment: Segment, query: Tensor, settings: AttentionSettings) -> Segment:
    """Return the segment, extended to a length that repeats where blocks compute it and it fits.

    What lies behind the dialogue is computed with it and dropped.
    """
    length = segment.end - segment.start
    end = segment.start + common_length(length, largest_grain=block_attention.GRAIN)
    if not _in_blocks(length, settings) or end > query.shape[2]:
        return segment
    return segment._replace(end=end)


def _segment_forward(
    q: Tensor, k: Tensor, v: Tensor, out: Tensor, sinks: Tensor | None, settings: AttentionSettings
) -> list[Tensor]:
    """Write attention within one segment into ``out``; return what the backward pass needs."""
    if _in_blocks(q.shape[2], settings):
        n_queries = out.shape[2]
        result = block_attention.forward(
            q[0] * settings.scale, k[0], v[0], sinks, window=settings.window, n_queries=n_queries
        )
        out[0] = result.output[:, :n_queries]
        return result.probabilities
    groups = q.shape[1] // k.shape[1]
    mask = _mask_for(q.shape[2], settings, q)
    part, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        q,
        _repeat(k, groups),
        _repeat(v, groups),
        0.0,
        mask is None,
        attn_mask=mask,
        scale=settings.scale,
    )
    if sinks is not None:
        sink = sinks.to(lse.dtype)[None, :, None]
        part = part * torch.sigmoid(lse - sink)[..., None].to(part.dtype)
        lse = torch.logaddexp(lse, sink)
    out.copy_(part)
    return [lse]


def _segment_backward(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    kept: list[Tensor],
    settings: AttentionSettings,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of one segment with respect to query, key and value."""
    if _in_blocks(q.shape[2], settings):
        scale, window = settings.scale, settings.window
        grads = block_attention.backward(grad[0], q[0] * scale, k[0], v[0], kept, window)
        return grads.query.mul_(scale)[None], grads.key[None], grads.value[None]
    groups = q.shape[1] // k.shape[1]
    mask = _mask_for(q.shape[2], settings, q)
    grad_q, grad_k, grad_v = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
        grad,
        q,
        _repeat(k, groups),
        _repeat(v, groups),
        out,
        kept[0],
        0.0,
        mask is None,
        attn_mask=mask,
        scale=settings.scale,
    )
    return grad_q, _sum_groups(grad_k, groups), _sum_groups(grad_v, groups)


def composed_varlen(
    query: Tensor, key: Tensor, value: Tensor, sinks: Tensor | None, settings: AttentionSettings
) -> Tensor:
    """Return attention within each segment, from differentiable pieces, on any device.

    Shapes are those of ``query``: (batch, n_heads, length, head_size).
    """
    groups = query.shape[1] // key.shape[1]
    parts: list[Tensor] = []
    filled = 0
    batch, n_heads, length, size = query.shape
    for segment in settings.segments:
        offset = segment.row * length + segment.start
        if offset > filled:  # padding before this segment
            parts.append(query.new_zeros(n_heads, offset - filled, size))
        q, k, v = _cut(query, segment), _visible(key, segment), _visible(value, segment)
        if sinks is None and segment.prefix is None:
            mask = _mask_for(q.shape[2], settings, q)
            part = nn.functional.scaled_dot_product_attention(
                q, k, v, mask, 0.0, mask is None, scale=settings.scale, enable_gqa=groups > 1
            )
        else:
            part = _explicit(q, _repeat(k, groups), _repeat(v, groups), sinks, settings)
        parts.append(part[0])
        filled = segment.row * length + segment.end
    if filled < batch * length:
        parts.append(query.new_zeros(n_heads, batch * length - filled, size))
    return torch.cat(parts, dim=1).view(n_heads, batch, length, size).transpose(0, 1)


def _explicit(
    q: Tensor, k: Tensor, v: Tensor, sinks: Tensor | None, settings: AttentionSettings
) -> Tensor:
    """Return attention written out: for branches, and for sinks that need a gradient."""
    length = k.shape[2]
    mask = window_mask(length, settings.window or length, torch.float32, q.device)
    mask = mask[length - q.shape[2] :]  # the queries are the last of the keys' positions
    scores = torch.matmul(q, k.transpose(2, 3)).float() * settings.scale + mask
    weights = _softmax_with_sinks(scores, sinks)
    return torch.matmul(weights.to(v.dtype), v)


def _softmax_with_sinks(scores: Tensor, sinks: Tensor | None) -> Tensor:
    """Return probabilities over keys, (batch, n_heads, n_queries, n_keys) as the scores are."""
    if sinks is None:
        return torch.softmax(scores, dim=-1)
    sink = sinks.to(scores.dtype).reshape(1, scores.shape[1], -1, 1)
    sink = sink.expand(scores.shape[0], -1, scores.shape[2], 1)
    return torch.softmax(torch.cat([scores, sink], dim=-1), dim=-1)[..., :-1]


def _visible(x: Tensor, segment: Segment) -> Tensor:
    """Return the keys or values that a segment sees: its own, behind those of its prefix."""
    own = _cut(x, segment)
    if segment.prefix is None:
        return own
    return torch.cat([_cut(x, Segment(segment.row, *segment.prefix)), own], dim=2)


def _one_token(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    sinks: Tensor | None,
    mask: Tensor,
    scale: float,
) -> Tensor:
    """Return attention of one new token a row to its cache: (batch, 1, n_heads, head_size)."""
    batch, n_heads, _, size = query.shape
    grouped = query.view(batch, key.shape[1], -1, size) * scale
    scores = torch.matmul(grouped, key.transpose(2, 3)) + mask
    weights = _softmax_with_sinks(scores, sinks)
    return torch.matmul(weights, value).view(batch, 1, n_heads, size)


def _cut(x: Tensor, segment: Segment) -> Tensor:
    return x[segment.row : segment.row + 1, :, segment.start : segment.end]


def _repeat(x: Tensor, groups: int) -> Tensor:
    return x if groups == 1 else x.repeat_interleave(groups, dim=1)


def _sum_groups(grad: Tensor, groups: int) -> Tensor:
    if groups == 1:
        return grad
    batch, heads, length, size = grad.shape
    return grad.view(batch, heads // groups, groups, length, size).sum(2)
