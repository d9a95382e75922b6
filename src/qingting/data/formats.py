"""Which form a JSON value has, and the dialogue in it.

A record is recognised by its keys and the shape of what they hold, one record at a time, so a
file may mix forms.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple

from qingting.data.json_stream import BrokenJsonError, parse_json
from qingting.data.records import RawTurn, UnlabelledLine
from qingting.data.text import TAGGED_START, MalformedRecordError, Transcript, count_labels
from qingting.data.turns import (
    CLIENT_KEYS,
    COUNSELLOR_KEYS,
    SPEAKER_KEYS,
    find_key,
    is_exchange,
    looks_like_turn,
    read_exchanges,
    read_history,
    read_pair,
    read_strings,
    read_text,
    read_turn,
    read_turns,
    type_name,
    words_of,
)


class Format(StrEnum):
    """The forms that dialogues are kept in."""

    SHAREGPT = "sharegpt"
    """A list of ``{"from", "value"}``, under ``conversations`` or alone."""
    MESSAGES = "messages"
    """A list of ``{"role", "content"}`` under a key of the record."""
    ALPACA = "alpaca"
    """``instruction``, ``input``, ``output``, ``history``, ``system``."""
    CONVERSATION = "conversation"
    """A list of ``{"system", "input", "output"}`` under ``conversation``."""
    ROLE_CONTENT = "role_content"
    """A bare list, or rows, of ``{"role", "content"}``, with or without a dialogue's number."""
    QUESTION_ANSWER = "question_answer"
    """One exchange: ``question``/``answer``, ``prompt``/``response``, ``input``/``output`` …"""
    STRING_LIST = "string_list"
    """A list of strings, each led by its speaker."""
    LABELLED_TEXT = "labelled_text"
    """Plain text, lines led by their speaker."""
    TAGGED_TEXT = "tagged_text"
    """``<s>Human: …</s><s>Assistant: …</s>`` in one string."""
    PREFERENCE = "preference"
    """Pairs of a chosen and a rejected answer; recognised and refused."""


class Reading(NamedTuple):
    """What one record says, before anybody judges it."""

    format: str | None
    turns: tuple[RawTurn, ...] = ()
    system: str | None = None
    unlabelled: tuple[UnlabelledLine, ...] = ()
    problem: str | None = None
    own_id: str | int | None = None
    language: str | None = None
    kind: str | None = None
    other_keys: frozenset[str] = frozenset()
    lines: tuple[int, ...] = ()


class TurnRow(NamedTuple):
    """A record that is one turn, or one system text, of a dialogue over several records."""

    dialogue_id: str | None
    turn: RawTurn | str


HOLDER_KEYS: Final = (
    *("conversations", "messages", "conversation", "dialogue", "dialog", "dialogues"),
    *("turns", "utterances", "对话"),
)
TEXT_KEYS: Final = ("text", "transcript", "content", "文本", "内容")
_SYSTEM_KEYS = ("system", "system_prompt")
DIALOGUE_ID_KEYS: Final = (
    *("dialogue_id", "dialog_id", "conversation_id", "conv_id", "session_id", "dialogue"),
    *("对话编号", "会话编号", "对话id", "会话id"),
)
_PREFERENCE_KEYS = frozenset({"chosen", "rejected", "chosen_response", "rejected_response"})
_EMPTY_FORMATS: Final[Mapping[str, Format]] = {
    "conversations": Format.SHAREGPT,
    "messages": Format.MESSAGES,
    "conversation": Format.CONVERSATION,
}
_NO_KEYS: frozenset[str] = frozenset()


def read_value(value: Any) -> list[Reading] | TurnRow:
    """Return the dialogues in one JSON value, mostly one; or the turn that the value is.

    Nothing raises: what cannot be read is a reading with a problem.
    """
    if isinstance(value, dict):
        return _read_object(value)
    if isinstance(value, list):
        return _read_list(value)
    if isinstance(value, str) and value.strip():
        return [_reading(text_format(value), lambda: read_text(value))]
    problem = f"{type_name(value)} where a dialogue belongs"
    return [Reading(None, problem="an empty string" if value == "" else problem)]


def read_dialogue_list(items: list[Any]) -> Reading:
    """Return the one dialogue that a list of turns, exchanges or strings is."""
    return _with_items(items, None, key=None)


