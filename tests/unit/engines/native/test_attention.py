"""Dialogues that share a row must not see each other, on any architecture."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from toys import FAMILIES, toy_model

from qingting.engines.native import attention, block_attention
from qingting.engines.native.attention import Segment, varlen, varlen_attention

LENGTHS = (7, 40, 19)


def token_rows() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randint(0, 256, (length,), generator=generator) for length in LENGTHS]


def packed_inputs(rows: list[torch.Tensor]) -> dict[str, object]:
    ends = torch.tensor([len(row) for row in rows]).cumsum(0).tolist()
    segments = tuple(Segment(0, end - len(r), end) for end, r in zip(ends, rows, strict=True))
    positions = torch.cat([torch.arange(len(row)) for row in rows])[None]
    return {
        "input_ids": torch.cat(rows)[None],
        "position_ids": positions,
        "segments": segments,
        "use_cache": False,
    }


def padded_inputs(rows: list[torch.Tensor]) -> dict[str, object]:
    width = max(len(row) for row in rows)
    segments = tuple(Segment(i, 0, len(row)) for i, row in enumerate(rows))
    return {
        "input_ids": torch.stack([nn.functional.pad(r, (0, width - len(r))) for r in rows]),
        "position_ids": torch.arange(width).expand(len(rows), -1),
        "segments": segments,
        "use_cache": False,
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_packed_and_padded_rows_equal_stock_attention_on_single_dialogues(family: str) -> None:
    model, rows = toy_model(family).eval(), token_rows()
    model.set_attn_implementation("eager")
    weights = model.get_input_embeddings().weight
    alone = [model(row[None], use_cache=False).logits[0] for row in rows]
    expected = torch.cat(alone)
    (expected_gradient,) = torch.autograd.grad(expected.square().sum(), weights)
    with varlen(model):
        packed = model(**packed_inputs(rows)).logits[0]
        (gradient,) = torch.autograd.grad(packed.square().sum(), weights)
        padded = model(**padded_inputs(rows)).logits
    torch.testing.assert_close(packed, expected, atol=1e-5, rtol=1e-5)
    for index, row in enumerate(rows):
        torch.testing.assert_close(padded[index, : len(row)], alone[index], atol=1e-5, rtol=1e-5)
    assert (gradient - expected_gradient).norm() / expected_gradient.norm() < 1e-5


def test_sinks_that_are_trained_get_the_gradient_of_stock_attention() -> None:
    model, rows = toy_model("gpt_oss").eval(), token_rows()
    model.set_attn_implementation("eager")
    sinks = model.model.layers[0].self_attn.sinks
    expected = torch.cat([model(row[None], use_cache=False).logits[0] for row in rows])
    (expected_gradient,) = torch.autograd.grad(expected.square().sum(), sinks)
    with varlen(model):
        logits = model(**packed_inputs(rows)).logits[0]
    (gradient,) = torch.autograd.grad(logits.square().sum(), sinks)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-4, atol=1e-4)


def reference(query, key, value, sinks, window):  # type: ignore[no-untyped-def]
    """Return attention as its definition says, in the precision of the inputs."""
    n_heads, length, _ = query.shape
    groups = n_heads // key.shape[0]
    scores = query @ key.repeat_interleave(groups, 0).transpose(1, 2)
    distance = torch.arange(length)[:, None] - torch.arange(length)[None, :]
    hidden = distance < 0 if window is None else (distance < 0) | (distance >= window)
    scores = scores.masked_fill(hidden, float("-inf"))
    if sinks is not None:
        column = sinks[:, None, None].expand(-1, length, 1)
        weights = torch.cat([scores, column], -1).softmax(-1)[..., :-1]
    else:
        weights = scores.softmax(-1)
    return weights @ value.repeat_interleave(groups, 0)


@pytest.mark.parametrize("window", [None, 50])
@pytest.mark.parametrize("has_sinks", [False, True])
def test_blocks_in_bfloat16_agree_with_the_definition(window: int | None, has_sinks: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    length = 2 * block_attention.BLOCK + 31

    def draw(n_heads: int) -> torch.Tensor:
        x = torch.randn(n_heads, length, 16, generator=generator)
        return x.bfloat16().double().requires_grad_()

    query, key, value, grad = draw(4), draw(2), draw(2), draw(4).detach()
    sinks = torch.tensor([0.5, -1.0, 2.0, 0.0], dtype=torch.double) if has_sinks else None
    expected = reference(query * 0.25, key, value, sinks, window)
    expected_gradients = torch.autograd.grad(expected, (query, key, value), grad)
    q, k, v = (x.detach().bfloat16() for x in (query, key, value))
    done = block_attention.forward(q * 0.25, k, v, sinks, window=window, n_queries=length)
    gradients = block_attention.backward(
        grad.bfloat16(), q * 0.25, k, v, done.probabilities, window
    )
    assert (done.output.double() - expected).norm() / expected.norm() < 0.01
    # the query was scaled by 1/4 before, so its gradient is still to be scaled
    found = (gradients.query * 0.25, gradients.key, gradients.value)
    for ours, theirs in zip(found, expected_gradients, strict=True):
        assert (ours.double() - theirs).norm() / theirs.norm() < 0.015


@pytest.mark.parametrize("window", [None, 50])
@pytest.mark.parametrize("has_sinks", [False, True])
def test_a_dialogue_in_bfloat16_is_not_touched_by_what_lies_behind_it(
    window: int | None, has_sinks: bool
) -> None:
    generator = torch.Generator().manual_seed(0)
    lengths = (block_attention.BLOCK + 5, 70)  # rounded up, both reach beyond their ends
    total = sum(lengths) + block_attention.GRAIN
    query = torch.randn(1, 4, total, 16, generator=generator).bfloat16()
    key, value = (torch.randn(1, 2, total, 16, generator=generator).bfloat16() for _ in range(2))
    grad = torch.randn(1, total, 4, 16, generator=generator).bfloat16()
    sinks = torch.randn(4, generator=generator) if has_sinks else None
    segments = (Segment(0, 0, lengths[0]), Segment(0, lengths[0], sum(lengths)))

    def attend(
        columns: slice, segments: tuple[Segment, ...]
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        parts = [x[:, :, columns].clone().requires_grad_() for x in (query, key, value)]
        out, _ = varlen_attention(
            nn.Identity(), *parts, None, segments=segments, s_aux=sinks, sliding_window=window
        )
        return out, torch.autograd.grad(out, parts, grad[:, columns])

    together, gradients = attend(slice(0, total), segments)
    assert not together[:, sum(lengths) :].any()
    for segment in segments:
        columns = slice(segment.start, segment.end)
        alone, own_gradients = attend(columns, (Segment(0, 0, segment.end - segment.start),))
        torch.testing.assert_close(together[:, columns], alone, atol=0.02, rtol=0.02)
        for found, own in zip(gradients, own_gradients, strict=True):
            difference = (found[:, :, columns].double() - own.double()).norm()
            assert difference / own.double().norm() < 0.005


@pytest.mark.parametrize("has_tiles", [False, True])
@pytest.mark.parametrize("window", [None, 50])
@pytest.mark.parametrize("has_sinks", [False, True])
def test_attention_is_the_same_with_and_without_a_backward_pass(
    window: int | None, has_sinks: bool, has_tiles: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processors with tiles go through the flash kernel where nothing is kept, others do not."""
    monkeypatch.setattr(attention, "_has_tiles", lambda: has_tiles)
    blocks = []
    in_blocks = block_attention.forward
    monkeypatch.setattr(
        block_attention, "forward", lambda *a, **k: (blocks.append(1), in_blocks(*a, **k))[1]
    )
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn(1, n, 150, 16, generator=generator).bfloat16() for n in (4, 2, 2)]
    sinks = torch.randn(4, generator=generator) if has_sinks else None
    options = {"s_aux": sinks, "sliding_window": window}
    segments = (Segment(0, 0, 80), Segment(0, 80, 150))
    with torch.no_grad():
        found, _ = varlen_attention(nn.Identity(), *parts, None, segments=segments, **options)
    assert len(blocks) == (0 if has_tiles else len(segments))
    n_before = len(blocks)
    parts[2].requires_grad_()  # values alone may be adapted
    kept, _ = varlen_attention(nn.Identity(), *parts, None, segments=segments, **options)
    assert len(blocks) == n_before + len(segments)
    assert (found.double() - kept.double()).norm() / kept.double().norm() < 0.005


@pytest.mark.parametrize("has_sinks", [False, True])
def test_a_branch_continues_its_prefix_and_ignores_its_siblings(has_sinks: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(1, 4, 14, 8, generator=generator)
    key, value = (torch.randn(1, 2, 14, 8, generator=generator) for _ in range(2))
    sinks = torch.randn(4, generator=generator) if has_sinks else None
    segments = (Segment(0, 0, 8), Segment(0, 8, 10, (0, 8)), Segment(0, 10, 14, (0, 8)))
    options = {"sliding_window": 9, "s_aux": sinks}
    found, _ = varlen_attention(
        nn.Identity(), query, key, value, None, segments=segments, **options
    )
    for branch in (range(8, 10), range(10, 14)):
        columns = [*range(8), *branch]
        alone, _ = varlen_attention(
            nn.Identity(), *(x[:, :, columns] for x in (query, key, value)), None, **options
        )
        torch.testing.assert_close(found[:, list(branch)], alone[:, 8:], atol=1e-6, rtol=1e-5)
