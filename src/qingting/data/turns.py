"""The turns of one dialogue out of a JSON value, whichever way they are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from qingting.data.records import RawTurn
from qingting.data.roles import role_of
from qingting.data.text import (
    TAGGED_START,
    MalformedRecordError,
    Transcript,
    join_system,
    read_lines,
    read_tagged,
    split_lines,
)

SPEAKER_KEYS: Final = ("from", "role", "speaker", "角色", "说话人")
WORDS_KEYS: Final = ("value", "content", "text", "utterance", "内容", "文本", "发言")
CLIENT_KEYS: Final = ("instruction", "question", "prompt", "query", "input", "问题", "提问")
COUNSELLOR_KEYS: Final = (
    *("output", "answer", "response", "completion", "reply"),
    *("回答", "答案", "回复"),
)
_TEXT_PARTS = ("text", "input_text", "output_text")


def type_name(value: object) -> str:
    """Return what a person calls the type of a JSON value."""
    names = {str: "a string", dict: "an object", list: "a list", bool: "true or false"}
    if value is None:
        return "null"
    return names.get(type(value), "a number")


def words_of(value: object, place: str) -> str:
    """Return the words that a JSON value holds: a string, text parts, or null for none.

    Parts, ``[{"type": "text", "text": …}, …]``, are put together with nothing between them.

    Raises:
        MalformedRecordError: any other value, or a part that is no text; ``place`` names it.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if not isinstance(value, list):
        raise MalformedRecordError(f"{place} is {type_name(value)}, not a string")
    words = []
    for part in value:
        # A list of bare strings is not put together: two answers to choose from look like that.
        if not isinstance(part, dict) or part.get("type", "text") not in _TEXT_PARTS:
            raise MalformedRecordError(f"{place} is a list with an item that is no text part")
        if not isinstance(text := part.get("text"), str):
            raise MalformedRecordError(f"{place} has a text part that is {type_name(text)}")
        words.append(text)
    return "".join(words)


def find_key(record: Mapping[str, Any], keys: Sequence[str]) -> str | None:
    """Return the first of the keys that the record has."""
    for key in keys:
        if key in record:
            return key
    return None


def looks_like_turn(value: Mapping[str, Any]) -> bool:
    """Return whether an object is meant as one turn: it has a speaker, or bare words.

    ``text`` alone does not count: a record may hold a whole dialogue under it.
    """
    if find_key(value, CLIENT_KEYS) or find_key(value, COUNSELLOR_KEYS):
        return False
    return find_key(value, SPEAKER_KEYS) is not None or "value" in value or "content" in value


def read_turn(item: object, number: int) -> RawTurn | str:
    """Return a turn, or the text of a system message.

    A speaker that is null or not known is kept as unknown; words that are null are none.

    Raises:
        MalformedRecordError: no object, no speaker, no words, or a type that they cannot have.
    """
    place = f"turn {number}"
    if not isinstance(item, dict):
        raise MalformedRecordError(f"{place} is {type_name(item)}, not an object")
    speaker_key = find_key(item, SPEAKER_KEYS)
    words_key = find_key(item, WORDS_KEYS)
    if speaker_key is None:
        raise MalformedRecordError(f"{place} names no speaker (no key 'from' or 'role')")
    if words_key is None:
        raise MalformedRecordError(f"{place} has no words (no key 'value' or 'content')")
    name = item[speaker_key]
    if name is not None and not isinstance(name, str):
        raise MalformedRecordError(f"the speaker of {place} is {type_name(name)}, not a string")
    words = words_of(item[words_key], place)
    role = role_of(name) if name else None
    if role == "system":
        return words
    return RawTurn(role, words, "" if role else name or "")


def read_turns(items: Sequence[Any], *, system: str | None = None) -> Transcript:
    """Return the dialogue in a list of ``{"from", "value"}`` or ``{"role", "content"}``.

    Args:
        items: The list as JSON has it.
        system: A system text that stands elsewhere in the record.

    Raises:
        MalformedRecordError: see ``read_turn`` and ``join_system``.
    """
    turns: list[RawTurn] = []
    first = items[0] if items else None
    keys = first if isinstance(first, dict) else {}
    speaker_key = find_key(keys, SPEAKER_KEYS)
    words_key = find_key(keys, WORDS_KEYS)
    for number, item in enumerate(items, start=1):
        try:  # nearly all turns have the keys of the first and strings under them
            name, words = item[speaker_key], item[words_key]
            if type(name) is str and type(words) is str:
                role = role_of(name)
                if role == "user" or role == "assistant":
                    turns.append(RawTurn(role, words))
                    continue
        except (KeyError, TypeError, IndexError):
            pass
        turn = read_turn(item, number)
        if isinstance(turn, str):
            system = join_system(system, turn, n_turns=len(turns))
        else:
            turns.append(turn)
    return Transcript(system, tuple(turns))