def is_dialogue_list(first: Any) -> bool | None:
    """Return whether a top-level array that begins so is one dialogue, ``None`` if unclear.

    An array of turns or of lines is one dialogue; an array of records or transcripts is many.
    """
    if isinstance(first, dict):
        if find_key(first, HOLDER_KEYS) or find_key(first, DIALOGUE_ID_KEYS):
            return False
        return looks_like_turn(first) and not _holds_transcript(first)
    if isinstance(first, str):
        if not first.strip():
            return None
        return not (TAGGED_START.match(first) or count_labels(first, enough=2) == 2)
    return False if isinstance(first, list) else None


def text_format(text: str) -> Format:
    """Return which of the two forms of text a string has."""
    return Format.TAGGED_TEXT if TAGGED_START.match(text) else Format.LABELLED_TEXT


def _reading(name: str | None, read: Any, **fields: Any) -> Reading:
    try:
        transcript: Transcript = read()
    except MalformedRecordError as error:
        return Reading(name, problem=str(error), **fields)
    return Reading(
        name,
        turns=transcript.turns,
        system=transcript.system,
        unlabelled=transcript.unlabelled,
        lines=transcript.lines,
        **fields,
    )


def _read_list(items: list[Any]) -> list[Reading]:
    first = items[0] if items else None
    if isinstance(first, dict) and find_key(first, HOLDER_KEYS):
        readings: list[Reading] = []
        for item in items:
            found = read_value(item)
            if isinstance(found, TurnRow):
                found = [Reading(None, problem="one turn where a dialogue belongs")]
            readings += found
        return readings
    return [read_dialogue_list(items)]


def _with_items(items: list[Any], system: str | None, *, key: str | None) -> Reading:
    """Return the dialogue in a list, recognised by its first item."""
    first = next((item for item in items if item is not None), None)
    if isinstance(first, dict):
        if is_exchange(first):
            return _reading(Format.CONVERSATION, lambda: read_exchanges(items, system=system))
        if "from" in first:
            name = Format.SHAREGPT
        else:
            name = Format.MESSAGES if key else Format.ROLE_CONTENT
        return _reading(name, lambda: read_turns(items, system=system))
    if isinstance(first, str):
        return _reading(Format.STRING_LIST, lambda: read_strings(items, system=system))
    if not items:
        return Reading(_EMPTY_FORMATS.get(key or ""), system=system)
    return Reading(None, problem=f"{type_name(first)} where a turn belongs")


def _read_object(record: dict[str, Any]) -> list[Reading] | TurnRow:
    if not _PREFERENCE_KEYS.isdisjoint(record):
        return [
            Reading(
                Format.PREFERENCE,
                problem="a preference pair (chosen/rejected): it trains a choice between two "
                "answers and is no dialogue; keep one side, or leave the file out",
            )
        ]
    holder = next((key for key in HOLDER_KEYS if record.get(key)), None)
    has_list = holder is not None and isinstance(record[holder], list | dict)
    if not has_list and looks_like_turn(record) and not _holds_transcript(record):
        return _turn_row(record)
    try:
        system = _system_of(record)
        reading = _read_fields(record, holder, system)
    except MalformedRecordError as error:
        return [Reading(None, problem=str(error))]
    return [_annotated(reading, record, holder)]


def _system_of(record: Mapping[str, Any]) -> str | None:
    key = find_key(record, _SYSTEM_KEYS)
    if key is None:
        return None
    text = words_of(record[key], repr(key))
    return None if not text or text.isspace() else text


def _read_fields(record: dict[str, Any], holder: str | None, system: str | None) -> Reading:
    if holder is not None:
        held = record[holder]
        if isinstance(held, str):
            held = parsed_cell(held, holder)
        if isinstance(held, list):
            return _with_items(held, system, key=holder)
        if isinstance(held, str):
            text = held
            return _reading(text_format(text), lambda: read_text(text, system=system))
        raise MalformedRecordError(f"{holder!r} is {type_name(held)}, not a list of turns")
    if find_key(record, CLIENT_KEYS) or find_key(record, COUNSELLOR_KEYS):
        return _read_exchange(record, system)
    text_key = find_key(record, TEXT_KEYS)
    if text_key is not None and record[text_key] is not None:
        words = words_of(record[text_key], repr(text_key))
        return _reading(text_format(words), lambda: read_text(words, system=system))
    return _read_nothing(record, system)


