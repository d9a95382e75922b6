"""Mixture-of-experts layers on the CPU: each expert computes its own tokens, in shapes that repeat.

How many tokens go to an expert differs in every layer of every step, and for each new number
oneDNN would compile kernels (see ``shapes``). So the tokens of an expert are followed by rows that
nobody asks for, up to a length that repeats; they get no gradient and give none. Tokens are gathered
in both directions, which needs no scattered additions. Same mathematics as transformers' ``grouped_mm``, which
everything goes to that is not a frozen or adapted bfloat16 model on the CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS, grouped_mm_experts_forward

from qingting.engines.native.shapes import common_length

EXPERTS = "qingting_experts"
"""Name under which :func:`experts_forward` stands in transformers' table."""

_GRAIN = 64

Parts = list[tuple[int, slice]]
"""Experts that have tokens, each with the rows set aside for it."""


def experts_forward(
    self: nn.Module, hidden_states: Tensor, top_k_index: Tensor, top_k_weights: Tensor
) -> Tensor:
    """Return the weighted sum of what each token's experts make of it, (n_tokens, hidden_size)."""
    layer = cast(Any, self)
    is_ours = hidden_states.device.type == "cpu" and hidden_states.dtype is torch.bfloat16
    is_ours = is_ours and layer.gate_up_proj.dtype is torch.bfloat16 and layer.is_transposed
    if not (is_ours and layer.has_gate and layer.has_bias):
        return grouped_mm_experts_forward(self, hidden_states, top_k_index, top_k_weights)
    order = top_k_index.reshape(-1).argsort(stable=True)
    counts = torch.bincount(top_k_index.reshape(-1), minlength=layer.num_experts).tolist()
    parts = _parts(counts)
    places = torch.empty_like(order)
    places[order] = torch.cat([torch.arange(p.start, p.start + counts[e]) for e, p in parts])
    top_k = top_k_index.shape[-1]
    sources = places.new_zeros(parts[-1][1].stop)
    sources[places] = torch.arange(len(places)) // top_k
    x = cast(Tensor, _Dispatch.apply(hidden_states, sources, places))  # type: ignore[no-untyped-call]
    x = _linear(x, layer.gate_up_proj, layer.gate_up_proj_bias, parts)
    x = _linear(layer._apply_gate(x), layer.down_proj, layer.down_proj_bias, parts)
    x = cast(Tensor, _Collect.apply(x, places))  # type: ignore[no-untyped-call]
    weighted = x.view(-1, top_k, x.shape[-1]) * top_k_weights[..., None]
    return weighted.sum(dim=1).to(hidden_states.dtype)


ALL_EXPERTS_FUNCTIONS.register(EXPERTS, experts_forward)


def _parts(counts: Sequence[int]) -> Parts:
    """Return each expert that has tokens, and the rows set aside for it, end to end."""
    lengths = [common_length(n, largest_grain=_GRAIN) for n in counts]
    ends = accumulate(lengths)
    return [
        (e, slice(end - n, end)) for e, (n, end) in enumerate(zip(lengths, ends, strict=True)) if n
    ]


def _linear(x: Tensor, weight: Tensor, bias: Tensor, parts: Parts) -> Tensor:
    """Return x W + bias of each expert over its rows; ``weight``: (n_experts, n_in, n_out)."""
    return cast(Tensor, _Linear.apply(x, weight, bias, parts))  # type: ignore[no-untyped-call]


class _Dispatch(torch.autograd.Function):
    """Tokens to the rows of their experts; what else is in a row means nothing."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, sources: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(places)
        ctx.n_tokens = len(hidden)
        return hidden.index_select(0, sources)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (places,) = ctx.saved_tensors
        chosen = gradients[0].index_select(0, places)
        return chosen.view(ctx.n_tokens, -1, chosen.shape[-1]).sum(dim=1), None, None


class _Collect(torch.autograd.Function):
    """Rows of experts back to the choices of tokens; rows that nobody chose get a gradient of 0."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(places)
        ctx.n_rows = len(rows)
        return rows.index_select(0, places)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (places,) = ctx.saved_tensors
        grad = gradients[0].new_zeros(ctx.n_rows, gradients[0].shape[-1])
        return grad.index_copy_(0, places, gradients[0].contiguous()), None


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, parts: Parts) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.parts = parts
        output = x.new_empty(len(x), weight.shape[-1])
        for expert, part in parts:
            torch.addmm(bias[expert], x[part], weight[expert], out=output[part])
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        grad, wants = gradients[0], ctx.needs_input_grad
        grad_x = torch.empty_like(x) if wants[0] else None
        grad_weight = torch.zeros_like(weight) if wants[1] else None
        grad_bias = weight.new_zeros(len(weight), weight.shape[-1]) if wants[2] else None
        for expert, part in ctx.parts:
            if grad_x is not None:
                torch.mm(grad[part], weight[expert].t(), out=grad_x[part])
            if grad_weight is not None:
                torch.mm(x[part].t(), grad[part], out=grad_weight[expert])
            if grad_bias is not None:
                grad_bias[expert] = grad[part].sum(dim=0)
        return grad_x, grad_weight, grad_bias, None
