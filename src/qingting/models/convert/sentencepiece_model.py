"""A ``tokenizer.model``: pieces, scores and flags, read from the wire format of protocol buffers.

Source: sentencepiece_model.proto of SentencePiece 0.2 and the protocol buffers encoding guide.
Reading the few fields here avoids a dependency on protobuf, whose generated code for this file
comes in versions that refuse each other.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from qingting.core.errors import ModelError

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
BPE = 2
_MODEL_TYPES = {1: "unigram", 2: "BPE", 3: "word", 4: "character"}


class Piece(NamedTuple):
    """One entry of the vocabulary; its index is its id."""

    text: str
    score: float
    kind: int


@dataclass(frozen=True, slots=True)
class SentencePieceModel:
    """What a ``tokenizer.model`` says, and the bytes it says it with."""

    proto: bytes
    pieces: tuple[Piece, ...]
    model_type: str
    byte_fallback: bool
    add_dummy_prefix: bool
    remove_extra_whitespaces: bool
    escape_whitespaces: bool
    whitespace_as_suffix: bool
    charsmap: bytes
    unknown_surface: str

    @property
    def unknown_id(self) -> int:
        """Return the id of the unknown piece."""
        return next(i for i, piece in enumerate(self.pieces) if piece.kind == UNKNOWN)

    def ids_of_kind(self, kind: int) -> list[int]:
        """Return the ids of the pieces of a kind."""
        return [i for i, piece in enumerate(self.pieces) if piece.kind == kind]


def read_sentencepiece(path: Path) -> SentencePieceModel:
    """Return the model in a file.

    Raises:
        ModelError: the file is missing or no SentencePiece model.
    """
    try:
        proto = path.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"{path}: missing; fetch it again") from None
    try:
        return parse_sentencepiece(proto)
    except ValueError as error:
        raise ModelError(f"{path}: no SentencePiece model ({error}); fetch it again") from None


def parse_sentencepiece(proto: bytes) -> SentencePieceModel:
    """Return the model that a file's bytes describe.

    Raises:
        ValueError: they describe none.
    """
    pieces: list[Piece] = []
    trainer: dict[int, int | float | bytes] = {}
    normalizer: dict[int, int | float | bytes] = {}
    for number, value in _fields(proto):
        if number in (1, 2, 3) and not isinstance(value, bytes):
            raise ValueError(f"field {number} is not a message")
        if number == 1:
            pieces.append(_piece(value))
        elif number == 2:
            trainer.update(_fields(value))
        elif number == 3:
            normalizer.update(_fields(value))
    _check(pieces)
    charsmap, surface = normalizer.get(2, b""), trainer.get(44, b" \xe2\x81\x87 ")
    if not isinstance(charsmap, bytes) or not isinstance(surface, bytes):
        raise ValueError("a flag has the wrong type")
    model_type = trainer.get(3, 1)
    return SentencePieceModel(
        proto=proto,
        pieces=tuple(pieces),
        model_type=_MODEL_TYPES.get(int(model_type) if isinstance(model_type, int) else 0, "?"),
        byte_fallback=bool(trainer.get(35, 0)),
        add_dummy_prefix=bool(normalizer.get(3, 1)),
        remove_extra_whitespaces=bool(normalizer.get(4, 1)),
        escape_whitespaces=bool(normalizer.get(5, 1)),
        whitespace_as_suffix=bool(trainer.get(24, 0)),
        charsmap=charsmap,
        unknown_surface=surface.decode(errors="replace"),
    )


def _piece(message: int | float | bytes) -> Piece:
    if not isinstance(message, bytes):
        raise ValueError("a piece is not a message")
    values = dict(_fields(message))
    text, score, kind = values.get(1, b""), values.get(2, 0.0), values.get(3, NORMAL)
    if not isinstance(text, bytes) or not isinstance(score, float) or not isinstance(kind, int):
        raise ValueError("a piece has the wrong type")
    if kind not in (NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE):
        raise ValueError(f"a piece of the unknown kind {kind}")
    return Piece(text.decode(), score, kind)


def _check(pieces: list[Piece]) -> None:
    if not pieces:
        raise ValueError("no pieces")
    seen: set[str] = set()
    for index, piece in enumerate(pieces):
        if not piece.text or piece.text in seen:
            raise ValueError(f"piece {index} is empty or stands there twice")
        if piece.score != piece.score:
            raise ValueError(f"the score of piece {index} is not a number")
        seen.add(piece.text)
    if sum(piece.kind == UNKNOWN for piece in pieces) != 1:
        raise ValueError("not exactly one unknown piece")


def _fields(message: int | float | bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """Yield field numbers and values of a message: integers, floats or bytes."""
    if not isinstance(message, bytes):
        raise ValueError("a message is expected")
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(message, at)
            yield number, value
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            if at + size > end:
                raise ValueError("cut short")
            yield number, struct.unpack_from("<d" if wire == 1 else "<f", message, at)[0]
            at += size
        elif wire == 2:
            size, at = _varint(message, at)
            if at + size > end:
                raise ValueError("cut short")
            yield number, message[at : at + size]
            at += size
        else:
            raise ValueError(f"wire type {wire}")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(message) or shift > 63:
            raise ValueError("cut short")
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
