"""A linear layer with its low-rank adapter as one operation, forward and backward.

peft computes ``base(x) + B(A(dropout(x))) · scale`` from separate operations, in fp32 where the
adapter is fp32, and draws a dropout mask per layer; on the CPU the draws alone take a seventh of a
training step. Here the update is added into the product's own output, the adapter is cast to the
precision of the layer as it is used, and masks are windows of one pool of random bits.

Same mathematics and the same parameters, so the saved adapter is an ordinary one. One difference:
masks of different layers are windows of the same pool at pseudo-random offsets rather than drawn
afresh. Each element is kept with the right probability, independently within a layer.
"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import torch
from peft.tuners.lora.layer import Linear as PeftLinear
from torch import Tensor, nn

_ADAPTER = "default"


class DropoutPool:
    """Random zeros and ones from which layers take their dropout masks.

    ``refill`` before each micro-batch decides all masks of that micro-batch, so that a forward
    pass that is repeated (gradient checkpointing, resumption) sees the same ones.
    """

    _ALIGNMENT = 64
    _SPREAD = 1 << 18  # offsets are drawn from this many elements

    def __init__(self, p_drop: float) -> None:
        self.p_drop = p_drop
        self._seed = 0
        self._kept = torch.empty(0)
        self._is_stale = True

    def refill(self, seed: int) -> None:
        """Draw new masks from ``seed``, lazily."""
        self._seed, self._is_stale = seed, True

    def window(self, site: int, like: Tensor) -> Tensor:
        """Return the mask of layer number ``site``: ones (kept) and zeros, shaped as ``like``."""
        n = like.numel()
        if self._is_stale or self._kept.numel() < n + self._SPREAD:
            self._draw(n + self._SPREAD, like)
        # Knuth's multiplicative hash spreads consecutive layers over the pool
        slot = (site * 2654435761 + self._seed) % (self._SPREAD // self._ALIGNMENT)
        return self._kept.narrow(0, slot * self._ALIGNMENT, n).view(like.shape)

    def _draw(self, n: int, like: Tensor) -> None:
        size = max(n, self._kept.numel())
        generator = torch.Generator(like.device).manual_seed(self._seed)
        words = torch.empty((size + 3) // 4, dtype=torch.int64, device=like.device)
        # four 16-bit numbers from each word: p is met to within 1/65,536
        words.random_(-(2**63), None, generator=generator)
        threshold = round(self.p_drop * 65536) - 32768
        self._kept = (words.view(torch.int16)[:size] >= threshold).to(like.dtype)
        self._is_stale = False


def fuse(model: nn.Module, pool: DropoutPool | None) -> int:
    """Let every plain adapted linear layer of ``model`` compute as one; return how many do.

    ``pool`` gives the dropout masks in training; None where dropout is 0.
    """
    layers = [
        module
        for module in model.modules()
        if type(module) is PeftLinear and not module.fan_in_fan_out  # GPT-2's weights lie turned
    ]
    for site, layer in enumerate(layers):
        layer.forward = partial(_forward, layer, site, pool)  # type: ignore[method-assign]
    return len(layers)


def _forward(layer: PeftLinear, site: int, pool: DropoutPool | None, x: Tensor) -> Tensor:
    base = cast(nn.Linear, layer.base_layer)
    a, b = layer.lora_A[_ADAPTER].weight, layer.lora_B[_ADAPTER].weight
    scale, mask = float(layer.scaling[_ADAPTER]), None
    if pool is not None and layer.training:
        mask = pool.window(site, x)
        scale /= 1.0 - pool.p_drop
    return cast(Tensor, _LoraLinear.apply(x, base.weight, base.bias, a, b, scale, mask))  # type: ignore[no-untyped-call]


class _LoraLinear(torch.autograd.Function):
    """y = W x + bias + scale · B A (mask · x), with W and bias frozen."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        a: Tensor,
        b: Tensor,
        scale: float,
        mask: Tensor | None,
    ) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        if mask is not None:
            mask = mask.view(rows.shape)
        a_cast, b_cast = a.to(weight.dtype), (b * scale).to(weight.dtype)
        kept = rows if mask is None else rows * mask
        low = kept @ a_cast.t()
        output = nn.functional.linear(rows, weight, bias).addmm_(low, b_cast.t())
        ctx.save_for_backward(kept, low, mask, weight, a_cast, b_cast)
        ctx.scale, ctx.adapter_dtype = scale, a.dtype
        return output.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        kept, low, mask, weight, a_cast, b_cast = ctx.saved_tensors
        grad = gradients[0].reshape(-1, weight.shape[0])
        grad_low = grad @ b_cast
        grad_a = (grad_low.t() @ kept).to(ctx.adapter_dtype)
        # the thin factor first: half the time of the other way round
        grad_b = (low.t() @ grad).t().to(ctx.adapter_dtype).mul_(ctx.scale)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = grad @ weight
            if mask is None:
                grad_x.addmm_(grad_low, a_cast)
            else:
                grad_x.addcmul_(grad_low @ a_cast, mask)
            grad_x = grad_x.view(*gradients[0].shape[:-1], -1)
        return grad_x, None, None, grad_a, grad_b, None, None
