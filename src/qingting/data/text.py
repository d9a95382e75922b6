"""Dialogues written as text: lines led by a speaker, and segments between ``<s>`` and ``</s>``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final, NamedTuple

from qingting.data.records import RawTurn, UnlabelledLine
from qingting.data.roles import SPEAKER_LABEL, role_of


class MalformedRecordError(Exception):
    """A record is no dialogue; the message says why, without quoting it."""


class Transcript(NamedTuple):
    """What a text says: a system text, the turns, and the lines without a speaker.

    ``lines`` are the lines, from 1, on which the turns stand.
    """

    system: str | None
    turns: tuple[RawTurn, ...]
    unlabelled: tuple[UnlabelledLine, ...] = ()
    lines: tuple[int, ...] = ()


def join_system(before: str | None, text: str, *, n_turns: int) -> str | None:
    """Return the system text of a dialogue that has one and meets another.

    An empty one says nothing, and one that is said again adds nothing.

    Raises:
        MalformedRecordError: the text differs from the first, or first comes after a turn. A
            dialogue has one system text and it stands first; dropping another would lose words.
    """
    if not text or text.isspace() or text == before:
        return before
    if before is not None:
        raise MalformedRecordError("two different system texts; a dialogue has one")
    if n_turns:
        raise MalformedRecordError("a system text after the first turn; it must stand first")
    return text


def read_lines(lines: Iterable[str]) -> Transcript:
    """Return the dialogue whose lines are led by a speaker's name and a colon.

    A line without a known name is no turn and continues none; a blank line is nothing. White
    space around the words of a turn is layout and is not kept.

    Raises:
        MalformedRecordError: see ``join_system``.
    """
    system: str | None = None
    turns: list[RawTurn] = []
    unlabelled: list[UnlabelledLine] = []
    numbers: list[int] = []
    for number, line in enumerate(lines, start=1):
        match = SPEAKER_LABEL.match(line)
        if match is None:
            text = line.strip("\ufeff \t\r\n")
            if text and not text.isspace():
                unlabelled.append(UnlabelledLine(len(turns), text.strip(), number))
            continue
        role = role_of(match[1])
        words = line[match.end() :].strip()
        if role == "system":
            system = join_system(system, words, n_turns=len(turns))
        else:
            turns.append(RawTurn(role, words))
            numbers.append(number)
    return Transcript(system, tuple(turns), tuple(unlabelled), tuple(numbers))


_LINE_END = re.compile(r"\r\n|\n|\r")


def split_lines(text: str) -> list[str]:
    """Return the lines of a text; only the three line ends count, not U+2028 and its like."""
    return _LINE_END.split(text)


def count_labels(text: str, *, enough: int) -> int:
    """Return how many lines of a text are led by a speaker, counting no further than enough."""
    n_labels = 0
    for line in split_lines(text):
        if SPEAKER_LABEL.match(line):
            n_labels += 1
            if n_labels == enough:
                break
    return n_labels


_SEGMENT = re.compile(r"<s>(.*?)(?:</s>|(?=<s>)|\Z)", re.DOTALL | re.IGNORECASE)
_SEGMENT_SPEAKER = re.compile(r"\s*([^\s:：<>][^:：<>\n]{0,39}?)[ \t\u3000]*[:：]", re.DOTALL)
TAGGED_START: Final = re.compile(r"[\s\ufeff]*<s>[^\n:：<>]{1,40}[:：]", re.IGNORECASE)
"""Matches the start of text in segments, ``<s>Human: …</s><s>Assistant: …</s>``."""


def read_tagged(text: str) -> Transcript:
    """Return the dialogue in segments ``<s>Speaker: words</s>``.

    The name before the colon is the speaker, known or not. A segment without a name, and words
    outside all segments, are lines without a speaker. White space around words is not kept.

    Raises:
        MalformedRecordError: see ``join_system``.
    """
    system: str | None = None
    turns: list[RawTurn] = []
    unlabelled: list[UnlabelledLine] = []

    numbers: list[int] = []
    number = 1  # of the line on which the segment begins

    def note_lines(words: str) -> None:
        for offset, line in enumerate(split_lines(words)):
            if stripped := line.strip("\ufeff \t\r\n"):
                unlabelled.append(UnlabelledLine(len(turns), stripped, number + offset))

    end = start = 0
    for segment in _SEGMENT.finditer(text):
        note_lines(text[end : segment.start()])
        end = segment.end()
        number += text.count("\n", start, segment.start())
        start = segment.start()
        speaker = _SEGMENT_SPEAKER.match(segment[1])
        if speaker is None:
            note_lines(segment[1])
            continue
        role = role_of(speaker[1])
        words = segment[1][speaker.end() :].strip()
        if role == "system":
            system = join_system(system, words, n_turns=len(turns))
        else:
            turns.append(RawTurn(role, words, "" if role else speaker[1]))
            numbers.append(number)
    number += text.count("\n", start, end)
    note_lines(text[end:])
    return Transcript(system, tuple(turns), tuple(unlabelled), tuple(numbers))


_SYSTEM_START = re.compile(r"<s>\s*(?:system|系统)\s*[:：]", re.IGNORECASE)
_LONGEST_SYSTEM_START = 24
_SEAM = re.compile(r"</s>(\s*)(?=<s>)", re.IGNORECASE)


class TaggedText(NamedTuple):
    """The text of one dialogue in segments, and the line on which it begins."""

    text: str
    line: int


def split_tagged(pieces: Iterable[str], *, longest: int) -> Iterator[TaggedText]:
    """Yield the dialogues of a text in segments, each as text.

    A new dialogue begins with a system segment, and on a new line, unless the first seam of the
    text has a line end too: then segments stand on lines of their own, and only a system segment
    begins a dialogue. A dialogue longer than ``longest`` characters is cut.
    """
    buffer = ""
    line = 1
    position = 0  # up to where the buffer holds no seam that begins a dialogue
    is_one_per_line: bool | None = None
    for piece in chain(pieces, (None,)):
        buffer += piece or ""
        while seam := _SEAM.search(buffer, position):
            if piece is not None and seam.end() + _LONGEST_SYSTEM_START > len(buffer):
                break  # the speaker may not have arrived yet
            has_line_end = "\n" in seam[1] or "\r" in seam[1]
            if is_one_per_line is None:
                is_one_per_line = not has_line_end
            position = seam.end()
            is_start = has_line_end and is_one_per_line
            if is_start or _SYSTEM_START.match(buffer, position) or position > longest:
                yield TaggedText(buffer[:position], line)
                line += buffer.count("\n", 0, position)
                buffer = buffer[position:]
                position = 0
        while len(buffer) > longest and seam is None:
            yield TaggedText(buffer[:longest], line)
            line += buffer.count("\n", 0, longest)
            buffer = buffer[longest:]
            position = 0
        if seam is None:
            position = max(position, len(buffer) - 64)  # a seam may be cut by the next piece
    if buffer and not buffer.isspace():
        yield TaggedText(buffer, line)
