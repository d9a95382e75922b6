"""Which token comes next: greedy, or a draw of each request's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

_CANDIDATES = 256
"""Tokens that are sorted for a draw; hardly ever does the mass asked for lie in more."""


class Choice(NamedTuple):
    """How one request chooses its tokens; greedy at temperature 0.

    ``rng`` belongs to the request, so its draws do not depend on what else is being answered.
    """

    temperature: float
    top_p: float
    rng: np.random.Generator


def choose_tokens(logits: Tensor, choices: Sequence[Choice]) -> list[int]:
    """Return the next token of every row; ``logits``: (n_rows, vocabulary)."""
    tokens: list[int] = logits.argmax(dim=-1).tolist()
    drawn = [row for row, choice in enumerate(choices) if choice.temperature > 0]
    if drawn:
        picked = _draw(logits[drawn], [choices[row] for row in drawn])
        for row, token in zip(drawn, picked, strict=True):
            tokens[row] = token
    return tokens


def _draw(logits: Tensor, choices: Sequence[Choice]) -> list[int]:
    """Draw from the smallest set of tokens whose probability reaches each row's ``top_p``.

    A row that keeps every token needs no order; of the others only the likeliest tokens are sorted,
    and all of them where those do not reach ``top_p``.
    """
    temperatures = _column([choice.temperature for choice in choices], logits)
    p = torch.softmax(logits.double() / temperatures, dim=-1)
    draws = [choice.rng.random() for choice in choices]
    picked = [0] * len(choices)
    everything = p.shape[1]
    few = min(_CANDIDATES, everything)
    groups: dict[int, list[int]] = {}
    for row, choice in enumerate(choices):
        width = 0
        if choice.top_p < 1:
            is_reached = float(p[row].topk(few).values.sum()) >= choice.top_p
            width = few if is_reached else everything
        groups.setdefault(width, []).append(row)
    for width, rows in groups.items():
        if rows:
            top_p = _column([choices[row].top_p for row in rows], logits)
            tokens = _invert(p[rows], _column([draws[row] for row in rows], logits), top_p, width)
            for row, token in zip(rows, tokens, strict=True):
                picked[row] = token
    return picked


def _invert(p: Tensor, draws: Tensor, top_p: Tensor, width: int) -> list[int]:
    """Return the tokens at which the distribution reaches the draws, (n_rows, 1) in [0, 1).

    ``width``: how many of the likeliest tokens are looked at; 0 takes all, as they stand.
    """
    order = None
    if width:
        p, order = p.topk(width, dim=-1, sorted=True)
        # a token is kept while the mass before it is below top_p: at least the first one is
        p = p * (p.cumsum(dim=-1) - p < top_p)
    cumulative = p.cumsum(dim=-1)
    chosen = torch.searchsorted(cumulative, draws * cumulative[:, -1:], right=True)
    # rounding must not lead behind the last token that can be drawn
    last = p.shape[1] - 1 - (p > 0).flip(-1).int().argmax(dim=-1, keepdim=True)
    chosen = torch.minimum(chosen, last)
    picked: list[int] = (chosen if order is None else order.gather(1, chosen))[:, 0].tolist()
    return picked


def _column(values: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=torch.double, device=like.device)[:, None]