def read_pair(
    record: Mapping[str, Any], place: str = "the record", *, turns: list[RawTurn]
) -> None:
    """Append the client's and the counsellor's turn of one exchange.

    ``instruction`` and ``input`` are one turn, ``input`` after a line end unless either is empty.
    A side whose key is absent has no turn; one that is null or empty has an empty turn.

    Raises:
        MalformedRecordError: a value is no string, or neither side is there.
    """
    client_keys = [key for key in CLIENT_KEYS if key in record]
    counsellor_key = find_key(record, COUNSELLOR_KEYS)
    if not client_keys and counsellor_key is None:
        raise MalformedRecordError(f"{place} has neither side of an exchange")
    if client_keys:
        words = words_of(record[client_keys[0]], f"{client_keys[0]!r} of {place}")
        if client_keys[0] != "input" and "input" in record:
            more = words_of(record["input"], f"'input' of {place}")
            words = f"{words}\n{more}" if words and more else words or more
        turns.append(RawTurn("user", words))
    if counsellor_key is not None:
        words = words_of(record[counsellor_key], f"{counsellor_key!r} of {place}")
        turns.append(RawTurn("assistant", words))


def is_exchange(item: Mapping[str, Any]) -> bool:
    """Return whether an object is one exchange: two sides under usual keys or speakers' names."""
    if find_key(item, SPEAKER_KEYS) is not None:
        return False
    item = _with_usual_keys(item)
    return bool(find_key(item, CLIENT_KEYS) or find_key(item, COUNSELLOR_KEYS))


def _with_usual_keys(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the exchange with ``{"human": …, "assistant": …}`` under the usual keys."""
    if find_key(item, CLIENT_KEYS) or find_key(item, COUNSELLOR_KEYS):
        return item
    usual = {"user": "input", "assistant": "output"}
    renamed = {usual.get(role_of(key) or "", key): words for key, words in item.items()}
    # Two keys for one side would lose the words of one.
    return renamed if len(renamed) == len(item) else item


def read_exchanges(items: Sequence[Any], *, system: str | None = None) -> Transcript:
    """Return the dialogue in a list of ``{"system", "input", "output"}``.

    The sides may also stand under speakers' names, ``{"human": …, "assistant": …}``.

    Raises:
        MalformedRecordError: see ``read_pair`` and ``join_system``.
    """
    turns: list[RawTurn] = []
    for number, item in enumerate(items, start=1):
        place = f"exchange {number}"
        if not isinstance(item, dict):
            raise MalformedRecordError(f"{place} is {type_name(item)}, not an object")
        item = _with_usual_keys(item)
        text = words_of(item.get("system"), f"'system' of {place}")
        system = join_system(system, text, n_turns=len(turns))
        read_pair(item, place, turns=turns)
    return Transcript(system, tuple(turns))


def read_history(history: object) -> list[RawTurn]:
    """Return the turns before the last exchange: a list of pairs, client first, or null.

    Raises:
        MalformedRecordError: anything else.
    """
    if history is None or history == "":
        return []
    if not isinstance(history, list):
        raise MalformedRecordError(f"'history' is {type_name(history)}, not a list of pairs")
    turns: list[RawTurn] = []
    for number, pair in enumerate(history, start=1):
        if not isinstance(pair, list) or len(pair) != 2:
            raise MalformedRecordError(f"item {number} of 'history' is no pair")
        turns.append(RawTurn("user", words_of(pair[0], f"item {number} of 'history'")))
        turns.append(RawTurn("assistant", words_of(pair[1], f"item {number} of 'history'")))
    return turns


def read_strings(items: Sequence[Any], *, system: str | None = None) -> Transcript:
    """Return the dialogue in a list of strings, each led by its speaker.

    A string is one line, whatever line ends it holds; the words after the label are one turn.

    Raises:
        MalformedRecordError: an item is no string, or see ``join_system``.
    """
    for number, item in enumerate(items, start=1):
        if not isinstance(item, str):
            raise MalformedRecordError(f"line {number} is {type_name(item)}, not a string")
    return _with_system(read_lines(items), system)


def read_text(text: str, *, system: str | None = None) -> Transcript:
    """Return the dialogue in one string: lines led by speakers, or segments ``<s>…</s>``.

    Raises:
        MalformedRecordError: see ``join_system``.
    """
    if TAGGED_START.match(text):
        return _with_system(read_tagged(text), system)
    return _with_system(read_lines(split_lines(text)), system)


def _with_system(transcript: Transcript, system: str | None) -> Transcript:
    if system is None:
        return transcript
    joined = join_system(system, transcript.system or "", n_turns=0)
    return transcript._replace(system=joined)
