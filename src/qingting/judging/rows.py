"""Rows of a snapshot as the analysis reads them: what was judged, by whom, which way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
"""One judgment of a snapshot; its data dictionary names the fields."""

POINTS = {"left": 1.0, "tie": 0.5, "right": 0.0}
"""What the left answer wins by a preference."""


def prompt_of(row: Row) -> str:
    """Return the scenario in its language, the unit that answers share."""
    return f"{row['item']}|{row['language']}"


def unit_of(row: Row) -> str:
    """Return what was judged as one; the two orders of a pair are the same unit."""
    arms = sorted(arm for arm in (row["arm"], row["other_arm"]) if arm is not None)
    return "|".join((row["item"], row["language"], *arms))


def value_of(row: Row, criterion: str) -> float:
    """Return a score, or for a pair -1, 0, 1: the arm whose name comes first, tie, the other."""
    score = row["scores"][criterion]
    if score not in POINTS:
        return float(score)
    if score == "tie":
        return 0.0
    is_first = (score == "left") == (row["arm"] < row["other_arm"])
    return -1.0 if is_first else 1.0


def main_criterion(names: Sequence[str]) -> str:
    """Return the criterion that headlines, parts and the order effect are about.

    It is ``overall`` where the rubric has one, otherwise the first of the rubric.
    """
    return "overall" if "overall" in names else names[0]
