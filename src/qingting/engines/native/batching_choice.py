"""Which token comes next: greedy, or a draw that depends on its request alone.

A draw is a race: every token gets an exponential time of rate p, and the first one wins, which it
does with probability p. The times follow from the request's seed, the position and the token's
number, so nothing has a state. Rounding differs with the size of a batch, in the last digits; here
that matters only where two tokens arrive at the same moment. In a walk along the sorted distribution,
as one usually draws, it changed long answers at temperature 2, because tokens that are nearly equally
likely change places.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

_CANDIDATES = 256
"""Tokens that are looked at for a ``top_p`` below 1; hardly ever does that mass lie in more."""

_MASK = (1 << 64) - 1
_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
"""Constants of SplitMix64: Steele, Lea and Flood (2014), figure 17 (Stafford's variant 13)."""


class Choice(NamedTuple):
    """How one request chooses its token at one position; greedy at temperature 0."""

    temperature: float
    top_p: float
    seed: int
    position: int
    repetition_penalty: float = 1.0
    seen: Sequence[int] = ()
    """Tokens of the prompt and the answer so far; needed where there is a penalty."""


def choose_tokens(logits: Tensor, choices: Sequence[Choice]) -> list[int]:
    """Return the next token of every row; ``logits``: (n_rows, vocabulary)."""
    logits = _penalised(logits, choices)
    tokens: list[int] = logits.argmax(dim=-1).tolist()
    drawn = [row for row, choice in enumerate(choices) if choice.temperature > 0]
    if drawn:
        picked = _draw(logits[drawn], [choices[row] for row in drawn])
        for row, token in zip(drawn, picked, strict=True):
            tokens[row] = token
    return tokens


def _penalised(logits: Tensor, choices: Sequence[Choice]) -> Tensor:
    """Return the logits with tokens that were seen made less likely.

    Source: Keskar et al. (2019), CTRL, §4.1, with the sign rule that transformers uses.
    """
    rows = [row for row, choice in enumerate(choices) if choice.repetition_penalty != 1.0]
    if not rows:
        return logits
    logits = logits.clone()
    for row in rows:
        penalty = choices[row].repetition_penalty
        seen = torch.tensor(choices[row].seen, dtype=torch.long, device=logits.device)
        values = logits[row, seen]
        logits[row, seen] = torch.where(values > 0, values / penalty, values * penalty)
    return logits


def _draw(logits: Tensor, choices: Sequence[Choice]) -> list[int]:
    """Draw from the likeliest tokens whose probability reaches each row's ``top_p``."""
    temperatures = _column([choice.temperature for choice in choices], logits)
    p = torch.softmax(logits.double() / temperatures, dim=-1)
    picked = [0] * len(choices)

    def race(rows: Sequence[int], p: Tensor, tokens: Tensor) -> None:
        winners = _race(p, tokens, [choices[row] for row in rows])
        for row, token in zip(rows, winners, strict=True):
            picked[row] = token

    whole = [row for row, choice in enumerate(choices) if choice.top_p >= 1]
    if whole:
        race(whole, p[whole], torch.arange(p.shape[1], device=p.device))
    cut = [row for row, choice in enumerate(choices) if choice.top_p < 1]
    n_sorted = min(_CANDIDATES, p.shape[1])
    while cut:
        top_p = _column([choices[row].top_p for row in cut], p)
        likeliest, tokens = p[cut].topk(n_sorted, dim=-1)
        before = likeliest.cumsum(dim=-1) - likeliest
        # a token is kept while the mass before it is below top_p: at least the first one is
        likeliest = likeliest * (before < top_p)
        is_enough = (likeliest[:, -1] == 0).tolist()
        done = [i for i, enough in enumerate(is_enough) if enough or n_sorted == p.shape[1]]
        if done:
            race([cut[i] for i in done], likeliest[done], tokens[done])
        cut = [row for i, row in enumerate(cut) if i not in done]
        n_sorted = p.shape[1]
    return picked


def _race(p: Tensor, tokens: Tensor, choices: Sequence[Choice]) -> list[int]:
    """Return the winner of each row; ``tokens`` are the numbers of the columns of ``p``."""
    keys = torch.tensor(
        [[_signed(_mixed(_mixed(choice.seed) + choice.position))] for choice in choices],
        device=p.device,
    )
    times = torch.log(_uniform(keys + tokens * _signed(_GOLDEN))) / p
    winner = times.argmax(dim=-1, keepdim=True)  # of negative times: the first to arrive
    winners: list[int] = tokens.expand_as(p).gather(1, winner)[:, 0].tolist()
    return winners


def _uniform(x: Tensor) -> Tensor:
    """Return numbers in (0, 1) that follow from 64-bit integers; SplitMix64's last steps."""
    x = (x ^ _shifted(x, 30)) * _signed(_FIRST)
    x = (x ^ _shifted(x, 27)) * _signed(_SECOND)
    x = x ^ _shifted(x, 31)
    return (_shifted(x, 11).double() + 0.5) * 2.0**-53


def _shifted(x: Tensor, n: int) -> Tensor:
    """Return x shifted right as if it had no sign."""
    return (x >> n) & ((1 << (64 - n)) - 1)


def _mixed(x: int) -> int:
    """Return SplitMix64's output for a state."""
    x = (x + _GOLDEN) & _MASK
    x = ((x ^ (x >> 30)) * _FIRST) & _MASK
    x = ((x ^ (x >> 27)) * _SECOND) & _MASK
    return x ^ (x >> 31)


def _signed(x: int) -> int:
    return x - (1 << 64) if x >> 63 else x


def _column(values: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=torch.double, device=like.device)[:, None]
