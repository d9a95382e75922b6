"""How likely each pair of an active study was to be shown, as weights of its votes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qingting.judging.rows import Row
from qingting.stats.clusters import FloatArray


def propensity_weights(main: Sequence[Row], *, floor: float) -> FloatArray:
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
