"""Learning-rate schedules as plain functions of the step."""

from __future__ import annotations

import math
from typing import Literal


def learning_rate_factor(
    step: int,
    n_steps: int,
    *,
    warmup_ratio: float,
    schedule: Literal["cosine", "linear", "constant"],
) -> float:
    """Return the factor on the peak learning rate for the ``step``-th update, counted from 0.

    The factor rises linearly over the first ⌈warmup_ratio · n_steps⌉ updates, starting above 0 so
    that no update is lost, and then stays, or falls to 0 along a line or half a cosine.
    """
    n_warmup = math.ceil(warmup_ratio * n_steps)
    if step < n_warmup:
        return (step + 1) / n_warmup
    if schedule == "constant":
        return 1.0
    done = (step - n_warmup) / max(1, n_steps - n_warmup)
    if schedule == "linear":
        return 1.0 - done
    return 0.5 * (1.0 + math.cos(math.pi * done))
