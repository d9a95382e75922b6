"""Bytes of any usual encoding in, UTF-8 out.

UTF-8 passes through untouched, damage included: whoever parses a record decodes that record
alone, so that one bad byte spoils one dialogue and not a file.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import Final

REPLACEMENT: Final = "\ufffd"
"""Stands where characters were lost."""

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_GB2312_PAIR = re.compile(rb"[\xa1-\xf7][\xa1-\xfe]")
_NOT_ASCII = re.compile(rb"[\x80-\xff]+")
_LEAST_SHARE = 0.9


def detect_encoding(head: bytes, *, is_whole: bool) -> str | None:
    """Return the codec that a file's first bytes speak, or ``None`` for bytes that are no text.

    A byte order mark decides. Without one: zeros in every other byte are UTF-16; bytes that are
    valid UTF-8, or mostly so, are UTF-8; bytes that are mostly pairs of GB 2312 are GB 18030;
    anything else is UTF-8 with damage.

    Args:
        head: The first bytes of the file, the more the surer.
        is_whole: Whether the file ends with ``head``; else its last character may be cut.
    """
    for mark, codec in _MARKS:
        if head.startswith(mark):
            return codec
    if b"\0" in head:
        return _wide_encoding(head)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=is_whole)
    except UnicodeDecodeError:
        return "gb18030" if _is_gb18030(head) else "utf-8"
    return "utf-8"


def _wide_encoding(head: bytes) -> str | None:
    """Return the UTF-16 that text full of zero bytes must be, or ``None``."""
    head = head[: min(len(head) // 2 * 2, 1 << 16)]
    even, odd = head[0::2], head[1::2]
    best: tuple[int, str] | None = None
    for codec, low, high in (("utf-16-le", even, odd), ("utf-16-be", odd, even)):
        # Line ends, labels and JSON put ASCII into every text: a low byte beside a zero.
        n_ascii = sum(1 for a, b in zip(low, high, strict=True) if a and not b)
        text = head.decode(codec, "replace")
        n_strange = sum(1 for c in text if c == REPLACEMENT or (c < " " and c not in "\t\r\n\f"))
        is_text = n_ascii * 50 >= len(text) and n_strange * 100 <= len(text)
        if is_text and n_ascii and (best is None or n_ascii > best[0]):
            best = n_ascii, codec
    return best[1] if best else None


def _is_gb18030(head: bytes) -> bool:
    n_high = sum(len(run) for run in _NOT_ASCII.findall(head))
    lossy = head.decode("utf-8", "ignore")
    n_utf8 = len(lossy.encode()) - sum(map(str.isascii, lossy))
    if n_utf8 * 2 >= n_high:  # mostly UTF-8: the rest is damage
        return False
    n_paired = sum(2 * len(_GB2312_PAIR.findall(run)) for run in _NOT_ASCII.findall(head))
    return n_paired >= 4 and n_paired >= _LEAST_SHARE * n_high


def to_utf8(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Yield the chunks as UTF-8 without a byte order mark, none of them empty.

    Characters that another encoding cannot give become U+FFFD; damage in UTF-8 is passed on.
    """
    if encoding == "utf-8":
        is_first = True
        for chunk in chunks:
            if is_first:
                chunk = chunk.removeprefix(codecs.BOM_UTF8)
                is_first = False
            if chunk:
                yield chunk
        return
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    is_first = True
    for chunk in chunks:
        text = decoder.decode(chunk)
        if text and is_first:
            text = text.removeprefix("\ufeff")
            is_first = False
        if text:
            yield text.encode()
    if text := decoder.decode(b"", final=True):
        yield text.encode()
