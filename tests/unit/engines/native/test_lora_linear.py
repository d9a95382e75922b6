"""One operation must compute what peft's several do."""

from __future__ import annotations

import pytest
import torch
from toys import toy_model

from qingting.engines.native.adapters import prepare_trainable
from qingting.engines.native.lora_linear import DropoutPool, fuse
from qingting.spec.recipe import LoraRecipe, Recipe


def adapted(dropout: float):  # type: ignore[no-untyped-def]
    recipe = Recipe(lora=LoraRecipe(dropout=dropout))
    trainable = prepare_trainable(toy_model("qwen2"), recipe, seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():  # B starts at zero, which would hide A
        for parameter in trainable.parameters.values():
            parameter.normal_(std=0.1, generator=generator)
    return trainable


def loss_and_gradients(trainable, ids):  # type: ignore[no-untyped-def]
    loss = trainable.model(ids, use_cache=False).logits.square().mean()
    return loss, torch.autograd.grad(loss, list(trainable.parameters.values()))


def test_fused_layers_give_the_outputs_and_gradients_of_peft() -> None:
    ids = torch.arange(40).view(2, 20)
    trainable = adapted(0.0)
    trainable.model.double()
    expected_loss, expected = loss_and_gradients(trainable, ids)
    assert fuse(trainable.model, None) == 14  # 7 linear layers in each of 2 blocks
    loss, gradients = loss_and_gradients(trainable, ids)
    torch.testing.assert_close(loss, expected_loss, rtol=1e-12, atol=1e-12)
    for ours, theirs in zip(gradients, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_gradients_are_those_of_the_masked_function() -> None:
    """The gradient agrees with a finite difference; norms compute in fp32, hence 1%."""
    trainable, pool = adapted(0.3), DropoutPool(0.3)
    fuse(trainable.model, pool)
    trainable.model.double().train()
    pool.refill(7)
    ids = torch.arange(30).view(1, 30)
    _, gradients = loss_and_gradients(trainable, ids)
    parameters = list(trainable.parameters.values())
    for index in (0, 1, 8, 13):
        direction = torch.randn_like(parameters[index])
        losses = []
        for sign in (1, -2):
            with torch.no_grad():
                parameters[index] += sign * 1e-3 * direction
                losses.append(trainable.model(ids, use_cache=False).logits.square().mean())
        with torch.no_grad():
            parameters[index] += 1e-3 * direction
        slope = float(losses[0] - losses[1]) / 2e-3
        assert float((gradients[index] * direction).sum()) == pytest.approx(slope, rel=0.01)


def test_masks_keep_the_right_share_and_depend_on_seed_and_layer() -> None:
    pool, like = DropoutPool(0.1), torch.empty(1000, 300)
    pool.refill(1)
    first, other_layer = pool.window(0, like).clone(), pool.window(1, like).clone()
    assert set(first.unique().tolist()) == {0.0, 1.0}
    # 300,000 draws: standard deviation of the share √(0.09/300000) ≈ 0.00055
    assert first.mean().item() == pytest.approx(0.9, abs=0.003)
    assert not torch.equal(first, other_layer)
    pool.refill(2)
    assert not torch.equal(pool.window(0, like), first)
    pool.refill(1)
    assert torch.equal(pool.window(0, like), first)


def test_evaluation_drops_nothing() -> None:
    ids = torch.arange(20).view(1, 20)
    trainable = adapted(0.5)
    expected = trainable.model.eval()(ids, use_cache=False).logits
    fuse(trainable.model, DropoutPool(0.5))
    torch.testing.assert_close(trainable.model(ids, use_cache=False).logits, expected)
