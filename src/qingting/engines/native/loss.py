"""Cross-entropy that never holds the full logits.

The logits of n tokens over a vocabulary of V words are the largest tensor of a training step (at
n = 12,000 and V = 150,000 they take 7 GB in fp32, and as much again for their gradient). Here only
positions with a target are scored, in chunks, and each chunk's gradient with respect to the hidden
states is computed at once, while its logits still exist; the backward pass only scales it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from qingting.engines.native.shapes import round_up

CHUNK_ELEMENTS = 1 << 21
"""Logits held at a time (8 MiB in fp32): large enough for the kernels, small enough for caches."""

GRAIN = 128
"""Targets are padded to a multiple of it: see ``shapes``. Hidden states of 0 give weights nothing."""


class TokenLosses(NamedTuple):
    """``total``: scalar, differentiable sum in nats. ``nats``: (n,) per token, no gradient."""

    total: Tensor
    nats: Tensor


def chunked_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    labels: Tensor,
    *,
    bias: Tensor | None = None,
    chunk_elements: int = CHUNK_ELEMENTS,
) -> TokenLosses:
    """Return −log p(label) of each position, in nats, and their sum.

    Args:
        hidden: (n, hidden_size) last hidden states at the positions that predict a target.
        weight: (vocabulary, hidden_size) of the output head; gets a gradient if it requires one.
        labels: (n,) token ids.
        bias: (vocabulary,) of the output head, frozen.
        chunk_elements: Upper bound on the logits that exist at one time.
    """
    rows = max(1, chunk_elements // weight.shape[0])
    total, nats = _ChunkedCrossEntropy.apply(hidden, weight, labels, bias, rows)  # type: ignore[no-untyped-call]
    return TokenLosses(total, nats)


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, labels: Tensor, bias: Tensor | None, rows: int
    ) -> tuple[Tensor, Tensor]:
        wants_hidden, wants_weight = ctx.needs_input_grad[:2]
        if torch.is_autocast_enabled(hidden.device.type):
            compute_dtype = torch.get_autocast_dtype(hidden.device.type)
        else:
            compute_dtype = weight.dtype
        w = weight.to(compute_dtype)
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if wants_weight else None
        n = len(labels)
        n_padded = round_up(n, min(rows, GRAIN))
        hidden = pad(hidden, (0, 0, 0, n_padded - n))
        labels = pad(labels, (0, n_padded - n))
        grad_hidden = torch.empty_like(hidden) if wants_hidden else None
        nats = torch.empty(n_padded, dtype=torch.float32, device=hidden.device)
        with torch.autocast(hidden.device.type, enabled=False):
            for start in range(0, n_padded, rows):
                part = slice(start, start + rows)
                h, label = hidden[part].to(compute_dtype), labels[part, None]
                logits = torch.nn.functional.linear(h, w, bias).float()
                logits -= logits.amax(dim=-1, keepdim=True)
                at_label = logits.gather(1, label)
                exps = logits.exp_()
                sums = exps.sum(dim=-1, keepdim=True)
                nats[part] = (sums.log() - at_label)[:, 0]
                if grad_hidden is None and grad_weight is None:
                    continue
                # d(−log p)/d logits = softmax − one-hot
                grad_logits = exps.div_(sums)
                grad_logits.scatter_add_(1, label, torch.full_like(at_label, -1.0))
                grad_logits = grad_logits.to(compute_dtype)
                if grad_hidden is not None:
                    grad_hidden[part] = grad_logits @ w
                if grad_weight is not None:
                    grad_weight += grad_logits.t() @ h
        nats = nats[:n]
        if grad_hidden is not None:
            grad_hidden = grad_hidden[:n]
        ctx.save_for_backward(grad_hidden, grad_weight)
        ctx.weight_dtype = weight.dtype
        ctx.mark_non_differentiable(nats)
        return nats.sum(), nats

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        grad_hidden, grad_weight = ctx.saved_tensors
        factor = gradients[0]
        if grad_hidden is not None:
            grad_hidden = grad_hidden * factor.to(grad_hidden.dtype)
        if grad_weight is not None:
            grad_weight = (grad_weight * factor).to(ctx.weight_dtype)
        return grad_hidden, grad_weight, None, None, None
