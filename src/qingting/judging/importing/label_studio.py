"""Label Studio's JSON export: tasks with annotations, each a list of results by control.

The form: https://labelstud.io/guide/export (JSON) and /guide/task_format; the values of controls:
https://labelstud.io/tags. A pairwise control tells ``left`` or ``right`` of its ``toName``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from qingting.judging.importing.rows import Row, named, shown


def is_task(value: object) -> bool:
    """Return whether a record is a task of the JSON export."""
    return isinstance(value, Mapping) and isinstance(value.get("annotations"), list)


def rows_of(tasks: list[Any], *, name: str, set_aside: Counter[str]) -> Iterator[Row]:
    """Yield a row for each annotation that was submitted."""
    for number, task in enumerate(tasks, start=1):
        if not is_task(task):
            yield Row(f"{name} record {number}", {}, task, fault="no_task")
            continue
        of_task = f"{name} task {shown(task.get('id', f'number {number}'))}"
        if not task["annotations"]:
            set_aside["tasks without an annotation"] += 1
        for place, annotation in enumerate(task["annotations"], start=1):
            if not isinstance(annotation, Mapping) or not isinstance(
                annotation.get("result"), list
            ):
                yield Row(f"{of_task}, annotation {place}", {}, annotation, fault="no_task")
            elif annotation.get("was_cancelled"):
                set_aside["cancelled annotations"] += 1
            else:
                where = f"{of_task}, annotation {shown(annotation.get('id', place))}"
                yield _row(where, task, annotation)


def _row(where: str, task: Mapping[str, Any], annotation: Mapping[str, Any]) -> Row:
    cells: dict[str, Any] = {}
    named(cells, "meta", task.get("meta"))
    named(cells, "data", task.get("data"))
    told = {
        "rater": _person(annotation.get("completed_by")),
        "submitted": annotation.get("created_at"),
        "duration_s": annotation.get("lead_time"),
    }
    answered: set[str] = set()
    fault = None
    for result in annotation["result"]:
        if not isinstance(result, Mapping) or not isinstance(result.get("value"), Mapping):
            fault = "no_result"
            break
        control = result.get("from_name")
        if not isinstance(control, str):
            continue  # a region or a relation, which judges nothing
        if control in answered:
            fault = "twice_in_one"
            break
        answered.add(control)
        cells[control] = _value(str(result.get("type")), result["value"])
    return Row(where, cells, annotation, told, fault)


def _person(completed_by: object) -> object:
    """Return whom an annotation is by: the e-mail address where the export tells it, else the id."""
    if isinstance(completed_by, Mapping):
        return completed_by.get("email") or completed_by.get("id")
    return completed_by


def _value(kind: str, value: Mapping[str, Any]) -> Any:
    given = value.get({"pairwise": "selected", "textarea": "text"}.get(kind, kind), value)
    if kind == "textarea" and isinstance(given, list):
        return "\n".join(str(part) for part in given)
    if kind == "choices" and isinstance(given, list) and len(given) == 1:
        return given[0]
    return given
