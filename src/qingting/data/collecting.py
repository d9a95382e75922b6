"""Dialogues that stand over several records: an array of turns, rows of a table."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from qingting.core.dialogue import Origin
from qingting.data.copies import DigestSet
from qingting.data.encodings import REPLACEMENT
from qingting.data.formats import (
    HOLDER_KEYS,
    Format,
    Reading,
    TurnRow,
    is_dialogue_list,
    read_dialogue_list,
    read_value,
)
from qingting.data.json_stream import MAX_RECORD_BYTES, BrokenJsonError, Piece, parse_json
from qingting.data.records import RawDialogue, RawTurn, Unit
from qingting.data.text import MalformedRecordError, join_system
from qingting.data.turns import find_key

_TOO_LONG = f"one dialogue of more than {MAX_RECORD_BYTES >> 20} MiB"
STRAY_TURN: Final = "one turn where a dialogue belongs"
_REPLACEMENT_BYTES = REPLACEMENT.encode()
_MOST_UNDECIDED = 1000


def build_record(
    reading: Reading, origin: Origin, *, unit: Unit, raw: Any, is_damaged: bool
) -> RawDialogue:
    """Return the record of a reading that stood at a place."""
    return RawDialogue(
        origin=origin,
        unit=unit,
        format=reading.format,
        turns=reading.turns,
        system=reading.system,
        unlabelled=reading.unlabelled,
        problem=reading.problem,
        is_damaged=is_damaged,
        raw=raw,
        own_id=reading.own_id,
        language=reading.language,
        kind=reading.kind,
        other_keys=reading.other_keys,
        lines=reading.lines,
    )


def shows_damage(raw: bytes) -> bool:
    """Return whether a text holds U+FFFD, plain or as a JSON escape."""
    if _REPLACEMENT_BYTES in raw:
        return True
    return b"\\u" in raw and (b"\\ufffd" in raw or b"\\uFFFD" in raw)


class RowCollector:
    """Puts the rows of dialogues together, each row one turn.

    Rows with a dialogue's number belong together while the number stays the same; a number that
    comes back later is reported, for its dialogue is torn. Rows without a number are one dialogue
    for the whole file, and only where the file begins with one.
    """

    def __init__(self, file: str, unit: Unit) -> None:
        self._file = file
        self._unit = unit
        self._closed = DigestSet()
        self._is_open = False
        self._id: str | None = None
        self._begin(None, 0)

    def _begin(self, dialogue_id: str | None, number: int) -> None:
        self._id = dialogue_id
        self._number = number
        self._turns: list[RawTurn | str] = []
        self._raw: list[Any] = []
        self._n_bytes = 0
        self._is_damaged = False
        self._problem: str | None = None

    def add(
        self, row: TurnRow, number: int, *, raw: Any, is_damaged: bool, is_first: bool
    ) -> Iterator[RawDialogue]:
        """Add a row; yield the dialogue that it ends, and the row itself where it is a stray."""
        if row.dialogue_id is None and not (is_first or (self._is_open and self._id is None)):
            yield from self.flush()
            reading = Reading(Format.ROLE_CONTENT, problem=STRAY_TURN)
            origin = Origin(self._file, number)
            yield build_record(reading, origin, unit=self._unit, raw=raw, is_damaged=is_damaged)
            return
        if not self._is_open or row.dialogue_id != self._id:
            yield from self.flush()
            self._begin(row.dialogue_id, number)
            self._is_open = True
            if row.dialogue_id is not None:
                name = row.dialogue_id.encode("utf-8", "surrogatepass")
                if not self._closed.add(hashlib.blake2b(name, digest_size=16).digest()):
                    self._problem = (
                        "the rows of this dialogue do not stand together; "
                        "sort them by the dialogue's number"
                    )
        words = row.turn if isinstance(row.turn, str) else row.turn.content
        self._n_bytes += 64 + 3 * len(words)
        self._is_damaged |= is_damaged
        if self._n_bytes > MAX_RECORD_BYTES:
            self._problem = _TOO_LONG
            return
        self._turns.append(row.turn)
        self._raw.append(raw)

    def spoil(self, number: int, readings: Sequence[Reading]) -> bool:
        """Return whether readings are a broken row of the dialogue that is the whole file.

        Such a row makes that dialogue malformed and is no record by itself.
        """
        problem = readings[0].problem if len(readings) == 1 else None
        if problem is None or not self._is_open or self._id is not None:
            return False
        self._problem = self._problem or f"{self._unit} {number}: {problem}"
        return True

    def flush(self) -> Iterator[RawDialogue]:
        """Yield the dialogue that is open, if one is."""
        if not self._is_open:
            return
        self._is_open = False
        problem = self._problem
        system: str | None = None
        turns: list[RawTurn] = []
        try:
            for turn in self._turns:
                if isinstance(turn, str):
                    system = join_system(system, turn, n_turns=len(turns))
                else:
                    turns.append(turn)
        except MalformedRecordError as error:
            problem = problem or str(error)
        reading = Reading(
            Format.ROLE_CONTENT,
            turns=() if problem else tuple(turns),
            system=None if problem else system,
            problem=problem,
            own_id=self._id,
        )
        yield build_record(
            reading,
            Origin(self._file, self._number),
            unit=self._unit,
            raw=self._raw,
            is_damaged=self._is_damaged,
        )
        self._turns, self._raw = [], []


class _Element(NamedTuple):
    """A piece of JSON after parsing."""

    piece: Piece
    value: Any
    problem: str | None
    is_damaged: bool


def _parsed(piece: Piece) -> _Element:
    if piece.problem is not None:
        return _Element(piece, None, piece.problem, shows_damage(piece.raw))
    try:
        value, is_damaged = parse_json(piece.raw)
    except BrokenJsonError as error:
        return _Element(piece, None, str(error), shows_damage(piece.raw))
    return _Element(piece, value, None, is_damaged or shows_damage(piece.raw))


class JsonReader:
    """Reads the pieces of a JSON text: records, arrays that are one dialogue, and rows."""

    def __init__(self, file: str, unit: Unit) -> None:
        self._file = file
        self._unit: Unit = unit
        self._rows = RowCollector(file, unit)
        self._array = 0
        self._is_dialogue: bool | None = None  # what the array is; None while nobody knows
        self._held: list[_Element] = []
        self._n_bytes = 0
        self._is_first = True

    def read(self, pieces: Iterable[Piece]) -> Iterator[RawDialogue]:
        """Yield the dialogues of the pieces."""
        for piece in pieces:
            if piece.array != self._array:
                yield from self._let_go()
                self._is_dialogue = None
                self._array = piece.array
            if piece.array and self._is_dialogue is not False:
                yield from self._read_element(_parsed(piece))
            else:
                yield from self._read_record(_parsed(piece))
        yield from self._let_go()
        yield from self._rows.flush()

    def _read_element(self, element: _Element) -> Iterator[RawDialogue]:
        """Read an element of an array that is one dialogue, or of which nobody knows yet."""
        is_record = isinstance(element.value, dict) and find_key(element.value, HOLDER_KEYS)
        if self._is_dialogue and is_record:  # a record among turns ends the dialogue
            yield from self._let_go()
            self._is_dialogue = None
        if self._is_dialogue is None and element.problem is None:
            self._is_dialogue = is_dialogue_list(element.value)
        if self._is_dialogue is None and len(self._held) == _MOST_UNDECIDED:
            self._is_dialogue = False
        if self._is_dialogue is False:
            yield from self._let_go()
            yield from self._read_record(element)
            return
        self._n_bytes += len(element.piece.raw) + 64
        if self._n_bytes > MAX_RECORD_BYTES:
            element = element._replace(value=None, problem=_TOO_LONG)
            if self._held and self._held[-1].problem == _TOO_LONG:
                return
        self._held.append(element)

    def _let_go(self) -> Iterator[RawDialogue]:
        """Yield what is held of the array: one dialogue, or elements that are none."""
        held, self._held, self._n_bytes = self._held, [], 0
        if not held:
            return
        if not self._is_dialogue:
            for element in held:
                yield from self._read_record(element)
            return
        problem = next((element.problem for element in held if element.problem), None)
        if problem is None:
            reading = read_dialogue_list([element.value for element in held])
        else:
            reading = Reading(None, problem=problem)
        yield self._built(
            reading,
            held[0].piece.number,
            raw=b"[" + b",".join(element.piece.raw for element in held) + b"]",
            is_damaged=any(element.is_damaged for element in held),
        )

    def _read_record(self, element: _Element) -> Iterator[RawDialogue]:
        number, raw = element.piece.number, element.piece.raw
        readings: list[Reading] | TurnRow = [Reading(None, problem=element.problem)]
        if element.problem is None:
            readings = read_value(element.value)
        if isinstance(readings, TurnRow) and self._array and readings.dialogue_id is None:
            readings = [Reading(Format.ROLE_CONTENT, problem=STRAY_TURN)]
        if isinstance(readings, TurnRow):
            yield from self._rows.add(
                readings,
                number,
                raw=raw.decode("utf-8", "replace"),
                is_damaged=element.is_damaged,
                is_first=self._is_first,
            )
            self._is_first = False
            return
        if self._rows.spoil(number, readings):
            return
        yield from self._rows.flush()
        for reading in readings:
            yield self._built(reading, number, raw=raw, is_damaged=element.is_damaged)

    def _built(self, reading: Reading, number: int, *, raw: bytes, is_damaged: bool) -> RawDialogue:
        self._is_first = False
        origin = Origin(self._file, number)
        return build_record(reading, origin, unit=self._unit, raw=raw, is_damaged=is_damaged)