def _read_exchange(record: dict[str, Any], system: str | None) -> Reading:
    def read() -> Transcript:
        history = record.get("history")
        turns = read_history(
            parsed_cell(history, "history") if isinstance(history, str) else history
        )
        read_pair(record, turns=turns)
        return Transcript(system, tuple(turns))

    return _reading(Format.ALPACA if "instruction" in record else Format.QUESTION_ANSWER, read)


def _read_nothing(record: dict[str, Any], system: str | None) -> Reading:
    """Return the reading of an object whose keys hold no turns.

    It lacks its turns when a known key is there and empty, or when nothing in it could hold any;
    else it is of a form that nobody knows.
    """
    empty_key = find_key(record, (*HOLDER_KEYS, *TEXT_KEYS))
    if empty_key is not None:
        held = record[empty_key]
        if held is not None and held != [] and held != "":
            raise MalformedRecordError(f"{empty_key!r} is {type_name(held)}, not a list of turns")
        return Reading(_EMPTY_FORMATS.get(empty_key), system=system)
    if not any(isinstance(item, dict | list) and item for item in record.values()):
        return Reading(None, system=system)
    keys = ", ".join(sorted(_short(key) for key in record)[:8])
    raise MalformedRecordError(f"no known form of dialogue: its keys are {keys}")


def _holds_transcript(record: Mapping[str, Any]) -> bool:
    """Return whether an object without a speaker holds a whole dialogue as its words."""
    words = record.get("content")
    return (
        isinstance(words, str)
        and find_key(record, SPEAKER_KEYS) is None
        and (bool(TAGGED_START.match(words)) or count_labels(words, enough=2) == 2)
    )


def _turn_row(record: dict[str, Any]) -> list[Reading] | TurnRow:
    key = find_key(record, DIALOGUE_ID_KEYS)
    number = record[key] if key else None
    if number is not None and not isinstance(number, str | int):
        return [Reading(None, problem=f"{key!r} is {type_name(number)}, not a string or number")]
    try:
        turn = read_turn(record, 1)
    except MalformedRecordError as error:
        return [Reading(Format.ROLE_CONTENT, problem=str(error))]
    return TurnRow(None if number is None else str(number), turn)


def _annotated(reading: Reading, record: Mapping[str, Any], holder: str | None) -> Reading:
    """Return the reading with what the record says beside its turns."""
    others = _keys_left_over(record, holder) if len(record) > 1 else _NO_KEYS
    own_id, language, kind = record.get("id"), record.get("language"), record.get("kind")
    is_named = isinstance(own_id, str | int) and not isinstance(own_id, bool) and own_id != ""
    if not is_named and language is None and kind is None and not others:
        return reading
    return reading._replace(
        own_id=own_id if is_named else None,
        language=language if isinstance(language, str) and language else None,
        kind=kind if isinstance(kind, str) and kind else None,
        other_keys=others,
    )


def _keys_left_over(record: Mapping[str, Any], holder: str | None) -> frozenset[str]:
    used: set[str | None] = {"id", "language", "kind", find_key(record, _SYSTEM_KEYS), holder}
    if holder is None:
        used |= {find_key(record, CLIENT_KEYS), find_key(record, COUNSELLOR_KEYS)}
        used |= {"input", "history"} if used & {*CLIENT_KEYS, *COUNSELLOR_KEYS} else set(TEXT_KEYS)
    empty: tuple[object, ...] = (None, "", [], {}, "[]")
    return frozenset(
        _short(key) for key, item in record.items() if key not in used and item not in empty
    )


_LOOKS_LIKE_JSON = re.compile(r"\s*[\[{]\s*[\[{\"']")


def parsed_cell(text: str, key: str) -> Any:
    """Return the JSON value in a string that looks like a list or an object, else the string.

    Raises:
        MalformedRecordError: the string looks like JSON and is none; ``key`` names its place.
    """
    if text.isspace() or text.strip() in ("[]", "null"):
        return []
    if not _LOOKS_LIKE_JSON.match(text):
        return text
    try:
        return parse_json(text.encode("utf-8", "surrogatepass")).value
    except BrokenJsonError as error:
        hint = " (single quotes? that is Python's notation)" if "'" in text[:8] else ""
        raise MalformedRecordError(f"{key!r} looks like JSON but is {error}{hint}") from None


def _short(key: str) -> str:
    return key if len(key) <= 24 else key[:23] + "…"
