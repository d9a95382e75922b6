"""Arms ranked by the pairs of a study, and again with pairs as if they had been chosen uniformly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qingting.stats.vote_ranking import rank_votes
from qingting.stats.vote_results import VoteRanking
from qingting.stats.votes import LEFT, RIGHT, TIE, votes_of

Row = Mapping[str, Any]

WINNER = {"left": LEFT, "right": RIGHT, "tie": TIE}


def prompt_of(row: Row) -> str:
    """Return the scenario of a judgment, in its language."""
    return f"{row['item']}|{row['language']}"


def ranking_of(
    main: Sequence[Row], criterion: str, *, seed: int, active_floor: float | None = None
) -> VoteRanking:
    """Return the arms ranked by judgments of pairs, by scenario and rater.

    Args:
        main: judgments of the main part that speak of the criterion.
        active_floor: where given, votes are weighted as ``propensity_weights`` says.

    Raises:
        UndefinedStatisticError: no two arms can be told apart.
    """
    return rank_votes(
        votes_of(
            [row["arm"] for row in main],
            [row["other_arm"] for row in main],
            [WINNER[row["scores"][criterion]] for row in main],
            prompts=[prompt_of(row) for row in main],
            raters=[row["rater"] for row in main],
            weights=None if active_floor is None else propensity_weights(main, floor=active_floor),
        ),
        rng=np.random.default_rng(seed),
    )


def propensity_weights(main: Sequence[Row], *, floor: float) -> NDArray[np.float64]:
    """Return one over the propensity of each vote's pair, relative to uniform choice.

    The ranking itself needs no weights: which pair was shown depended on earlier votes alone, and a
    vote, given its pair, does not depend on how that was chosen, so the choice is ignorable (Rubin,
    1976) and the estimate of a true model consistent (Lai and Wei, 1982; Chen, Hu and Ying, 1999).
    Where the model is not
    true, for example where preferences are cyclic, the pairs shown often would decide what is
    estimated; weighted, it is what uniform choice would estimate (Horvitz and Thompson, 1952). The
    floor of the choice keeps weights below ``1 / floor`` where every pair can be shown; where few
    pairs were left for a rater they are below it all the more, and what lies above is cut.
    """
    n_arms = len({arm for row in main for arm in (row["arm"], row["other_arm"])})
    n_pairs = n_arms * (n_arms - 1) / 2
    p_chosen = np.array([row["p_chosen"] for row in main], dtype=np.float64)
    return np.minimum(1 / (n_pairs * p_chosen), 1 / floor)
