"""Argilla's exports: records with the responses of people; suggestions of models are no judgments.

Forms: version 1, ``FeedbackRecord`` as JSON (``responses`` is a list by user) and its ``datasets``
(a column of responses per question); version 2, ``records.to_list``, ``to_dict``, ``to_json``
(``responses`` by question) and the same flattened, as ``to_datasets`` gives it
(``QUESTION.responses``, ``….users``, ``….status``). Read from ``argilla/records/_io`` and
``argilla/records/_resource.py`` of version 2, ``client/feedback/schemas/records.py`` of version 1.

The nested form of version 2 does not tell a response's status; drafts in it look like judgments.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from qingting.judging.importing.rows import Row, named, shown

_USED = "submitted"


class _Given(NamedTuple):
    """One answer of one person to one question; ``status`` is None where it is not told."""

    user: object
    question: str
    value: Any
    status: str | None


class _MalformedError(ValueError):
    """A record that does not have the form of its siblings."""


def is_record(value: object) -> bool:
    """Return whether a value is a record of one of the exports."""
    if not isinstance(value, Mapping):
        return False
    if isinstance(value.get("responses"), list | Mapping) and "fields" in value:
        return True
    return any(
        str(key).endswith(".responses.users") or _as_responses(given) is not None
        for key, given in value.items()
    )


def records_by_name(document: Mapping[str, Any]) -> list[Any] | None:
    """Return the records of ``to_dict``, by column (``names``) or by id (``index``), or None."""
    if document and all(is_record(one) for one in document.values()):
        return [{"id": key, **one} for key, one in document.items()]
    columns = list(document.values())
    is_export = ("fields" in document and "responses" in document) or any(
        str(key).endswith(".responses.users") for key in document
    )
    if not is_export or not all(isinstance(one, list) for one in columns):
        return None
    if len({len(one) for one in columns}) != 1:
        return None
    return [dict(zip(document, row, strict=True)) for row in zip(*columns, strict=True)]


def rows_of(records: list[Any], *, name: str, set_aside: Counter[str]) -> Iterator[Row]:
    """Yield a row for each person's submitted responses to each record."""
    for number, record in enumerate(records, start=1):
        if not isinstance(record, Mapping):
            yield Row(f"{name} record {number}", {}, record, fault="no_record")
            continue
        told = next((record[k] for k in ("external_id", "id") if record.get(k)), f"number {number}")
        where = f"{name} record {shown(told)}"
        try:
            given = _given(record)
        except _MalformedError:
            yield Row(where, {}, record, fault="no_record")
            continue
        if not given:
            set_aside["records without a response"] += 1
        by_user: dict[str, list[_Given]] = {}
        for one in given:
            by_user.setdefault(json.dumps(one.user, default=str), []).append(one)
        for answers in by_user.values():
            status = next((one.status for one in answers if one.status not in (None, _USED)), None)
            if status is not None:
                set_aside[f"{status} responses"] += 1
                continue
            yield _row(where, record, answers)


def _row(where: str, record: Mapping[str, Any], answers: list[_Given]) -> Row:
    cells: dict[str, Any] = {
        str(key): value
        for key, value in record.items()
        if key not in ("fields", "metadata", "responses", "suggestions", "vectors")
        and "." not in str(key)
        and _as_responses(value) is None
    }
    named(cells, "metadata", _metadata(record.get("metadata")))
    named(cells, "fields", record.get("fields"))
    user = answers[0].user
    questions = [one.question for one in answers]
    cells |= {one.question: one.value for one in answers}
    raw = {"record": where, "user_id": user, "values": {one.question: one.value for one in answers}}
    fault = "twice_in_one" if len(set(questions)) < len(questions) else None
    return Row(f"{where}, user {shown(user)}", cells, raw, {"rater": user}, fault)


def _metadata(value: object) -> object:
    """Return metadata; the ``datasets`` of version 1 hold them as JSON text."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            return None
    return value


def _given(record: Mapping[str, Any]) -> list[_Given]:
    responses = record.get("responses")
    if isinstance(responses, list):
        return [one for entry in responses for one in _of_user(entry)]
    if isinstance(responses, Mapping):
        return [
            _Given(one["user_id"], str(question), one["value"], one.get("status"))
            for question, entries in responses.items()
            for one in _entries(entries)
        ]
    flat = [str(key) for key in record if str(key).endswith(".responses")]
    if flat:
        return [one for key in flat for one in _of_columns(record, key)]
    return [
        _Given(one["user_id"], str(key), one["value"], one.get("status"))
        for key, value in record.items()
        for one in _as_responses(value) or ()
    ]


def _of_user(entry: object) -> Iterator[_Given]:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("values"), Mapping):
        if isinstance(entry, Mapping) and entry.get("status") not in (None, _USED):
            yield _Given(entry.get("user_id"), "", None, str(entry["status"]))  # no values at all
            return
        raise _MalformedError
    for question, answer in entry["values"].items():
        if not isinstance(answer, Mapping) or "value" not in answer:
            raise _MalformedError
        yield _Given(entry.get("user_id"), str(question), answer["value"], entry.get("status"))
    if not entry["values"]:
        yield _Given(entry.get("user_id"), "", None, entry.get("status"))


def _of_columns(record: Mapping[str, Any], key: str) -> Iterator[_Given]:
    values, users = record[key], record.get(f"{key}.users")
    statuses = record.get(f"{key}.status")
    if values is None:  # a question that nobody answered here
        return
    statuses = [None] * len(values) if statuses is None else statuses
    if not all(isinstance(one, list) for one in (values, users, statuses)) or not (
        len(values) == len(users) == len(statuses)  # type: ignore[arg-type]  # lists, just above
    ):
        raise _MalformedError
    question = key.removesuffix(".responses")
    for value, user, status in zip(values, users, statuses, strict=True):  # type: ignore[arg-type]
        yield _Given(user, question, value, status)


def _entries(value: object) -> list[Mapping[str, Any]]:
    if value is None:
        return []
    found = _as_responses(value)
    if found is None:
        raise _MalformedError
    return found


def _as_responses(value: object) -> list[Mapping[str, Any]] | None:
    """Return a column of responses of version 1: a list of them, or lists by key as Arrow has it."""
    if isinstance(value, Mapping) and {"user_id", "value"} <= set(value):
        columns = list(value.values())
        if not all(isinstance(one, list) for one in columns):
            return None
        if len({len(one) for one in columns}) != 1:
            return None
        return [dict(zip(value, row, strict=True)) for row in zip(*columns, strict=True)]
    if isinstance(value, list) and value and all(_is_response(one) for one in value):
        return value
    return None


def _is_response(value: object) -> bool:
    return isinstance(value, Mapping) and {"user_id", "value"} <= set(value)
