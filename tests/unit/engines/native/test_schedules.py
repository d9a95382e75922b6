from __future__ import annotations

import pytest

from qingting.engines.native.schedules import learning_rate_factor


def test_cosine_with_warm_up_by_hand() -> None:
    """10 steps, 2 of warm-up: 1/2, 1, then ½(1 + cos(π k/8)) for k = 0 … 7."""
    factors = [
        learning_rate_factor(step, 10, warmup_ratio=0.2, schedule="cosine") for step in range(10)
    ]
    assert factors[:3] == [0.5, 1.0, 1.0]
    assert factors[6] == pytest.approx(0.5)  # k = 4: cos(π/2) = 0
    assert factors[9] == pytest.approx(0.0380602, abs=1e-6)  # k = 7
    assert all(factor > 0 for factor in factors)


def test_linear_and_constant() -> None:
    linear = [
        learning_rate_factor(step, 4, warmup_ratio=0.0, schedule="linear") for step in range(4)
    ]
    assert linear == [1.0, 0.75, 0.5, 0.25]
    assert learning_rate_factor(3, 4, warmup_ratio=0.0, schedule="constant") == 1.0
