"""Chunked cross-entropy against numbers worked out by hand and against the plain one."""

from __future__ import annotations

import math

import pytest
import torch

from qingting.engines.native.loss import chunked_cross_entropy


def test_two_words_by_hand() -> None:
    """One position, hidden state h = 1, head W = (0, ln 3): p = (1/4, 3/4).

    With the label 1: loss = −ln 3/4; d loss/d logits = p − one-hot = (1/4, −1/4);
    d loss/d h = Σ (p − one-hot) W = −(ln 3)/4; d loss/d W = (p − one-hot) h = (1/4, −1/4).
    """
    hidden = torch.tensor([[1.0]], requires_grad=True)
    weight = torch.tensor([[0.0], [math.log(3.0)]], requires_grad=True)
    losses = chunked_cross_entropy(hidden, weight, torch.tensor([1]))
    losses.total.backward()
    assert losses.total.item() == pytest.approx(-math.log(0.75), rel=1e-6)
    assert hidden.grad is not None and weight.grad is not None
    assert hidden.grad.item() == pytest.approx(-math.log(3.0) / 4, rel=1e-6)
    assert weight.grad[:, 0].tolist() == pytest.approx([0.25, -0.25], rel=1e-6)


@pytest.mark.parametrize("chunk_elements", [1, 37 * 3, 1 << 20])
def test_chunks_change_neither_loss_nor_gradients(chunk_elements: int) -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(10, 6, generator=generator, requires_grad=True)
    weight = torch.randn(37, 6, generator=generator, requires_grad=True)
    labels = torch.randint(0, 37, (10,), generator=generator)
    plain = torch.nn.functional.cross_entropy(hidden @ weight.t(), labels, reduction="none")
    expected = torch.autograd.grad(plain.sum() / 7, (hidden, weight))
    losses = chunked_cross_entropy(hidden, weight, labels, chunk_elements=chunk_elements)
    found = torch.autograd.grad(losses.total / 7, (hidden, weight))
    torch.testing.assert_close(losses.nats, plain.detach(), atol=1e-6, rtol=1e-6)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


def test_full_logits_never_exist() -> None:
    sizes: list[int] = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            result = func(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor):
                sizes.append(result.numel())
            return result

    hidden = torch.randn(64, 4, requires_grad=True)
    weight = torch.randn(1000, 4)
    with Watch():
        labels = torch.zeros(64, dtype=torch.long)
        chunked_cross_entropy(hidden, weight, labels, chunk_elements=8000).total.backward()
    assert max(sizes) <= 8000


def test_a_frozen_head_gets_no_gradient() -> None:
    hidden, weight = torch.randn(3, 4, requires_grad=True), torch.randn(9, 4)
    chunked_cross_entropy(hidden, weight, torch.tensor([1, 2, 3])).total.backward()
    assert weight.grad is None and hidden.grad is not None
