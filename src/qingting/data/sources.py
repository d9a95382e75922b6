"""Files, folders, gzip and zip as streams of bytes, a bounded piece at a time."""

from __future__ import annotations

import errno
import lzma
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from qingting.core.errors import DataError, NotFoundError

CHUNK_BYTES: Final = 1 << 20
_MOST_LAYERS = 3
_GZIP: Final = b"\x1f\x8b"
_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_ZIP_ERRORS = (  # what the standard library raises on damaged and foreign archives
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError),
    *(RuntimeError, NotImplementedError, ValueError, LookupError, MemoryError),
)
_IGNORED_NAMES = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})
_DOCUMENT = re.compile(
    r"(.*_)?(readme|licen[cs]e|copying|notice|changelog|authors|citation|contributing|sources?|"
    r"manifest|disclaimer)([._-].*)?|.*\.(md|rst|sha256|ya?ml|toml|html?|py|sh|ipynb|pdf|docx?|"
    r"png|jpe?g|gif|svg)",
    re.IGNORECASE,
)


class DamagedSourceError(Exception):
    """A stream broke off; the message says why. What came before it has been handed on."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file to read: its name within what was asked for, and its bytes.

    ``is_member`` says that it was found in a folder or archive, not named by the user.
    """

    name: str
    open_chunks: Callable[[], Iterator[bytes]]
    is_member: bool = False

    @property
    def is_document(self) -> bool:
        """Return whether the name is that of a page about the data (README, LICENSE, a picture)."""
        return bool(_DOCUMENT.fullmatch(self.name.rpartition("/")[2]))


Notice = Callable[[str], None]
"""Is told, in one line, of a file that was passed over."""


def open_sources(
    path: Path, *, on_bytes: Callable[[int], None], on_notice: Notice
) -> Iterator[Source]:
    """Yield the files at a path: itself, the members of a zip, or all files below a folder.

    Files of a folder come in the order of their names; hidden files, and what operating systems
    leave behind (``__MACOSX``, ``Thumbs.db``), are none. Archives are known by their first bytes.

    Args:
        path: A file or folder.
        on_bytes: Is told the number of bytes of each piece read, before decompression.
        on_notice: Is told of what is no regular file.

    Raises:
        NotFoundError: nothing stands at ``path``.
        DataError: the file or folder cannot be opened.
    """
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        raise NotFoundError(f"{path}: there is no such file or folder") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be opened: {_reason(error)}") from error
    except ValueError as error:  # a zero byte in the name
        raise NotFoundError(f"{path!r}: there is no such file or folder") from error
    if not is_folder:
        yield from _file(path, path.name, on_bytes=on_bytes, is_member=False)
        return
    closed: dict[str, str] = {}
    names = _names_below(path, closed, on_notice)
    for name in sorted([*names, *closed]):
        if name in closed:
            yield _broken(name, closed[name])
            continue
        try:
            yield from _file(path / name, name, on_bytes=on_bytes, is_member=True)
        except DataError as error:
            yield _broken(name, str(error))


def _names_below(folder: Path, closed: dict[str, str], on_notice: Notice) -> list[str]:
    """Return the files below a folder; ``closed`` receives folders in it that cannot be opened."""
    names: list[str] = []

    def note(error: OSError) -> None:
        if Path(error.filename) == folder:
            raise DataError(f"{folder}: cannot be opened: {_reason(error)}") from error
        name = os.path.relpath(error.filename, folder).replace(os.sep, "/")
        closed[name] = f"a folder that cannot be opened: {_reason(error)}"

    for root, folders, files in os.walk(folder, onerror=note):
        folders[:] = [name for name in folders if not _is_ignored(name)]
        relative = os.path.relpath(root, folder)
        prefix = "" if relative == "." else relative.replace(os.sep, "/") + "/"
        for name in files:
            if _is_ignored(name):
                continue
            if not _is_regular(os.path.join(root, name)):
                on_notice(f"{prefix}{name}: passed over, not a regular file")
                continue
            names.append(prefix + name)
    return names


def _is_ignored(name: str) -> bool:
    return name.startswith(".") or name in _IGNORED_NAMES


