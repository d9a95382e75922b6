"""Experts that compute padded rows give what transformers' own give, gradients included."""

from __future__ import annotations

import copy

import torch
from toys import toy_model
from transformers.integrations.moe import grouped_mm_experts_forward

from qingting.engines.native.experts import EXPERTS, experts_forward
from qingting.engines.native.kernels import use_own_kernels


def layer_and_inputs() -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor, torch.Tensor]:
    layer = toy_model("gpt_oss").model.layers[0].mlp.experts.bfloat16()
    generator = torch.Generator().manual_seed(1)
    for parameter in layer.parameters():
        parameter.data.normal_(0.0, 0.2, generator=generator)
    hidden = torch.randn(75, 32, generator=generator).bfloat16()
    # expert 2 is chosen by nobody, expert 0 by everybody
    choices = torch.tensor([[0, 1], [0, 3], [3, 0]]).repeat(25, 1)
    weights = torch.rand(75, 2, generator=generator).bfloat16()
    return layer, hidden, choices, weights


def test_experts_agree_with_those_of_transformers_in_fp32() -> None:
    layer, hidden, choices, weights = layer_and_inputs()
    grad = torch.randn(75, 32, generator=torch.Generator().manual_seed(2)).bfloat16()

    def answer(function, layer, dtype):  # type: ignore[no-untyped-def]
        inputs = [x.to(dtype).clone().requires_grad_() for x in (hidden, weights)]
        output = function(layer, inputs[0], choices, inputs[1])
        return output, torch.autograd.grad(output, (*inputs, *layer.parameters()), grad.to(dtype))

    found, gradients = answer(experts_forward, layer, torch.bfloat16)
    exact = copy.deepcopy(layer).float()
    expected, expected_gradients = answer(grouped_mm_experts_forward, exact, torch.float32)
    assert (found - expected).norm() / expected.norm() < 0.01
    for ours, theirs in zip(gradients, expected_gradients, strict=True):
        assert ours.shape == theirs.shape
        assert (ours - theirs).norm() / theirs.norm() < 0.02


def test_fp32_goes_to_transformers_own_experts() -> None:
    layer, hidden, choices, weights = layer_and_inputs()
    layer.float()
    hidden, weights = hidden.float(), weights.float()
    ours = experts_forward(layer, hidden, choices, weights)
    assert torch.equal(ours, grouped_mm_experts_forward(layer, hidden, choices, weights))


def test_a_saved_configuration_does_not_name_our_kernels() -> None:
    model = toy_model("gpt_oss")
    use_own_kernels(model)
    assert model.config._experts_implementation == EXPERTS
    assert "qingting_experts" not in model.config.to_json_string()
