"""Which token comes next: greedy, or a draw of each request's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


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
    """Draw from the smallest set of tokens whose probability reaches each row's ``top_p``."""

    def column(values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.double, device=logits.device)[:, None]

    scaled = logits.double() / column([choice.temperature for choice in choices])
    p, order = torch.softmax(scaled, dim=-1).sort(dim=-1, descending=True, stable=True)
    # a token is kept while the mass before it is below top_p: at least the first one is
    kept = p * (p.cumsum(dim=-1) - p < column([choice.top_p for choice in choices]))
    cumulative = kept.cumsum(dim=-1)
    target = column([choice.rng.random() for choice in choices]) * cumulative[:, -1:]
    chosen = torch.searchsorted(cumulative, target, right=True)
    last = (kept > 0).sum(dim=-1, keepdim=True) - 1
    picked: list[int] = order.gather(1, torch.minimum(chosen, last))[:, 0].tolist()
    return picked
