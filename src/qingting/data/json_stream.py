"""The records of a JSON text, one at a time, in memory that does not grow with the text.

``json_lines`` cuts at line ends. ``json_values`` finds the elements of a top-level array (or
values that follow one another) by a scan over strings and brackets, so that each element can be
parsed alone, and finds its way back after a broken one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import orjson

MAX_RECORD_BYTES: Final = 16 << 20
"""A longer record is reported and passed over: no dialogue is that long, and memory is bounded."""

KEPT_BYTES: Final = 64 << 10
"""How much of an oversized or unreadable stretch is kept for the quarantine file."""


class Piece(NamedTuple):
    """One record of a JSON text before parsing.

    ``number`` counts lines or records from 1. ``array`` is the number of the top-level array that
    holds the record, 0 for none. A piece with a ``problem`` cannot be parsed.
    """

    raw: bytes
    number: int
    array: int = 0
    problem: str | None = None


def json_lines(chunks: Iterator[bytes], *, longest: int = MAX_RECORD_BYTES) -> Iterator[Piece]:
    """Yield the lines that are not blank, numbered from 1, without their line ends.

    A line of more than ``longest`` bytes is a piece with a problem and the line's first bytes.
    """
    problem = f"a line of more than {longest:,} bytes"
    number = 0
    rest = b""
    n_dropped = 0  # bytes of an oversized line that are no longer held
    for chunk in chunks:
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        for line in lines:
            number += 1
            if n_dropped or len(line) > longest:
                yield Piece(line[:KEPT_BYTES], number, problem=problem)
                n_dropped = 0
            elif line and not line.isspace():
                yield Piece(line.strip(), number)
        if len(rest) > longest:
            n_dropped += len(rest) - min(KEPT_BYTES, longest)
            rest = rest[: min(KEPT_BYTES, longest)]
    number += 1
    if n_dropped:
        yield Piece(rest[:KEPT_BYTES], number, problem=problem)
    elif rest and not rest.isspace():
        yield Piece(rest.strip(), number)


_STRING = rb'"[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+"'
_FLAT = rb'\{[^"{}\[\]]*+(?:' + _STRING + rb'[^"{}\[\]]*+)*+\}'
_SKIPPED = rb'[^"{}\[\]]*+(?:(?:' + _STRING + rb"|" + _FLAT + rb')[^"{}\[\]]*+)*+'
_BRACKET = re.compile(_SKIPPED + rb"([{}\[\]])")
_BROKEN_STRING = re.compile(_SKIPPED + rb'"[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+\\?\n')
_STRING_ALONE = re.compile(_STRING)
_SCALAR = re.compile(rb'[^,\[\]{}"\n]+')
_STRAY_CLOSER = re.compile(rb'\}[^,\[\]{}"\n]*')
_REST_OF_LINE = re.compile(rb"[^\n]+")
_BETWEEN = re.compile(rb"[\s,]*")
_OPENING = re.compile(rb'(?:[\[{]\s*)+(?:"[^"\\\n]{0,64}")?')
_CLOSERS = {b"{": b"}", b"[": b"]"}


def json_values(chunks: Iterator[bytes], *, longest: int = MAX_RECORD_BYTES) -> Iterator[Piece]:
    """Yield the elements of top-level arrays, and other top-level values, numbered from 1.

    Commas between values may be missing or doubled. Where the text of an element is broken (a
    bracket that does not match, a string without an end), the element ends where the next text
    begins that looks like the start of an element; what lies between becomes one piece with a
    problem. An array that is never closed gives a last piece with a problem, and so does an
    element of more than ``longest`` bytes.
    """
    return _Scanner(chunks, longest).pieces()


class _Scanner:
    def __init__(self, chunks: Iterator[bytes], longest: int) -> None:
        self._chunks = chunks
        self._longest = longest
        self._buffer = b""
        self._position = 0
        self._number = 0
        self._array = 0
        self._n_arrays = 0
        self._start: re.Pattern[bytes] | None = None  # how a good element began

    def _more(self) -> bool:
        """Append the next chunk; what lies before the position is let go."""
        chunk = next(self._chunks, None)
        if chunk is None:
            return False
        self._buffer = self._buffer[self._position :] + chunk
        self._position = 0
        return True

    def _peek(self) -> bytes:
        """Return the next byte that is neither white space nor a comma; empty at the end."""
        while True:
            match = _BETWEEN.match(self._buffer, self._position)
            self._position = match.end() if match else self._position
            if self._position < len(self._buffer):
                return self._buffer[self._position : self._position + 1]
            if not self._more():
                return b""

    def _piece(self, raw: bytes, problem: str | None = None) -> Piece:
        self._number += 1
        if problem is not None:
            raw = raw[:KEPT_BYTES]
        return Piece(raw, self._number, self._array, problem)

    def pieces(self) -> Iterator[Piece]:
        while byte := self._peek():
            if byte == b"[" and not self._array:
                self._position += 1
                self._n_arrays += 1
                self._array = self._n_arrays
            elif byte == b"]" and self._array:
                self._position += 1
                self._array = 0
            elif byte in b"[{":
                yield self._container()
            else:
                yield self._scalar(byte)
        if self._array:
            yield self._piece(b"", "the text ends inside the array: it was cut off")

    def _container(self) -> Piece:
        """Return the container that begins at the position, or what is left of it."""
        closers = [_CLOSERS[self._buffer[self._position : self._position + 1]]]
        scan = self._position + 1
        while True:
            match = _BRACKET.match(self._buffer, scan)
            if match is None:
                if _BROKEN_STRING.match(self._buffer, scan):
                    return self._resynchronise("a string without an end")
                if len(self._buffer) - self._position > self._longest:
                    return self._resynchronise(
                        f"more than {self._longest:,} bytes, or never closed"
                    )
                scan -= self._position
                if not self._more():
                    return self._resynchronise("cut off: the text ends inside it")
                continue
            bracket = match[1]
            scan = match.end()
            if bracket in _CLOSERS:
                closers.append(_CLOSERS[bracket])
            elif bracket != closers.pop():
                return self._resynchronise(f"an unexpected {bracket.decode()!r}")
            elif not closers:
                break
        raw = self._buffer[self._position : scan]
        self._position = scan
        if len(raw) > self._longest:
            return self._piece(raw, f"an element of more than {self._longest:,} bytes")
        if self._start is None:
            self._start = _start_pattern(raw)
        return self._piece(raw)

    def _scalar(self, byte: bytes) -> Piece:
        if byte == b'"':
            pattern = _STRING_ALONE
        else:
            pattern = _STRAY_CLOSER if byte == b"}" else _SCALAR
            pattern = pattern if self._array else _REST_OF_LINE
        while True:
            match = pattern.match(self._buffer, self._position)
            at_end = match is None or match.end() == len(self._buffer)
            is_short = len(self._buffer) - self._position <= self._longest
            if not (at_end and is_short and self._more()):
                break
        if match is None:
            return self._resynchronise("a string without an end")
        self._position = match.end()
        return self._piece(match[0].strip())

    def _resynchronise(self, problem: str) -> Piece:
        """Return a broken stretch, from the position to the next thing like an element's start."""
        kept = self._buffer[self._position : self._position + KEPT_BYTES]
        start = self._start or _start_pattern(kept)
        found = start.search(self._buffer, self._position + 1)
        if found:
            kept = kept[: found.start(1) - self._position]
        self._position += 1
        while not found:
            # The start may lie across the seam of two chunks.
            self._position = max(self._position, len(self._buffer) - 256)
            if not self._more():
                self._position = len(self._buffer)
                piece = self._piece(kept, f"{problem}; nothing after it could be read")
                self._array = 0
                return piece
            found = start.search(self._buffer)
        self._position = found.start(1)
        return self._piece(kept, problem)


