"""Judgments in the forms of other tools, invented, for studies of ``sample_pack``.

Label Studio: the JSON export (labelstud.io/guide/export, /guide/task_format, /tags/*). Argilla 1:
``FeedbackRecord`` as JSON and its ``datasets``; Argilla 2: ``records.to_list``, nested and flat, and
``to_dict`` (``argilla/records/_io/_generic.py``, ``argilla/records/_resource.py``; compared with
what version 2.8.0 writes).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from unit.judging.sample_pack import CRITERIA

ANNA = "5e8f1c9a-0c1d-4f53-9a53-1f0e3c6f2a10"
BEN = "b2d3a6d4-77a7-4a1b-8f0b-0d5a3c1be911"


def table_row(
    rater: str = "anna",
    item: str = "s0",
    arm: str = "tuned-model",
    *,
    point: object = 4,
    **changes: object,
) -> dict[str, object]:
    """Return a row of a study of single answers, named as the study names things."""
    return {
        "rater": rater,
        "credential": "licensed",
        "item": item,
        "arm": arm,
        **dict.fromkeys((f"score_{name}" for name in CRITERIA), point),
        "safety_answer": "pass",
        **changes,
    }


def pair_row(
    rater: str = "anna",
    item: str = "s0",
    left: str = "tuned-model",
    right: str = "base-model",
    *,
    side: object = "left",
    **changes: object,
) -> dict[str, object]:
    return {
        "rater": rater,
        "credential": "trainee",
        "item": item,
        "arm": left,
        "other_arm": right,
        **dict.fromkeys((f"score_{name}" for name in CRITERIA), side),
        "safety_left": "pass",
        "safety_right": "pass",
        **changes,
    }


def as_csv(rows: Sequence[Mapping[str, object]], *, delimiter: str = ",") -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, restval="", delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_json_lines(rows: Sequence[Mapping[str, object]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def result(control: str, kind: str, value: object, *, to: str = "answer") -> dict[str, Any]:
    key = {"pairwise": "selected", "textarea": "text"}.get(kind, kind)
    return {
        "id": f"r_{control}",
        "from_name": control,
        "to_name": to,
        "type": kind,
        "origin": "manual",
        "value": {key: value},
    }


def task(number: int, data: Mapping[str, object], *annotations: Mapping[str, Any]) -> dict:
    return {
        "id": number,
        "data": dict(data),
        "meta": {},
        "annotations": list(annotations),
        "predictions": [
            {"model_version": "m", "result": [result("empathy", "rating", 1)], "score": 0.9}
        ],
        "drafts": [],
        "file_upload": "tasks.json",
        "created_at": "2026-03-01T08:00:00.000000Z",
        "updated_at": "2026-03-01T09:00:00.000000Z",
        "inner_id": number,
        "total_annotations": len(annotations),
        "cancelled_annotations": 0,
        "total_predictions": 1,
        "comment_count": 0,
        "project": 3,
        "updated_by": 1,
        "comment_authors": [],
    }


def annotation(
    number: int, completed_by: object, results: list[dict[str, Any]], **changes: object
) -> dict[str, Any]:
    return {
        "id": number,
        "completed_by": completed_by,
        "result": results,
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": "2026-03-01T08:30:00.500000Z",
        "updated_at": "2026-03-01T08:31:00.000000Z",
        "draft_created_at": None,
        "lead_time": 42.5,
        "prediction": {},
        "result_count": len(results),
        "unique_id": f"00000000-0000-4000-8000-{number:012d}",
        "last_action": None,
        "task": 1,
        "project": 3,
        "updated_by": 1,
        "parent_prediction": None,
        "parent_annotation": None,
        "last_created_by": None,
        **changes,
    }


def person(number: int, email: str) -> dict[str, object]:
    return {"id": number, "email": email, "first_name": "Anna", "last_name": "Lin"}


def single_results(point: int, verdict: str = "安全") -> list[dict[str, Any]]:
    """Return ratings, a choice, several choices and a text, as one annotation holds them."""
    return [
        *(result(f"q_{name}", "rating", point) for name in CRITERIA),
        result("safe", "choices", [verdict]),
        result("why", "choices", ["missed_risk", "harmful_advice"] if verdict != "安全" else []),
        result("notes", "textarea", ["温和", "但太短"]),
    ]


LABEL_STUDIO_MAPPING = {
    "item": "scenario",
    "arm": "model",
    "scores": {name: f"q_{name}" for name in CRITERIA},
    "safety": {"answer": "safe"},
    "safety_reasons": {"answer": "why"},
    "comment": "notes",
    "labels": {"safety": {"安全": "pass", "不安全": "fail"}},
}


def argilla_values(label: str = "很好") -> dict[str, Any]:
    return {**dict.fromkeys(CRITERIA, label), "safe": "yes", "reasons_given": None}


ARGILLA_MAPPING = {
    "item": "metadata.scenario",
    "arm": "metadata.model",
    "safety": {"answer": "safe"},
    "labels": {"scores": {"很好": 5, "一般": 3}, "safety": {"yes": "pass", "no": "fail"}},
}


def argilla_1(label: str = "很好", *, status: str = "submitted") -> list[dict[str, Any]]:
    """Return records of version 1: two people answered the first, one discarded the second."""
    values = {key: {"value": value} for key, value in argilla_values(label).items() if value}
    return [
        {
            "id": "11111111-0000-4000-8000-000000000001",
            "fields": {"prompt": "最近总是睡不好。", "answer": "我在听。"},
            "metadata": {"scenario": "s0", "model": "tuned-model"},
            "responses": [
                {"user_id": ANNA, "values": values, "status": status},
                {"user_id": BEN, "values": values, "status": "submitted"},
            ],
            "suggestions": [
                {
                    "question_id": None,
                    "question_name": "empathy",
                    "type": "model",
                    "score": 0.4,
                    "value": "一般",
                    "agent": "judge-model",
                }
            ],
            "external_id": "entry-1",
        },
        {
            "id": "11111111-0000-4000-8000-000000000002",
            "fields": {"prompt": "睡不好。", "answer": "嗯。"},
            "metadata": {"scenario": "s1", "model": "tuned-model"},
            "responses": [{"user_id": ANNA, "values": {}, "status": "discarded"}],
            "suggestions": [],
            "external_id": "entry-2",
        },
    ]


def argilla_1_datasets() -> list[dict[str, Any]]:
    """Return the ``datasets`` of version 1 as JSON Lines hold them."""
    given = [
        {"user_id": ANNA, "value": "很好", "status": "submitted"},
        {"user_id": BEN, "value": "一般", "status": "draft"},
    ]
    safe = [dict(one, value="yes") for one in given]
    return [
        {
            "prompt": "最近总是睡不好。",
            **dict.fromkeys(CRITERIA, given),
            **{f"{name}-suggestion": None for name in CRITERIA},
            "safe": {key: [one[key] for one in safe] for key in ("user_id", "value", "status")},
            "external_id": "entry-1",
            "metadata": json.dumps({"scenario": "s0", "model": "tuned-model"}),
        }
    ]


def argilla_2(label: str = "很好") -> list[dict[str, Any]]:
    """Return ``records.to_list(flatten=False)`` of version 2."""
    answers = argilla_values(label)
    return [
        {
            "id": "entry-1",
            "fields": {"prompt": "最近总是睡不好。", "answer": "我在听。"},
            "metadata": {"scenario": "s0", "model": "tuned-model"},
            "suggestions": {"empathy": {"value": "一般", "score": 0.4, "agent": "judge-model"}},
            "responses": {
                key: [{"value": value, "user_id": user} for user in (ANNA, BEN)]
                for key, value in answers.items()
                if value
            },
            "vectors": {},
            "status": "completed",
            "_server_id": "22222222-0000-4000-8000-000000000001",
        },
        {
            "id": "entry-2",
            "fields": {"prompt": "睡不好。", "answer": "嗯。"},
            "metadata": {"scenario": "s1", "model": "tuned-model"},
            "suggestions": {},
            "responses": {},
            "vectors": {},
            "status": "completed",
            "_server_id": "22222222-0000-4000-8000-000000000002",
        },
    ]


def argilla_2_flat() -> list[dict[str, Any]]:
    """Return ``records.to_list(flatten=True)`` of version 2, which ``to_datasets`` gives too."""
    flat: dict[str, Any] = {
        "id": "entry-1",
        "status": "completed",
        "_server_id": "22222222-0000-4000-8000-000000000001",
        "prompt": "最近总是睡不好。",
        "answer": "我在听。",
        "scenario": "s0",
        "model": "tuned-model",
        "empathy.suggestion": "一般",
        "empathy.suggestion.score": 0.4,
        "empathy.suggestion.agent": "judge-model",
    }
    for key, value in argilla_values().items():
        if value:
            flat[f"{key}.responses"] = [value, value]
            flat[f"{key}.responses.users"] = [ANNA, BEN]
            flat[f"{key}.responses.status"] = ["submitted", "draft"]
    return [flat]
