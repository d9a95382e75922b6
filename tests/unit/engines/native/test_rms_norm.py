"""Norms as one operation give what the models' own norms give, gradients included."""

from __future__ import annotations

import copy

import pytest
import torch
from toys import FAMILIES, toy_model

from qingting.engines.native.rms_norm import fuse_norms


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_fused_norm_agrees_with_the_model_s_own(family: str, dtype: torch.dtype) -> None:
    stock = toy_model(family).model.norm.to(dtype).requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    stock.weight.data.uniform_(0.5, 1.5, generator=generator)
    fused = copy.deepcopy(stock)
    assert fuse_norms(fused) == 1
    n_rows = 77
    x = torch.randn(1, n_rows, 32, generator=generator).mul_(3.0).to(dtype)
    grad = torch.randn(1, n_rows, 32, generator=generator).to(dtype)

    def exact(x: torch.Tensor) -> torch.Tensor:
        mean_square = x.square().mean(-1, keepdim=True)
        return x / (mean_square + stock.variance_epsilon).sqrt() * stock.weight.double()

    def answer(norm, dtype):  # type: ignore[no-untyped-def]
        inputs = x.to(dtype).clone().requires_grad_()
        output = norm(inputs)
        return output, torch.autograd.grad(output, inputs, grad.to(dtype))[0]

    tolerance = 1e-6 if dtype is torch.float32 else 0.005
    for ours, own, true in zip(
        answer(fused, dtype), answer(stock, dtype), answer(exact, torch.float64), strict=True
    ):
        assert ours.dtype is own.dtype
        assert (ours - true).norm() / true.norm() < tolerance
    # what the model goes on with is the same to the last bit or two
    outputs = answer(fused, dtype)[0], answer(stock, dtype)[0]
    torch.testing.assert_close(*outputs, rtol=1e-2 if dtype is torch.bfloat16 else 1e-6, atol=1e-6)


def test_an_input_of_another_type_gets_the_model_s_own_norm() -> None:
    stock = toy_model("llama3").model.norm.bfloat16().requires_grad_(False)
    fused = copy.deepcopy(stock)
    fuse_norms(fused)
    x = torch.randn(1, 5, 32)
    torch.testing.assert_close(fused(x), stock(x), rtol=0, atol=0)


def test_norms_that_are_trained_stay_as_they_are() -> None:
    assert fuse_norms(toy_model("qwen2")) == 0