def _start_pattern(element: bytes) -> re.Pattern[bytes]:
    """Return what finds an element that begins as this one does, after a comma or a line end."""
    match = _OPENING.match(element)
    opening = match[0] if match else b"{"
    brackets, quote, key = opening.partition(b'"')
    parts = [re.escape(bytes([byte])) for byte in brackets if byte in b"[{"]
    pattern = rb"\s*".join(parts)
    if quote:
        # The words of a list of strings differ from element to element; keys do not.
        pattern += rb'\s*"' + (re.escape(key) if b"{" in brackets else b"")
    return re.compile(rb"[,\n]\s*(" + pattern + rb")")


class Parsed(NamedTuple):
    """A JSON value, and whether characters were lost on the way to it."""

    value: Any
    is_damaged: bool


class BrokenJsonError(Exception):
    """A text is no JSON; the message says why, without quoting it."""


def parse_json(raw: bytes) -> Parsed:
    """Return the value of a JSON text.

    Beyond the standard it accepts a byte order mark, NaN and infinities (in fields that nobody
    reads), and bytes that are no UTF-8 and halves of surrogate pairs, which become U+FFFD.

    Raises:
        BrokenJsonError: the text is no JSON, is nested too deeply, or names a key twice in one
            object, where either value would be lost.
    """
    try:
        value = orjson.loads(raw)
        is_damaged = False
    except orjson.JSONDecodeError:
        value, is_damaged = _parse_leniently(raw)
    # A quote and a colon meet once for each key; quotes inside strings are escaped. Only where
    # the counts differ is a look at each object worth its time.
    if raw.count(b'":') != _count_upper_keys(value) and _n_key_marks(raw) != count_keys(value):
        _refuse_double_keys(raw)
    return Parsed(value, is_damaged)


