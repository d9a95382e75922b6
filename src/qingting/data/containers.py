"""One file as records: which kind of text it is, told from its first bytes, and its reader."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from itertools import chain
from typing import Final

import orjson

from qingting.core.dialogue import Origin
from qingting.data.collecting import JsonReader, RowCollector, build_record, shows_damage
from qingting.data.encodings import REPLACEMENT, detect_encoding, to_utf8
from qingting.data.formats import (
    Format,
    Reading,
    TurnRow,
    is_dialogue_list,
    read_dialogue_list,
    read_value,
)
from qingting.data.json_stream import (
    KEPT_BYTES,
    MAX_RECORD_BYTES,
    BrokenJsonError,
    json_lines,
    json_values,
    parse_json,
)
from qingting.data.records import RawDialogue
from qingting.data.sources import DamagedSourceError, Notice, Source
from qingting.data.tables import Dialect, detect_dialect, read_rows, record_of
from qingting.data.text import (
    TAGGED_START,
    MalformedRecordError,
    Transcript,
    count_labels,
    read_lines,
    read_tagged,
    split_lines,
    split_tagged,
)

_HEAD_BYTES: Final = 256 << 10
_N_LINES_TRIED = 64
_JSON_START = re.compile(
    rb"\s*(?:\{\s*(?:[\"'}]|\Z)|\[\s*(?:[\"'{\[\]]|\Z"
    rb"|(?:-?\d[\d.eE+-]*|null|true|false|NaN)\s*(?:[,\]]|\Z))"
    rb"|(?:-?\d[\d.eE+-]*|null|true|false)\s*\Z)"
)


class Container(StrEnum):
    """The kinds of file that hold dialogues."""

    JSON_LINES = "JSON Lines"
    JSON = "JSON"
    TABLE = "table"
    TAGGED = "text in segments"
    TEXT = "text"
    BLANK = "nothing"


class FileReader:
    """Reads one file once.

    ``container`` says what the file was; it is known once reading began.
    """

    def __init__(self, source: Source, *, on_notice: Notice) -> None:
        self._source = source
        self._on_notice = on_notice
        self.container: Container | None = None

    def read(self) -> Iterator[RawDialogue]:
        """Yield the records of the file, turns as written.

        A file that breaks off gives what came before and a last record that says so.
        """
        number = 0
        try:
            for record in self._records():
                number = record.origin.line
                yield record
        except DamagedSourceError as error:
            yield self._refused(str(error), number + 1)

    def _refused(self, problem: str, number: int = 1, raw: bytes = b"") -> RawDialogue:
        origin = Origin(self._source.name, number)
        return RawDialogue(origin, problem=problem, raw=raw[:KEPT_BYTES])

    def _records(self) -> Iterator[RawDialogue]:
        chunks = self._source.open_chunks()
        head = next(chunks, b"")
        is_whole = False
        while len(head) < _HEAD_BYTES:
            chunk = next(chunks, None)
            if chunk is None:
                is_whole = True
                break
            head += chunk
        if is_whole and (record := self._small_json(head)):
            self.container = Container.JSON
            yield record
            return
        encoding = detect_encoding(head, is_whole=is_whole)
        if encoding is None:
            yield self._refused("no text: zero bytes, and not UTF-16", raw=head)
            return
        texts = to_utf8(chain([head], chunks), encoding)
        head = next(texts, b"")
        if is_whole and not head.strip():
            self.container = Container.BLANK
            return
        yield from self._read_text(head, chain([head], texts), is_whole=is_whole)

    def _small_json(self, content: bytes) -> RawDialogue | None:
        """Return the dialogue of a small file that is one JSON value and nothing unusual.

        Folders of such files are common and large; everything else takes the long way.
        """
        if content[:1] not in (b"[", b"{"):
            return None
        try:
            value, is_damaged = parse_json(content)
        except BrokenJsonError:
            return None
        if is_damaged:
            return None  # perhaps not damaged, but in another encoding
        if isinstance(value, dict):
            found = read_value(value)
            if isinstance(found, TurnRow):
                return None
            reading = found[0]
        elif value and is_dialogue_list(value[0]):
            reading = read_dialogue_list(value)
        else:
            return None
        if reading.problem is not None or shows_damage(content):
            return None
        origin = Origin(self._source.name, 1)
        return build_record(reading, origin, unit="record", raw=content, is_damaged=False)

    def _read_text(
        self, head: bytes, chunks: Iterator[bytes], *, is_whole: bool
    ) -> Iterator[RawDialogue]:
        name = self._source.name
        if _JSON_START.match(head):
            if _is_json_lines(head, is_whole=is_whole):
                self.container = Container.JSON_LINES
                yield from JsonReader(name, "line").read(json_lines(chunks))
            else:
                self.container = Container.JSON
                yield from JsonReader(name, "record").read(json_values(chunks))
            return
        text = head[:_HEAD_BYTES].decode("utf-8", "replace")
        if dialect := detect_dialect(text):
            self.container = Container.TABLE
            yield from self._read_table(chunks, dialect)
        elif head.lstrip().startswith(b'"') and _is_json_lines(head, is_whole=is_whole):
            self.container = Container.JSON_LINES
            yield from JsonReader(name, "line").read(json_lines(chunks))
        elif TAGGED_START.match(text):
            self.container = Container.TAGGED
            yield from self._read_tagged(chunks)
        else:
            self.container = Container.TEXT
            yield from self._read_plain(chunks)

    def _read_table(self, chunks: Iterator[bytes], dialect: Dialect) -> Iterator[RawDialogue]:
        name = self._source.name
        rows = RowCollector(name, "line")
        file = io.TextIOWrapper(
            io.BufferedReader(_ChunkFile(chunks), 1 << 16), "utf-8", "replace", newline=""
        )
        is_first = True
        for row in read_rows(file, dialect):
            raw = dict(row.cells) or list(row.raw)
            readings: list[Reading] | TurnRow = [Reading(None, problem=row.problem)]
            if row.problem is None:
                readings = read_value(record_of(row.cells))
            is_damaged = any(REPLACEMENT in cell for cell in row.raw)
            if isinstance(readings, TurnRow):
                yield from rows.add(
                    readings, row.line, raw=raw, is_damaged=is_damaged, is_first=is_first
                )
            elif not rows.spoil(row.line, readings):
                yield from rows.flush()
                for reading in readings:
                    is_damaged |= any(REPLACEMENT in turn.content for turn in reading.turns)
                    origin = Origin(name, row.line)
                    yield build_record(reading, origin, unit="line", raw=raw, is_damaged=is_damaged)
            is_first = False
        yield from rows.flush()

    def _read_tagged(self, chunks: Iterator[bytes]) -> Iterator[RawDialogue]:
        for text, line in split_tagged(_decoded(chunks), longest=MAX_RECORD_BYTES):
            yield self._from_text(text, Format.TAGGED_TEXT, line)

    def _read_plain(self, chunks: Iterator[bytes]) -> Iterator[RawDialogue]:
        parts: list[bytes] = []
        n_bytes = 0
        for chunk in chunks:
            n_bytes += len(chunk)
            if n_bytes <= MAX_RECORD_BYTES:
                parts.append(chunk)
        content = b"".join(parts)
        if n_bytes > MAX_RECORD_BYTES:
            problem = f"a text of more than {MAX_RECORD_BYTES >> 20} MiB: one file is one dialogue"
            yield self._refused(problem, raw=content)
            return
        text = content.decode("utf-8", "replace")
        source = self._source
        if source.is_member and source.is_document and not count_labels(text, enough=1):
            self._on_notice(f"{source.name}: passed over, a page about the data by its name")
            self.container = None
            return
        yield self._from_text(text, Format.LABELLED_TEXT, 1)

    def _from_text(self, text: str, name: Format, line: int) -> RawDialogue:
        try:
            if name == Format.TAGGED_TEXT:
                transcript: Transcript = read_tagged(text)
            else:
                transcript = read_lines(split_lines(text))
            reading = Reading(
                name,
                turns=transcript.turns,
                system=transcript.system,
                unlabelled=transcript.unlabelled,
                lines=transcript.lines,
            )
        except MalformedRecordError as error:
            reading = Reading(name, problem=str(error))
        origin = Origin(self._source.name, line)
        return build_record(reading, origin, unit="line", raw=text, is_damaged=REPLACEMENT in text)


class _ChunkFile(io.RawIOBase):
    """The chunks as a file, for readers that want one."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
        n_bytes = min(len(buffer), len(self._rest))
        buffer[:n_bytes] = self._rest[:n_bytes]
        self._rest = self._rest[n_bytes:]
        return n_bytes


def _decoded(chunks: Iterable[bytes]) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for chunk in chunks:
        yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True)


def _is_json_lines(head: bytes, *, is_whole: bool) -> bool:
    """Return whether each line is a JSON value by itself.

    It is so when the first line is, and something follows it or it is no array; or when half the
    first lines are, for a broken line may stand first too.
    """
    lines = head.split(b"\n")
    if not is_whole:
        lines.pop()
    lines = [line for line in lines if not line.isspace() and line][: _N_LINES_TRIED + 1]
    if not lines:
        return False
    are_values = [_is_json_value(line) for line in lines[:_N_LINES_TRIED]]
    if len(lines) == 1 and is_whole:
        return are_values[0] and not lines[0].lstrip().startswith(b"[")
    return are_values[0] or sum(are_values) * 2 >= len(are_values)


def _is_json_value(line: bytes) -> bool:
    if not line.lstrip().startswith((b"{", b"[", b'"')):
        return False
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True
