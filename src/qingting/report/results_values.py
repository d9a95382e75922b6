"""Values of ``results.json``: numbers that may be missing, and intervals."""

from __future__ import annotations

from qingting.spec.base import Frozen


class MissingValue(Frozen):
    """Why there is no value."""

    missing: str


Number = float | MissingValue
"""A finite number, or why there is none."""


class Interval(Frozen):
    """A confidence interval; ``method`` says how it was computed."""

    low: float
    high: float
    confidence_level: float
    method: str
