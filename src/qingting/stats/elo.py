"""Elo ratings, for reference: they depend on the order of the votes and carry no interval."""

from __future__ import annotations

import math

from qingting.stats.votes import LEFT, TIE, Votes

ELO_PER_LOG_ODDS = 400 / math.log(10)


def elo_ratings(votes: Votes, *, k: float = 4.0, initial: float = 1000.0) -> dict[str, float]:
    """Return ratings after going through the votes once, in their order.

    A tie counts as half a win. Source: Elo (1978) with base 10 and scale 400. For ranking prefer
    ``rank_votes``: another order of the same votes gives other Elo ratings.
    """
    ratings = [initial] * len(votes.arms)
    for left, right, winner in zip(
        votes.left.tolist(), votes.right.tolist(), votes.winners.tolist(), strict=True
    ):
        expected = 1 / (1 + 10 ** ((ratings[right] - ratings[left]) / 400))
        won = 0.5 if winner == TIE else float(winner == LEFT)
        change = k * (won - expected)
        ratings[left] += change
        ratings[right] -= change
    return dict(zip(votes.arms, ratings, strict=True))