def _is_regular(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return True  # a dangling link: opening it says what is wrong, and that is counted


def _file(
    path: Path, name: str, *, on_bytes: Callable[[int], None], is_member: bool
) -> Iterator[Source]:
    # Names on disk need not be text; places are printed.
    name = os.fsencode(name).decode("utf-8", "replace")
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise DataError(f"{name}: cannot be opened: {_reason(error)}") from error
    with file:
        try:
            first = file.read(CHUNK_BYTES)
        except OSError as error:
            raise DataError(f"{name}: cannot be read: {_reason(error)}") from error
        if first.startswith(_ZIP):
            on_bytes(path.stat().st_size)
            yield from _zip_members(path, name)
            return

        def chunks() -> Iterator[bytes]:
            chunk = first
            while chunk:
                on_bytes(len(chunk))
                yield chunk
                try:
                    chunk = file.read(CHUNK_BYTES)
                except OSError as error:
                    raise DamagedSourceError(f"cannot be read on: {_reason(error)}") from error

        yield Source(name, lambda: _unpacked(chunks()), is_member)


def _zip_members(path: Path, name: str) -> Iterator[Source]:
    try:
        archive = zipfile.ZipFile(path)
    except _ZIP_ERRORS as error:
        yield _broken(name, f"not a readable zip: {error}")
        return
    with archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        for member in sorted(members, key=_member_name):
            inner = _member_name(member)
            if any(_is_ignored(part) for part in inner.split("/")):
                continue
            yield Source(f"{name}/{inner}", _member_chunks(archive, member), is_member=True)


def _member_name(member: zipfile.ZipInfo) -> str:
    if member.flag_bits & 0x800:  # says that the name is UTF-8
        name = member.filename
    else:
        try:
            written = member.filename.encode("cp437")
        except UnicodeEncodeError:
            written = member.filename.encode("utf-8", "replace")
        for encoding in ("utf-8", "gb18030", "cp437"):  # what archivers write without saying so
            try:
                name = written.decode(encoding)
                break
            except UnicodeDecodeError:
                continue
    return name.encode("utf-8", "replace").decode()


def _member_chunks(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo
) -> Callable[[], Iterator[bytes]]:
    def chunks() -> Iterator[bytes]:
        try:
            with archive.open(member) as file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk
        except _ZIP_ERRORS as error:
            raise DamagedSourceError(f"cannot be taken out of the zip: {error}") from error

    return lambda: _unpacked(chunks())


def _unpacked(chunks: Iterator[bytes], *, layer: int = 0) -> Iterator[bytes]:
    """Yield the chunks, decompressed when they are gzip, whatever the file is called."""
    first = next(chunks, b"")
    while 0 < len(first) < 4 and (more := next(chunks, b"")):
        first += more
    if first.startswith(_ZIP):  # one that stands by itself was opened before
        raise DamagedSourceError("a zip inside another archive: unpack the outer one first")
    if first[257:262] == b"ustar":
        raise DamagedSourceError("a tar archive: unpack it first; zip, gz and folders are read")
    if not first.startswith(_GZIP):
        if first:
            yield first
        yield from chunks
        return
    if layer == _MOST_LAYERS:
        raise DamagedSourceError(f"compressed more than {_MOST_LAYERS} times over")
    yield from _unpacked(_gunzipped(first, chunks), layer=layer + 1)


def _gunzipped(first: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    stream = zlib.decompressobj(wbits=31)
    chunk: bytes | None = first
    while chunk is not None:
        while chunk:
            if stream.eof:
                chunk = chunk.lstrip(b"\0")  # padding after a member
                if not chunk:
                    break
                stream = zlib.decompressobj(wbits=31)
            try:
                content = stream.decompress(chunk, CHUNK_BYTES)
            except zlib.error as error:
                raise DamagedSourceError(f"damaged gzip: {error}") from error
            if content:
                yield content
            chunk = stream.unused_data if stream.eof else stream.unconsumed_tail
        chunk = next(chunks, None)
    if not stream.eof:
        raise DamagedSourceError("the gzip stream ends early")


def _broken(name: str, reason: str) -> Source:
    def chunks() -> Iterator[bytes]:
        raise DamagedSourceError(reason)
        yield b""

    return Source(name, chunks, is_member=True)


def _reason(error: OSError) -> str:
    return error.strerror or errno.errorcode.get(error.errno or 0, type(error).__name__)