def _parse_leniently(raw: bytes) -> tuple[Any, bool]:
    text = raw.decode("utf-8", "replace").strip("\ufeff \t\r\n")
    is_damaged = False
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        is_damaged = True
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise BrokenJsonError(
            f"no JSON: {error.msg} (line {error.lineno}, column {error.colno} of the record)"
        ) from None
    except RecursionError:
        raise BrokenJsonError("nested too deeply to be read") from None
    except ValueError as error:  # a number of thousands of digits
        raise BrokenJsonError(f"no JSON that can be read: {error}") from None
    try:
        orjson.dumps(value)
    except TypeError as error:
        if "surrogate" not in str(error) and "utf-8" not in str(error).lower():
            return value, is_damaged  # an integer beyond 64 bits
        return _without_surrogates(value), True
    return value, is_damaged


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    return value


def _count_upper_keys(value: Any) -> int:
    """Return the number of keys of an object or list of objects, and of the objects in them."""
    if type(value) is dict:
        return len(value) + sum(map(_count_upper_keys, value.values()))
    if type(value) is list and value and type(value[0]) is dict:
        return sum([len(item) for item in value if type(item) is dict])
    return 0


def count_keys(value: Any) -> int:
    """Return the number of keys in all objects of a JSON value."""
    n_keys = 0
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if type(item) is dict:
            n_keys += len(item)
            for child in item.values():
                if type(child) is dict or type(child) is list:
                    waiting.append(child)
        elif type(item) is list:
            for child in item:
                if type(child) is dict or type(child) is list:
                    waiting.append(child)
    return n_keys


def _n_key_marks(raw: bytes) -> int:
    """Return how often a quote and a colon meet outside strings, with a space between or none."""
    return raw.count(b'":') - raw.count(b'\\":') + raw.count(b'" :') - raw.count(b'\\" :')


def _refuse_double_keys(raw: bytes) -> None:
    """Raise for a key that stands twice; the cheap count was wrong about any other text."""

    def refuse(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise BrokenJsonError(f"the key {key[:40]!r} stands twice in one object")
            seen.add(key)

    try:
        json.loads(raw.decode("utf-8", "replace").strip("\ufeff"), object_pairs_hook=refuse)
    except (ValueError, RecursionError):
        return  # it was parsed before, so this is a limit of the other parser
