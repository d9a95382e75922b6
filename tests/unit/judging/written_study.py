"""Snapshots written by hand: who judged what, row by row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from qingting.judging.snapshot import SnapshotData
from qingting.spec.judging import CampaignSpec

PASS = {"verdict": "pass", "reasons": []}
FAIL = {"verdict": "fail", "reasons": ["missed_risk"]}


def rubric(*names: str) -> dict[str, Any]:
    return {
        "criteria": [{"id": name, "name": {"zh": f"标准{name}", "en": name}} for name in names],
        "safety_gate": {
            "reason_codes": [
                {"id": "missed_risk", "name": {"zh": "漏掉风险", "en": "missed a risk"}}
            ]
        },
    }


def row(
    rater: str, item: str, arm: str | None, scores: Mapping[str, Any], **changes: Any
) -> dict[str, Any]:
    """Return a judgment of one answer, or with ``other_arm`` of a pair."""
    is_pair = changes.get("other_arm") is not None
    return {
        "rater": rater,
        "role": "main",
        "mode": "pair" if is_pair else "single",
        "item": item,
        "language": "zh",
        "kind": "counselling",
        "arm": arm,
        "other_arm": None,
        "scores": dict(scores),
        "safety": {"left": PASS, "right": PASS} if is_pair else {"answer": PASS},
        "duration_ms": 60_000,
        "guess": None,
        "is_swapped": False if is_pair else None,
        "n_characters": [10, 12] if is_pair else [10],
        "n_format_marks": [0, 1] if is_pair else [0],
    } | changes


def study(
    rows: Iterable[Mapping[str, Any]],
    *,
    mode: str = "single",
    arms: tuple[str, ...] = ("a", "b"),
    criteria: tuple[str, ...] = ("overall",),
    rule: Mapping[str, Any] | None = None,
    references: Iterable[Mapping[str, Any]] = (),
    experts: tuple[str, ...] = (),
    credentials: Mapping[str, str] | None = None,
    **spec: Any,
) -> SnapshotData:
    """Return a snapshot with these judgments."""
    judgments = [dict(one) for one in rows]
    raters = sorted({one["rater"] for one in judgments})
    plan = CampaignSpec.model_validate({"name": "s", "mode": mode, **spec})
    return SnapshotData(
        {
            "spec": plan.model_dump(mode="json"),
            "rubric": rubric(*criteria),
            "rule": rule,
            "registered_digest": "r" * 64,
            "arms": list(arms),
            "n_masked": dict.fromkeys(arms, 0),
            "state": "open",
        },
        judgments,
        [],
        [
            {
                "rater": rater,
                "credential": (credentials or {}).get(rater, "licensed"),
                "role": "expert" if rater in experts else "rater",
                "language": "zh",
                "exclusions": [],
            }
            for rater in raters
        ],
        [dict(one) for one in references],
    )


def singles(points: Mapping[str, int], *, raters: int = 2, items: int = 3) -> list[dict[str, Any]]:
    """Return every rater's score of every arm on every item; they differ a little by rater."""
    return [
        row(f"r{r}", f"i{i}", arm, {"overall": max(1, min(5, point + (r + i) % 2))})
        for r in range(raters)
        for i in range(items)
        for arm, point in points.items()
    ]


def pairs(side: str, *, raters: int = 2, items: int = 3) -> list[dict[str, Any]]:
    """Return every rater's preference of a against b on every item, the order alternating."""
    rows = []
    for r in range(raters):
        for i in range(items):
            first, second = ("a", "b") if (r + i) % 2 else ("b", "a")
            rows.append(row(f"r{r}", f"i{i}", first, {"overall": side}, other_arm=second))
    return rows
