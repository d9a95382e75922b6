"""Root-mean-square normalisation by frozen weights, through the CPU's kernel for layer norms.

transformers writes it out in fp32, one operation a pass over memory. A layer norm subtracts the mean
and divides by the standard deviation; of [x, −x] the mean is 0 and the variance is that of x around 0,
so the first half of its layer norm is the RMS norm of x, in one vectorised pass each way. Same
mathematics; what transformers rounds in between forward is rounded once. Measured at 2,816 × 192 in
bfloat16 on one core: 4.8 → 3.2 ms, both directions.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm


def fuse_norms(model: nn.Module) -> int:
    """Let every RMSNorm of frozen weight in ``model`` compute as one operation; return how many."""
    norms = [
        module
        for module in model.modules()
        if type(module).__name__.endswith("RMSNorm")
        and hasattr(module, "variance_epsilon")
        and not cast(Tensor, module.weight).requires_grad
    ]
    for norm in norms:
        weight = cast(Tensor, norm.weight)
        twice = torch.cat([weight, weight])
        epsilon = cast(float, norm.variance_epsilon)
        norm.forward = partial(_rms_norm, norm.forward, twice, epsilon)
    return len(norms)


def _rms_norm(
    stock: Callable[[Tensor], Tensor], weight_twice: Tensor, epsilon: float, x: Tensor
) -> Tensor:
    if x.dtype is not weight_twice.dtype:  # the kernel mixes types in its own way, or refuses to
        return stock(x)
    both = torch.cat([x, -x], dim=-1)
    return layer_norm(both, weight_twice.shape, weight_twice, None, epsilon)[..., : x.shape[-1]]
